"""Llama, Mistral, Mixtral, and who differs from them in a few keys."""

from __future__ import annotations

from ..models import (
    BPE,
    HIDDEN,
    LAYERS,
    SIZE,
    SP,
    WIDE,
    attention,
    base,
    ends,
    gated,
    layers,
    linear,
    llama,
    mixtral,
    norm,
    qk_norms,
    two_norms,
)
from .table import CARD, LLAMA3, add, bpe

add("tiny-llama", base("LlamaForCausalLM", "llama"), llama(), outtypes=("f32", "f16", "bf16", "q8_0", "auto"))
add("Acme-Llama-3-300K-Instruct-v1.1", base("LlamaForCausalLM", "llama", tie_word_embeddings=True), llama(tied=True),
    dtype="F16", files={"README.md": CARD, "generation_config.json":
        '{"temperature": 0.6, "top_p": 0.9, "top_k": 40, "repetition_penalty": 1.1}'},
    outtypes=("auto", "f32"))  # fmt: skip
add("llama-bpe", bpe("LlamaForCausalLM", "llama", rope_scaling=LLAMA3, rope_theta=500000.0, head_dim=64),
    llama(BPE, size=64), "gpt2")  # fmt: skip
add("llama-odd", base("LlamaForCausalLM", "llama", intermediate_size=80, attention_bias=True),
    llama(wide=80, bias=True), dtype="F32", shards=3, outtypes=("f32", "bf16", "q8_0", "auto"))  # fmt: skip
add("llama-yarn", base("LlamaForCausalLM", "llama", rope_scaling={"type": "yarn", "factor": 4.0, "beta_fast": 32,
    "original_max_position_embeddings": 128}), llama())  # fmt: skip
add("llama-ternary", base("LlamaForCausalLM", "llama", hidden_size=256, intermediate_size=512),
    {n: tuple({HIDDEN: 256, WIDE: 512}.get(d, d) for d in s) if "k_proj" not in n and "v_proj" not in n
     else (128, 256) for n, s in llama().items()}, outtypes=("tq1_0", "tq2_0"))  # fmt: skip
add("tiny-mistral", base("MistralForCausalLM", "mistral", sliding_window=128, head_dim=SIZE), llama())
add("tiny-mixtral", base("MixtralForCausalLM", "mixtral", num_local_experts=4, num_experts_per_tok=2),
    ends() | layers(lambda p: two_norms(p) | attention(p) | mixtral(p, 4, WIDE)), shards=2)  # fmt: skip
add("tiny-smollm3", bpe("SmolLM3ForCausalLM", "smollm3", no_rope_layers=[1, 0]), llama(BPE, tied=True), "gpt2")
add("tiny-arcee", base("ArceeForCausalLM", "arcee", head_dim=SIZE),
    {n: s for n, s in llama().items() if "gate_proj" not in n})  # fmt: skip
add("tiny-seed-oss", bpe("SeedOssForCausalLM", "seed_oss", head_dim=SIZE), llama(BPE, bias=True), "gpt2")
add("tiny-orion", base("OrionForCausalLM", "orion_as_written"), ends(bias=True) | layers(lambda p: two_norms(p, True)
    | attention(p) | gated(p)))  # fmt: skip
add("tiny-minicpm", base("MiniCPMForCausalLM", "minicpm_as_written", scale_emb=12, scale_depth=1.4, dim_model_base=16,
    rope_scaling={"rope_type": "longrope", "long_factor": [1.0 + i / 3 for i in range(8)], "short_factor":
    [1.0 + i / 7 for i in range(8)], "original_max_position_embeddings": 256}), llama(tied=True))  # fmt: skip
add("tiny-maincoder", bpe("MaincoderForCausalLM", "maincoder_as_written", head_dim=SIZE), ends(BPE, tied=True)
    | layers(lambda p: two_norms(p) | attention(p) | qk_norms(p) | gated(p)), "gpt2")  # fmt: skip
add("tiny-pangu", base("PanguEmbeddedForCausalLM", "pangu_as_written"), llama(bias=True)
    | {f"model.layers.{i}.self_attn.o_proj.bias": (HIDDEN,) for i in range(LAYERS)})  # fmt: skip
add("tiny-nanbeige", base("NanbeigeForCausalLM", "nanbeige_as_written", num_loops=2), llama())
add("tiny-ministral3", base("Ministral3ForCausalLM", "ministral3", head_dim=SIZE, rope_parameters={"type": "yarn",
    "rope_theta": 1e6, "factor": 16.0, "original_max_position_embeddings": 128, "beta_fast": 32.0, "beta_slow": 1.0,
    "mscale_all_dim": 1.0, "mscale": 1.0, "llama_4_scaling_beta": 0.1, "rope_type": "yarn"}), llama())  # fmt: skip
# Every fourth layer sees the whole text; llama.cpp loads none without such a layer.
add("tiny-llama4", {"architectures": ["Llama4ForConditionalGeneration"], "model_type": "llama4", "text_config":
    {k: v for k, v in bpe("", "llama4_text", head_dim=SIZE, intermediate_size=32, intermediate_size_mlp=WIDE,
    num_hidden_layers=4, num_local_experts=4, num_experts_per_tok=1, interleave_moe_layer_step=1,
    attn_temperature_tuning=True, rope_theta=500000.0, rope_scaling=LLAMA3 | {"factor": 16.0}).items() if k !=
    "architectures"}}, {f"language_model.{n}": s for n, s in (ends(BPE) | layers(lambda p: two_norms(p) | attention(p)
    | linear(f"{p}.feed_forward.router", 4, HIDDEN) | gated(p, 32, "feed_forward.shared_expert")
    | {f"{p}.feed_forward.experts.gate_up_proj": (4, HIDDEN, 64), f"{p}.feed_forward.experts.down_proj":
    (4, 32, HIDDEN)}, 4)).items()}, "gpt2")  # fmt: skip
add("tiny-llama-embed", bpe("LlamaBidirectionalModel", "llama_as_written"), llama(BPE), "gpt2")
add("tiny-internlm2", base("InternLM2ForCausalLM", "internlm2_as_written"), {
    "model.tok_embeddings.weight": (SP, HIDDEN), "output.weight": (SP, HIDDEN)} | norm("model.norm")
    | layers(lambda p: norm(f"{p}.attention_norm")
    | norm(f"{p}.ffn_norm") | linear(f"{p}.attention.wqkv", 8 * SIZE, HIDDEN)
    | linear(f"{p}.attention.wo", HIDDEN, HIDDEN) | linear(f"{p}.feed_forward.w1", WIDE, HIDDEN)
    | linear(f"{p}.feed_forward.w2", HIDDEN, WIDE) | linear(f"{p}.feed_forward.w3", WIDE, HIDDEN)))  # fmt: skip
add("tiny-internlm3", base("InternLM3ForCausalLM", "internlm3_as_written", head_dim=SIZE), llama(bias=True))
add("tiny-baichuan", base("BaichuanForCausalLM", "baichuan_as_written", num_key_value_heads=...), ends() | layers(lambda
    p: two_norms(p) | linear(f"{p}.self_attn.W_pack", 3 * HIDDEN, HIDDEN) | linear(f"{p}.self_attn.o_proj", HIDDEN,
    HIDDEN) | gated(p)))  # fmt: skip
