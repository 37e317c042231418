"""What a model is, in a few facts: the data behind ``kquants inspect``."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gguf_py import Field, TensorInfo
from gguf_py.types import FILE_TYPES

LAYER = re.compile(r"(?P<stack>(?:.*\.)?blk)\.(?P<layer>\d{1,6})\.(?P<rest>.+)", re.DOTALL)
"""A tensor's name, when it belongs to one of many layers alike."""
_GUESSED = 1024
"""Set in ``general.file_type`` by upstream when it was not stated but inferred."""


@dataclass(frozen=True, slots=True)
class Share:
    """Some of a model's tensors together."""

    tensors: int
    weights: int
    nbytes: int

    @classmethod
    def of(cls, infos: Iterable[TensorInfo]) -> Share:
        """Add them up."""
        infos = list(infos)
        return cls(len(infos), sum(t.count for t in infos), sum(t.nbytes for t in infos))

    @property
    def bpw(self) -> float:
        """Bits per weight; 0 without weights."""
        return 8 * self.nbytes / self.weights if self.weights else 0.0


def by_type(infos: Iterable[TensorInfo]) -> dict[str, Share]:
    """Tensor types, the one with most bytes first."""
    groups: defaultdict[str, list[TensorInfo]] = defaultdict(list)
    for info in infos:
        groups[info.type.name].append(info)
    shares = {name: Share.of(group) for name, group in groups.items()}
    return dict(sorted(shares.items(), key=lambda pair: -pair[1].nbytes))


@dataclass(frozen=True, slots=True)
class Layers:
    """Layers whose tensors have the same names, types and shapes."""

    stack: str
    """What their tensors' names begin with, such as ``blk``; empty for the tensors outside of layers."""
    numbers: tuple[int, ...]
    types: Mapping[str, int]
    """How many tensors of each type a layer has."""
    each: Share
    """One layer."""


def by_layer(infos: Iterable[TensorInfo]) -> list[Layers]:
    """Layers, those alike together, in order of their first; then what belongs to none."""
    layers: defaultdict[tuple[str, int], list[TensorInfo]] = defaultdict(list)
    for info in infos:
        found = LAYER.fullmatch(info.name)
        layers[(found["stack"], int(found["layer"])) if found else ("", 0)].append(info)
    others = layers.pop(("", 0), [])
    alike: defaultdict[Any, list[int]] = defaultdict(list)
    for (stack, number), group in layers.items():
        own = len(f"{stack}.{number}.")
        alike[stack, frozenset((t.name[own:], t.type, t.shape) for t in group)].append(number)
    found_layers = [
        Layers(stack, tuple(sorted(numbers)), _types(layers[stack, numbers[0]]), Share.of(layers[stack, numbers[0]]))
        for (stack, _), numbers in alike.items()
    ]
    return found_layers + ([Layers("", (), _types(others), Share.of(others))] if others else [])


def _types(infos: Iterable[TensorInfo]) -> dict[str, int]:
    return dict(Counter(info.type.name for info in infos).most_common())


def ranges(numbers: Iterable[int]) -> str:
    """``0–3, 5, 8–9``."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ", ".join("–".join(map(str, run)) for run in runs)


def facts(fields: Mapping[str, Field], infos: Iterable[TensorInfo]) -> dict[str, Any]:
    """The facts that people look for first; those that the file does not tell are left out.

    Keys: name, architecture, layers, width, heads, kv_heads, experts, experts_used, context, cache (bytes that keys and
    values of the whole context take in F16, at most), vocabulary, tokenizer, pre_tokenizer, templates (name to length),
    license, author, based_on, file_type, importance_matrix, tensors, weights, nbytes, bpw.
    """
    all_together = Share.of(infos)
    architecture = _value(fields, "general.architecture")

    def own(key: str) -> Any:
        return _value(fields, f"{architecture}.{key}")

    tokens = fields.get("tokenizer.ggml.tokens")
    found = {
        "name": _value(fields, "general.name"),
        "architecture": architecture,
        "layers": own("block_count"),
        "width": own("embedding_length"),
        "heads": own("attention.head_count"),
        "kv_heads": own("attention.head_count_kv"),
        "experts": own("expert_count"),
        "experts_used": own("expert_used_count"),
        "context": own("context_length"),
        "cache": _cache(fields, architecture),
        "vocabulary": tokens.count if tokens is not None else own("vocab_size"),
        "tokenizer": _value(fields, "tokenizer.ggml.model"),
        "pre_tokenizer": _value(fields, "tokenizer.ggml.pre"),
        "templates": _templates(fields),
        "license": _value(fields, "general.license"),
        "author": _value(fields, "general.author") or _value(fields, "general.organization"),
        "based_on": _value(fields, "general.base_model.0.name"),
        "file_type": file_type(_value(fields, "general.file_type")),
        "importance_matrix": _value(fields, "quantize.imatrix.file"),
        "tensors": all_together.tensors,
        "weights": all_together.weights,
        "nbytes": all_together.nbytes,
        "bpw": round(all_together.bpw, 4),
    }
    return {key: value for key, value in found.items() if value not in (None, "", {})}


def _cache(fields: Mapping[str, Field], architecture: Any) -> int | None:
    """Bytes of keys and values in F16 for the whole context, of every layer; less where a layer looks at a window."""

    def number(key: str) -> int | None:
        field = fields.get(f"{architecture}.{key}")
        return field.value if field is not None and type(field.value) is int else None

    layers, context, width = (number(key) for key in ("block_count", "context_length", "embedding_length"))
    kv = fields.get(f"{architecture}.attention.head_count_kv", fields.get(f"{architecture}.attention.head_count"))
    heads = number("attention.head_count")
    key = number("attention.key_length") or (width // heads if width and heads else None)
    causal = fields.get(f"{architecture}.attention.causal")
    if not layers or not context or not key or kv is None or (causal is not None and not causal.value):
        return None
    counts = [kv.value] if kv.count is None else kv.first(layers)
    if not all(type(count) is int for count in counts):
        return None
    total = sum(counts) * (layers if kv.count is None else 1)
    return 2 * context * total * (key + (number("attention.value_length") or key)) or None


def file_type(number: Any) -> str | None:
    """Name of a file type's number; None for what is no number."""
    if not isinstance(number, int):
        return None
    names = {id_: name for name, id_ in FILE_TYPES.items()}
    name = names.get(number & ~_GUESSED, f"unknown ({number})")
    return f"{name} (guessed)" if number & _GUESSED and number & ~_GUESSED in names else name


def _templates(fields: Mapping[str, Field]) -> dict[str, int]:
    """Length of each chat template in characters by its name."""
    key = "tokenizer.chat_template"
    lengths: dict[str, int] = {}
    for name, field in fields.items():
        if (name == key or name.startswith(f"{key}.")) and isinstance(field.value, str):
            lengths[name[len(key) + 1 :] or "default"] = len(field.value)
    return lengths


def _value(fields: Mapping[str, Field], key: str) -> Any:
    """A value, if it is there and small: a number or a text, of an array of numbers its range."""
    field = fields.get(key)
    if field is None:
        return None
    if field.count is None:
        return field.value
    few = sorted({v for v in field.first(4096) if isinstance(v, (int, float))})
    return few[0] if len(few) == 1 else f"{few[0]}–{few[-1]}" if few else None
