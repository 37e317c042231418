"""Mixtures of experts of other houses."""

from __future__ import annotations

from ..models import (
    BPE,
    HEADS,
    HIDDEN,
    SIZE,
    WIDE,
    Shapes,
    attention,
    base,
    ends,
    experts,
    gated,
    layers,
    linear,
    norm,
    qk_norms,
    two_norms,
)
from .table import add, bpe

add("tiny-olmoe", bpe("OlmoeForCausalLM", "olmoe", num_experts=4, num_experts_per_tok=2, num_key_value_heads=HEADS),
    ends(BPE) | layers(lambda p: two_norms(p) | attention(p, groups=HEADS) | qk_norms(p, HIDDEN, HIDDEN)
    | experts(p, 4, WIDE)),
    "gpt2")  # fmt: skip
add("tiny-ernie-moe", base("Ernie4_5_MoeForCausalLM", "ernie4_5_moe", head_dim=SIZE, moe_num_experts=4, moe_k=2,
    moe_intermediate_size=32, moe_num_shared_experts=1, moe_layer_start_index=1, moe_layer_interval=1), ends()
    | layers(lambda p: two_norms(p) | attention(p) | (gated(p) if p.endswith("0") else experts(p, 4)
    | gated(p, 48, "mlp.shared_experts") | {f"{p}.mlp.moe_statics.e_score_correction_bias": (1, 4)})),
    dtypes={"e_score_correction_bias": "F32", "mlp.gate.weight": "F32"})  # fmt: skip


def moe_oddity(p: str) -> Shapes:
    """Two layers, the first dense."""
    return gated(p) if p.endswith("0") else experts(p, 4)


add("tiny-dots1", bpe("Dots1ForCausalLM", "dots1", n_routed_experts=4, num_experts_per_tok=2, n_shared_experts=1,
    moe_intermediate_size=32, first_k_dense_replace=1, routed_scaling_factor=2.5, norm_topk_prob=True,
    scoring_func="sigmoid", n_group=1, topk_group=1, sliding_window=None, head_dim=SIZE,
    num_key_value_heads=HEADS), ends(BPE)
    | layers(lambda p: two_norms(p) | attention(p, groups=HEADS) | qk_norms(p) | moe_oddity(p)
    | ({} if p.endswith("0") else gated(p, 32, "mlp.shared_experts")
    | {f"{p}.mlp.gate.e_score_correction_bias": (4,)})), "gpt2")  # fmt: skip
add("tiny-bailingmoe", bpe("BailingMoeForCausalLM", "bailing_as_written", num_experts=4, num_experts_per_tok=2,
    num_shared_experts=1, moe_intermediate_size=32, first_k_dense_replace=0, norm_topk_prob=True),
    {"model.word_embeddings.weight": (BPE, HIDDEN), "lm_head.weight": (BPE, HIDDEN)} | norm("model.norm")
    | layers(lambda p: two_norms(p)
    | linear(f"{p}.attention.query_key_value", 8 * SIZE, HIDDEN) | linear(f"{p}.attention.dense", HIDDEN, HIDDEN)
    | experts(p, 4) | gated(p, 32, "mlp.shared_experts")), "gpt2")  # fmt: skip
add("tiny-llada-moe", bpe("LLaDAMoEModelLM", "llada_as_written", num_experts=4, num_experts_per_tok=2,
    expert_intermediate_size=32), ends(BPE) | layers(lambda p: two_norms(p) | attention(p) | qk_norms(p)
    | experts(p, 4)), "gpt2")  # fmt: skip
add("tiny-afmoe", bpe("AfmoeForCausalLM", "afmoe", head_dim=SIZE, num_experts=4, num_experts_per_tok=2,
    num_shared_experts=1, moe_intermediate_size=32, num_dense_layers=1, route_norm=True, route_scale=2.5,
    score_func="sigmoid", sliding_window=64), ends(BPE) | layers(lambda p: two_norms(p) | attention(p) | qk_norms(p)
    | linear(f"{p}.self_attn.gate_proj", HIDDEN, HIDDEN) | norm(f"{p}.pre_mlp_layernorm")
    | norm(f"{p}.post_mlp_layernorm") | (gated(p) if p.endswith("0") else {n.replace("mlp.gate.", "mlp.router.gate."): s
    for n, s in experts(p, 4).items()} | gated(p, 32, "mlp.shared_experts") | {f"{p}.mlp.expert_bias": (4,)})), "gpt2",
    dtypes={"expert_bias": "F32"})  # fmt: skip
add("tiny-smallthinker", bpe("SmallThinkerForCausalLM", "smallthinker_as_written", head_dim=SIZE,
    moe_num_primary_experts=4, moe_num_active_primary_experts=2, moe_ffn_hidden_size=32, sliding_window_layout=[0, 1],
    sliding_window_size=64), ends(BPE) | layers(lambda p: two_norms(p) | attention(p)
    | linear(f"{p}.block_sparse_moe.primary_router", 4, HIDDEN) | {n.replace("mlp", "block_sparse_moe").replace("_proj",
    ""): s for n, s in experts(p, 4).items() if "experts" in n}), "gpt2")  # fmt: skip
add("tiny-deepseek", bpe("DeepseekForCausalLM", "deepseek_as_written", n_routed_experts=4, num_experts_per_tok=2,
    n_shared_experts=1, moe_intermediate_size=32, first_k_dense_replace=1, rope_theta=10000.0), ends(BPE)
    | layers(lambda p: two_norms(p) | attention(p) | moe_oddity(p) | ({} if p.endswith("0") else
    gated(p, 32, "mlp.shared_experts"))), "gpt2")  # fmt: skip
