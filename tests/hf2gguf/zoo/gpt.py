"""GPT-2 and what came of it, up to OpenAI's last."""

from __future__ import annotations

from ..models import BPE, HEADS, HIDDEN, LAYERS, SIZE, WIDE, Shapes, attention, ends, layers, linear, norm, two_norms
from .table import add, bpe


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
add("tiny-codeshell", {"architectures": ["CodeShellForCausalLM"], "model_type": "codeshell_as_written", **GPT2,
    "num_query_groups": 2}, {f"transformer.{n}": s for n, s in (GPT2_ENDS | layers(lambda p: gpt2(p, False, 32),
    prefix="h")).items() if "wpe" not in n} | {"lm_head.weight": (BPE, HIDDEN)}, "gpt2")  # fmt: skip
add("tiny-refact", {"architectures": ["GPTRefactForCausalLM"], "model_type": "gpt_refact_as_written", **GPT2},
    {"transformer.wte.weight": (BPE, HIDDEN), "transformer.ln_f.weight": (HIDDEN,), "lm_head.weight": (BPE, HIDDEN)}
    | layers(lambda p: norm(f"{p}.ln_1") | norm(f"{p}.ln_2") | linear(f"{p}.attn.q", HIDDEN, HIDDEN)
    | linear(f"{p}.attn.kv", 2 * SIZE, HIDDEN) | linear(f"{p}.attn.c_proj", HIDDEN, HIDDEN)
    | linear(f"{p}.mlp.gate_up_proj", 512, HIDDEN) | linear(f"{p}.mlp.c_proj", HIDDEN, 256),
    prefix="transformer.h"), "gpt2")  # fmt: skip
