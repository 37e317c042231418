"""The metadata and the tensors, each as the other says."""

from __future__ import annotations

import itertools
import re

from gguf_py import ShardSet
from gguf_py.strings import quoted

from .faults import ENOUGH, Faults, NotApplicable, counted, tensors_of

LAYER = re.compile(r"(?:(enc|dec)\.)?blk\.(\d+)\.")


def architecture(model: ShardSet) -> Faults:
    """The keys that every file has."""
    name = model.metadata.get("general.architecture")
    if not isinstance(name, str) or not name:
        yield f"general.architecture is {name!r}, expected the name of an architecture"
    quantized = {t.type.name for t in model.tensors.values() if t.type.quantized}
    if quantized and "general.quantization_version" not in model.metadata:
        yield "tensors are quantized but general.quantization_version is missing"
    return f"the architecture is {name}"


def layers(model: ShardSet) -> Faults:
    """Layers that metadata counts and the tensors have not, and the other way round."""
    stated = model.metadata.get(f"{_architecture_of(model)}.block_count")
    if not isinstance(stated, int):
        raise NotApplicable("no block_count")
    stack = _number(model, "hrm.layers_per_stack")
    stated = stated if stack is None else 2 * stack  # which run several times; block_count counts the runs
    found: dict[str, set[int]] = {}
    for name in (t.name for t in tensors_of(model)):
        if match := LAYER.match(name):
            found.setdefault(match[1] or "", set()).add(int(match[2]))
    if not found:
        raise NotApplicable("no tensor belongs to a layer")
    for which, layers in found.items():
        expected = stated if which != "dec" else _number(model, "decoder_block_count") or stated
        missing = (n for n in range(expected) if n not in layers)  # a file may state any number
        odd = sorted({*itertools.islice(missing, ENOUGH), *(n for n in layers if n >= expected)})
        if odd:
            shown = ", ".join(map(str, odd[:ENOUGH]))
            yield f"block_count is {expected}, the tensors have {len(layers)} layers (odd: {shown})"
    return f"{stated} layers, all there"


def _architecture_of(model: ShardSet) -> str:
    name = model.metadata.get("general.architecture")
    if not isinstance(name, str):
        raise NotApplicable("general.architecture is not there")
    return name


def _number(model: ShardSet, key: str) -> int | None:
    """The number under a key of the architecture; None when it is missing or differs by layer."""
    value = model.metadata.get(f"{model.metadata.get('general.architecture')}.{key}")
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def shapes(model: ShardSet) -> Faults:
    """Shapes that metadata states a second time."""
    _architecture_of(model)
    width, heads, kv = (
        _number(model, k) for k in ("embedding_length", "attention.head_count", "attention.head_count_kv")
    )
    key, value = (_number(model, f"attention.{k}_length") for k in ("key", "value"))
    if width and heads and not key and width % heads == 0:
        key = width // heads
    value = value or key
    experts = _number(model, "expert_count")
    inner = None if experts else _number(model, "feed_forward_length")  # beside experts it may be another's
    tokens = model.fields.get("tokenizer.ggml.tokens")
    rows = {  # role: what (rows, columns) should be, None where metadata does not say
        "token_embd.weight": (tokens.count if tokens else _number(model, "vocab_size"), width),
        "output.weight": (tokens.count if tokens else None, width),
        "output_norm.weight": (None, width),
        "attn_norm.weight": (None, width),
        "attn_q.weight": (heads * key if heads and key else None, width),
        "attn_k.weight": (kv * key if kv and key else None, width),
        "attn_v.weight": (kv * value if kv and value else None, width),
        "attn_output.weight": (width, None),
        "ffn_gate.weight": (inner, width),
        "ffn_down.weight": (width, inner),
    }
    compared = 0
    for t in tensors_of(model):
        role = LAYER.sub("", t.name)
        high, wide = rows.get(role, (None, None))
        if _own_shapes(model, t.name):
            continue
        if wide is not None and t.columns != wide:
            yield f"tensor {quoted(t.name)} has {t.columns} columns, metadata says {wide}"
        gated = role == "attn_q.weight" and high is not None and t.rows == 2 * high  # a gate beside each query
        if high is not None and t.rows != high and not gated:
            yield f"tensor {quoted(t.name)} has {t.rows} rows, metadata says {high}"
        if experts and role.endswith("_exps.weight") and len(t.shape) > 2 and t.shape[0] != experts:
            yield f"tensor {quoted(t.name)} has {t.shape[0]} experts, metadata says {experts}"
        compared += role in rows
    if not compared:
        raise NotApplicable("no tensor whose shape metadata states")
    return f"{counted(compared, 'shape')} as metadata states"


def _own_shapes(model: ShardSet, name: str) -> bool:
    """Whether a layer's shapes follow other numbers than the architecture's first ones (latent attention)."""
    return "attn_" in name and any(f"{_architecture_of(model)}.attention.{k}" in model.metadata for k in _OTHER_HEADS)


_OTHER_HEADS = ("q_lora_rank", "kv_lora_rank", "key_length_swa", "key_length_mla")


def shards(model: ShardSet) -> Faults:
    """Which shard of how many each says it is was looked at when the set was opened."""
    count = model.metadata.get("split.count")
    if count is None:
        raise NotApplicable("the file is no shard")
    total = model.metadata.get("split.tensors.count")
    if total != len(model.tensors):
        yield f"split.tensors.count is {total}, there are {counted(len(model.tensors), 'tensor')}"
    if not count:
        return "merged from shards"
    return f"all of {counted(len(model.files), 'shard')}, which have the tensors that the first counts"
