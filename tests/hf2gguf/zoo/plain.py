"""Dense models and mixtures whose layers are attention and feeding: houses that upstream knows besides."""

from __future__ import annotations

import json

from ..models import (
    BPE,
    GROUPS,
    HEADS,
    HIDDEN,
    SIZE,
    SP,
    WIDE,
    Shapes,
    attention,
    base,
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
from .gemma import four_norms
from .glm import GLM
from .latent import MLA, latent
from .llama import LLAMA3
from .table import add, added, bpe, with_tokens

BIAS = {"e_score_correction_bias": "F32"}


def fallback(*more: str) -> dict[str, str]:
    """A tokenizer of BPE with byte fallback, 267 tokens and what is added."""
    words = ["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256)), *"▁abc", "ab", "▁a", "abc", "d"]
    tokens = [added(i, t) for i, t in enumerate([*words[:3]])] + [added(len(words) + i, t) for i, t in enumerate(more)]
    model = {"type": "BPE", "unk_token": "<unk>", "byte_fallback": True, "fuse_unk": True, "ignore_merges": False,
             "vocab": {t: i for i, t in enumerate(words)}, "merges": [["a", "b"], ["▁", "a"], ["ab", "c"]]}  # fmt: skip
    document = {"version": "1.0", "added_tokens": tokens, "normalizer": {"type": "Replace", "pattern": {"String": " "},
        "content": "▁"}, "pre_tokenizer": None, "post_processor": None, "decoder": {"type": "Sequence", "decoders":
        [{"type": "ByteFallback"}, {"type": "Fuse"}]}, "model": model}  # fmt: skip
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>",
              "unk_token": "<unk>"}  # fmt: skip
    return {"tokenizer.json": json.dumps(document), "tokenizer_config.json": json.dumps(config)}


FALLBACK = 267


XIELU = ("alpha_n", "alpha_p", "beta", "eps")
APERTUS = layers(lambda p: norm(f"{p}.attention_layernorm") | norm(f"{p}.feedforward_layernorm") | attention(p)
    | qk_norms(p) | linear(f"{p}.mlp.up_proj", WIDE, HIDDEN) | linear(f"{p}.mlp.down_proj", HIDDEN, WIDE)
    | {f"{p}.mlp.act_fn.{x}": (1,) for x in XIELU})  # fmt: skip
add("tiny-apertus", bpe("ApertusForCausalLM", "apertus", rope_parameters={**LLAMA3, "rope_theta": 1.2e7}), ends(BPE)
    | APERTUS, "gpt2")  # fmt: skip

add("tiny-minimax-m2", bpe("MiniMaxM2ForCausalLM", "minimax_m2", head_dim=SIZE, rotary_dim=8, num_local_experts=4,
    num_experts_per_tok=2, scoring_func="sigmoid"), ends(BPE) | layers(lambda p: two_norms(p) | attention(p)
    | qk_norms(p, HEADS * SIZE, GROUPS * SIZE) | mixtral(p, 4, WIDE)
    | {f"{p}.block_sparse_moe.e_score_correction_bias": (4,)}), "gpt2", dtypes=BIAS)  # fmt: skip

BLOCKS = [
    {"attention": {"n_heads_in_group": 2, "replace_with_linear": False, "no_op": False}, "ffn": {"ffn_mult": 2.5}},
    {"attention": {"n_heads_in_group": None, "replace_with_linear": False, "no_op": True}, "ffn": {"ffn_mult": 1.25}},
    {"attention": {"n_heads_in_group": None, "replace_with_linear": True, "no_op": False}, "ffn": {"ffn_mult": 0.5}},
    {"attention": {"n_heads_in_group": 2, "replace_with_linear": False, "no_op": False}, "ffn": {"ffn_mult": None}},
    {"attention": {"n_heads_in_group": 4, "replace_with_linear": False, "no_op": False}, "ffn": {"ffn_mult": 1.0}},
]
LINEAR_ATTENTION = linear("model.layers.2.self_attn.linear_attn", HIDDEN, HIDDEN)
DECI = {n: s for p in ("model.layers.0", "model.layers.3", "model.layers.4") for n, s in (norm(f"{p}.input_layernorm")
    | attention(p, groups=1 if p.endswith("4") else 2)).items()} | norm("model.layers.2.input_layernorm") | {
    n: s for i in (0, 1, 2, 4) for n, s in (norm(f"model.layers.{i}.post_attention_layernorm")
    | gated(f"model.layers.{i}", 256)).items()} | LINEAR_ATTENTION  # fmt: skip
add("tiny-nemotron-super", bpe("DeciLMForCausalLM", "nemotron-nas", num_hidden_layers=5, num_key_value_heads=...,
    vocab_size=128256, intermediate_size=..., block_configs=BLOCKS, rope_theta=500000.0,
    rope_scaling=LLAMA3 | {"rope_type": "Llama3"}),
    ends(128256) | DECI, "gpt2", outtypes=("f16",))  # fmt: skip
add("tiny-decilm", base("DeciLMForCausalLM", "deci_as_written", vocab_size=FALLBACK, num_key_value_heads_per_layer=[2,
    1]), ends(FALLBACK) | layers(lambda p: two_norms(p) | attention(p, groups=2 if p.endswith("0") else 1)
    | gated(p)), "none", files=fallback())  # fmt: skip

add("tiny-arctic", base("ArcticForCausalLM", "arctic_as_written", num_local_experts=4, num_experts_per_tok=2), ends()
    | layers(lambda p: two_norms(p) | norm(f"{p}.residual_layernorm") | attention(p) | mixtral(p, 4, WIDE) | {n.replace(
    "block_sparse_moe.experts.0", "residual_mlp"): s for n, s in mixtral(p, 1, HIDDEN).items() if "experts" in n}),
    shards=2)  # fmt: skip
add("tiny-xverse", base("XverseForCausalLM", "xverse_as_written", vocab_size=FALLBACK), llama(FALLBACK), "none",
    files=fallback())  # fmt: skip


def grok(p: str) -> Shapes:
    """A layer of Grok 2."""
    made = attention(p) | mixtral(p, 4) | gated(p)
    return made | {n: s for q in ("pre_attn", "post_attn", "pre_moe", "post_moe")
        for n, s in norm(f"{p}.{q}_norm").items()}  # fmt: skip


add("tiny-grok2", base("Grok1ForCausalLM", "grok_as_written", head_dim=SIZE, num_local_experts=4, num_experts_per_tok=2,
    moe_intermediate_size=32, final_logit_softcapping=50, embedding_multiplier_scale=90.50966799187809,
    output_multiplier_scale=0.5, rope_type="original", scaling_factor=16.0, original_max_position_embeddings=8192,
    extrapolation_factor=1.0, attn_factor=1.0, beta_fast=8, beta_slow=1, attn_temperature_len=1024), ends()
    | layers(grok))  # fmt: skip
add("tiny-grok1", base("GrokForCausalLM", "grok_as_written", num_local_experts=4, num_experts_per_tok=2,
    embedding_multiplier_scale=78.38, output_multiplier_scale=0.577), {"transformer.in_out_embed.weight": (SP, HIDDEN),
    "lm_head.weight": (SP, HIDDEN)} | norm("transformer.rms_norm") | layers(lambda p: {n: s for q in ("", "_1", "_2",
    "_3") for n, s in norm(f"{p}.rms_norm{q}").items()} | linear(f"{p}.multi_head_attention.query", HIDDEN, HIDDEN)
    | linear(f"{p}.multi_head_attention.key", 2 * SIZE, HIDDEN) | linear(f"{p}.multi_head_attention.value", 2 * SIZE,
    HIDDEN) | linear(f"{p}.multi_head_attention.linear", HIDDEN, HIDDEN) | linear(f"{p}.router", 4, HIDDEN) | {n: s
    for e in range(4) for n, s in (linear(f"{p}.moe.{e}.linear", WIDE, HIDDEN) | linear(f"{p}.moe.{e}.linear_v", WIDE,
    HIDDEN) | linear(f"{p}.moe.{e}.linear_1", HIDDEN, WIDE)).items()}, prefix="transformer.decoder_layer"))  # fmt: skip


def openelm(i: int) -> Shapes:
    """A layer of OpenELM, the second wider and with more heads."""
    p, q, kv, wide = f"transformer.layers.{i}", (2, 4)[i], (1, 2)[i], (32, 64)[i]
    made = linear(f"{p}.attn.qkv_proj", (q + 2 * kv) * SIZE, HIDDEN) | linear(f"{p}.attn.out_proj", HIDDEN, q * SIZE)
    made |= norm(f"{p}.attn.q_norm", SIZE) | norm(f"{p}.attn.k_norm", SIZE) | norm(f"{p}.attn_norm")
    made |= linear(f"{p}.ffn.proj_1", 2 * wide, HIDDEN) | linear(f"{p}.ffn.proj_2", HIDDEN, wide)
    return made | norm(f"{p}.ffn_norm")


add("tiny-openelm", {"architectures": ["OpenELMForCausalLM"], "model_type": "openelm", "model_dim": HIDDEN,
    "num_transformer_layers": 2, "head_dim": SIZE, "num_query_heads": [2, 4], "num_kv_heads": [1, 2], "ffn_multipliers":
    [0.5, 1.1], "ffn_dim_divisor": 32, "max_context_length": 512, "rope_freq_constant": 10000, "vocab_size": SP},
    {"transformer.token_embeddings.weight": (SP, HIDDEN)} | norm("transformer.norm") | openelm(0)
    | openelm(1))  # fmt: skip


def mixture(p: str, dense: str = "0", shared: str = "mlp.shared_experts") -> Shapes:
    """Experts beside a shared one and a bias for choosing them, in all layers but one."""
    if p.endswith(dense):
        return gated(p)
    return experts(p, 4) | gated(p, 32, shared) | {f"{p}.mlp.gate.e_score_correction_bias": (4,)}


def head(p: str, vocab: int = BPE) -> Shapes:
    """What a layer that predicts a further token has besides."""
    made = linear(f"{p}.eh_proj", HIDDEN, 2 * HIDDEN) | norm(f"{p}.enorm") | norm(f"{p}.hnorm")
    made |= linear(f"{p}.embed_tokens", vocab, HIDDEN) | linear(f"{p}.shared_head.head", vocab, HIDDEN)
    return made | norm(f"{p}.shared_head.norm")


add("tiny-cohere2moe", bpe("Cohere2MoeForCausalLM", "cohere2_moe", head_dim=SIZE, intermediate_size=32,
    prefix_dense_intermediate_size=WIDE, num_experts=4, num_experts_per_tok=2, num_shared_experts=1, sliding_window=128,
    first_k_dense_replace=1, layer_norm_eps=1e-5, rms_norm_eps=..., logit_scale=0.25, expert_selection_fn="sigmoid",
    layer_types=["sliding_attention", "full_attention"]), ends(BPE, tied=True) | layers(lambda p:
    norm(f"{p}.input_layernorm") | attention(p) | (gated(p) if p.endswith("0") else experts(p, 4)
    | gated(p, 32, "mlp.shared_experts"))), "gpt2")  # fmt: skip
add("tiny-exaone-moe", bpe("ExaoneMoEForCausalLM", "exaone_moe", head_dim=SIZE, sliding_window=128,
    sliding_window_pattern="LLLG", layer_types=["sliding_attention", "full_attention"], num_experts=4,
    num_experts_per_tok=2, num_shared_experts=1, moe_intermediate_size=32, first_k_dense_replace=1,
    routed_scaling_factor=2.5, norm_topk_prob=True, n_group=1, topk_group=1, scoring_func="sigmoid",
    num_nextn_predict_layers=1, rope_parameters={"rope_theta": 1e6, "rope_type": "default"}), ends(BPE)
    | layers(lambda p: two_norms(p) | attention(p) | qk_norms(p) | mixture(p))
    | {n.replace("model.layers.2", "mtp.layers.0"): s for n, s in (two_norms("model.layers.2")
    | attention("model.layers.2") | qk_norms("model.layers.2") | gated("model.layers.2")).items()}
    | linear("mtp.fc", HIDDEN, 2 * HIDDEN) | norm("mtp.norm") | norm("mtp.pre_fc_norm_embedding")
    | norm("mtp.pre_fc_norm_hidden"), "gpt2", dtypes=BIAS)  # fmt: skip

DEEP = MLA | {"q_lora_rank": 32, "n_group": 1, "topk_group": 1, "routed_scaling_factor": 1.8, "norm_topk_prob": True,
    "scoring_func": "sigmoid", "num_nextn_predict_layers": 1}  # fmt: skip
DEEP_TENSORS = ends(BPE) | layers(lambda p: two_norms(p) | latent(p) | mixture(p), 3) | head("model.layers.2")
INDEX = {"index_n_heads": 4, "index_head_dim": 64, "index_topk": 64}
INDEXED = DEEP_TENSORS | layers(lambda p: linear(f"{p}.self_attn.indexer.wq_b", 4 * 64, 32)
    | linear(f"{p}.self_attn.indexer.wk", 64, HIDDEN) | norm(f"{p}.self_attn.indexer.k_norm", 64, True)
    | linear(f"{p}.self_attn.indexer.weights_proj", HEADS, HIDDEN), 3)  # fmt: skip
add("tiny-glm4moe-lite", bpe("Glm4MoeLiteForCausalLM", "glm4_moe_lite", **DEEP, **GLM), DEEP_TENSORS, "glm",
    dtypes=BIAS)  # fmt: skip
add("tiny-glm5", bpe("GlmMoeDsaForCausalLM", "glm_moe_dsa", **DEEP, **INDEX, **GLM, indexer_types=["full", "shared"]),
    INDEXED, "glm", dtypes=BIAS)  # fmt: skip
add("tiny-deepseek-v3.2", bpe("DeepseekV32ForCausalLM", "deepseek_v32", **DEEP, **INDEX), INDEXED, "gpt2", dtypes=BIAS,
    files={"tokenizer_config.json": json.dumps({"add_bos_token": True, "tokenizer_class": "LlamaTokenizerFast",
    "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"})})  # fmt: skip

BAILING = {"head_dim": SIZE, "num_experts": 4, "num_experts_per_tok": 2, "num_shared_experts": 1, "n_group": 1,
    "topk_group": 1, "moe_intermediate_size": 32, "first_k_dense_replace": 1, "routed_scaling_factor": 2.5,
    "norm_topk_prob": True, "score_function": "sigmoid"}  # fmt: skip
BAILING_TENSORS = {n.replace("embed_tokens", "word_embeddings"): s for n, s in ends(BPE).items()} | layers(lambda p:
    two_norms(p) | linear(f"{p}.attention.query_key_value", 8 * SIZE, HIDDEN) | linear(f"{p}.attention.dense", HIDDEN,
    HIDDEN) | norm(f"{p}.attention.query_layernorm", SIZE) | norm(f"{p}.attention.key_layernorm", SIZE)
    | {n.replace("e_score_correction_bias", "expert_bias"): s for n, s in mixture(p).items()})  # fmt: skip
BAILING_HEAD = {n.replace("layers.1", "layers.2"): s for n, s in BAILING_TENSORS.items() if "layers.1" in n} | norm(
    "model.layers.2.final_layernorm") | {n: s for n, s in head("model.layers.2").items() if ("norm" in n and
    "shared" not in n) or "eh_proj" in n}  # fmt: skip
add("tiny-ling2", bpe("BailingMoeV2ForCausalLM", "bailing_as_written", partial_rotary_factor=0.5, **BAILING),
    BAILING_TENSORS, "gpt2", dtypes={"expert_bias": "F32"})  # fmt: skip
add("ling2-further", bpe("BailingMoeV2ForCausalLM", "bailing_as_written", partial_rotary_factor=0.5, **BAILING,
    num_nextn_predict_layers=1), BAILING_TENSORS | BAILING_HEAD, "gpt2", dtypes={"expert_bias": "F32"})  # fmt: skip
add("tiny-sarvam", bpe("SarvamMoEForCausalLM", "sarvam_as_written", **BAILING), BAILING_TENSORS, "gpt2")

add("tiny-gemma3n", base("Gemma3nForCausalLM", "gemma3n_text", head_dim=32, intermediate_size=[WIDE] * 5,
    num_hidden_layers=5, hidden_size_per_layer_input=256, num_kv_shared_layers=2, laurel_rank=64, vocab_size=SP + 8,
    vocab_size_per_layer_input=SP, sliding_window=128, activation_sparsity_pattern=[0.95, 0.5, 0.0, 0.0, 0.0]),
    ends(tied=True) | layers(lambda p: four_norms(p) | attention(p, size=32) | qk_norms(p, 32, 32) | gated(p)
    | linear(f"{p}.per_layer_input_gate", 256, HIDDEN) | linear(f"{p}.per_layer_projection", HIDDEN, 256)
    | norm(f"{p}.post_per_layer_input_norm") | linear(f"{p}.altup.correction_coefs", 4, 4)
    | {f"{p}.altup.correct_output_scale": (HIDDEN,)} | linear(f"{p}.altup.prediction_coefs", 16, 4)
    | linear(f"{p}.altup.modality_router", 4, HIDDEN) | norm(f"{p}.altup.router_norm")
    | linear(f"{p}.laurel.linear_left", 64, HIDDEN) | linear(f"{p}.laurel.linear_right", HIDDEN, 64)
    | norm(f"{p}.laurel.post_laurel_norm"), 5) | {n: s for e in range(3) for n, s in (linear(
    f"model.altup_projections.{e}", HIDDEN, HIDDEN) | linear(f"model.altup_unembed_projections.{e}", HIDDEN,
    HIDDEN)).items()} | linear("model.embed_tokens_per_layer", SP, 5 * 256)
    | linear("model.per_layer_model_projection", 5 * 256, HIDDEN)
    | norm("model.per_layer_projection_norm", 256), outtypes=("f16",))  # fmt: skip
TERNARY = layers(lambda p: two_norms(p) | attention(p) | gated(p) | norm(f"{p}.self_attn.attn_sub_norm")
    | norm(f"{p}.mlp.ffn_sub_norm", WIDE))  # fmt: skip
TERNARY = {
    n.replace("attn_sub_norm", "inner_attn_ln").replace("ffn_sub_norm", "ffn_layernorm"): tuple(
        {HIDDEN: 256, GROUPS * SIZE: 128}.get(d, d) for d in s
    )
    for n, s in (ends(tied=True) | TERNARY).items()
}
add(
    "tiny-bitnet",
    base("BitNetForCausalLM", "bitnet", hidden_size=256, num_key_value_heads=2),
    TERNARY,
    outtypes=("f16",),
)
add(
    "bitnet-b1.58",
    base("BitnetForCausalLM", "bitnet_as_written", hidden_size=256),
    TERNARY,
    dtype="F16",
    outtypes=("tq2_0",),
)


def gemma4(p: str) -> Shapes:
    """A layer of Gemma 4: one of full attention has larger heads, and keys that are values."""
    wide = p.endswith("2")
    size, groups = (32, 1) if wide else (SIZE, GROUPS)
    made = four_norms(p) | attention(p, size=size, groups=groups) | qk_norms(p, size, size) | gated(p)
    made |= linear(f"{p}.per_layer_input_gate", 8, HIDDEN) | linear(f"{p}.per_layer_projection", HIDDEN, 8)
    made |= norm(f"{p}.post_per_layer_input_norm") | {f"{p}.layer_scalar": (1,)}
    return {n: s for n, s in made.items() if not (wide and "v_proj" in n)}


def gemma4_experts(p: str) -> Shapes:
    """A layer with experts too."""
    made = {n: s for n, s in gemma4(p).items() if "per_layer" not in n}
    made |= norm(f"{p}.pre_feedforward_layernorm_2") | norm(f"{p}.post_feedforward_layernorm_1")
    made |= norm(f"{p}.post_feedforward_layernorm_2") | linear(f"{p}.router.proj", 4, HIDDEN)
    made |= {f"{p}.router.scale": (HIDDEN,), f"{p}.router.per_expert_scale": (4,)}
    return made | {f"{p}.experts.gate_up_proj": (4, 64, HIDDEN), f"{p}.experts.down_proj": (4, HIDDEN, 32)}


GEMMA4 = {"head_dim": SIZE, "global_head_dim": 32, "num_global_key_value_heads": 1, "attention_k_eq_v": True,
    "num_hidden_layers": 3, "num_kv_shared_layers": 0, "hidden_size_per_layer_input": 8, "vocab_size": FALLBACK + 2,
    "vocab_size_per_layer_input": FALLBACK + 2, "sliding_window": 128, "layer_types": ["sliding_attention",
    "sliding_attention", "full_attention"], "final_logit_softcapping": 30.0, "rope_parameters": {"full_attention":
    {"rope_type": "proportional", "rope_theta": 1e6, "partial_rotary_factor": 0.25}, "sliding_attention":
    {"rope_type": "default", "rope_theta": 10000.0}}, "pad_token_id": 0}  # fmt: skip
GEMMA4_FILES = fallback("<|channel>", "<turn|>")
add("tiny-gemma4", base("Gemma4ForCausalLM", "gemma4_text", **GEMMA4), ends(FALLBACK + 2, tied=True)
    | layers(gemma4, 3) | linear("model.embed_tokens_per_layer", FALLBACK + 2, 24)
    | linear("model.per_layer_model_projection", 24, HIDDEN) | norm("model.per_layer_projection_norm", 8), "none",
    files=GEMMA4_FILES)  # fmt: skip
GEMMA4_PART = {
    k: v
    for k, v in base(
        "",
        "gemma4_text",
        **GEMMA4
        | {
            "hidden_size_per_layer_input": 0,
            "num_experts": 4,
            "enable_moe_block": True,
            "top_k_experts": 2,
            "moe_intermediate_size": 32,
        },
    ).items()
    if k != "architectures"
}
add("gemma4-mixture", {"architectures": ["Gemma4ForConditionalGeneration"], "model_type": "gemma4_as_written",
    "text_config": GEMMA4_PART, "vision_config": {"hidden_size": 32}}, {n.replace("model.", "model.language_model.", 1):
    s for n, s in (ends(FALLBACK + 2, tied=True) | layers(gemma4_experts, 3)).items()}
    | linear("model.vision_tower.encoder.layers.0.mlp.fc1", 32, 32) | linear("model.embed_vision.projection", 64, 32),
    "none", files=GEMMA4_FILES)  # fmt: skip
add("tiny-solar-open", bpe("SolarOpenForCausalLM", "solar_open", head_dim=SIZE, n_routed_experts=4, n_shared_experts=1,
    num_experts_per_tok=2, moe_intermediate_size=32, n_group=1, topk_group=1, norm_topk_prob=True,
    routed_scaling_factor=1.0, first_k_dense_replace=0, partial_rotary_factor=1.0), ends(BPE) | layers(lambda p:
    two_norms(p) | attention(p) | mixture(p, "none")), "gpt2", dtypes=BIAS,
    files=with_tokens("<unk>", "<|startoftext|>"))  # fmt: skip
