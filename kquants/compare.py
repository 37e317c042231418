"""What is different between two GGUF files: header, metadata, tensors, and how far their weights lie apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np

from gguf_py import Field, GGUFFile, ShardSet, Tensor

from .buffers import Buffers

Kind = Literal["added", "removed", "changed"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HeaderChange:
    """Something about the whole file: version, byte order, alignment, or the order of keys or tensors."""

    what: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class KeyChange:
    """A metadata key that only one file has, or whose type or value differs."""

    key: str
    kind: Kind
    before: Field | None
    after: Field | None

    @property
    def first_index(self) -> int | None:
        """Where two arrays of one item type begin to differ; None for anything else."""
        a, b = self.before, self.after
        if a is None or b is None or a.count is None or b.count is None or a.item is not b.item:
            return None
        least = min(a.count, b.count)
        if isinstance(a.value, np.ndarray) and isinstance(b.value, np.ndarray):
            same = a.value[:least] == b.value[:least]
            return int(np.argmin(same)) if not same.all() else least
        return next((i for i, (x, y) in enumerate(zip(a.value, b.value, strict=False)) if x != y), least)


@dataclass(frozen=True, slots=True)
class TensorChange:
    """A tensor that only one file has, or whose type, shape or bytes differ."""

    name: str
    kind: Kind
    before: Tensor | None
    after: Tensor | None
    blocks: int | None = None
    """Blocks with other bytes, where type and shape are the same."""


@dataclass(frozen=True, slots=True)
class Difference:
    """All that is different; empty when the files say the same."""

    header: tuple[HeaderChange, ...]
    keys: tuple[KeyChange, ...]
    tensors: tuple[TensorChange, ...]
    same_tensors: int

    def __bool__(self) -> bool:
        return bool(self.header or self.keys or self.tensors)


def compare(a: GGUFFile | ShardSet, b: GGUFFile | ShardSet) -> Difference:
    """Every difference from ``a`` to ``b``: what ``a`` has first, in its order, then what only ``b`` has."""
    tensors = _changes(a.tensors, b.tensors, _tensor_change)
    return Difference(
        tuple(header_changes(a, b)),
        tuple(key_changes(a.fields, b.fields)),
        tuple(t if isinstance(t, TensorChange) else TensorChange(*t) for t in tensors),
        len(set(a.tensors) & set(b.tensors)) - sum(isinstance(t, TensorChange) for t in tensors),
    )


def key_changes(a: Mapping[str, Field], b: Mapping[str, Field]) -> list[KeyChange]:
    """Metadata keys that are not the same in ``a`` and ``b``, whatever their order."""
    found = _changes(a, b, lambda x, y: None if _same_field(x, y) else KeyChange(x.key, "changed", x, y))
    return [k if isinstance(k, KeyChange) else KeyChange(*k) for k in found]


def _changes(
    a: Mapping[str, T], b: Mapping[str, T], differ: Callable[[T, T], Any]
) -> list[Any | tuple[str, Kind, T | None, T | None]]:
    found: list[Any] = []
    for name, x in a.items():
        change = (name, "removed", x, None) if name not in b else differ(x, b[name])
        if change is not None:
            found.append(change)
    return found + [(name, "added", None, y) for name, y in b.items() if name not in a]


def _same_field(a: Field, b: Field) -> bool:
    if (a.type, a.item) != (b.type, b.item):
        return False
    if a.raw is not None and b.raw is not None and a.raw == b.raw:
        return True
    return a == b


def _tensor_change(a: Tensor, b: Tensor) -> TensorChange | None:
    if (a.type, a.shape) != (b.type, b.shape):
        return TensorChange(a.name, "changed", a, b)
    blocks = differing_blocks(a, b)
    return TensorChange(a.name, "changed", a, b, blocks) if blocks else None


PIECE = 1 << 20
"""Bytes of each tensor that are compared at a time; both fit in a core's cache."""
_kept = Buffers()


def differing_blocks(a: Tensor, b: Tensor) -> int:
    """How many blocks of two tensors of one type and shape have other bytes, whatever the files' byte order."""
    swap = a.file is not None and b.file is not None and a.file.byteorder != b.file.byteorder
    width = a.type.nbytes
    if swap and a.type.quantized:  # only plain numbers have a byte order that can be undone here
        return a.count // a.type.block
    step = max(1, PIECE // width) * width
    found = 0
    for lo in range(0, a.nbytes, step):
        p, q = (_kept.get(name, min(step, a.nbytes - lo), np.uint8) for name in "ab")
        a.read_into(p, lo)
        b.read_into(q, lo)
        if swap:
            q = q.reshape(-1, width)[:, ::-1].reshape(-1)
        if not np.array_equal(p, q):
            found += int((p.reshape(-1, width) != q.reshape(-1, width)).any(axis=1).sum())
    return found


def header_changes(a: GGUFFile | ShardSet, b: GGUFFile | ShardSet) -> list[HeaderChange]:
    """Version, byte order, alignment, and the first place where the order of keys or tensors is another."""
    plain = [
        HeaderChange(what, str(x), str(y))
        for what, x, y in (
            ("version", a.version, b.version),
            ("byte order", a.byteorder, b.byteorder),
            ("alignment", a.alignment, b.alignment),
        )
        if x != y
    ]
    orders: list[HeaderChange] = []
    for what, x, y in (("order of keys", a.fields, b.fields), ("order of tensors", a.tensors, b.tensors)):
        both = [[name for name in p if name in q] for p, q in ((x, y), (y, x))]
        first = next((pair for pair in zip(*both, strict=True) if pair[0] != pair[1]), None)
        if first:
            orders.append(HeaderChange(what, first[0], first[1]))
    return plain + orders
