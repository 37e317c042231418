"""Operations on tensors taken back: what a checkpoint had, from what a model has.

Where an operation only puts rows (or columns) elsewhere, or picks some, it is applied to their numbers: that shows
where everything went, whatever the operation. Others have inverses of their own (``inverses``).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gguf_py import KQuantsError, tensor_type
from kquants.source import Source

from .. import transform
from ..expression import Scope, evaluate
from ..numbers import as_f32, same
from ..operations import apply
from .inverses import INVERSES, Step

Steps = tuple[tuple[str, tuple[str, ...]], ...]
Numbers = NDArray[np.int64]

I64 = tensor_type("I64")
ROWS = ("permute", "unpermute", "parted", "rows", "regrouped", "strided", "half")
COLUMNS = ("columns", "column_half", "column_stride", "column_parted")
"""Operations that only put rows, or columns, elsewhere, or pick some."""


def undone(parts: Sequence[Source], pipes: Sequence[Steps], scope: Scope) -> Source | None:
    """The tensor of which each of ``parts`` is made by the operations in ``pipes``; None if that cannot be told.

    Raises KQuantsError when an argument cannot be evaluated, Wanting when the tensor tells what it should be.
    """
    parts, pipes = list(parts), [tuple(p) for p in pipes]
    if len(parts) < len(pipes):  # one tensor, joined of parts of the one that is wanted
        heads, tails = zip(*(_cut(pipe, ROWS) for pipe in _in_order(pipes)), strict=True)
        if len(parts) > 1 or len(set(heads)) > 1 or not all(tails):
            return None
        parts, pipes = [_from_rows(parts, tails, scope)], [heads[0]]
    while any(pipes):
        for k in range(len(parts)):
            while pipes[k] and pipes[k][-1][0] not in (*ROWS, *COLUMNS):
                *before, (name, texts) = pipes[k]
                made = INVERSES[name](parts[k], Step(name, texts, scope, not before)) if name in INVERSES else None
                if made is None:
                    return None
                parts[k], pipes[k] = made, tuple(before)
        if any(pipes):
            kinds = ROWS if pipes[0][-1][0] in ROWS else COLUMNS
            heads, tails = zip(*(_cut(pipe, kinds) for pipe in pipes), strict=True)
            if len(set(heads)) > 1 or not all(tails):
                return None
            parts = [(_from_rows if kinds is ROWS else _from_columns)(parts, tails, scope)]
            pipes = [heads[0]]
    return parts[0] if all(same(parts[0], other) for other in parts[1:]) else None


def _in_order(pipes: Sequence[Steps]) -> list[Steps]:
    """Pipelines that end with ``concat(place, count)``, by place and without it."""
    places = {int(pipe[-1][1][0]): pipe[:-1] for pipe in pipes if pipe and pipe[-1][0] == "concat"}
    return [places[place] for place in sorted(places)] if len(places) == len(pipes) else [()]


def _cut(pipe: Steps, kinds: tuple[str, ...]) -> tuple[Steps, Steps]:
    """A pipeline before and from the first of its last operations of some kinds."""
    at = len(pipe)
    while at and pipe[at - 1][0] in kinds:
        at -= 1
    return pipe[:at], pipe[at:]


def _arguments(texts: tuple[str, ...], scope: Scope) -> list[Any]:
    return [evaluate(text, scope) for text in texts]


# -------------------------------------------------------------------------------------- rows and columns put elsewhere


def _from_rows(parts: Sequence[Source], tails: Sequence[Steps], scope: Scope) -> Source:
    """The rows of which each part has some, where they were; rows that no part has are zeros."""
    flat = len(parts[0].shape) == 1
    parts = [transform.reshape(p, -1, 1) if flat else p for p in parts]
    outer = parts[0].shape[:-2]
    heights = [p.shape[-2] for p in parts]
    height = sum(heights)
    for _ in range(2):
        shape = [height] if flat else [*outer, height, parts[0].columns]
        found = [_numbered((*outer, height, 1), tail, scope.over(shape=shape)) for tail in tails]
        lacking = sum(heights) - sum(f.size for f in found) // max(1, prod(outer))
        if not lacking:
            break
        height += lacking
    if len(parts) == len(tails) and [f.size for f in found] != [prod(outer) * h for h in heights]:
        raise KQuantsError(f"parts of {heights} rows do not make one tensor")
    where = np.full(prod(outer) * height, -1, np.int64)
    where[np.concatenate(found)] = np.arange(sum(f.size for f in found))
    joined = [transform.reshape(p, -1, p.columns) for p in parts]
    if (where < 0).any():
        one = parts[0]
        joined.append(Source(one.type, (1, one.columns), lambda lo, hi: np.zeros((hi - lo, one.row_bytes), np.uint8)))
        where[where < 0] = sum(f.size for f in found)
    shape = [*outer, height, parts[0].columns]
    whole = transform.gather(transform.concat(joined), shape, lambda r: where[r])
    return transform.reshape(whole, -1) if flat else whole


def _numbered(shape: tuple[int, ...], steps: Steps, scope: Scope) -> Numbers:
    """What operations on rows make of the rows' own numbers."""
    rows = np.arange(prod(shape), dtype=np.int64)[:, None].view(np.uint8)
    source = Source(I64, shape, lambda lo, hi: rows[lo:hi])
    for name, texts in steps:
        source = apply(name, source, _arguments(texts, scope))
    return np.ascontiguousarray(source.rows(0, source.count)).view(np.int64).reshape(-1)


def _from_columns(parts: Sequence[Source], tails: Sequence[Steps], scope: Scope) -> Source:
    """The same for columns, all of which must be there."""
    widths = [p.columns for p in parts]
    shape = [*parts[0].shape[:-1], sum(widths)]
    numbers = np.arange(sum(widths), dtype=np.int64)[None].view(np.uint8)
    found = []
    for tail in tails:
        source = Source(I64, (1, sum(widths)), lambda lo, hi: numbers[lo:hi])
        for name, texts in tail:
            source = apply(name, source, _arguments(texts, scope.over(shape=shape)))
        found.append(source.rows(0, 1).view(np.int64).reshape(-1))
    there = np.concatenate(found)
    if not np.array_equal(np.sort(there), np.arange(sum(widths))):
        raise KQuantsError(f"parts of {widths} columns do not make one tensor")
    back = np.argsort(there)
    if len({p.type.name for p in parts}) > 1:
        parts = [as_f32(p) for p in parts]
    cell = np.dtype(f"u{parts[0].type.nbytes}")

    def rows(lo: int, hi: int) -> NDArray[np.uint8]:
        row = np.concatenate([p.rows(lo, hi).view(cell) for p in parts], axis=1)
        return np.ascontiguousarray(row[:, back]).view(np.uint8)

    return Source(parts[0].type, tuple(shape), rows)
