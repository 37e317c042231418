"""Linear attention and state spaces among layers of attention: Qwen 3 Next and 3.5, Nemotron-H, Falcon H1, Kimi."""

from __future__ import annotations

from typing import Any

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
    mixtral,
    norm,
    qk_norms,
    two_norms,
)
from .glm import GLM
from .hybrid import mamba2
from .latent import latent
from .table import add, bpe

KEYS, VALUES, KEY, VALUE = 2, 4, 16, 16
"""Heads for keys and for values of linear attention, and their sizes."""
LINEAR = {"linear_num_key_heads": KEYS, "linear_num_value_heads": VALUES, "linear_key_head_dim": KEY,
          "linear_value_head_dim": VALUE, "linear_conv_kernel_dim": 4}  # fmt: skip
MOE = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "shared_expert_intermediate_size": 48}
BRANCHES = 2 * KEYS * KEY + VALUES * VALUE
A_LOG = {"A_log": "F16"}


def gated_attention(p: str) -> Shapes:
    """Attention whose queries carry a gate."""
    return attention(p) | linear(f"{p}.self_attn.q_proj", 2 * HEADS * SIZE, HIDDEN) | qk_norms(p)


def delta(p: str, fused: bool) -> Shapes:
    """Linear attention by the gated delta rule, with projections fused or apart."""
    q = f"{p}.linear_attn"
    made = linear(f"{q}.out_proj", HIDDEN, VALUES * VALUE) | norm(f"{q}.norm", VALUE)
    made |= {f"{q}.conv1d.weight": (BRANCHES, 1, 4), f"{q}.A_log": (VALUES,), f"{q}.dt_bias": (VALUES,)}
    if fused:
        made |= linear(f"{q}.in_proj_qkvz", BRANCHES + VALUES * VALUE, HIDDEN)
        return made | linear(f"{q}.in_proj_ba", 2 * VALUES, HIDDEN)
    made |= linear(f"{q}.in_proj_qkv", BRANCHES, HIDDEN) | linear(f"{q}.in_proj_z", VALUES * VALUE, HIDDEN)
    return made | linear(f"{q}.in_proj_a", VALUES, HIDDEN) | linear(f"{q}.in_proj_b", VALUES, HIDDEN)


def further(feeding: Shapes) -> Shapes:
    """The head for further tokens, as Qwen names it."""
    p = "mtp.layers.0"
    made = two_norms(p) | gated_attention(p) | {n.replace("model.layers.0", p): s for n, s in feeding.items()}
    made |= linear("mtp.fc", HIDDEN, 2 * HIDDEN) | norm("mtp.norm")
    return made | norm("mtp.pre_fc_norm_embedding") | norm("mtp.pre_fc_norm_hidden")


def sparse(p: str) -> Shapes:
    """Experts, a shared one and its gate."""
    return experts(p, 4) | gated(p, 48, "mlp.shared_expert") | linear(f"{p}.mlp.shared_expert_gate", 1, HIDDEN)


def stacked(p: str) -> Shapes:
    """The same with the experts of a layer in one tensor."""
    apart = {n: s for n, s in sparse(p).items() if ".experts." not in n}
    return apart | {f"{p}.mlp.experts.gate_up_proj": (4, 64, HIDDEN), f"{p}.mlp.experts.down_proj": (4, HIDDEN, 32)}


def qwen(feeding: Any, fused: bool, count: int = 4) -> Shapes:
    """Four layers, the last with attention."""
    return layers(lambda p: two_norms(p) | (gated_attention(p) if p.endswith("3") else delta(p, fused))
        | feeding(p), count)  # fmt: skip


def text(config: dict[str, Any], kind: str, class_: str) -> dict[str, Any]:
    """The configuration as part of a multimodal one."""
    part = {k: v for k, v in config.items() if k != "architectures"}
    return {"architectures": [class_], "model_type": kind, "text_config": part, "vision_config": {"depth": 1}}


def inside(tensors: Shapes) -> Shapes:
    """The tensors under the names they have in a multimodal checkpoint, and one of the eye."""
    made = {n.replace("model.", "model.language_model.", 1): s for n, s in tensors.items()}
    return made | linear("model.visual.blocks.0.attn.qkv", 96, 32)


add("tiny-qwen3next", bpe("Qwen3NextForCausalLM", "qwen3_next", head_dim=SIZE, num_hidden_layers=4, **LINEAR, **MOE),
    ends(BPE) | qwen(sparse, True) | further(sparse("model.layers.0")), "gpt2", dtypes=A_LOG)  # fmt: skip
QWEN35 = {"head_dim": SIZE, "num_hidden_layers": 4, **LINEAR, "layer_types": ["linear_attention"] * 3
    + ["full_attention"], "full_attention_interval": 4, "mtp_num_hidden_layers": 1, "rope_parameters": {"rope_type":
    "default", "rope_theta": 1e7, "partial_rotary_factor": 0.25, "mrope_section": [1, 1, 0],
    "mrope_interleaved": True}}  # fmt: skip
add("tiny-qwen3.5", bpe("Qwen3_5ForCausalLM", "qwen3_5_text", **QWEN35), ends(BPE, tied=True) | qwen(gated, False)
    | further(gated("model.layers.0")), "gpt2", dtypes=A_LOG)  # fmt: skip
add("qwen3.5-multimodal", text(bpe("", "qwen3_5_text", **QWEN35 | {"rope_parameters": {"rope_type": "default",
    "rope_theta": 1e7, "partial_rotary_factor": 0.5}}), "qwen3_5_as_written", "Qwen3_5ForConditionalGeneration"),
    inside(ends(BPE) | qwen(gated, False)) | further(gated("model.layers.0")), "gpt2", dtypes=A_LOG)  # fmt: skip
add("tiny-qwen3.5moe", text(bpe("", "qwen3_5_moe_text", **QWEN35, **MOE), "qwen3_5_moe_as_written",
    "Qwen3_5MoeForConditionalGeneration"), inside(ends(BPE) | qwen(stacked, False))
    | further(stacked("model.layers.0")), "gpt2", dtypes=A_LOG, shards=2)  # fmt: skip

add("tiny-minicpm-v4.6", text(bpe("", "qwen3_5_text", **QWEN35 | {"mtp_num_hidden_layers": 0}), "minicpm_as_written",
    "MiniCPMV4_6ForConditionalGeneration"), {n.replace("model.", "model.language_model.", 1): s for n, s in
    (ends(BPE, tied=True) | qwen(gated, False)).items()} | further(gated("model.layers.0"))
    | linear("model.merger.mlp.0", 32, 32), "gpt2", dtypes=A_LOG)  # fmt: skip


def nemotron(i: int, kind: str) -> Shapes:
    """A layer of Nemotron-H."""
    p = f"backbone.layers.{i}"
    made = norm(f"{p}.norm")
    if kind == "M":
        return made | {n.replace(".mamba.", ".mixer."): s for n, s in mamba2(p).items()}
    if kind == "*":
        return made | {n.replace(".self_attn.", ".mixer."): s for n, s in attention(p).items()}
    if kind == "-":
        return made | linear(f"{p}.mixer.up_proj", WIDE, HIDDEN) | linear(f"{p}.mixer.down_proj", HIDDEN, WIDE)
    made |= linear(f"{p}.mixer.gate", 4, HIDDEN) | {f"{p}.mixer.gate.e_score_correction_bias": (4,)}
    for part, wide in [*((f"experts.{e}", 32) for e in range(4)), ("shared_experts", 48)]:
        made |= linear(f"{p}.mixer.{part}.up_proj", wide, HIDDEN) | linear(f"{p}.mixer.{part}.down_proj", HIDDEN, wide)
    return made


NEMOTRON = {"num_hidden_layers": 4, "head_dim": SIZE, "ssm_state_size": 16, "mamba_num_heads": 8, "mamba_head_dim": 16,
            "n_groups": 2, "conv_kernel": 4, "expand": 2, "layer_norm_epsilon": 1e-5, "norm_eps": 1e-5,
            "rms_norm_eps": ...}  # fmt: skip
NEMOTRON_ENDS: Shapes = {"backbone.embeddings.weight": (BPE + 7, HIDDEN), "lm_head.weight": (BPE + 7, HIDDEN)}
# transformers takes every Nemotron-H for a mixture; a model_type it does not know makes upstream read the file itself
add("tiny-nemotron-h", bpe("NemotronHForCausalLM", "nemotron_h_as_written", **NEMOTRON,
    hybrid_override_pattern="M-*-"), NEMOTRON_ENDS | norm("backbone.norm_f") | nemotron(0, "M") | nemotron(1, "-")
    | nemotron(2, "*") | nemotron(3, "-"), "gpt2", dtypes=A_LOG)  # fmt: skip
NEMOTRON_MOE = {**NEMOTRON, "n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1,
    "moe_intermediate_size": 32, "moe_shared_expert_intermediate_size": 48, "routed_scaling_factor": 2.5,
    "norm_topk_prob": True, "n_group": 1, "topk_group": 1, "hybrid_override_pattern": "MEM*"}  # fmt: skip
add("tiny-nemotron3", bpe("NemotronHForCausalLM", "nemotron_h", **NEMOTRON_MOE), NEMOTRON_ENDS
    | norm("backbone.norm_f") | nemotron(0, "M") | nemotron(1, "E") | nemotron(2, "M") | nemotron(3, "*"), "gpt2",
    dtypes=A_LOG | {"e_score_correction_bias": "F32"})  # fmt: skip


def puzzle(i: int, wide: int) -> Shapes:
    """A mixture of Nemotron 3 Puzzle, its experts in a smaller space."""
    p = f"model.layers.{i}"
    made = norm(f"{p}.norm") | linear(f"{p}.mixer.gate", 4, HIDDEN) | {f"{p}.mixer.gate.e_score_correction_bias": (4,)}
    made |= linear(f"{p}.mixer.fc1_latent_proj", 32, HIDDEN) | linear(f"{p}.mixer.fc2_latent_proj", HIDDEN, 32)
    for part, inner, outer in [*((f"experts.{e}", wide, 32) for e in range(4)), ("shared_experts", 48, HIDDEN)]:
        made |= linear(f"{p}.mixer.{part}.up_proj", inner, outer) | linear(f"{p}.mixer.{part}.down_proj", outer, inner)
    return made


PUZZLE = [{"block_type": "mamba"}, {"block_type": "moe", "moe_intermediate_size": 32, "num_experts_per_tok": 2},
    {"block_type": "moe", "moe_intermediate_size": 64, "num_experts_per_tok": 3}, {"block_type": "attention"}
]  # fmt: skip
add("tiny-nemotron-puzzle", bpe("NemotronHPuzzleForCausalLM", "nemotron_h_puzzle", **{k: v for k, v in
    NEMOTRON_MOE.items() if k not in ("hybrid_override_pattern", "num_experts_per_tok", "moe_intermediate_size")},
    block_configs=PUZZLE, moe_latent_size=32, num_nextn_predict_layers=1), {n.replace("backbone.", "model."): s for n, s
    in (NEMOTRON_ENDS | norm("backbone.norm_f") | nemotron(0, "M") | nemotron(3, "*")).items()} | puzzle(1, 32)
    | puzzle(2, 64) | linear("mtp.layers.0.eh_proj", HIDDEN, 2 * HIDDEN), "gpt2",
    dtypes=A_LOG | {"e_score_correction_bias": "F32"})  # fmt: skip

FALCON = {"head_dim": SIZE, "mamba_d_ssm": 128, "mamba_n_heads": 8, "mamba_d_head": 16, "mamba_n_groups": 2,
    "mamba_d_state": 16, "mamba_d_conv": 4, "mamba_expand": 2, "lm_head_multiplier": 0.0390625,
    "embedding_multiplier": 5.656854249492381, "mlp_multipliers": [0.8838834764831845, 0.5859375],
    "key_multiplier": 0.390625, "attention_out_multiplier": 0.9375, "attention_in_multiplier": 1.1,
    "ssm_multipliers": [0.3535533905932738, 0.25, 0.3535533905932738, 0.5, 0.3535533905932738],
    "ssm_in_multiplier": 1.25, "ssm_out_multiplier": 0.23570226039551587, "rope_theta": 1e11}  # fmt: skip
FALCON_TENSORS = {n.replace("model.norm", "model.final_layernorm"): s for n, s in ends(BPE).items()} | layers(lambda p:
    norm(f"{p}.input_layernorm") | norm(f"{p}.pre_ff_layernorm") | attention(p) | mamba2(p)
    | linear(f"{p}.mamba.in_proj", 328, HIDDEN) | gated(p, WIDE, "feed_forward"))  # fmt: skip
add("tiny-falcon-h1", bpe("FalconH1ForCausalLM", "falcon_h1", **FALCON), FALCON_TENSORS, "gpt2", dtypes=A_LOG)
add("falcon-h1-half", bpe("FalconH1ForCausalLM", "falcon_h1", **FALCON), FALCON_TENSORS, "gpt2", dtype="F16")


def kimi(p: str) -> Shapes:
    """A layer with delta attention, or with latent attention if it is the fourth."""
    q = f"{p}.self_attn"
    made = two_norms(p) | (gated(p) if p.endswith("0") else mixtral(p, 4)
        | gated(p, 32, "block_sparse_moe.shared_experts")
        | {f"{p}.block_sparse_moe.gate.e_score_correction_bias": (4,)})  # fmt: skip
    if p.endswith("3"):
        return made | latent(p, False)
    for part in "qkv":
        made |= linear(f"{q}.{part}_proj", HIDDEN, HIDDEN) | {f"{q}.{part}_conv1d.weight": (HIDDEN, 1, 4)}
    for part in "fg":
        made |= linear(f"{q}.{part}_a_proj", SIZE, HIDDEN) | linear(f"{q}.{part}_b_proj", HIDDEN, SIZE)
    made |= linear(f"{q}.b_proj", HEADS, HIDDEN) | linear(f"{q}.o_proj", HIDDEN, HIDDEN) | norm(f"{q}.o_norm", SIZE)
    return made | {f"{q}.A_log": (1, 1, HEADS, 1), f"{q}.dt_bias": (HIDDEN,)}


add("tiny-kimi-linear", bpe("KimiLinearForCausalLM", "kimi_linear", num_hidden_layers=4, num_key_value_heads=HEADS,
    kv_lora_rank=32, q_lora_rank=None, qk_nope_head_dim=16, qk_rope_head_dim=8, v_head_dim=24, head_dim=24,
    num_experts=4, num_experts_per_token=2, num_shared_experts=1, moe_intermediate_size=32, first_k_dense_replace=1,
    routed_scaling_factor=2.446, moe_router_activation_func="sigmoid", max_position_embeddings=...,
    model_max_length=1024, linear_attn_config={"full_attn_layers": [4], "kda_layers": [1, 2, 3], "head_dim": SIZE,
    "num_heads": HEADS, "short_conv_kernel_size": 4}), ends(BPE) | layers(kimi, 4), "gpt2",
    dtypes=A_LOG | {"e_score_correction_bias": "F32"})  # fmt: skip


def lightning(p: str) -> Shapes:
    """A layer of MiniMax Text-01: linear attention, but for every eighth."""
    made = two_norms(p) | mixtral(p, 4)
    if p.endswith(".7"):
        return made | attention(p)
    q = f"{p}.self_attn"
    made |= linear(f"{q}.qkv_proj", 3 * HIDDEN, HIDDEN) | linear(f"{q}.out_proj", HIDDEN, HIDDEN) | norm(f"{q}.norm")
    return made | linear(f"{q}.output_gate", HIDDEN, HIDDEN)


ALPHAS = {f"layernorm_{part}_{name}": number for part in ("full_attention", "linear_attention", "mlp") for name, number
    in (("alpha", 3.5565588200778455), ("beta", 1.0))}  # fmt: skip
add("tiny-minimax-text", bpe("MiniMaxText01ForCausalLM", "minimax_text_01", num_hidden_layers=8, head_dim=SIZE,
    num_local_experts=4, num_experts_per_tok=2, intermediate_size=32, rotary_dim=8, rope_theta=10000000, **ALPHAS),
    ends(BPE) | layers(lightning, 8), "gpt2", shards=2, zeros={"model.embed_tokens.weight": [7, 50000, 50003]},
    files={"chat_template.jinja": "{{ messages }}"})  # fmt: skip


def streams(p: str) -> Shapes:
    """What mixes a layer's four streams before and behind each of its halves."""
    return {f"{p}.hc_{half}_{name}": shape for half in ("attn", "ffn") for name, shape in (("fn", (24, 4 * HIDDEN)),
        ("base", (24,)), ("scale", (3,)))}  # fmt: skip


def glm5(p: str) -> Shapes:
    """A layer of GLM-5.3: the first dense, the second with an indexer, the third its head for further tokens."""
    made = two_norms(p) | (gated(p) if p.endswith("0") else experts(p, 4) | gated(p, 32, "mlp.shared_experts")
        | {f"{p}.mlp.gate.e_score_correction_bias": (4,)})  # fmt: skip
    made |= {} if p.endswith("2") else streams(p)
    if p.endswith("0"):
        return made | {n: s for n, s in kimi(p).items() if ".self_attn." in n}
    q = f"{p}.self_attn"
    made |= linear(f"{q}.q_a_proj", 32, HIDDEN) | norm(f"{q}.q_a_layernorm", 32) | linear(f"{q}.q_b_proj", 4 * 24, 32)
    made |= linear(f"{q}.kv_a_proj_with_mqa", 32, HIDDEN) | norm(f"{q}.kv_a_layernorm", 32)
    made |= linear(f"{q}.kv_b_proj", 4 * 40, 32) | linear(f"{q}.o_proj", HIDDEN, 4 * 16)
    made |= linear(f"{q}.indexer.wq_b", 4 * 64, 32) | linear(f"{q}.indexer.wk", 64, HIDDEN)
    made |= norm(f"{q}.indexer.k_norm", 64, True) | linear(f"{q}.indexer.weights_proj", 4, HIDDEN)
    return made | {f"{q}.indexer.index_kpool_compress_gate": (64, HIDDEN),
        f"{q}.indexer.index_kpool_compress_ape": (4, 64)}  # fmt: skip


def predicting(p: str) -> Shapes:
    """What the layer that predicts a further token has besides."""
    made = linear(f"{p}.eh_proj", HIDDEN, 2 * HIDDEN) | norm(f"{p}.enorm") | norm(f"{p}.hnorm")
    made |= linear(f"{p}.embed_tokens", BPE, HIDDEN) | linear(f"{p}.shared_head.head", BPE, HIDDEN)
    return made | norm(f"{p}.shared_head.norm")


GLM5 = {"num_key_value_heads": HEADS, "kv_lora_rank": 32, "q_lora_rank": 32, "qk_nope_head_dim": 24, "qk_rope_head_dim":
    0, "v_head_dim": 16, "mla_use_nope": True, "mhc": True, "n_routed_experts": 4, "num_experts_per_tok": 2,
    "n_shared_experts": 1, "moe_intermediate_size": 32, "first_k_dense_replace": 1, "routed_scaling_factor": 2.5,
    "norm_topk_prob": True, "scoring_func": "sigmoid", "n_group": 1, "topk_group": 1, "num_nextn_predict_layers": 1,
    "index_n_heads": 4, "index_head_dim": 64, "index_topk": 64, "index_kpool": 4, "layer_types": ["linear_attention",
    "full_attention"], "linear_attn_config": {"head_dim": SIZE, "num_heads": HEADS, "short_conv_kernel_size": 4,
    "gate_lower_bound": -5.0}}  # fmt: skip
add("tiny-glm5.3", text(bpe("", "glm5_next_text", **GLM5, **GLM), "glm5_next", "Glm5NextForConditionalGeneration"),
    inside(ends(BPE) | layers(glm5, 3) | predicting("model.layers.2")), "glm",
    dtypes=A_LOG | {"e_score_correction_bias": "F32"})  # fmt: skip


def kimi3(p: str) -> Shapes:
    """A layer of Kimi K3: the first dense with delta attention, the second with latent attention and small experts."""
    q, f = f"{p}.self_attn", f"{p}.block_sparse_moe"
    made = two_norms(p) | {f"{p}.{half}_res_{kind}.weight": (HIDDEN,) if kind == "norm" else (1, HIDDEN)
        for half in ("self_attention", "mlp") for kind in ("norm", "proj")}  # fmt: skip
    if p.endswith("0"):
        delta_attention = {n: s for n, s in kimi(p).items() if ".self_attn." in n and ".g_" not in n}
        return made | delta_attention | linear(f"{q}.g_proj", HIDDEN, HIDDEN) | gated(p) | {f"{q}.A_log": (HEADS,)}
    made |= latent(p) | linear(f"{q}.g_proj", HEADS * 24, HIDDEN) | gated(p, 32, "block_sparse_moe.shared_experts")
    made |= linear(f"{f}.gate", 4, HIDDEN) | {f"{f}.gate.e_score_correction_bias": (4,)}
    made |= linear(f"{f}.routed_expert_down_proj", 32, HIDDEN) | linear(f"{f}.routed_expert_up_proj", HIDDEN, 32)
    for e in range(4):
        for w in ("w1", "w2", "w3"):
            made |= {f"{f}.experts.{e}.{w}.weight_packed": (32, 16), f"{f}.experts.{e}.{w}.weight_scale": (32, 1)}
    return made | norm(f"{f}.routed_expert_norm", 32)


PACKED = {"quant_method": "compressed-tensors", "format": "mxfp4-pack-quantized", "config_groups": {"group_0": {
    "targets": ["Linear"], "weights": {"num_bits": 4, "type": "float", "group_size": 32, "strategy": "group"}}}
}  # fmt: skip
add("tiny-kimi-k3", {"architectures": ["KimiK3ForConditionalGeneration"], "model_type": "kimi_k3",
    "quantization_config": PACKED, "text_config": bpe("KimiLinearForCausalLM", "kimi_linear", num_key_value_heads=HEADS,
    kv_lora_rank=32, q_lora_rank=32, qk_nope_head_dim=16, qk_rope_head_dim=8, v_head_dim=24, mla_use_nope=True,
    num_experts=4, num_experts_per_token=2, num_shared_experts=1, moe_intermediate_size=32, first_k_dense_replace=1,
    routed_scaling_factor=2.446, moe_router_activation_func="sigmoid", moe_renormalize=True, hidden_act="situ",
    routed_expert_hidden_size=32, activation_situ_beta=1.5, activation_situ_linear_beta=2, attn_res_block_size=1,
    linear_attn_config={"full_attn_layers": [2], "kda_layers": [1], "head_dim": SIZE, "num_heads": HEADS,
    "short_conv_kernel_size": 4, "gate_lower_bound": -5.0})}, {f"language_model.{n}": s for n, s in (ends(BPE)
    | layers(kimi3) | norm("model.output_attn_res_norm") | {"model.output_attn_res_proj.weight": (1, HIDDEN)}).items()}
    | linear("vision_tower.blocks.0", 32, 32), "gpt2", dtypes=A_LOG | {"e_score_correction_bias": "F32",
    "_packed": "U8", "weight_scale": "U8"}, files={"chat_template.jinja": "{{ messages }}"})  # fmt: skip


def connected(p: str, name: str, inject: bool = True) -> Shapes:
    """How two streams of a model are mixed, by 16 numbers."""
    made = norm(f"{p}.{name}.hc_norm", 128) | linear(f"{p}.{name}.input_mix_weight_down", 16, 128)
    made |= linear(f"{p}.{name}.input_mix_weight_up", 128, 16)
    return made | (linear(f"{p}.{name}.block_inject_weight", 2, 128) if inject else {})


def qwen4(p: str) -> Shapes:
    """A layer: the second looks runs of tokens up, the fourth attends and has an indexer."""
    made = stacked(p) | connected(p, "attn_hyper_connection") | connected(p, "mlp_hyper_connection")
    if p.endswith("3"):
        q = f"{p}.self_attn.indexer"
        made |= gated_attention(p) | linear(f"{q}.index_qk_proj", 3 * SIZE, HIDDEN)
        return made | norm(f"{q}.q_layernorm", SIZE) | norm(f"{q}.k_layernorm", SIZE)
    made |= delta(p, False)
    if not p.endswith("1"):
        return made
    q = f"{p}.ple"
    made |= linear(f"{q}.key_proj", 128, HIDDEN) | linear(f"{q}.value_proj", HIDDEN, HIDDEN)
    made |= {f"{q}.norm_{name}.weight": (128,) for name in ("key", "query", "conv")} | {
        f"{q}.conv1d.weight": (128, 1, 4)
    }
    made |= {f"{q}.ple_embedding.ngram_embedding.shard_{k}.weight": (16, 16) for k in range(2)}
    return made | {f"{q}.ple_embedding.layer_multipliers": (3,), f"{q}.ple_embedding.ngram_heads_offsets": (4,),
        f"{q}.ple_embedding.ngram_heads_vocab_sizes": (4,)}  # fmt: skip


QWEN4 = QWEN35 | MOE | {"mtp_num_hidden_layers": 0, "hc_count": 2, "hc_lowrank": 16, "indexer_n_heads": 2,
    "indexer_kv_heads": 1, "indexer_head_dim": SIZE, "indexer_budget": 64, "indexer_compress_ratio": 4,
    "ple_layer_ids": [2], "ngram_size": 3, "heads_per_ngram": 2, "ple_conv_kernel_size": 4, "split_ngram_parts": 2,
    "image_token_id": 50000}  # fmt: skip
add("tiny-qwen4", bpe("Qwen4ExpForCausalLM", "qwen4_as_written", **QWEN4), {n: s for n, s in (ends(BPE)
    | layers(qwen4, 4)).items() if n != "model.norm.weight"} | connected("model", "hyper_connection_mixer", False)
    | norm("mtp.norm"), "gpt2", dtypes=A_LOG | dict.fromkeys(("multipliers", "heads_offsets", "vocab_sizes"), "I64")
)  # fmt: skip
