"""DeepSeek's latent attention, and who took it over."""

from __future__ import annotations

from ..models import BPE, HEADS, HIDDEN, WIDE, Shapes, base, ends, experts, gated, layers, linear, norm, two_norms
from .table import add, bpe


def latent(p: str, low_rank: bool = True) -> Shapes:
    """DeepSeek's attention: 16 values without rope, 8 with, 24 of value; latent size 32."""
    q = f"{p}.self_attn"
    made = linear(f"{q}.kv_a_proj_with_mqa", 40, HIDDEN) | norm(f"{q}.kv_a_layernorm", 32)
    made |= linear(f"{q}.kv_b_proj", HEADS * 40, 32) | linear(f"{q}.o_proj", HIDDEN, HEADS * 24)
    if not low_rank:
        return made | linear(f"{q}.q_proj", HEADS * 24, HIDDEN)
    return (
        made
        | linear(f"{q}.q_a_proj", 32, HIDDEN)
        | norm(f"{q}.q_a_layernorm", 32)
        | linear(f"{q}.q_b_proj", HEADS * 24, 32)
    )


MLA = {"kv_lora_rank": 32, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 24, "n_routed_experts": 4,
       "num_experts_per_tok": 2, "moe_intermediate_size": 32, "first_k_dense_replace": 1, "n_shared_experts": 1,
       "num_key_value_heads": HEADS}  # fmt: skip
YARN = {"type": "yarn", "factor": 40, "beta_fast": 32, "beta_slow": 1, "mscale": 0.707, "mscale_all_dim": 0.707,
        "original_max_position_embeddings": 128}  # fmt: skip
add("tiny-deepseek-v2-lite", bpe("DeepseekV2ForCausalLM", "deepseek_v2", **MLA, q_lora_rank=None, rope_scaling=YARN,
    routed_scaling_factor=1.0, scoring_func="softmax", n_group=1, topk_group=1, norm_topk_prob=False), ends(BPE)
    | layers(lambda p: two_norms(p) | latent(p, False)
    | (gated(p) if p.endswith("0") else experts(p, 4) | gated(p, 32, "mlp.shared_experts"))), "gpt2")  # fmt: skip
add("tiny-deepseek-v3", bpe("DeepseekV3ForCausalLM", "deepseek_v3", **MLA, q_lora_rank=32, rope_scaling=YARN,
    routed_scaling_factor=2.5, scoring_func="sigmoid", n_group=2, topk_group=1, norm_topk_prob=True,
    num_nextn_predict_layers=1), ends(BPE) | layers(lambda p: two_norms(p) | latent(p) | (gated(p) if
    p.endswith("0") else experts(p, 4) | gated(p, 32, "mlp.shared_experts")
    | {f"{p}.mlp.gate.e_score_correction_bias": (4,)}))
    | norm("model.layers.2.enorm") | linear("model.layers.2.eh_proj", HIDDEN, 2 * HIDDEN), "gpt2",
    dtypes={"e_score_correction_bias": "F32"})  # fmt: skip
add("tiny-minicpm3", base("MiniCPM3ForCausalLM", "minicpm3_as_written", **{k: v for k, v in MLA.items() if "lora" in k
    or "head" in k}, q_lora_rank=32), ends(tied=True) | layers(lambda p: two_norms(p) | latent(p)
    | gated(p)))  # fmt: skip
add("tiny-plm", bpe("PLMForCausalLM", "plm_as_written", **{k: v for k, v in MLA.items() if "lora" in k or "head" in k}),
    ends(BPE, tied=True) | layers(lambda p: two_norms(p) | latent(p, False) | linear(f"{p}.mlp.up_proj", WIDE, HIDDEN)
    | linear(f"{p}.mlp.down_proj", HIDDEN, WIDE)), "gpt2")  # fmt: skip
