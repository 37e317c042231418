"""RWKV, and Qwens whose attention mixes over time as it does."""

from __future__ import annotations

import json
from ast import literal_eval

from ..models import BPE, HEADS, HIDDEN, SIZE, WIDE, Shapes, ends, gated, layers, linear, norm, two_norms
from .table import add, bpe

RANK = 32
"""Of the low-rank projections; and how wide RWKV 7's heads are, as llama.cpp's kernel needs them at least."""
LINES = [repr(bytes([i])) for i in range(256)]
LINES += [repr(text) for text in ("th", "in", "ö", " the", "\n\n", "'s", '""', "\t\t", "日本", b"\xe6\x97")]
RWKV = len(LINES) + 5
"""Tokens with the one that begins a text and four that fill up."""


def world(**settings: str) -> dict[str, str]:
    """RWKV's list of tokens, and what its settings say."""
    sizes = [len(t.encode() if isinstance(t := literal_eval(line), str) else t) for line in LINES]
    listed = "".join(f"{i} {line} {size}\n" for i, (line, size) in enumerate(zip(LINES, sizes, strict=True), 1))
    return {"rwkv_vocab_v20230424.txt": listed, "tokenizer_config.json": json.dumps(settings)}


CHAT = {"chat_template": "{{ messages }}"}


def lerps(p: str, names: str, start: str) -> Shapes:
    """How far each of several projections looks back."""
    return {f"{p}.{start}{name}": (1, 1, HIDDEN) for name in names}


def squares(p: str, *names: str) -> Shapes:
    """Projections as wide as the model."""
    return {n: s for name in names for n, s in linear(f"{p}.{name}", HIDDEN, HIDDEN).items()}


def mixing6(p: str) -> Shapes:
    """What RWKV 6 knows of time besides its projections."""
    made = lerps(p, "xwkvrg", "time_maa_") | {f"{p}.time_decay": (1, 1, HIDDEN), f"{p}.time_decay_w1": (HIDDEN, 64)}
    made |= {f"{p}.time_maa_w1": (HIDDEN, 5 * RANK), f"{p}.time_maa_w2": (5, RANK, HIDDEN)}
    return made | {f"{p}.time_decay_w2": (64, HIDDEN)}


def rwkv6(p: str) -> Shapes:
    """A layer of RWKV 6."""
    made = norm(f"{p}.ln1", bias=True) | norm(f"{p}.ln2", bias=True) | mixing6(f"{p}.attention")
    made |= {f"{p}.attention.time_faaaa": (HEADS, SIZE)} | norm(f"{p}.attention.ln_x", bias=True)
    made |= squares(f"{p}.attention", "key", "value", "receptance", "gate", "output")
    made |= lerps(f"{p}.feed_forward", "kr", "time_maa_") | squares(f"{p}.feed_forward", "receptance")
    return made | linear(f"{p}.feed_forward.key", WIDE, HIDDEN) | linear(f"{p}.feed_forward.value", HIDDEN, WIDE)


SIZES = {"hidden_size": HIDDEN, "num_hidden_layers": 2, "vocab_size": RWKV, "bos_token_id": 1, "eos_token_id": 2}
RWKV6 = {"architectures": ["Rwkv6ForCausalLM"], "model_type": "rwkv6", "head_size": SIZE, "rescale_every": 1,
    "layer_norm_epsilon": 1e-5, "intermediate_size": WIDE, **SIZES}  # fmt: skip
RWKV6_TENSORS = {"rwkv.embeddings.weight": (RWKV, HIDDEN), "head.weight": (RWKV, HIDDEN)} | norm(
    "rwkv.ln_out", bias=True) | norm("rwkv.blocks.0.pre_ln", bias=True) | layers(rwkv6, prefix="rwkv.blocks"
    )  # fmt: skip
add("tiny-rwkv6", RWKV6, RWKV6_TENSORS, "none", files=world(**CHAT))
NARROW = {n: tuple(224 if d == WIDE else d for d in s) for n, s in RWKV6_TENSORS.items()}
add("rwkv6-half", RWKV6 | {"intermediate_size": None}, NARROW, "none", dtype="F16", files=world(**CHAT),
    outtypes=("f16",))  # fmt: skip


def qrwkv(p: str) -> Shapes:
    """A layer of QRWKV 6: Qwen's, with another attention."""
    q = f"{p}.self_attn"
    made = two_norms(p) | gated(p) | mixing6(q) | squares(q, "gate", "o_proj") | linear(f"{q}.q_proj", 64, 64, True)
    return made | linear(f"{q}.k_proj", 32, HIDDEN, True) | linear(f"{q}.v_proj", 32, HIDDEN, True)


add("tiny-qrwkv6", bpe("RWKV6Qwen2ForCausalLM", "rwkv6qwen2"), ends(BPE) | layers(qrwkv), "gpt2")


def low_rank(q: str, apart: bool) -> Shapes:
    """RWKV 7's four low-rank projections, as its authors name them or as flash-linear-attention does."""
    if not apart:
        made = {f"{q}.{part}0": (1, 1, HIDDEN) for part in "wav"}
        made |= {f"{q}.{part}1": (HIDDEN, RANK) for part in "wavg"}
        return made | {f"{q}.{part}2": (RANK, HIDDEN) for part in "wavg"}
    made = {}
    for part in "wavg":
        made |= linear(f"{q}.{part}_lora.lora.0", RANK, HIDDEN)
        made |= linear(f"{q}.{part}_lora.lora.2", HIDDEN, RANK, part != "g")
    return made


def rwkv7(p: str, apart: bool) -> Shapes:
    """A layer of RWKV 7."""
    first = p.endswith("0")
    q, f = (f"{p}.attn", f"{p}.ffn") if apart else (f"{p}.attention", f"{p}.feed_forward")
    made = {n: s for n, s in low_rank(q, apart).items() if not (apart and first and ".v_lora" in n)}
    made |= {f"{q}.{name}": (1, 1, HIDDEN) for name in ("k_k", "k_a")} | {f"{q}.r_k": (2, RANK)}
    made |= lerps(q, "rwkvag", "x_") | {f"{f}.x_k": (1, 1, HIDDEN)}
    made |= squares(q, *(("r_proj", "k_proj", "v_proj", "o_proj") if apart else ("receptance", "key", "value",
        "output"))) | linear(f"{f}.key", WIDE, HIDDEN) | linear(f"{f}.value", HIDDEN, WIDE)  # fmt: skip
    for name in ("attn_norm", "ffn_norm", "attn.g_norm") if apart else ("ln1", "ln2", "attention.ln_x"):
        made |= norm(f"{p}.{name}", bias=True)
    return made | (norm(f"{p}.pre_norm", bias=True) if first and apart else {})


RANKS = {f"{name}_low_rank_dim": None for name in ("decay", "a", "v", "gate")}
add("tiny-rwkv7", {"architectures": ["RWKV7ForCausalLM"], "model_type": "rwkv7", "head_dim": RANK, "norm_eps": 1e-5,
    "intermediate_size": WIDE, **RANKS, **SIZES}, {"model.embeddings.weight": (RWKV, HIDDEN), "lm_head.weight":
    (RWKV, HIDDEN)} | norm("model.norm", bias=True) | layers(lambda p: rwkv7(p, True)), "none",
    files=world(**CHAT))  # fmt: skip
OWN = {f"lora_rank_{name}": RANK for name in ("decay", "iclr", "value_residual_mix", "gate")}
add("rwkv7-as-its-authors", {"architectures": ["Rwkv7ForCausalLM"], "model_type": "rwkv7", "head_size": RANK,
    "layer_norm_epsilon": 1e-5, "intermediate_size": None, **OWN, **SIZES}, {n: tuple(256 if d == WIDE else d for d
    in s) for n, s in ({"model.embeddings.weight": (RWKV, HIDDEN), "head.weight": (RWKV, HIDDEN)} | norm("model.ln_out",
    bias=True) | norm("model.pre_ln", bias=True) | layers(lambda p: rwkv7(p, False))).items()}, "none",
    files=world(**CHAT), outtypes=("f16",))  # fmt: skip


def arwkv(p: str) -> Shapes:
    """A layer of ARWKV: Qwen's, with RWKV 7's mixing, the ranks those of the published models."""
    q = f"{p}.self_attn.time_mixer"
    ranks = {"w": 64, "a": 64, "v": 32, "g": 128}
    made = {n: tuple(ranks[n[-2]] if d == RANK else d for d in s) for n, s in low_rank(q, False).items()}
    made |= {f"{q}.{name}": (1, 1, HIDDEN) for name in ("k_k", "k_a")} | {f"{q}.r_k": (2, RANK)}
    made |= {f"{q}.x_x": (6, 1, 1, HIDDEN)} | squares(q, "receptance", "key", "value", "output")
    return made | two_norms(p) | gated(p) | norm(f"{q}.ln_x", bias=True)


add("tiny-arwkv", bpe("RwkvHybridForCausalLM", "rwkv_hybrid", head_size=RANK, wkv_version=7, wkv_has_gate=True),
    ends(BPE) | layers(arwkv), "gpt2")  # fmt: skip
