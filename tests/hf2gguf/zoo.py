"""The checkpoints by name: what each architecture is tried with. The name is the folder's, and so the model's."""

from __future__ import annotations

from typing import Any

from .models import (
    BPE,
    GROUPS,
    HEADS,
    HIDDEN,
    LAYERS,
    QWEN,
    SIZE,
    SP,
    WIDE,
    Model,
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

ZOO: dict[str, Model] = {}


def add(name: str, config: dict[str, Any], tensors: Shapes, tokenizer: str = "sp", **more: Any) -> None:
    """Enter a checkpoint."""
    ZOO[name] = Model(config, tensors, tokenizer, **more)


def bpe(class_: str, kind: str | None, **more: Any) -> dict[str, Any]:
    """A configuration for GPT-2's tokenizer."""
    return base(class_, kind, **{"vocab_size": BPE, "bos_token_id": 50256, "eos_token_id": 50256, **more})


CARD = """---
license: [mit, other]
license_name: own
language:
- en
- no
tags: [speech]
datasets:
- someone/some-data-v2
- https://huggingface.co/datasets-org/other-7B
base_model: acme/Small-Llama-1B-Chat-v0.3
pipeline_tag: text-generation
model_creator: Someone Else
---
# A card
"""

LLAMA3 = {
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
    "rope_type": "llama3",
}

# Llama and its kin
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
add("tiny-granite", bpe("GraniteForCausalLM", "granite", embedding_multiplier=12.0, logits_scaling=8.0,
    residual_multiplier=0.22, attention_multiplier=0.015625), llama(BPE, tied=True), "gpt2")  # fmt: skip


def granite_moe(p: str) -> Shapes:
    """Fused experts."""
    made = linear(f"{p}.block_sparse_moe.router.layer", 4, HIDDEN) | two_norms(p) | attention(p)
    made |= {f"{p}.block_sparse_moe.input_linear.weight": (4, 2 * WIDE, HIDDEN)}
    return made | {f"{p}.block_sparse_moe.output_linear.weight": (4, HIDDEN, WIDE)}


add("tiny-granitemoe", bpe("GraniteMoeForCausalLM", "granitemoe", num_local_experts=4, num_experts_per_tok=2),
    ends(BPE, tied=True) | layers(granite_moe), "gpt2")  # fmt: skip
add("tiny-granitemoe-shared", bpe("GraniteMoeSharedForCausalLM", "granitemoeshared", num_local_experts=4,
    num_experts_per_tok=2, shared_intermediate_size=32), ends(BPE, tied=True) | layers(lambda p: granite_moe(p)
    | linear(f"{p}.shared_mlp.input_linear", 64, HIDDEN) | linear(f"{p}.shared_mlp.output_linear", HIDDEN, 32)),
    "gpt2")  # fmt: skip

# Qwen
QWEN2 = {"vocab_size": QWEN, "bos_token_id": 151643, "eos_token_id": 151643}
add("tiny-qwen2", base("Qwen2ForCausalLM", "qwen2", rope_theta=1e6, **QWEN2), llama(QWEN, bias=True, tied=True),
    "qwen2")  # fmt: skip
POOLING = {"modules.json": '[{"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]'}
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

# Gemma
add("tiny-gemma", base("GemmaForCausalLM", "gemma", head_dim=32), ends(tied=True)
    | layers(lambda p: two_norms(p) | attention(p, size=32) | gated(p)), outtypes=("f16", "f32"))  # fmt: skip
add("gemma-half", base("GemmaForCausalLM", "gemma", head_dim=32), ends(tied=True)
    | layers(lambda p: two_norms(p) | attention(p, size=32) | gated(p)), dtype="F16")  # fmt: skip


def four_norms(p: str) -> Shapes:
    """Norms on both sides of both halves."""
    return two_norms(p) | norm(f"{p}.pre_feedforward_layernorm") | norm(f"{p}.post_feedforward_layernorm")


add("tiny-gemma2", base("Gemma2ForCausalLM", "gemma2", head_dim=32, sliding_window=128, attn_logit_softcapping=50.0,
    final_logit_softcapping=30.0), ends(tied=True) | layers(lambda p: four_norms(p) | attention(p, size=32)
    | gated(p)))  # fmt: skip
GEMMA3 = {"head_dim": 32, "sliding_window": 128, "rope_theta": 1e6, "rope_local_base_freq": 10000.0}
GEMMA3_TENSORS = ends(tied=True) | layers(
    lambda p: four_norms(p) | attention(p, size=32) | qk_norms(p, 32, 32) | gated(p)
)
add("tiny-gemma3", base("Gemma3ForCausalLM", "gemma3_text", **GEMMA3, rope_scaling={"factor": 8.0,
    "rope_type": "linear"}), GEMMA3_TENSORS)  # fmt: skip
add("gemma3-multimodal", {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3",
    "text_config": {k: v for k, v in base("", "gemma3_text", **GEMMA3).items() if k != "architectures"},
    "vision_config": {"hidden_size": 32, "model_type": "siglip_vision_model"}},
    {f"language_model.{n}": s for n, s in GEMMA3_TENSORS.items()}
    | linear("vision_tower.vision_model.encoder.layers.0.mlp.fc1", 32, 32)
    | {"multi_modal_projector.mm_input_projection_weight": (32, 64)})  # fmt: skip

# Phi
add("tiny-phi2", bpe("PhiForCausalLM", "phi", partial_rotary_factor=0.4, layer_norm_eps=1e-5, rms_norm_eps=...,
    num_key_value_heads=HEADS), linear("lm_head", BPE, HIDDEN, True) | {"model.embed_tokens.weight": (BPE, HIDDEN)}
    | norm("model.final_layernorm", bias=True) | layers(lambda p: norm(f"{p}.input_layernorm", bias=True)
    | {n.replace("o_proj", "dense"): s for n, s in attention(p, groups=HEADS, bias=True).items()}
    | {f"{p}.self_attn.dense.bias": (HIDDEN,)} | linear(f"{p}.mlp.fc1", 256, HIDDEN, True)
    | linear(f"{p}.mlp.fc2", HIDDEN, 256, True)), "gpt2")  # fmt: skip


def phi3(p: str) -> Shapes:
    """Fused projections."""
    rows = (HEADS + 2 * GROUPS) * SIZE
    made = (
        two_norms(p) | linear(f"{p}.self_attn.qkv_proj", rows, HIDDEN) | linear(f"{p}.self_attn.o_proj", HIDDEN, HIDDEN)
    )
    return made | linear(f"{p}.mlp.gate_up_proj", 2 * WIDE, HIDDEN) | linear(f"{p}.mlp.down_proj", HIDDEN, WIDE)


add("tiny-phi3", base("Phi3ForCausalLM", "phi3", original_max_position_embeddings=512, sliding_window=256),
    ends() | layers(phi3))  # fmt: skip
add("phi3-long", base("Phi3ForCausalLM", "phi3", original_max_position_embeddings=512, max_position_embeddings=16384,
    sliding_window=None, rope_scaling={"type": "longrope", "long_factor": [1.0 + i / 3 for i in range(8)],
    "short_factor": [1.0 + i / 7 for i in range(8)]}), ends() | layers(phi3))  # fmt: skip
add("tiny-phi4", bpe("Phi3ForCausalLM", "phi3", original_max_position_embeddings=512, sliding_window=None),
    ends(BPE) | layers(phi3), "gpt2", files={"tokenizer_config.json":
    '{"tokenizer_class": "GPT2Tokenizer", "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}'})  # fmt: skip
add("tiny-phimoe", base("PhiMoEForCausalLM", "phimoe", num_local_experts=4, num_experts_per_tok=2,
    original_max_position_embeddings=512), linear("lm_head", SP, HIDDEN, True)
    | {"model.embed_tokens.weight": (SP, HIDDEN)} | norm("model.norm", bias=True)
    | layers(lambda p: two_norms(p, bias=True) | attention(p, bias=True) | {f"{p}.self_attn.o_proj.bias": (HIDDEN,)}
    | mixtral(p, 4, WIDE)))  # fmt: skip


# GPT-2 and what came of it
def gpt2(p: str, transposed: bool, kv: int = HIDDEN) -> Shapes:
    """A layer in GPT-2's names."""

    def matrix(name: str, rows: int, columns: int) -> Shapes:
        made = linear(name, rows, columns, True)
        return made | ({f"{name}.weight": (columns, rows)} if transposed else {})

    made = norm(f"{p}.ln_1", bias=True) | norm(f"{p}.ln_2", bias=True)
    made |= matrix(f"{p}.attn.c_attn", HIDDEN + 2 * kv, HIDDEN) | matrix(f"{p}.attn.c_proj", HIDDEN, HIDDEN)
    return made | matrix(f"{p}.mlp.c_fc", 4 * HIDDEN, HIDDEN) | matrix(f"{p}.mlp.c_proj", HIDDEN, 4 * HIDDEN)


GPT2 = {"n_embd": HIDDEN, "n_layer": LAYERS, "n_head": HEADS, "n_positions": 128, "n_ctx": 128, "vocab_size": BPE,
        "layer_norm_epsilon": 1e-5, "bos_token_id": 50256, "eos_token_id": 50256}  # fmt: skip
GPT2_ENDS: Shapes = {"wte.weight": (BPE, HIDDEN), "wpe.weight": (128, HIDDEN)} | norm("ln_f", bias=True)
add("tiny-gpt2", {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", **GPT2},
    GPT2_ENDS | layers(lambda p: gpt2(p, True), prefix="h"), "gpt2", dtype="F32")  # fmt: skip
add("tiny-starcoder", {"architectures": ["GPTBigCodeForCausalLM"], "model_type": "gpt_bigcode", **GPT2},
    {f"transformer.{n}": s for n, s in (GPT2_ENDS | layers(lambda p: gpt2(p, False, SIZE), prefix="h")).items()},
    "gpt2")  # fmt: skip
add("tiny-starcoder2", bpe("Starcoder2ForCausalLM", "starcoder2", norm_epsilon=1e-5, rms_norm_eps=..., use_bias=True),
    ends(BPE, tied=True, bias=True) | layers(lambda p: two_norms(p, bias=True) | attention(p, bias=True)
    | {f"{p}.self_attn.o_proj.bias": (HIDDEN,)} | linear(f"{p}.mlp.c_fc", WIDE, HIDDEN, True)
    | linear(f"{p}.mlp.c_proj", HIDDEN, WIDE, True)), "gpt2")  # fmt: skip


def fused(p: str, name: str, rows: int = 3 * HIDDEN, bias: bool = True) -> Shapes:
    """Attention with one projection, and a plain feed-forward layer: the names of Megatron."""
    made = linear(f"{p}.{name}.query_key_value", rows, HIDDEN, bias) | linear(f"{p}.{name}.dense", HIDDEN, HIDDEN, bias)
    return (
        made
        | linear(f"{p}.mlp.dense_h_to_4h", 4 * HIDDEN, HIDDEN, bias)
        | linear(f"{p}.mlp.dense_4h_to_h", HIDDEN, 4 * HIDDEN, bias)
    )


# transformers drops rotary_pct, which upstream's converter needs: an unknown model_type makes it read the file itself
add("tiny-gptneox", bpe("GPTNeoXForCausalLM", "gpt_neox_as_written", rotary_pct=0.25, rotary_emb_base=10000,
    layer_norm_eps=1e-5, rms_norm_eps=..., intermediate_size=4 * HIDDEN, use_parallel_residual=True),
    {"gpt_neox.embed_in.weight": (BPE, HIDDEN), "embed_out.weight": (BPE, HIDDEN)}
    | norm("gpt_neox.final_layer_norm", bias=True) | layers(lambda p: two_norms(p, bias=True) | fused(p, "attention"),
    prefix="gpt_neox.layers"), "gpt2", dtype="F16")  # fmt: skip
add("tiny-bloom", {"architectures": ["BloomForCausalLM"], "model_type": "bloom", "hidden_size": HIDDEN,
    "n_layer": LAYERS, "n_head": HEADS, "seq_length": 256, "vocab_size": BPE, "layer_norm_epsilon": 1e-5},
    {"word_embeddings.weight": (BPE, HIDDEN)} | norm("word_embeddings_layernorm", bias=True) | norm("ln_f", bias=True)
    | layers(lambda p: two_norms(p, bias=True) | fused(p, "self_attention"), prefix="h"), "gpt2",
    dtype="F16")  # fmt: skip
FALCON = {"hidden_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "vocab_size": BPE,
          "layer_norm_epsilon": 1e-5, "bias": False, "model_type": "falcon",
          "architectures": ["FalconForCausalLM"]}  # fmt: skip
FALCON_ENDS: Shapes = {"transformer.word_embeddings.weight": (BPE, HIDDEN)} | norm("transformer.ln_f", bias=True)
add("tiny-falcon-7b", FALCON | {"num_kv_heads": 1, "multi_query": True}, FALCON_ENDS | layers(lambda p:
    norm(f"{p}.input_layernorm", bias=True) | fused(p, "self_attention", (HEADS + 2) * SIZE, False),
    prefix="transformer.h"), "gpt2")  # fmt: skip
add("tiny-falcon-40b", FALCON | {"num_kv_heads": 2, "new_decoder_architecture": True}, FALCON_ENDS
    | {"lm_head.weight": (BPE, HIDDEN)} | layers(lambda p: norm(f"{p}.ln_attn", bias=True)
    | norm(f"{p}.ln_mlp", bias=True) | fused(p, "self_attention", (HEADS + 4) * SIZE, False), prefix="transformer.h"),
    "gpt2")  # fmt: skip

# others with Llama's bones
add("tiny-stablelm", bpe("StableLmForCausalLM", "stablelm", partial_rotary_factor=0.25, layer_norm_eps=1e-5,
    rms_norm_eps=..., use_qkv_bias=True), ends(BPE, bias=True) | layers(lambda p: two_norms(p, bias=True)
    | attention(p, bias=True) | gated(p)), "gpt2")  # fmt: skip
add("tiny-olmo", bpe("OlmoForCausalLM", "olmo", clip_qkv=8.0, rms_norm_eps=...), {"model.embed_tokens.weight":
    (BPE, HIDDEN), "lm_head.weight": (BPE, HIDDEN)} | layers(lambda p: attention(p) | gated(p)), "gpt2")  # fmt: skip


def post_norms(p: str) -> Shapes:
    """Norms behind attention and feed-forward layer."""
    return norm(f"{p}.post_attention_layernorm") | norm(f"{p}.post_feedforward_layernorm")


add("tiny-olmo2", bpe("Olmo2ForCausalLM", "olmo2"), ends(BPE) | layers(lambda p: post_norms(p) | attention(p)
    | qk_norms(p, HIDDEN, GROUPS * SIZE) | gated(p)), "gpt2")  # fmt: skip
add("tiny-olmo3", bpe("Olmo3ForCausalLM", "olmo3", sliding_window=128, layer_types=["sliding_attention",
    "full_attention"]), ends(BPE) | layers(lambda p: post_norms(p) | attention(p)
    | qk_norms(p, HIDDEN, GROUPS * SIZE) | gated(p)), "gpt2")  # fmt: skip
add("tiny-olmoe", bpe("OlmoeForCausalLM", "olmoe", num_experts=4, num_experts_per_tok=2, num_key_value_heads=HEADS),
    ends(BPE) | layers(lambda p: two_norms(p) | attention(p, groups=HEADS) | qk_norms(p, HIDDEN, HIDDEN)
    | experts(p, 4, WIDE)),
    "gpt2")  # fmt: skip
add("tiny-seed-oss", bpe("SeedOssForCausalLM", "seed_oss", head_dim=SIZE), llama(BPE, bias=True), "gpt2")


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
add("tiny-command-r", bpe("CohereForCausalLM", "cohere", logit_scale=0.0625, layer_norm_eps=1e-5, rms_norm_eps=...,
    model_max_length=8192), ends(BPE, tied=True) | layers(lambda p: norm(f"{p}.input_layernorm") | attention(p)
    | gated(p)), "gpt2", dtype="F16")  # fmt: skip
add("tiny-cohere2", bpe("Cohere2ForCausalLM", "cohere2", logit_scale=0.25, layer_norm_eps=1e-5, rms_norm_eps=...,
    sliding_window=128, rotary_pct=1.0, head_dim=SIZE), ends(BPE, tied=True) | layers(lambda p:
    norm(f"{p}.input_layernorm") | attention(p) | gated(p)), "gpt2")  # fmt: skip
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
GPT_OSS = bpe("GptOssForCausalLM", "gpt_oss", head_dim=SIZE, intermediate_size=64, num_local_experts=4,
    num_experts_per_tok=2, sliding_window=128, rope_theta=150000, rope_scaling={"rope_type": "yarn", "factor": 32.0,
    "beta_fast": 32.0, "beta_slow": 1.0, "truncate": False, "original_max_position_embeddings": 128})  # fmt: skip


def gpt_oss(p: str) -> Shapes:
    """Without the experts' matrices."""
    return (two_norms(p) | attention(p, bias=True) | {f"{p}.self_attn.o_proj.bias": (HIDDEN,),
        f"{p}.self_attn.sinks": (HEADS,), f"{p}.mlp.experts.gate_up_proj_bias": (4, 128),
        f"{p}.mlp.experts.down_proj_bias": (4, HIDDEN)} | linear(f"{p}.mlp.router", 4, HIDDEN, True))  # fmt: skip


add("tiny-gpt-oss", GPT_OSS, ends(BPE) | layers(lambda p: gpt_oss(p) | {f"{p}.mlp.experts.gate_up_proj":
    (4, HIDDEN, 128), f"{p}.mlp.experts.down_proj": (4, 64, HIDDEN)}), "gpt2")  # fmt: skip
add("gpt-oss-mxfp4", GPT_OSS | {"quantization_config": {"quant_method": "mxfp4"}}, ends(BPE) | layers(lambda p:
    gpt_oss(p) | {f"{p}.mlp.experts.gate_up_proj_blocks": (4, 128, 2, 16),
    f"{p}.mlp.experts.gate_up_proj_scales": (4, 128, 2), f"{p}.mlp.experts.down_proj_blocks": (4, HIDDEN, 2, 16),
    f"{p}.mlp.experts.down_proj_scales": (4, HIDDEN, 2)}), "gpt2", dtypes={"_blocks": "U8", "_scales": "U8"},
    outtypes=("bf16",))  # fmt: skip
add("tiny-exaone", bpe("ExaoneForCausalLM", "exaone", activation_function="silu", layer_norm_epsilon=1e-5,
    rope_theta=1e6, head_dim=SIZE), {"transformer.wte.weight": (BPE, HIDDEN),
    "lm_head.weight": (BPE, HIDDEN)} | norm("transformer.ln_f") | layers(lambda p: norm(f"{p}.ln_1")
    | norm(f"{p}.ln_2") | {n.replace("self_attn", "attn.attention").replace("o_proj", "out_proj"): s for n, s in
    attention(p).items()} | linear(f"{p}.mlp.c_fc_0", WIDE, HIDDEN) | linear(f"{p}.mlp.c_fc_1", WIDE, HIDDEN)
    | linear(f"{p}.mlp.c_proj", HIDDEN, WIDE), prefix="transformer.h"), "gpt2")  # fmt: skip
add("tiny-exaone4", bpe("Exaone4ForCausalLM", "exaone4", head_dim=SIZE, sliding_window=128, rope_scaling=LLAMA3,
    rope_theta=1e6, sliding_window_pattern="LLLG", layer_types=["sliding_attention", "full_attention"]), ends(BPE)
    | layers(lambda p: post_norms(p) | attention(p) | qk_norms(p) | gated(p)), "gpt2")  # fmt: skip
add("tiny-nemotron", base("NemotronForCausalLM", "nemotron", norm_eps=1e-5, rms_norm_eps=...,
    partial_rotary_factor=0.5, head_dim=SIZE), ends(bias=True) | layers(lambda p: two_norms(p, bias=True)
    | attention(p) | linear(f"{p}.mlp.up_proj", WIDE, HIDDEN)
    | linear(f"{p}.mlp.down_proj", HIDDEN, WIDE)))  # fmt: skip
add("tiny-ernie", base("Ernie4_5ForCausalLM", "ernie4_5", head_dim=SIZE, rope_theta=500000.0,
    tie_word_embeddings=True), llama(tied=True))  # fmt: skip
add("ernie-fused", base("Ernie4_5_ForCausalLM", "ernie_as_written", head_dim=SIZE), {n.replace("model.", "ernie."): s
    for n, s in (ends(tied=True) | layers(lambda p: two_norms(p) | linear(f"{p}.self_attn.qkv_proj", 8 * SIZE, HIDDEN)
    | linear(f"{p}.self_attn.o_proj", HIDDEN, HIDDEN) | linear(f"{p}.mlp.up_gate_proj", 2 * WIDE, HIDDEN)
    | linear(f"{p}.mlp.down_proj", HIDDEN, WIDE))).items()})  # fmt: skip
add("tiny-ernie-moe", base("Ernie4_5_MoeForCausalLM", "ernie4_5_moe", head_dim=SIZE, moe_num_experts=4, moe_k=2,
    moe_intermediate_size=32, moe_num_shared_experts=1, moe_layer_start_index=1, moe_layer_interval=1), ends()
    | layers(lambda p: two_norms(p) | attention(p) | (gated(p) if p.endswith("0") else experts(p, 4)
    | gated(p, 48, "mlp.shared_experts") | {f"{p}.mlp.moe_statics.e_score_correction_bias": (1, 4)})),
    dtypes={"e_score_correction_bias": "F32", "mlp.gate.weight": "F32"})  # fmt: skip
HUNYUAN = {"head_dim": SIZE, "tie_word_embeddings": True, "eod_token_id": 50256, "pad_token_id": 50256}
HUNYUAN_TENSORS = ends(BPE) | layers(lambda p: two_norms(p) | attention(p) | gated(p)
    | norm(f"{p}.self_attn.query_layernorm", SIZE) | norm(f"{p}.self_attn.key_layernorm", SIZE))  # fmt: skip
add("tiny-hunyuan", bpe("HunYuanDenseV1ForCausalLM", "hunyuan_v1_dense", **HUNYUAN), HUNYUAN_TENSORS, "gpt2")
add("hunyuan-dynamic", bpe("HunYuanDenseV1ForCausalLM", "hunyuan_v1_dense", **HUNYUAN, rope_theta=10000.0,
    max_position_embeddings=32768, rope_scaling={"type": "dynamic", "alpha": 1000.0, "factor": 1.0}),
    HUNYUAN_TENSORS, "gpt2")  # fmt: skip


def lfm2(p: str) -> Shapes:
    """A convolution in the first layer, attention in the second."""
    made = norm(f"{p}.operator_norm") | norm(f"{p}.ffn_norm") | linear(f"{p}.feed_forward.w1", 256, HIDDEN)
    made |= linear(f"{p}.feed_forward.w2", HIDDEN, 256) | linear(f"{p}.feed_forward.w3", 256, HIDDEN)
    if p.endswith("0"):
        return (
            made
            | linear(f"{p}.conv.in_proj", 3 * HIDDEN, HIDDEN)
            | linear(f"{p}.conv.out_proj", HIDDEN, HIDDEN)
            | {f"{p}.conv.conv.weight": (HIDDEN, 1, 3)}
        )
    made |= {n.replace("o_proj", "out_proj"): s for n, s in attention(p).items()}
    return made | norm(f"{p}.self_attn.q_layernorm", SIZE) | norm(f"{p}.self_attn.k_layernorm", SIZE)


add("tiny-lfm2", bpe("Lfm2ForCausalLM", "lfm2", norm_eps=1e-5, rms_norm_eps=..., conv_L_cache=3, block_multiple_of=256,
    block_ffn_dim_multiplier=1.0, block_auto_adjust_ff_dim=True, block_ff_dim=96, intermediate_size=96,
    layer_types=["conv", "full_attention"]), {"model.embed_tokens.weight": (BPE, HIDDEN)}
    | norm("model.embedding_norm") | layers(lfm2), "gpt2")  # fmt: skip


# state spaces
def mamba(p: str) -> Shapes:
    """Mamba 1, inner size 128, state 16, rank 4."""
    q = f"{p}.mixer"
    made = norm(f"{p}.norm") | linear(f"{q}.in_proj", 256, HIDDEN) | linear(f"{q}.out_proj", HIDDEN, 128)
    made |= {f"{q}.conv1d.weight": (128, 1, 4), f"{q}.conv1d.bias": (128,), f"{q}.A_log": (128, 16), f"{q}.D": (128,)}
    return made | linear(f"{q}.x_proj", 36, 128) | linear(f"{q}.dt_proj", 128, 4, True)


MAMBA = {"hidden_size": HIDDEN, "num_hidden_layers": LAYERS, "vocab_size": BPE, "conv_kernel": 4, "state_size": 16,
         "bos_token_id": 50256, "eos_token_id": 50256, "layer_norm_epsilon": 1e-5}  # fmt: skip
MAMBA_ENDS: Shapes = {"backbone.embeddings.weight": (BPE + 7, HIDDEN)} | norm("backbone.norm_f")
add("tiny-mamba", MAMBA | {"architectures": ["MambaForCausalLM"], "model_type": "mamba", "intermediate_size": 128,
    "time_step_rank": 4}, MAMBA_ENDS | layers(mamba, prefix="backbone.layers"), "gpt2", dtype="F32",
    dtypes={"A_log": "F16"})  # fmt: skip
add("mamba-half", MAMBA | {"architectures": ["MambaForCausalLM"], "model_type": "mamba", "intermediate_size": 128,
    "time_step_rank": 4}, MAMBA_ENDS | {"lm_head.weight": (BPE + 7, HIDDEN)} | layers(mamba, prefix="backbone.layers"),
    "gpt2", dtype="F16")  # fmt: skip
add("tiny-mamba2", MAMBA | {"architectures": ["Mamba2ForCausalLM"], "model_type": "mamba2", "head_dim": 16,
    "n_groups": 2, "expand": 2, "num_heads": 8}, {"backbone.embeddings.weight": (BPE + 15, HIDDEN)}
    | norm("backbone.norm_f") | layers(lambda p: norm(f"{p}.norm") | linear(f"{p}.mixer.in_proj", 328, HIDDEN)
    | linear(f"{p}.mixer.out_proj", HIDDEN, 128) | norm(f"{p}.mixer.norm", 128) | {f"{p}.mixer.conv1d.weight":
    (192, 1, 4), f"{p}.mixer.conv1d.bias": (192,), f"{p}.mixer.A_log": (8,), f"{p}.mixer.D": (8,),
    f"{p}.mixer.dt_bias": (8,)}, prefix="backbone.layers"), "gpt2", dtype="F32", dtypes={"A_log": "F16"})  # fmt: skip


# encoders
def bert(p: str) -> Shapes:
    """A layer of BERT."""
    made: Shapes = {}
    for part in ("query", "key", "value"):
        made |= linear(f"{p}.attention.self.{part}", HIDDEN, HIDDEN, True)
    made |= linear(f"{p}.attention.output.dense", HIDDEN, HIDDEN, True)
    made |= norm(f"{p}.attention.output.LayerNorm", bias=True) | norm(f"{p}.output.LayerNorm", bias=True)
    return (
        made | linear(f"{p}.intermediate.dense", WIDE, HIDDEN, True) | linear(f"{p}.output.dense", HIDDEN, WIDE, True)
    )


def bert_model(vocab: int, positions: int = 128, types: int = 2) -> Shapes:
    """BERT's tensors, pooler included."""
    return {"embeddings.word_embeddings.weight": (vocab, HIDDEN), "embeddings.position_embeddings.weight":
        (positions, HIDDEN), "embeddings.token_type_embeddings.weight": (types, HIDDEN)} | norm(
        "embeddings.LayerNorm", bias=True) | layers(bert, prefix="encoder.layer") | linear(
        "pooler.dense", HIDDEN, HIDDEN, True)  # fmt: skip


BERT = {"model_type": "bert", "hidden_size": HIDDEN, "intermediate_size": WIDE, "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS, "max_position_embeddings": 128, "layer_norm_eps": 1e-12, "type_vocab_size": 2,
        "vocab_size": 30522, "pad_token_id": 0}  # fmt: skip
add("tiny-bert", BERT | {"architectures": ["BertModel"]}, bert_model(30522), "bert", dtype="F32", files=POOLING
    | {"1_Pooling/config.json": '{"pooling_mode_cls_token": true}'})  # fmt: skip
add("bert-ranker", BERT | {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "no", "1": "maybe",
    "2": "yes"}, "label2id": {"no": 0, "maybe": 1, "yes": 2}}, {f"bert.{n}": s for n, s in bert_model(30522).items()}
    | linear("classifier", 3, HIDDEN, True), "bert", dtype="F32")  # fmt: skip
add("tiny-xlm-roberta", BERT | {"architectures": ["XLMRobertaModel"], "model_type": "xlm-roberta", "pad_token_id": 1,
    "vocab_size": 384, "max_position_embeddings": 130, "type_vocab_size": 1}, bert_model(384, 130, 1), "xlm-roberta",
    files=POOLING | {"1_Pooling/config.json": '{"pooling_mode_mean_tokens": true}'})  # fmt: skip
add("tiny-nomic-bert", {"architectures": ["NomicBertModel"], "model_type": "nomic_bert_as_written", "n_embd": HIDDEN,
    "n_inner": WIDE, "n_head": HEADS, "n_layer": LAYERS, "n_positions": 8192, "layer_norm_epsilon": 1e-12,
    "vocab_size": 30528, "type_vocab_size": 2, "rotary_emb_base": 1000, "activation_function": "swiglu", "causal":
    False, "qkv_proj_bias": False, "mlp_fc1_bias": False, "mlp_fc2_bias": False, "prenorm": False,
    "rotary_emb_fraction": 1.0, "rotary_emb_interleaved": False, "rotary_emb_scale_base": None},
    {"embeddings.word_embeddings.weight": (30528, HIDDEN), "embeddings.token_type_embeddings.weight": (2, HIDDEN)}
    | norm("emb_ln", bias=True) | layers(lambda p: linear(f"{p}.attn.Wqkv", 3 * HIDDEN, HIDDEN)
    | linear(f"{p}.attn.out_proj", HIDDEN, HIDDEN) | linear(f"{p}.mlp.fc11", WIDE, HIDDEN)
    | linear(f"{p}.mlp.fc12", WIDE, HIDDEN) | linear(f"{p}.mlp.fc2", HIDDEN, WIDE) | norm(f"{p}.norm1", bias=True)
    | norm(f"{p}.norm2", bias=True), prefix="encoder.layers"), "bert", dtype="F32")  # fmt: skip


# T5
def t5(p: str, decoder: bool) -> Shapes:
    """A block; the first has the relative positions."""
    made: Shapes = {}
    for layer, name in enumerate(["SelfAttention", "EncDecAttention"] if decoder else ["SelfAttention"]):
        made |= norm(f"{p}.layer.{layer}.layer_norm")
        for part in "qkvo":
            made |= linear(f"{p}.layer.{layer}.{name}.{part}", HIDDEN, HIDDEN)
    if p.endswith("0"):
        made |= {f"{p}.layer.0.SelfAttention.relative_attention_bias.weight": (32, HEADS)}
    q = f"{p}.layer.{2 if decoder else 1}"
    made |= norm(f"{q}.layer_norm") | linear(f"{q}.DenseReluDense.wi_0", WIDE, HIDDEN)
    return made | linear(f"{q}.DenseReluDense.wi_1", WIDE, HIDDEN) | linear(f"{q}.DenseReluDense.wo", HIDDEN, WIDE)


T5 = {"model_type": "t5", "d_model": HIDDEN, "d_kv": SIZE, "d_ff": WIDE, "num_layers": LAYERS, "num_heads": HEADS,
      "num_decoder_layers": LAYERS, "vocab_size": 384, "n_positions": 256, "layer_norm_epsilon": 1e-6,
      "relative_attention_num_buckets": 32, "decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1,
      "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}  # fmt: skip
T5_ENCODER: Shapes = (
    {"shared.weight": (384, HIDDEN), "encoder.embed_tokens.weight": (384, HIDDEN)}
    | norm("encoder.final_layer_norm")
    | layers(lambda p: t5(p, False), prefix="encoder.block")
)
add("tiny-t5", T5 | {"architectures": ["T5ForConditionalGeneration"]}, T5_ENCODER | {"lm_head.weight": (384, HIDDEN)}
    | norm("decoder.final_layer_norm") | layers(lambda p: t5(p, True), prefix="decoder.block"), "t5",
    dtype="F32")  # fmt: skip
add("tiny-t5-encoder", T5 | {"architectures": ["T5EncoderModel"]}, T5_ENCODER, "t5", dtype="F32")


# more of upstream's names
def moe_oddity(p: str) -> Shapes:
    """Two layers, the first dense."""
    return gated(p) if p.endswith("0") else experts(p, 4)


add("tiny-mpt", {"architectures": ["MPTForCausalLM"], "model_type": "mpt_as_written", "d_model": HIDDEN,
    "n_heads": HEADS, "n_layers": LAYERS, "max_seq_len": 256, "vocab_size": BPE,
    "attn_config": {"alibi": True, "alibi_bias_max": 8, "clip_qkv": 6}},
    {"transformer.wte.weight": (BPE, HIDDEN)} | norm("transformer.norm_f")
    | layers(lambda p:
    norm(f"{p}.norm_1") | norm(f"{p}.norm_2") | linear(f"{p}.attn.Wqkv", 3 * HIDDEN, HIDDEN)
    | linear(f"{p}.attn.out_proj", HIDDEN, HIDDEN) | linear(f"{p}.ffn.up_proj", 4 * HIDDEN, HIDDEN)
    | linear(f"{p}.ffn.down_proj", HIDDEN, 4 * HIDDEN), prefix="transformer.blocks"), "gpt2")  # fmt: skip
add("tiny-dbrx", {"architectures": ["DbrxForCausalLM"], "model_type": "dbrx_as_written", "d_model": HIDDEN, "n_heads":
    HEADS, "n_layers": LAYERS, "max_seq_len": 256, "vocab_size": BPE, "attn_config": {"clip_qkv": 8, "kv_n_heads": 2,
    "rope_theta": 500000}, "ffn_config": {"ffn_hidden_size": WIDE, "moe_num_experts": 4, "moe_top_k": 2}},
    {"transformer.wte.weight": (BPE, HIDDEN), "lm_head.weight": (BPE, HIDDEN)} | norm("transformer.norm_f")
    | layers(lambda p: norm(f"{p}.norm_attn_norm.norm_1") | norm(f"{p}.norm_attn_norm.norm_2")
    | linear(f"{p}.norm_attn_norm.attn.Wqkv", 128, HIDDEN) | linear(f"{p}.norm_attn_norm.attn.out_proj", HIDDEN, HIDDEN)
    | linear(f"{p}.ffn.router.layer", 4, HIDDEN) | {f"{p}.ffn.experts.mlp.{w}": (4 * WIDE, HIDDEN) for w in
    ("w1", "v1", "w2")}, prefix="transformer.blocks"), "gpt2")  # fmt: skip
add("tiny-orion", base("OrionForCausalLM", "orion_as_written"), ends(bias=True) | layers(lambda p: two_norms(p, True)
    | attention(p) | gated(p)))  # fmt: skip
add("tiny-minicpm", base("MiniCPMForCausalLM", "minicpm_as_written", scale_emb=12, scale_depth=1.4, dim_model_base=16,
    rope_scaling={"rope_type": "longrope", "long_factor": [1.0 + i / 3 for i in range(8)], "short_factor":
    [1.0 + i / 7 for i in range(8)], "original_max_position_embeddings": 256}), llama(tied=True))  # fmt: skip
add("tiny-minicpm3", base("MiniCPM3ForCausalLM", "minicpm3_as_written", **{k: v for k, v in MLA.items() if "lora" in k
    or "head" in k}, q_lora_rank=32), ends(tied=True) | layers(lambda p: two_norms(p) | latent(p)
    | gated(p)))  # fmt: skip
add("tiny-plm", bpe("PLMForCausalLM", "plm_as_written", **{k: v for k, v in MLA.items() if "lora" in k or "head" in k}),
    ends(BPE, tied=True) | layers(lambda p: two_norms(p) | latent(p, False) | linear(f"{p}.mlp.up_proj", WIDE, HIDDEN)
    | linear(f"{p}.mlp.down_proj", HIDDEN, WIDE)), "gpt2")  # fmt: skip
add("tiny-lfm2moe", bpe("Lfm2MoeForCausalLM", "lfm2_moe", norm_eps=1e-5, rms_norm_eps=..., conv_L_cache=3,
    num_dense_layers=1, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=32,
    intermediate_size=256, layer_types=["conv", "full_attention"]),
    {"model.embed_tokens.weight": (BPE, HIDDEN)} | norm("model.embedding_norm")
    | layers(lambda p:
    {n: s for n, s in lfm2(p).items() if p.endswith("0") or "feed_forward" not in n} | ({} if p.endswith("0") else
    linear(f"{p}.feed_forward.gate", 4, HIDDEN) | {f"{p}.feed_forward.expert_bias": (4,)} | {n.replace(
    "block_sparse_moe", "feed_forward"): s for n, s in mixtral(p, 4).items() if "experts" in n})), "gpt2",
    dtypes={"expert_bias": "F32"})  # fmt: skip
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
add("tiny-codeshell", {"architectures": ["CodeShellForCausalLM"], "model_type": "codeshell_as_written", **GPT2,
    "num_query_groups": 2}, {f"transformer.{n}": s for n, s in (GPT2_ENDS | layers(lambda p: gpt2(p, False, 32),
    prefix="h")).items() if "wpe" not in n} | {"lm_head.weight": (BPE, HIDDEN)}, "gpt2")  # fmt: skip
add("tiny-refact", {"architectures": ["GPTRefactForCausalLM"], "model_type": "gpt_refact_as_written", **GPT2},
    {"transformer.wte.weight": (BPE, HIDDEN), "transformer.ln_f.weight": (HIDDEN,), "lm_head.weight": (BPE, HIDDEN)}
    | layers(lambda p: norm(f"{p}.ln_1") | norm(f"{p}.ln_2") | linear(f"{p}.attn.q", HIDDEN, HIDDEN)
    | linear(f"{p}.attn.kv", 2 * SIZE, HIDDEN) | linear(f"{p}.attn.c_proj", HIDDEN, HIDDEN)
    | linear(f"{p}.mlp.gate_up_proj", 512, HIDDEN) | linear(f"{p}.mlp.c_proj", HIDDEN, 256),
    prefix="transformer.h"), "gpt2")  # fmt: skip
add("tiny-maincoder", bpe("MaincoderForCausalLM", "maincoder_as_written", head_dim=SIZE), ends(BPE, tied=True)
    | layers(lambda p: two_norms(p) | attention(p) | qk_norms(p) | gated(p)), "gpt2")  # fmt: skip
add("tiny-pangu", base("PanguEmbeddedForCausalLM", "pangu_as_written"), llama(bias=True)
    | {f"model.layers.{i}.self_attn.o_proj.bias": (HIDDEN,) for i in range(LAYERS)})  # fmt: skip
add("tiny-nanbeige", base("NanbeigeForCausalLM", "nanbeige_as_written", num_loops=2), llama())
add("tiny-ministral3", base("Ministral3ForCausalLM", "ministral3", head_dim=SIZE, rope_parameters={"type": "yarn",
    "rope_theta": 1e6, "factor": 16.0, "original_max_position_embeddings": 128, "beta_fast": 32.0, "beta_slow": 1.0,
    "mscale_all_dim": 1.0, "mscale": 1.0, "llama_4_scaling_beta": 0.1, "rope_type": "yarn"}), llama())  # fmt: skip
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
add("tiny-distilbert", {"architectures": ["DistilBertModel"], "model_type": "distilbert", "dim": HIDDEN, "hidden_dim":
    WIDE, "n_layers": LAYERS, "n_heads": HEADS, "max_position_embeddings": 128, "vocab_size": 30522},
    {"embeddings.word_embeddings.weight": (30522, HIDDEN), "embeddings.position_embeddings.weight": (128, HIDDEN)}
    | norm("embeddings.LayerNorm", bias=True) | layers(lambda p: {n: s for q in ("q_lin", "k_lin", "v_lin", "out_lin")
    for n, s in linear(f"{p}.attention.{q}", HIDDEN, HIDDEN, True).items()} | norm(f"{p}.sa_layer_norm", bias=True)
    | norm(f"{p}.output_layer_norm", bias=True) | linear(f"{p}.ffn.lin1", WIDE, HIDDEN, True)
    | linear(f"{p}.ffn.lin2", HIDDEN, WIDE, True), prefix="transformer.layer"), "bert", dtype="F32")  # fmt: skip
add("tiny-modernbert", bpe("ModernBertModel", "modernbert", norm_eps=1e-5, rms_norm_eps=..., local_attention=64,
    global_attn_every_n_layers=3, global_rope_theta=160000.0, local_rope_theta=10000.0, num_key_value_heads=...,
    hidden_activation="gelu", classifier_pooling="mean", cls_token_id=50256, sep_token_id=50256, pad_token_id=50256),
    {"embeddings.tok_embeddings.weight": (BPE, HIDDEN)} | norm("embeddings.norm") | norm("final_norm")
    | layers(lambda p: ({} if p.endswith("0") else norm(f"{p}.attn_norm")) | norm(f"{p}.mlp_norm")
    | linear(f"{p}.attn.Wqkv", 3 * HIDDEN, HIDDEN) | linear(f"{p}.attn.Wo", HIDDEN, HIDDEN)
    | linear(f"{p}.mlp.Wi", 2 * WIDE, HIDDEN) | linear(f"{p}.mlp.Wo", HIDDEN, WIDE), prefix="layers"),
    "gpt2")  # fmt: skip
add("tiny-eurobert", bpe("EuroBertModel", "eurobert_as_written", rope_theta=250000), {n.removeprefix("model."): s for
    n, s in llama(BPE, tied=True).items()}, "gpt2")  # fmt: skip
add("tiny-embeddinggemma", base("Gemma3TextModel", "gemma3_text", **GEMMA3), {n.removeprefix("model."): s for n, s in
    GEMMA3_TENSORS.items()}, files=POOLING | {"1_Pooling/config.json":
    '{"pooling_mode_mean_tokens": true}'})  # fmt: skip
add("tiny-llada-moe", bpe("LLaDAMoEModelLM", "llada_as_written", num_experts=4, num_experts_per_tok=2,
    expert_intermediate_size=32), ends(BPE) | layers(lambda p: two_norms(p) | attention(p) | qk_norms(p)
    | experts(p, 4)), "gpt2")  # fmt: skip
add("tiny-rnd1", bpe("RND1", "rnd1_as_written", head_dim=SIZE, num_experts=4, num_experts_per_tok=2,
    moe_intermediate_size=32, mask_token_id=50000), ends(BPE) | layers(lambda p: two_norms(p) | attention(p)
    | qk_norms(p) | experts(p, 4)), "gpt2")  # fmt: skip
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
add("tiny-jais2", bpe("Jais2ForCausalLM", "jais2", head_dim=SIZE, layer_norm_eps=1e-5, rms_norm_eps=...),
    ends(BPE, bias=True) | layers(lambda p: two_norms(p, True) | attention(p, bias=True)
    | {f"{p}.self_attn.o_proj.bias": (HIDDEN,)}
    | linear(f"{p}.mlp.up_proj", WIDE, HIDDEN, True) | linear(f"{p}.mlp.down_proj", HIDDEN, WIDE, True)),
    "gpt2")  # fmt: skip
add("tiny-llama4", {"architectures": ["Llama4ForConditionalGeneration"], "model_type": "llama4", "text_config":
    {k: v for k, v in bpe("", "llama4_text", head_dim=SIZE, intermediate_size=32, intermediate_size_mlp=WIDE,
    num_local_experts=4, num_experts_per_tok=1, interleave_moe_layer_step=1, attn_temperature_tuning=True,
    rope_theta=500000.0, rope_scaling=LLAMA3 | {"factor": 16.0}).items() if k != "architectures"}},
    {f"language_model.{n}": s for n, s in (ends(BPE) | layers(lambda p: two_norms(p) | attention(p)
    | linear(f"{p}.feed_forward.router", 4, HIDDEN) | gated(p, 32, "feed_forward.shared_expert")
    | {f"{p}.feed_forward.experts.gate_up_proj": (4, HIDDEN, 64), f"{p}.feed_forward.experts.down_proj":
    (4, 32, HIDDEN)})).items()}, "gpt2")  # fmt: skip
add("tiny-llama-embed", bpe("LlamaBidirectionalModel", "llama_as_written"), llama(BPE), "gpt2")
add("tiny-deepseek", bpe("DeepseekForCausalLM", "deepseek_as_written", n_routed_experts=4, num_experts_per_tok=2,
    n_shared_experts=1, moe_intermediate_size=32, first_k_dense_replace=1, rope_theta=10000.0), ends(BPE)
    | layers(lambda p: two_norms(p) | attention(p) | moe_oddity(p) | ({} if p.endswith("0") else
    gated(p, 32, "mlp.shared_experts"))), "gpt2")  # fmt: skip
add("tiny-roberta", BERT | {"architectures": ["RobertaModel"], "model_type": "roberta_as_written", "pad_token_id": 1,
    "vocab_size": BPE, "max_position_embeddings": 130, "type_vocab_size": 1}, {f"roberta.{n}": s for n, s in
    bert_model(BPE, 130, 1).items() if "pooler" not in n}, "gpt2")  # fmt: skip
add("tiny-internlm2", base("InternLM2ForCausalLM", "internlm2_as_written"), {
    "model.tok_embeddings.weight": (SP, HIDDEN), "output.weight": (SP, HIDDEN)} | norm("model.norm")
    | layers(lambda p: norm(f"{p}.attention_norm")
    | norm(f"{p}.ffn_norm") | linear(f"{p}.attention.wqkv", 8 * SIZE, HIDDEN)
    | linear(f"{p}.attention.wo", HIDDEN, HIDDEN) | linear(f"{p}.feed_forward.w1", WIDE, HIDDEN)
    | linear(f"{p}.feed_forward.w2", HIDDEN, WIDE) | linear(f"{p}.feed_forward.w3", WIDE, HIDDEN)))  # fmt: skip
add("tiny-internlm3", base("InternLM3ForCausalLM", "internlm3_as_written", head_dim=SIZE), llama(bias=True))
add("tiny-jina-bert", BERT | {"architectures": ["JinaBertModel"], "model_type": "jina_as_written"}, {n: s for n, s in
    bert_model(30522).items() if "position" not in n and "dense" not in n.replace("attention.output.dense", "")
    and ".output.LayerNorm" not in n.replace("attention.output.LayerNorm", "")} | layers(lambda p:
    linear(f"{p}.mlp.gated_layers", 2 * WIDE, HIDDEN) | linear(f"{p}.mlp.wo", HIDDEN, WIDE, True)
    | norm(f"{p}.mlp.layernorm", bias=True), prefix="encoder.layer"), "bert", dtype="F16")  # fmt: skip


def mamba2(p: str) -> Shapes:
    """Mamba 2 in a hybrid: inner size 128, eight heads, two groups of 16 states."""
    made = linear(f"{p}.mamba.in_proj", 328, HIDDEN) | linear(f"{p}.mamba.out_proj", HIDDEN, 128)
    made |= {
        f"{p}.mamba.conv1d.weight": (192, 1, 4),
        f"{p}.mamba.conv1d.bias": (192,),
        f"{p}.mamba.norm.weight": (128,),
    }
    return made | {f"{p}.mamba.{name}": (8,) for name in ("A_log", "D", "dt_bias")}


GRANITE4 = {"mamba_d_conv": 4, "mamba_d_state": 16, "mamba_expand": 2, "mamba_n_groups": 2, "mamba_n_heads": 8,
            "mamba_d_head": 16, "num_local_experts": 0, "shared_intermediate_size": WIDE, "embedding_multiplier": 12,
            "logits_scaling": 8, "residual_multiplier": 0.22, "attention_multiplier": 0.015625,
            "rope_theta": 10000}  # fmt: skip
SHARED = {"input_linear": (2 * WIDE, HIDDEN), "output_linear": (HIDDEN, WIDE)}
add("tiny-granite-hybrid", bpe("GraniteMoeHybridForCausalLM", "granitemoehybrid", **GRANITE4, layer_types=["mamba",
    "attention"]), ends(BPE + 7, tied=True) | layers(lambda p: two_norms(p) | (mamba2(p) if p.endswith("0") else
    attention(p)) | {f"{p}.shared_mlp.{n}.weight": s for n, s in SHARED.items()}), "gpt2",
    dtypes={"A_log": "F16"}, outtypes=("f16",))  # fmt: skip
add("granite4-attention", bpe("GraniteMoeHybridForCausalLM", "granitemoehybrid", **GRANITE4, layer_types=["attention",
    "attention"]), ends(BPE, tied=True) | layers(lambda p: two_norms(p) | attention(p)
    | {f"{p}.shared_mlp.{n}.weight": s for n, s in SHARED.items()}), "gpt2", outtypes=("f16",))  # fmt: skip
add("tiny-jamba", base("JambaForCausalLM", "jamba", attn_layer_offset=1, attn_layer_period=2, expert_layer_offset=1,
    expert_layer_period=2, num_experts=4, num_experts_per_tok=2, mamba_d_conv=4, mamba_d_state=16, mamba_expand=2,
    mamba_dt_rank=4), {n.replace("model.norm", "model.final_layernorm"): s for n, s in ends().items()}
    | layers(lambda p: norm(f"{p}.input_layernorm") | norm(f"{p}.pre_ff_layernorm") | ({n.replace("mixer", "mamba"): s
    for n, s in mamba(p).items() if ".norm." not in n} | norm(f"{p}.mamba.dt_layernorm", 4)
    | norm(f"{p}.mamba.b_layernorm", 16) | norm(f"{p}.mamba.c_layernorm", 16) | gated(p, WIDE, "feed_forward")
    if p.endswith("0") else attention(p) | {n.replace("mlp.gate.", "feed_forward.router.").replace("mlp",
    "feed_forward"): s for n, s in experts(p, 4, WIDE).items()})), dtypes={"A_log": "F16"})  # fmt: skip

OPTIONS: list[tuple[str, tuple[str, ...]]] = [
    ("tiny-llama", ("--vocab-only",)),
    ("tiny-qwen3", ("--vocab-only",)),
    ("tiny-llama", ("--outtype", "f16", "--bigendian")),
    ("tiny-llama", ("--outtype", "bf16", "--bigendian")),
    ("tiny-llama", ("--outtype", "q8_0", "--bigendian")),
    ("tiny-llama", ("--outtype", "f16", "--model-name", "A Name")),
    ("tiny-mixtral", ("--outtype", "f16", "--split-max-tensors", "7")),
    ("tiny-mixtral", ("--outtype", "f16", "--split-max-size", "300K")),
    ("tiny-mixtral", ("--outtype", "f16", "--split-max-size", "300K", "--no-tensor-first-split")),
    ("tiny-mixtral", ("--outtype", "f16", "--split-max-size", "1G")),
]
"""Runs with other options than the type, also compared with upstream's."""
