"""PLaMo."""

from __future__ import annotations

import json

from ..models import HEADS, HIDDEN, SIZE, WIDE, Shapes, gated, layers, linear, norm
from .table import add

TOKENS = [["<|plamo:unk|>", 0.0, "UNKNOWN"], ["<|plamo:bos|>", 0.0, "CONTROL"], ["<|plamo:eos|>", 0.0, "CONTROL"],
    ["<|plamo:pad|>", 0.0, "CONTROL"], ["<|plamo:op|>", 0.0, "NORMAL"], *([f"<0x{i:02X}>", 0.0, "BYTE"] for i in
    range(256)), *([t, -1.5 * i, "NORMAL", 1] for i, t in enumerate(["a", "e", "こ", "の", " the", "\n"]))
]  # fmt: skip
PLAMO = len(TOKENS) + 3
SETTINGS = {f"{kind}_token": f"<|plamo:{kind}|>" for kind in ("unk", "bos", "eos", "pad")}
LISTED = {"tokenizer.jsonl": "".join(json.dumps(token) + "\n" for token in TOKENS),
    "tokenizer_config.json": json.dumps(SETTINGS | {"cls_token": None})}  # fmt: skip

# The order of its heads is that of 40 of 128 numbers, whatever the configuration says.
PLAMO1 = {"architectures": ["PlamoForCausalLM"], "model_type": "plamo", "hidden_size": 5120, "num_hidden_layers": 1,
    "num_attention_heads": 40, "num_key_value_heads": 40, "intermediate_size": 32, "rms_norm_eps": 1e-6, "vocab_size":
    384}  # fmt: skip


def attention5(p: str) -> Shapes:
    """Its one layer."""
    q = f"{p}.self_attn"
    made = {f"{q}.{n}_proj.weight": s for n, s in (("q", (5120, 5120)), ("k", (640, 5120)), ("v", (640, 5120)),
        ("o", (5120, 5120)))}  # fmt: skip
    return made | {f"{p}.norm.weight": (5120,)}


add("tiny-plamo", PLAMO1, {"model.embed_tokens.weight": (384, 5120), "lm_head.weight": (384, 5120),
    "model.norm.weight": (5120,)} | layers(lambda p: attention5(p) | {n: tuple(5120 if d == HIDDEN else d for d in s)
    for n, s in gated(p, 32).items()}, 1, "model.layers.layers"), "unigram", dtype="F16",
    outtypes=("f16",))  # fmt: skip


def fed(p: str) -> Shapes:
    """The norms of a layer and what it is fed through."""
    made = linear(f"{p}.mlp.gate_up_proj", 2 * WIDE, HIDDEN) | linear(f"{p}.mlp.down_proj", HIDDEN, WIDE)
    return made | {n: s for part in ("mixer", "mlp") for side in ("pre", "post") for n, s in norm(
        f"{p}.{side}_{part}_norm").items()}  # fmt: skip


def plamo2(p: str) -> Shapes:
    """A layer of PLaMo 2, the first a state space, the second attention."""
    q = f"{p}.mixer"
    if p.endswith("1"):
        made = linear(f"{q}.qkv_proj", (HEADS + 4) * SIZE, HIDDEN) | linear(f"{q}.o_proj", HIDDEN, HIDDEN)
        return made | fed(p) | {f"{q}.q_weight": (HEADS, SIZE), f"{q}.k_weight": (2, SIZE)}
    made = fed(p) | linear(f"{q}.in_proj", 256, HIDDEN) | linear(f"{q}.out_proj", HIDDEN, 128)
    made |= linear(f"{q}.bcdt_proj", 64 + 32, 128) | linear(f"{q}.dt_proj", 8, 64) | {f"{q}.dt_norm_weight": (64,)}
    made |= {f"{q}.conv1d.weight": (128, 1, 4), f"{q}.B_norm_weight": (16,), f"{q}.C_norm_weight": (16,)}
    return made | {f"{q}.{name}": (8,) for name in ("A_log", "D", "dt_bias")}


COMMON = {"hidden_size": HIDDEN, "intermediate_size": WIDE, "num_hidden_layers": 2, "num_attention_heads": HEADS,
    "num_key_value_heads": 2, "rms_norm_eps": 1e-6, "vocab_size": PLAMO, "max_position_embeddings": 1024}  # fmt: skip
PLAMO_ENDS = {"model.embed_tokens.weight": (PLAMO, HIDDEN)} | norm("model.norm")
PLAMO2 = {"architectures": ["Plamo2ForCausalLM"], "model_type": "plamo2", "hidden_size_per_head": SIZE,
    "mamba_num_heads": 8, "mamba_d_state": 16, "mamba_d_conv": 4, "mamba_step": 2, **COMMON}  # fmt: skip
PLAMO2_TENSORS = PLAMO_ENDS | layers(plamo2, prefix="model.layers.layers")
add("tiny-plamo2", PLAMO2, PLAMO2_TENSORS, "none", files=LISTED, dtypes={"A_log": "F16"})
add("plamo2-half", PLAMO2, PLAMO2_TENSORS, "none", dtype="F16", files=LISTED, outtypes=("f16",))


def plamo3(p: str) -> Shapes:
    """A layer of PLaMo 3."""
    q = f"{p}.mixer"
    made = linear(f"{q}.qkv_proj", (HEADS + 4) * SIZE, HIDDEN) | linear(f"{q}.o_proj", HIDDEN, HIDDEN)
    return made | fed(p) | norm(f"{q}.q_norm", SIZE) | norm(f"{q}.k_norm", SIZE)


PLAMO3 = {"architectures": ["Plamo3ForCausalLM"], "model_type": "plamo3", "head_dim": SIZE, "window_size": 128,
    "sliding_window_pattern": 8, "rope_theta": 1000000, "rope_local_theta": 10000, **COMMON}  # fmt: skip
PLAMO3_TENSORS = PLAMO_ENDS | layers(plamo3, prefix="model.layers.layers")
add("tiny-plamo3", PLAMO3 | {"initial_context_length": 256, "rope_scaling_factor": 4}, PLAMO3_TENSORS, "none",
    files=LISTED | {"chat_template.jinja": "{{ messages }}"})  # fmt: skip
add("plamo3-without-windows", PLAMO3 | {"window_size": None}, PLAMO3_TENSORS, "none", files=LISTED,
    outtypes=("f16",))  # fmt: skip
