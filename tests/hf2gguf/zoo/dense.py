"""Dense models of other houses."""

from __future__ import annotations

from ..models import (
    BPE,
    GROUPS,
    HIDDEN,
    SIZE,
    WIDE,
    Shapes,
    attention,
    base,
    ends,
    gated,
    layers,
    linear,
    llama,
    norm,
    qk_norms,
    two_norms,
)
from .table import LLAMA3, add, bpe

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
add("tiny-command-r", bpe("CohereForCausalLM", "cohere", logit_scale=0.0625, layer_norm_eps=1e-5, rms_norm_eps=...,
    model_max_length=8192), ends(BPE, tied=True) | layers(lambda p: norm(f"{p}.input_layernorm") | attention(p)
    | gated(p)), "gpt2", dtype="F16")  # fmt: skip
add("tiny-cohere2", bpe("Cohere2ForCausalLM", "cohere2", logit_scale=0.25, layer_norm_eps=1e-5, rms_norm_eps=...,
    sliding_window=128, rotary_pct=1.0, head_dim=SIZE), ends(BPE, tied=True) | layers(lambda p:
    norm(f"{p}.input_layernorm") | attention(p) | gated(p)), "gpt2")  # fmt: skip
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
HUNYUAN = {"head_dim": SIZE, "tie_word_embeddings": True, "eod_token_id": 50256, "pad_token_id": 50256}
HUNYUAN_TENSORS = ends(BPE) | layers(lambda p: two_norms(p) | attention(p) | gated(p)
    | norm(f"{p}.self_attn.query_layernorm", SIZE) | norm(f"{p}.self_attn.key_layernorm", SIZE))  # fmt: skip
add("tiny-hunyuan", bpe("HunYuanDenseV1ForCausalLM", "hunyuan_v1_dense", **HUNYUAN), HUNYUAN_TENSORS, "gpt2")
add("hunyuan-dynamic", bpe("HunYuanDenseV1ForCausalLM", "hunyuan_v1_dense", **HUNYUAN, rope_theta=10000.0,
    max_position_embeddings=32768, rope_scaling={"type": "dynamic", "alpha": 1000.0, "factor": 1.0}),
    HUNYUAN_TENSORS, "gpt2")  # fmt: skip
add("tiny-jais2", bpe("Jais2ForCausalLM", "jais2", head_dim=SIZE, layer_norm_eps=1e-5, rms_norm_eps=...),
    ends(BPE, bias=True) | layers(lambda p: two_norms(p, True) | attention(p, bias=True)
    | {f"{p}.self_attn.o_proj.bias": (HIDDEN,)}
    | linear(f"{p}.mlp.up_proj", WIDE, HIDDEN, True) | linear(f"{p}.mlp.down_proj", HIDDEN, WIDE, True)),
    "gpt2")  # fmt: skip
