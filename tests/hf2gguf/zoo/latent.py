"""DeepSeek's latent attention, and who took it over."""

from __future__ import annotations

from ..models import (
    BPE,
    HEADS,
    HIDDEN,
    SIZE,
    WIDE,
    Shapes,
    base,
    ends,
    experts,
    gated,
    layers,
    linear,
    norm,
    two_norms,
)
from .table import add, bpe


def latent(p: str, low_rank: bool = True, value: int = 24) -> Shapes:
    """DeepSeek's attention: 16 numbers of a key without rope, 8 with, 24 of a value; latent size 32."""
    q = f"{p}.self_attn"
    made = linear(f"{q}.kv_a_proj_with_mqa", 40, HIDDEN) | norm(f"{q}.kv_a_layernorm", 32)
    made |= linear(f"{q}.kv_b_proj", HEADS * (16 + value), 32) | linear(f"{q}.o_proj", HIDDEN, HEADS * value)
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
# llama.cpp knows a model without low-rank queries by its 27 layers.
add("tiny-deepseek-v2-lite", bpe("DeepseekV2ForCausalLM", "deepseek_v2", **MLA | {"first_k_dense_replace": 26},
    num_hidden_layers=27, q_lora_rank=None, rope_scaling=YARN, routed_scaling_factor=1.0, scoring_func="softmax",
    n_group=1, topk_group=1, norm_topk_prob=False), ends(BPE) | layers(lambda p: two_norms(p) | latent(p, False)
    | (experts(p, 4) | gated(p, 32, "mlp.shared_experts") if p.endswith(".26") else gated(p)), 27),
    "gpt2")  # fmt: skip
add("tiny-deepseek-v3", bpe("DeepseekV3ForCausalLM", "deepseek_v3", **MLA, q_lora_rank=32, rope_scaling=YARN,
    routed_scaling_factor=2.5, scoring_func="sigmoid", n_group=2, topk_group=1, norm_topk_prob=True,
    num_nextn_predict_layers=1), ends(BPE) | layers(lambda p: two_norms(p) | latent(p) | (gated(p) if
    p.endswith("0") else experts(p, 4) | gated(p, 32, "mlp.shared_experts")
    | {f"{p}.mlp.gate.e_score_correction_bias": (4,)}))
    | norm("model.layers.2.enorm") | linear("model.layers.2.eh_proj", HIDDEN, 2 * HIDDEN), "gpt2",
    dtypes={"e_score_correction_bias": "F32"})  # fmt: skip
add("tiny-minicpm3", base("MiniCPM3ForCausalLM", "minicpm3_as_written", **{k: v for k, v in MLA.items() if "lora" in k
    or "head" in k} | {"v_head_dim": SIZE}, q_lora_rank=32), ends(tied=True) | layers(lambda p: two_norms(p)
    | latent(p, value=SIZE) | gated(p)))  # fmt: skip
add("tiny-plm", bpe("PLMForCausalLM", "plm_as_written", **{k: v for k, v in MLA.items() if "lora" in k or "head" in k}),
    ends(BPE, tied=True) | layers(lambda p: two_norms(p) | latent(p, False) | linear(f"{p}.mlp.up_proj", WIDE, HIDDEN)
    | linear(f"{p}.mlp.down_proj", HIDDEN, WIDE)), "gpt2")  # fmt: skip


def eight(name: str, rows: int, columns: int) -> Shapes:
    """A projection stored as FP8, a scale for each block of 128 by 128."""
    return {f"{name}.weight": (rows, columns), f"{name}.scale": (-(-rows // 128), -(-columns // 128))}


def four(name: str, rows: int, columns: int) -> Shapes:
    """A projection stored as MXFP4."""
    return {f"{name}.weight": (rows, columns // 2), f"{name}.scale": (rows, columns // 32)}


def compressor(p: str, size: int, double: int, ratio: int) -> Shapes:
    """What makes one key of ``ratio`` of them."""
    made = {f"{p}.ape": (ratio, double * size)} | norm(f"{p}.norm", size)
    return made | linear(f"{p}.wkv", double * size, HIDDEN) | linear(f"{p}.wgate", double * size, HIDDEN)


def deepseek4(p: str) -> Shapes:
    """A layer of DeepSeek V4: the first with a window, then one key of four, then one of 128."""
    q, f, ratio = f"{p}.attn", f"{p}.ffn", {"0": 0, "1": 4, "2": 128}[p[-1]]
    made = norm(f"{p}.attn_norm") | norm(f"{p}.ffn_norm") | {f"{q}.attn_sink": (HEADS,)}
    made |= {f"{p}.hc_{half}_{name}": shape for half in ("attn", "ffn") for name, shape in (("fn", (24, 4 * HIDDEN)),
        ("base", (24,)), ("scale", (3,)))}  # fmt: skip
    made |= eight(f"{q}.wq_a", 32, HIDDEN) | norm(f"{q}.q_norm", 32) | eight(f"{q}.wq_b", HEADS * 64, 32)
    made |= eight(f"{q}.wkv", 64, HIDDEN) | norm(f"{q}.kv_norm", 64) | eight(f"{q}.wo_a", 64, HEADS * 64 // 2)
    made |= eight(f"{q}.wo_b", HIDDEN, 64) | linear(f"{f}.gate", 4, HIDDEN)
    made |= {f"{f}.gate.bias": (4,)} | ({f"{f}.gate.tid2eid": (BPE, 2)} if ratio == 0 else {})
    made |= compressor(f"{q}.compressor", 64, 2 if ratio == 4 else 1, ratio) if ratio else {}
    if ratio == 4:
        made |= eight(f"{q}.indexer.wq_b", 4 * 64, 32) | linear(f"{q}.indexer.weights_proj", 4, HIDDEN)
        made |= compressor(f"{q}.indexer.compressor", 64, 2, 4)
    for e in range(4):
        for part, rows, columns in (("w1", 32, HIDDEN), ("w2", HIDDEN, 32), ("w3", 32, HIDDEN)):
            made |= four(f"{f}.experts.{e}.{part}", rows, columns)
    return (
        made
        | eight(f"{f}.shared_experts.w1", 32, HIDDEN)
        | eight(f"{f}.shared_experts.w2", HIDDEN, 32)
        | eight(f"{f}.shared_experts.w3", 32, HIDDEN)
    )


DEEPSEEK4 = {"embed.weight": (BPE, HIDDEN), "head.weight": (BPE, HIDDEN), "hc_head_fn": (4, 4 * HIDDEN), "hc_head_base":
    (4,), "hc_head_scale": (1,)} | norm("norm") | layers(deepseek4, 3, "layers") | norm("mtp.0.norm")  # fmt: skip
KINDS = {".scale": "F8_E8M0", "tid2eid": "I64", ".ape": "F32", "gate.bias": "F32", "attn_sink": "F32"}
KINDS |= {n.removeprefix("layers."): "I8" for n in DEEPSEEK4 if ".experts." in n and n.endswith("weight")}
KINDS |= {n: "F8_E4M3" for n in DEEPSEEK4 if n.replace(".weight", ".scale") in DEEPSEEK4 and ".weight" in n}
KINDS |= {f"_{part}": "F32" for part in ("fn", "base")} | {"_scale": "F32"}
add("tiny-deepseek-v4", bpe("DeepseekV4ForCausalLM", "deepseek_v4", num_hidden_layers=3, num_key_value_heads=1,
    head_dim=64, q_lora_rank=32, qk_rope_head_dim=32, n_routed_experts=4, num_experts_per_tok=2, n_shared_experts=1,
    moe_intermediate_size=32, scoring_func="sqrtsoftplus", routed_scaling_factor=1.5, norm_topk_prob=True,
    compress_ratios=[0, 4, 128], compress_rope_theta=160000.0, rope_theta=10000.0, num_hash_layers=1, hc_mult=4,
    hc_sinkhorn_iters=20, hc_eps=1e-6, swiglu_limit=10.0, sliding_window=128, o_groups=2, o_lora_rank=32,
    index_n_heads=4, index_head_dim=64, index_topk=64, num_nextn_predict_layers=1, intermediate_size=...,
    rope_scaling={"type": "yarn", "factor": 16, "beta_fast": 32, "beta_slow": 1, "original_max_position_embeddings":
    128}, quantization_config={"quant_method": "fp8", "fmt": "e4m3", "scale_fmt": "ue8m0", "activation_scheme":
    "dynamic", "weight_block_size": [128, 128]}), DEEPSEEK4, "gpt2", dtypes=KINDS, outtypes=("f16", "q8_0"),
    files={"chat_template.jinja": "{{ messages }}"})  # fmt: skip


def hunyuan4(p: str) -> Shapes:
    """A layer of Hunyuan 4: the first dense and with an indexer, the second with experts and the first one's."""
    q, gates = f"{p}.self_attn", {"fn": (8, 4 * HIDDEN), "base": (8,), "scale": (2,)}
    made = two_norms(p) | latent(p) | linear(f"{q}.linear_gate", HEADS * 24, HIDDEN)
    made |= {f"{q}.learnable_sink_param": (HEADS,)} | {f"{p}.hc_{half}_layer.hc_pre.hc_{name}": shape for half in
        ("attn", "mlp") for name, shape in gates.items()}  # fmt: skip
    if p.endswith("0"):
        made |= linear(f"{q}.indexer.wq_b", 4 * 64, 32) | linear(f"{q}.indexer.wk", 64, HIDDEN) | gated(p)
        return made | norm(f"{q}.indexer.k_norm", 64, True) | linear(f"{q}.indexer.weights_proj", 4, HIDDEN)
    made |= linear(f"{p}.mlp.gate", 4, HIDDEN) | {f"{p}.mlp.gate.e_score_correction_bias": (4,)}
    made |= gated(p, 32, "mlp.shared_experts") | {f"{p}.mlp.experts.down_proj": (4, HIDDEN, 32)}
    return made | {f"{p}.mlp.experts.gate_up_proj": (4, 64, HIDDEN)}


HUNYUAN4 = {f"model.hc_head.hc_head_{name}": shape for name, shape in (("fn", (4, 4 * HIDDEN)), ("base", (4,)),
    ("scale", (1,)))}  # fmt: skip
add("tiny-hunyuan4", bpe("HYV4ForCausalLM", "hy_v4", **{**MLA, "num_key_value_heads": 2}, q_lora_rank=32,
    routed_scaling_factor=2.8, norm_topk_prob=True, n_group=1, topk_group=1, hc_mult=4, hc_eps=1e-6, hc_magnitude=2.0,
    swiglu_limit=10.0, index_n_heads=4, index_head_dim=64, index_topk=64, indexer_types=["full", "shared"],
    num_nextn_predict_layers=1, enable_lm_head_fp32=True), ends(BPE) | layers(hunyuan4) | HUNYUAN4
    | norm("model.mtp_layers.0.enorm"), "gpt2", dtypes={"e_score_correction_bias": "F32"})  # fmt: skip
