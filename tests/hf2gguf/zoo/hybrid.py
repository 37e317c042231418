"""State spaces and convolutions, alone or with attention."""

from __future__ import annotations

from ..models import (
    BPE,
    HIDDEN,
    LAYERS,
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
    mixtral,
    norm,
    two_norms,
)
from .table import add, bpe


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
add("tiny-lfm2moe", bpe("Lfm2MoeForCausalLM", "lfm2_moe", norm_eps=1e-5, rms_norm_eps=..., conv_L_cache=3,
    num_dense_layers=1, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=32,
    intermediate_size=256, layer_types=["conv", "full_attention"]),
    {"model.embed_tokens.weight": (BPE, HIDDEN)} | norm("model.embedding_norm")
    | layers(lambda p:
    {n: s for n, s in lfm2(p).items() if p.endswith("0") or "feed_forward" not in n} | ({} if p.endswith("0") else
    linear(f"{p}.feed_forward.gate", 4, HIDDEN) | {f"{p}.feed_forward.expert_bias": (4,)} | {n.replace(
    "block_sparse_moe", "feed_forward"): s for n, s in mixtral(p, 4).items() if "experts" in n})), "gpt2",
    dtypes={"expert_bias": "F32"})  # fmt: skip


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
