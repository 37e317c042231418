"""Architectures that stand elsewhere in another shape: tied or not, odd sizes, other ropes and number types.

StableLM 2 12B, with norms for each head, is not among them: upstream's converter loses those norms and gives up.
"""

from __future__ import annotations

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
    norm,
    qk_norms,
    two_norms,
)
from .encoders import T5, T5_ENCODER, t5
from .gpt import GPT2, GPT2_ENDS, fused, gpt2
from .latent import MLA, latent
from .phi import phi3
from .table import add, bpe


def resized(shapes: Shapes, **sizes: int) -> Shapes:
    """The tensors with other sizes, by the names that the usual ones have."""
    usual = {HIDDEN: sizes.get("hidden", HIDDEN), WIDE: sizes.get("wide", WIDE), SIZE * GROUPS: sizes.get("kv", 32)}
    return {n: tuple(usual.get(d, d) for d in s) for n, s in shapes.items()}


# Llama 1: every head has keys of its own; a rope stretched evenly; in F16.
add("llama-1", base("LlamaForCausalLM", "llama", num_key_value_heads=..., rope_scaling={"type": "linear", "factor":
    2.0}), ends() | layers(lambda p: two_norms(p) | attention(p, groups=HEADS) | gated(p)), dtype="F16")  # fmt: skip
# Meta's own names, whose rotary rows are in pairs already.
add("llama-by-meta", base("LlamaForCausalLM", "llama"), {"tok_embeddings.weight": (SP, HIDDEN), "output.weight":
    (SP, HIDDEN)} | norm("norm") | layers(lambda p: norm(f"{p}.attention_norm") | norm(f"{p}.ffn_norm")
    | linear(f"{p}.attention.wq", HEADS * SIZE, HIDDEN) | linear(f"{p}.attention.wk", GROUPS * SIZE, HIDDEN)
    | linear(f"{p}.attention.wv", GROUPS * SIZE, HIDDEN) | linear(f"{p}.attention.wo", HIDDEN, HEADS * SIZE)
    | linear(f"{p}.feed_forward.w1", WIDE, HIDDEN) | linear(f"{p}.feed_forward.w2", HIDDEN, WIDE)
    | linear(f"{p}.feed_forward.w3", WIDE, HIDDEN), prefix="layers"), outtypes=("f16",))  # fmt: skip
# Three heads of 16: rows of 48 do not fill a block, and stay F16 where blocks are asked for.
add("mistral-odd", base("MistralForCausalLM", "mistral", hidden_size=48, intermediate_size=80, num_attention_heads=3,
    num_key_value_heads=1, head_dim=SIZE), resized(llama(), hidden=48, wide=80, kv=16), outtypes=("bf16", "q8_0",
    "tq1_0"))  # fmt: skip
add("qwen2-untied", base("Qwen2ForCausalLM", "qwen2", num_key_value_heads=HEADS, use_sliding_window=True), ends()
    | layers(lambda p: two_norms(p) | attention(p, groups=HEADS, bias=True) | gated(p)), "sp",
    dtype="F16")  # fmt: skip
add("qwen3-untied", bpe("Qwen3ForCausalLM", "qwen3", head_dim=SIZE, rope_scaling={"rope_type": "yarn", "factor": 4.0,
    "original_max_position_embeddings": 128}), ends(BPE) | layers(lambda p: two_norms(p) | attention(p) | qk_norms(p)
    | gated(p)), "gpt2", dtype="F32")  # fmt: skip
# Phi-4-mini: three quarters of each head are turned, by long and short factors; the output is the embedding.
add("phi4-mini", bpe("Phi3ForCausalLM", "phi3", original_max_position_embeddings=256, max_position_embeddings=4096,
    partial_rotary_factor=0.75, sliding_window=262144, tie_word_embeddings=True, rope_scaling={"type": "longrope",
    "long_factor": [1.0 + i / 5 for i in range(6)], "short_factor": [1.0 + i / 9 for i in range(6)]}),
    ends(BPE, tied=True) | layers(phi3), "gpt2", files={"tokenizer_config.json":
    '{"tokenizer_class": "GPT2Tokenizer", "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}'})  # fmt: skip
add("deepseek-v2-whole", bpe("DeepseekV2ForCausalLM", "deepseek_v2", **MLA, q_lora_rank=32, routed_scaling_factor=16.0,
    scoring_func="softmax", topk_method="group_limited_greedy", n_group=2, topk_group=1, norm_topk_prob=False),
    ends(BPE) | layers(lambda p: two_norms(p) | latent(p) | (gated(p) if p.endswith("0") else experts(p, 4)
    | gated(p, 32, "mlp.shared_experts"))), "gpt2", dtype="F16")  # fmt: skip
add("command-r-plus", bpe("CohereForCausalLM", "cohere", logit_scale=0.83, layer_norm_eps=1e-5, rms_norm_eps=...,
    model_max_length=131072, use_qk_norm=True), ends(BPE, tied=True) | layers(lambda p: norm(f"{p}.input_layernorm")
    | attention(p) | {f"{p}.self_attn.q_norm.weight": (HEADS, SIZE), f"{p}.self_attn.k_norm.weight": (GROUPS, SIZE)}
    | gated(p)), "gpt2")  # fmt: skip
add("starcoder2-plain", bpe("Starcoder2ForCausalLM", "starcoder2", norm_epsilon=1e-5, rms_norm_eps=..., use_bias=False,
    tie_word_embeddings=False), ends(BPE, bias=True) | layers(lambda p: two_norms(p, bias=True) | attention(p)
    | linear(f"{p}.mlp.c_fc", WIDE, HIDDEN) | linear(f"{p}.mlp.c_proj", HIDDEN, WIDE)), "gpt2")  # fmt: skip
add("gpt2-as-a-whole", {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", **GPT2}, {f"transformer.{n}": s for
    n, s in (GPT2_ENDS | layers(lambda p: gpt2(p, True), prefix="h")).items()} | {"lm_head.weight": (BPE, HIDDEN)},
    "gpt2", dtype="BF16")  # fmt: skip
add("bloom-as-a-whole", {"architectures": ["BloomForCausalLM"], "model_type": "bloom", "hidden_size": HIDDEN,
    "n_layer": 2, "n_head": HEADS, "vocab_size": BPE, "layer_norm_epsilon": 1e-5}, {f"transformer.{n}": s for n, s in
    ({"word_embeddings.weight": (BPE, HIDDEN)} | norm("word_embeddings_layernorm", bias=True) | norm("ln_f", bias=True)
    | layers(lambda p: two_norms(p, bias=True) | fused(p, "self_attention"), prefix="h")).items()}
    | {"lm_head.weight": (BPE, HIDDEN)}, "gpt2", dtype="BF16")  # fmt: skip
add("gptneox-in-turn", bpe("GPTNeoXForCausalLM", "gpt_neox_as_written", rotary_pct=1.0, rotary_emb_base=10000,
    layer_norm_eps=1e-5, rms_norm_eps=..., intermediate_size=4 * HIDDEN, use_parallel_residual=False),
    {"gpt_neox.embed_in.weight": (BPE, HIDDEN), "embed_out.weight": (BPE, HIDDEN)}
    | norm("gpt_neox.final_layer_norm", bias=True) | layers(lambda p: two_norms(p, bias=True) | fused(p, "attention"),
    prefix="gpt_neox.layers"), "gpt2", dtype="F32")  # fmt: skip


def plain_t5(p: str, decoder: bool) -> Shapes:
    """A layer of the first T5, which has no gate."""
    gate = [n for n in t5(p, decoder) if ".wi_" in n]
    made = {n: s for n, s in t5(p, decoder).items() if n not in gate}
    return made | linear(gate[0].removesuffix("_0.weight"), WIDE, HIDDEN)


add("t5-tied", T5 | {"architectures": ["T5ForConditionalGeneration"], "feed_forward_proj": "relu",
    "tie_word_embeddings": True}, {n: s for n, s in T5_ENCODER.items() if "block" not in n}
    | {"decoder.embed_tokens.weight": (384, HIDDEN)} | norm("decoder.final_layer_norm") | layers(lambda p: plain_t5(p,
    False), prefix="encoder.block") | layers(lambda p: plain_t5(p, True), prefix="decoder.block"), "t5")  # fmt: skip
add("gemma-one-key", base("GemmaForCausalLM", "gemma", head_dim=32, num_key_value_heads=1), ends(tied=True)
    | layers(lambda p: two_norms(p) | attention(p, size=32, groups=1) | gated(p)), dtype="F32",
    outtypes=("bf16",))  # fmt: skip
