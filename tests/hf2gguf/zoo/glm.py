"""GLM."""

from __future__ import annotations

from ..models import BPE, HIDDEN, SIZE, WIDE, attention, ends, experts, gated, layers, linear, norm, qk_norms, two_norms
from .table import add, bpe

GLM = {"eos_token_id": [50256], "pad_token_id": 50256, "bos_token_id": ...}
add("tiny-glm4", bpe("Glm4ForCausalLM", "glm4", head_dim=SIZE, partial_rotary_factor=0.5, attention_bias=True, **GLM),
    ends(BPE) | layers(lambda p: two_norms(p) | norm(f"{p}.post_self_attn_layernorm") | norm(f"{p}.post_mlp_layernorm")
    | attention(p, bias=True) | linear(f"{p}.mlp.gate_up_proj", 2 * WIDE, HIDDEN)
    | linear(f"{p}.mlp.down_proj", HIDDEN, WIDE)), "glm")  # fmt: skip
add("tiny-glm", bpe("GlmForCausalLM", "glm", head_dim=SIZE, partial_rotary_factor=0.5, attention_bias=True, **GLM),
    ends(BPE) | layers(lambda p: two_norms(p) | attention(p, bias=True)
    | linear(f"{p}.mlp.gate_up_proj", 2 * WIDE, HIDDEN) | linear(f"{p}.mlp.down_proj", HIDDEN, WIDE)),
    "glm")  # fmt: skip
add("tiny-glm4moe", bpe("Glm4MoeForCausalLM", "glm4_moe", head_dim=SIZE, partial_rotary_factor=0.5, n_routed_experts=4,
    n_shared_experts=1, moe_intermediate_size=32, num_experts_per_tok=2, first_k_dense_replace=1, norm_topk_prob=True,
    routed_scaling_factor=1.5, n_group=1, topk_group=1, num_nextn_predict_layers=1, **GLM), ends(BPE)
    | layers(lambda p: two_norms(p) | attention(p, bias=True) | qk_norms(p) | (gated(p) if p.endswith("0")
    else experts(p, 4) | gated(p, 32, "mlp.shared_experts") | {f"{p}.mlp.gate.e_score_correction_bias": (4,)}), 3)
    | linear("model.layers.2.eh_proj", HIDDEN, 2 * HIDDEN) | norm("model.layers.2.enorm")
    | norm("model.layers.2.hnorm") | linear("model.layers.2.embed_tokens", BPE, HIDDEN)
    | linear("model.layers.2.shared_head.head", BPE, HIDDEN) | norm("model.layers.2.shared_head.norm"), "glm",
    dtypes={"e_score_correction_bias": "F32"})  # fmt: skip
