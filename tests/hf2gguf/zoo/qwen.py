"""Qwen."""

from __future__ import annotations

from ..models import (
    BPE,
    HIDDEN,
    QWEN,
    SIZE,
    attention,
    base,
    ends,
    experts,
    gated,
    layers,
    linear,
    llama,
    qk_norms,
    two_norms,
)
from .table import POOLING, add, bpe

QWEN2 = {"vocab_size": QWEN, "bos_token_id": 151643, "eos_token_id": 151643}
add("tiny-qwen2", base("Qwen2ForCausalLM", "qwen2", rope_theta=1e6, **QWEN2), llama(QWEN, bias=True, tied=True),
    "qwen2")  # fmt: skip
add("qwen2-embedding", base("Qwen2Model", "qwen2", **QWEN2), {n.removeprefix("model."): s for n, s in
    llama(QWEN, bias=True, tied=True).items()}, "qwen2", files=POOLING | {"1_Pooling/config.json":
    '{"pooling_mode_lasttoken": true}'}, outtypes=("bf16",))  # fmt: skip
add("tiny-qwen3", bpe("Qwen3ForCausalLM", "qwen3", head_dim=32), ends(BPE, tied=True)
    | layers(lambda p: two_norms(p) | attention(p, size=32) | qk_norms(p, 32, 32) | gated(p)), "gpt2")  # fmt: skip
add("tiny-qwen2moe", bpe("Qwen2MoeForCausalLM", "qwen2_moe", num_experts=6, num_experts_per_tok=2,
    moe_intermediate_size=32, shared_expert_intermediate_size=64), ends(BPE) | layers(lambda p: two_norms(p)
    | attention(p, bias=True) | experts(p, 6) | gated(p, 64, "mlp.shared_expert")
    | linear(f"{p}.mlp.shared_expert_gate", 1, HIDDEN)), "gpt2")  # fmt: skip
add("tiny-qwen3moe", bpe("Qwen3MoeForCausalLM", "qwen3_moe", head_dim=SIZE, num_experts=5, num_experts_per_tok=2,
    moe_intermediate_size=32), ends(BPE) | layers(lambda p: two_norms(p) | attention(p) | qk_norms(p)
    | experts(p, 5)), "gpt2", shards=2)  # fmt: skip
add("tiny-qwen2vl", {"architectures": ["Qwen2VLForConditionalGeneration"], "model_type": "qwen2_vl", "vision_config":
    {"depth": 1}, **{k: v for k, v in base("", None, rope_theta=1e6, **QWEN2, rope_scaling={"type": "mrope",
    "mrope_section": [2, 3, 3]}).items() if k != "architectures"}}, llama(QWEN, bias=True)
    | linear("visual.blocks.0.attn.qkv", 96, 32), "qwen2", outtypes=("bf16",))  # fmt: skip
add("tiny-qwen3vl", {"architectures": ["Qwen3VLForConditionalGeneration"], "model_type": "qwen3_vl", "text_config":
    {k: v for k, v in base("", "qwen3_vl_text", head_dim=32, rope_theta=5e6, rope_scaling={"rope_type": "default",
    "mrope_section": [8, 4, 4], "mrope_interleaved": True}, **QWEN2).items() if k != "architectures"}, "vision_config":
    {"deepstack_visual_indexes": [0, 1], "depth": 2}}, {n.replace("model.", "model.language_model."): s for n, s in
    (ends(QWEN, tied=True) | layers(lambda p: two_norms(p) | attention(p, size=32) | qk_norms(p, 32, 32)
    | gated(p))).items()} | linear("model.visual.blocks.0.attn.qkv", 96, 32), "qwen2", outtypes=("bf16",))  # fmt: skip
add("tiny-qwen3vlmoe", {"architectures": ["Qwen3VLMoeForConditionalGeneration"], "model_type": "qwen3_vl_moe",
    "text_config": {k: v for k, v in base("", "qwen3_vl_moe_text", head_dim=SIZE, rope_theta=5e6, num_experts=4,
    num_experts_per_tok=2, moe_intermediate_size=32, rope_scaling={"rope_type": "default", "mrope_section": [4, 2, 2]},
    **QWEN2).items() if k != "architectures"}, "vision_config": {"deepstack_visual_indexes": [0], "depth": 2}},
    {n.replace("model.", "model.language_model."): s for n, s in (ends(QWEN) | layers(lambda p: two_norms(p)
    | attention(p) | qk_norms(p) | linear(f"{p}.mlp.gate", 4, HIDDEN)
    | {f"{p}.mlp.experts.gate_up_proj": (4, HIDDEN, 64),
    f"{p}.mlp.experts.down_proj": (4, 32, HIDDEN)})).items()}, "qwen2", outtypes=("bf16",))  # fmt: skip
add("tiny-rnd1", bpe("RND1", "rnd1_as_written", head_dim=SIZE, num_experts=4, num_experts_per_tok=2,
    moe_intermediate_size=32, mask_token_id=50000), ends(BPE) | layers(lambda p: two_norms(p) | attention(p)
    | qk_norms(p) | experts(p, 4)), "gpt2")  # fmt: skip
