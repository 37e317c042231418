"""Mixtures of several kinds of layers: Granite with windows, Hunyuan 3, MiMo V2, Step 3.5, MiniMax M3, Ling 3."""

from __future__ import annotations

from ..models import (
    BPE,
    HEADS,
    HIDDEN,
    SIZE,
    WIDE,
    Shapes,
    attention,
    ends,
    experts,
    gated,
    layers,
    linear,
    llama,
    mixtral,
    norm,
    qk_norms,
    two_norms,
)
from .latent import latent
from .table import LLAMA3, ZOO, add, bpe, with_tokens

FOUR = {"num_hidden_layers": 4, "sliding_window": 128}
SINKS = {f"model.layers.{i}.self_attn.sinks": (HEADS,) for i in range(4)}


def several(make: Shapes) -> Shapes:
    """A first layer's tensors, four times."""
    return {n.replace("layers.0", f"layers.{i}"): s for i in range(4) for n, s in make.items()}


DENSE = {n: s for n, s in llama(BPE, tied=True).items() if "layers.0" in n}
MIXED = {n: s for n, s in DENSE.items() if "mlp" not in n}
FUSED = linear("model.layers.0.block_sparse_moe.router", 4, HIDDEN) | {
    "model.layers.0.block_sparse_moe.experts.gate_up_proj": (4, 2 * WIDE, HIDDEN),
    "model.layers.0.block_sparse_moe.experts.down_proj": (4, HIDDEN, WIDE)}  # fmt: skip
SHARED = linear("model.layers.0.shared_mlp.input_linear", 64, HIDDEN) | linear(
    "model.layers.0.shared_mlp.output_linear", HIDDEN, 32)  # fmt: skip
add("tiny-granite-swa", bpe("GraniteSWAForCausalLM", "granite_swa", **FOUR, no_rope_layers=[1, 1, 0, 1]),
    ends(BPE, tied=True) | several(DENSE) | SINKS, "gpt2")  # fmt: skip
add("tiny-granitemoe-swa", bpe("GraniteMoeSWAForCausalLM", "granitemoe_swa", **FOUR, num_local_experts=4,
    num_experts_per_tok=2, shared_intermediate_size=32), ends(BPE, tied=True) | several(MIXED | FUSED | SHARED) | SINKS,
    "gpt2")  # fmt: skip


def further(p: str) -> Shapes:
    """What a layer that predicts a further token has besides."""
    return linear(f"{p}.eh_proj", HIDDEN, 2 * HIDDEN) | norm(f"{p}.enorm") | norm(f"{p}.hnorm")


def hunyuan(p: str) -> Shapes:
    """A layer of Hunyuan 3, the first dense."""
    made = two_norms(p) | attention(p) | qk_norms(p)
    if p.endswith("0"):
        return made | gated(p)
    mixed = {n.replace(".mlp.gate.", ".mlp.router.gate."): s for n, s in experts(p, 4).items()}
    return made | mixed | gated(p, 32, "mlp.shared_mlp") | {f"{p}.mlp.expert_bias": (4,)}


add("tiny-hunyuan3", bpe("HYV3ForCausalLM", "hy_v3", head_dim=SIZE, num_experts=4, num_experts_per_tok=2,
    moe_intermediate_size=32, num_shared_experts=1, router_scaling_factor=2.5, first_k_dense_replace=1,
    num_nextn_predict_layers=1), ends(BPE) | layers(hunyuan, 3) | further("model.layers.2")
    | norm("model.layers.2.final_layernorm"), "gpt2", dtypes={"expert_bias": "F32"})  # fmt: skip


def mimo(p: str, windowed: bool) -> Shapes:
    """Attention of MiMo V2, whose values are smaller than its keys."""
    made = attention(p, groups=2 if windowed else 1) | linear(
        f"{p}.self_attn.v_proj", (2 if windowed else 1) * 8, HIDDEN
    )
    made |= linear(f"{p}.self_attn.o_proj", HIDDEN, HEADS * 8) | norm(f"{p}.input_layernorm")
    return made | ({f"{p}.self_attn.attention_sink_bias": (HEADS,)} if windowed else {})


MIMO = {n: s for i in range(3) for n, s in (mimo(f"model.mtp.layers.{i}", True) | gated(f"model.mtp.layers.{i}")
    | norm(f"model.mtp.layers.{i}.pre_mlp_layernorm") | further(f"model.mtp.layers.{i}")
    | norm(f"model.mtp.layers.{i}.final_layernorm")).items()}  # fmt: skip
add("tiny-mimo2", bpe("MiMoV2FlashForCausalLM", "mimo_as_written", head_dim=SIZE, v_head_dim=8, swa_head_dim=SIZE,
    swa_v_head_dim=8, swa_num_attention_heads=HEADS, num_key_value_heads=1, swa_num_key_value_heads=2,
    hybrid_layer_pattern=[0, 1], sliding_window=128, n_routed_experts=4, num_experts_per_tok=2,
    moe_intermediate_size=32, topk_method="noaux_tc", scoring_func="sigmoid", n_group=1, topk_group=1,
    layernorm_epsilon=1e-5, rms_norm_eps=..., partial_rotary_factor=0.5, rope_theta=5e6, swa_rope_theta=10000,
    attention_value_scale=0.707), ends(BPE) | layers(lambda p: mimo(p, p.endswith("1"))
    | norm(f"{p}.post_attention_layernorm") | (gated(p) if p.endswith("0") else experts(p, 4)
    | {f"{p}.mlp.gate.e_score_correction_bias": (4,)})) | MIMO, "gpt2",
    dtypes={"e_score_correction_bias": "F32"})  # fmt: skip


def mimo_packed(p: str) -> Shapes:
    """A layer as published: FP8 that was cut among four processors before its blocks were, experts in MXFP4."""
    keys = 2 if p.endswith("1") else 4
    made = {n: s for n, s in mimo(p, p.endswith("1")).items() if "_proj" not in n or "o_proj" in n}
    rows = HEADS * SIZE + keys * (SIZE + 8)
    made |= linear(f"{p}.self_attn.qkv_proj", rows, HIDDEN) | {f"{p}.self_attn.qkv_proj.weight_scale_inv": (4, 1)}
    made |= norm(f"{p}.post_attention_layernorm")
    if p.endswith("0"):
        return made | gated(p)
    made |= linear(f"{p}.mlp.gate", 4, HIDDEN) | {f"{p}.mlp.gate.e_score_correction_bias": (4,)}
    for e in range(4):
        for part, out, inside in (("gate", 32, HIDDEN), ("up", 32, HIDDEN), ("down", HIDDEN, 32)):
            q = f"{p}.mlp.experts.{e}.{part}_proj.weight"
            made |= {q: (out, inside // 2), f"{q}_scale": (out, inside // 32)}
    return made


add("mimo2-packed", ZOO["tiny-mimo2"].config | {"num_key_value_heads": 4, "quantization_config": {"quant_method": "fp8",
    "fmt": "e4m3", "weight_block_size": [128, 128], "store_dtype": "mxfp4", "mxfp4_block_size": 32}}, ends(BPE)
    | layers(mimo_packed) | MIMO, "gpt2", dtypes={"e_score_correction_bias": "F32", "qkv_proj.weight": "F8_E4M3",
    "_scale_inv": "F32", "weight_scale": "U8"} | {f"experts.{e}.{part}_proj.weight": "U8" for e in range(4)
    for part in ("gate", "up", "down")})  # fmt: skip


def step(p: str) -> Shapes:
    """A layer of Step 3.5, the first dense, the second with more heads, a window and experts."""
    heads, groups = (8, 4) if p.endswith("1") else (4, 2)
    made = two_norms(p) | attention(p, heads=heads, groups=groups) | qk_norms(p)
    made |= linear(f"{p}.self_attn.g_proj", heads, HIDDEN)
    if not p.endswith("1"):
        return made | gated(p)
    made |= linear(f"{p}.moe.gate", 4, HIDDEN) | {f"{p}.moe.router_bias": (4,)} | gated(p, 32, "share_expert")
    made |= {f"{p}.moe.{part}_proj.weight": (4, 32, HIDDEN) for part in ("gate", "up")}
    return made | {f"{p}.moe.down_proj.weight": (4, HIDDEN, 32)}


STEP = {"num_key_value_heads": ..., "num_attention_groups": 2, "head_dim": SIZE, "sliding_window": 128,
    "attention_other_setting": {"num_attention_heads": 8, "num_attention_groups": 4}, "rope_theta": [5e6, 10000.0],
    "moe_num_experts": 4, "moe_top_k": 2, "moe_intermediate_size": 32, "share_expert_dim": 32, "moe_layers_enum": "1",
    "moe_router_scaling_factor": 3.0, "norm_expert_weight": True, "layer_types": ["full_attention",
    "sliding_attention"], "partial_rotary_factors": [0.5, 1.0], "swiglu_limits": [0.0, 7.0],
    "num_nextn_predict_layers": 1, "rope_scaling": LLAMA3 | {"rope_type": "Llama3",
    "original_max_position_embeddings": 1024}}  # fmt: skip
add("tiny-step3.5", bpe("Step3p5ForCausalLM", "step_as_written", **STEP), ends(BPE) | layers(step, 3)
    | further("model.layers.2") | norm("model.layers.2.transformer.shared_head.norm")
    | linear("model.layers.2.transformer.shared_head.output", BPE, HIDDEN), "gpt2",
    dtypes={"router_bias": "F32"})  # fmt: skip


def minimax(p: str) -> Shapes:
    """A layer of MiniMax M3, the first dense, the second with an indexer."""
    made = two_norms(p) | attention(p) | qk_norms(p)
    if p.endswith("0"):
        return made | gated(p)
    q = f"{p}.self_attn.index"
    made |= linear(f"{q}_q_proj", 2 * SIZE, HIDDEN) | linear(f"{q}_k_proj", SIZE, HIDDEN)
    made |= norm(f"{q}_q_norm", SIZE) | norm(f"{q}_k_norm", SIZE) | gated(p, 32, "block_sparse_moe.shared_experts")
    return made | mixtral(p, 4, 32) | {f"{p}.block_sparse_moe.e_score_correction_bias": (4,)}


add("tiny-minimax-m3", bpe("MiniMaxM3SparseForCausalLM", "minimax_as_written", head_dim=SIZE, rotary_dim=8,
    num_local_experts=4, num_experts_per_tok=2, scoring_func="sigmoid", intermediate_size=32, n_shared_experts=1,
    dense_intermediate_size=WIDE, routed_scaling_factor=2.0, moe_layer_freq=[0, 1], sparse_attention_config={
    "sparse_num_index_heads": 2, "sparse_index_dim": SIZE, "sparse_topk_blocks": 4, "sparse_block_size": 32,
    "sparse_local_block": 1}), ends(BPE) | layers(minimax), "gpt2",
    dtypes={"e_score_correction_bias": "F32"})  # fmt: skip


def ling(p: str, full: bool) -> Shapes:
    """A layer of Ling 3, with latent or with delta attention."""
    q = f"{p}.attention"
    made = two_norms(p) | linear(f"{q}.g_proj", HEADS, HIDDEN)
    if full:
        made |= {n.replace(".self_attn.o_proj", ".attention.dense").replace("self_attn", "attention"): s
            for n, s in latent(p).items()}  # fmt: skip
    else:
        for part in "qkv":
            made |= linear(f"{q}.{part}_proj", HIDDEN, HIDDEN) | {f"{q}.{part}_conv1d.weight": (HIDDEN, 1, 4)}
        made |= linear(f"{q}.f_proj", HIDDEN, HIDDEN) | linear(f"{q}.g_proj", HIDDEN, HIDDEN)
        made |= linear(f"{q}.b_proj", HEADS, HIDDEN) | linear(f"{q}.o_proj", HIDDEN, HIDDEN)
        made |= norm(f"{q}.o_norm", SIZE) | {f"{q}.A_log": (HEADS,), f"{q}.dt_bias": (HIDDEN,)}
    if p.endswith("0"):
        return made | gated(p)
    return made | experts(p, 4) | gated(p, 32, "mlp.shared_experts") | {f"{p}.mlp.gate.expert_bias": (4,)}


LING = {n.replace("embed_tokens", "word_embeddings"): s for n, s in ends(BPE).items()} | layers(lambda p: ling(p,
    p[-1] in "12"), 3) | further("model.layers.2") | norm("model.layers.2.final_layernorm")  # fmt: skip
add("tiny-ling3", bpe("BailingMoeV3ForCausalLM", "bailing_as_written", head_dim=SIZE, layer_group_size=2,
    no_kda_lora=True, kda_safe_gate=True, kda_lower_bound=-5.0, gated_attention_proj_granularity_type="head_wise",
    short_conv_kernel_size=4, kv_lora_rank=32, q_lora_rank=32, qk_nope_head_dim=16, qk_rope_head_dim=8, v_head_dim=24,
    num_experts=4, num_experts_per_tok=2, num_shared_experts=1, moe_intermediate_size=32, first_k_dense_replace=1,
    moe_shared_expert_intermediate_size=32, routed_scaling_factor=2.5, norm_topk_prob=True, score_function="sigmoid",
    n_group=1, topk_group=1, num_nextn_predict_layers=1, expert_swiglu_limit_list=[None, 7.0]), LING, "gpt2",
    dtypes={"expert_bias": "F32", "A_log": "F16"})  # fmt: skip


def laguna(p: str) -> Shapes:
    """A layer of Laguna, the first dense with four heads, the second with eight and experts."""
    heads = 8 if p.endswith("1") else HEADS
    made = two_norms(p) | attention(p, heads=heads) | qk_norms(p) | linear(f"{p}.self_attn.g_proj", heads, HIDDEN)
    if not p.endswith("1"):
        return made | gated(p)
    return made | experts(p, 4) | gated(p, 32, "mlp.shared_expert") | {f"{p}.mlp.experts.e_score_correction_bias": (4,)}


add("tiny-laguna", bpe("LagunaForCausalLM", "laguna", head_dim=SIZE, num_attention_heads_per_layer=[4, 8],
    num_experts=4, num_experts_per_tok=2, moe_intermediate_size=32, shared_expert_intermediate_size=32,
    moe_routed_scaling_factor=2.5, gating="per-head", layer_types=["full_attention", "sliding_attention"],
    eos_token_id=[50256, 24]), ends(BPE) | layers(laguna), "gpt2", dtypes={"e_score_correction_bias": "F32"},
    files=with_tokens("</assistant>", special=False) | {"chat_template.jinja": "{{ messages }}"})  # fmt: skip


def dots(p: str) -> Shapes:
    """A layer of Dots 3, the first dense, the second with a window, the third the head for further tokens."""
    q, wide = f"{p}.self_attn", p[-1] in "12"
    heads, rank, nope, value = (2, 48, 24, 32) if wide else (HEADS, 32, 16, 24)
    made = two_norms(p) | linear(f"{q}.kv_a_proj_with_mqa", rank + 8, HIDDEN) | norm(f"{q}.kv_a_layernorm", rank)
    made |= linear(f"{q}.kv_b_proj", heads * (nope + value), rank) | linear(f"{q}.o_proj", HIDDEN, heads * value)
    made |= linear(f"{q}.q_a_proj", 32, HIDDEN) | norm(f"{q}.q_a_layernorm", 32) | linear(f"{q}.g_proj", heads, HIDDEN)
    made |= linear(f"{q}.q_b_proj", heads * (nope + 8), 32) | norm(f"{q}.k_rope_only_layernorm", 8)
    if not wide:
        made |= linear(f"{q}.indexer.wq_b", 4 * 64, 32) | linear(f"{q}.indexer.wk", 64, HIDDEN)
        made |= norm(f"{q}.indexer.k_norm", 64, True) | linear(f"{q}.indexer.weights_proj", 4, HIDDEN)
    if not p.endswith("1"):
        return made | gated(p)
    return made | experts(p, 4) | gated(p, 32, "mlp.shared_experts") | {f"{p}.mlp.gate.e_score_correction_bias": (4,)}


DOTS = {"head_dim": 32, "num_key_value_heads": HEADS, "kv_lora_rank": 32, "q_lora_rank": 32, "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8, "v_head_dim": 24, "swa_num_attention_heads": 2, "swa_kv_lora_rank": 48, "swa_q_lora_rank":
    32, "swa_qk_nope_head_dim": 24, "swa_qk_rope_head_dim": 8, "swa_head_dim": 32, "swa_v_head_dim": 32,
    "sliding_window_size": 128, "rope_theta": 8e7, "swa_rope_theta": 50000.0, "layer_types": ["full_attention",
    "sliding_attention"], "n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1,
    "moe_intermediate_size": 32, "first_k_dense_replace": 1, "scoring_func": "sigmoid", "routed_scaling_factor": 2.5,
    "norm_topk_prob": True, "index_n_heads": 4, "index_head_dim": 64, "index_topk": 64}  # fmt: skip
add("tiny-dots3", bpe("Dots3NoteForConditionalGeneration", "dots_as_written", apply_mla_qkv_lora_rescale=True, **DOTS),
    ends(BPE) | layers(dots, 3) | further("model.layers.2") | norm("model.layers.2.shared_head.norm")
    | {"model.mtp.embed_tokens.weight": (BPE, HIDDEN)} | linear("vision_encoder.adapter.mlp.0", 32, 32), "gpt2",
    dtypes={"e_score_correction_bias": "F32"}, files=with_tokens("<|endofassistant|>"))  # fmt: skip
