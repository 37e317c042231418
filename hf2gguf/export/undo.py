"""Operations on tensors taken back: what a checkpoint had, from what a model has.

Where an operation only puts rows (or columns) elsewhere, or picks some, it is applied to their numbers: that shows
where everything went, whatever the operation. Arithmetic and changes of shape have inverses of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gguf_py import KQuantsError, tensor_type
from kquants.source import Source

from .. import transform
from ..expression import Scope, evaluate
from ..operations import apply

Steps = tuple[tuple[str, tuple[str, ...]], ...]
Numbers = NDArray[np.int64]

I64, F32, F16 = tensor_type("I64"), tensor_type("F32"), tensor_type("F16")
_ROWS = ("permute", "unpermute", "parted", "rows", "strided", "half")
_COLUMNS = ("columns", "column_half", "column_stride", "column_parted")
_NOTHING = ("f32", "plain", "padded", "once", "unless_same", "when")
"""Operations behind which the tensor still holds all there was."""
_STEP = 1 << 20
"""Rows whose logarithms are compared at a time."""


class Wanting(KQuantsError):
    """What no metadata told and a tensor does: values that expressions of the page must have."""

    def __init__(self, values: dict[str, Any]) -> None:
        """``values`` by the expressions."""
        super().__init__(f"config.json does not give {', '.join(f'{text} = {v}' for text, v in values.items())}")
        self.values = values


def undone(parts: Sequence[Source], pipes: Sequence[Steps], scope: Scope) -> Source | None:
    """The tensor of which each of ``parts`` is made by the operations in ``pipes``; None if that cannot be told.

    Raises KQuantsError when an argument cannot be evaluated, Wanting when the tensor tells what it should be.
    """
    parts, pipes = list(parts), [tuple(p) for p in pipes]
    if len(parts) < len(pipes):  # one tensor, joined of parts of the one that is wanted
        heads, tails = zip(*(_cut(pipe, _ROWS) for pipe in _in_order(pipes)), strict=True)
        if len(parts) > 1 or len(set(heads)) > 1 or not all(tails):
            return None
        parts, pipes = [_from_rows(parts, tails, scope)], [heads[0]]
    while any(pipes):
        for k in range(len(parts)):
            while pipes[k] and pipes[k][-1][0] not in (*_ROWS, *_COLUMNS):
                made = _one(parts[k], pipes[k], scope)
                if made is None:
                    return None
                parts[k], pipes[k] = made, pipes[k][:-1]
        if any(pipes):
            kinds = _ROWS if pipes[0][-1][0] in _ROWS else _COLUMNS
            heads, tails = zip(*(_cut(pipe, kinds) for pipe in pipes), strict=True)
            if len(set(heads)) > 1 or not all(tails):
                return None
            parts = [(_from_rows if kinds is _ROWS else _from_columns)(parts, tails, scope)]
            pipes = [heads[0]]
    return parts[0] if all(transform.same(parts[0], other) for other in parts[1:]) else None


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
        parts = [transform.as_f32(p) for p in parts]
    cell = np.dtype(f"u{parts[0].type.nbytes}")

    def rows(lo: int, hi: int) -> NDArray[np.uint8]:
        row = np.concatenate([p.rows(lo, hi).view(cell) for p in parts], axis=1)
        return np.ascontiguousarray(row[:, back]).view(np.uint8)

    return Source(parts[0].type, tuple(shape), rows)


# ------------------------------------------------------------------------------------------------------ one by one


def _one(source: Source, steps: Steps, scope: Scope) -> Source | None:
    """The tensor before the last of some steps."""
    *before, (name, texts) = steps
    if name == "transpose":
        return transform.transpose(source)
    if name == "padded" and len(texts) == 2:
        return _unpadded(source)
    if name in ("reshape", "squeeze"):
        return _reshaped(source, name, texts, scope, flat=not before)
    if name in ("add", "mul"):
        return _arithmetic(source, name, texts[0], scope)
    if name == "neg_exp":
        return _logarithm(source)
    if name == "ternary":
        return _ternary(source)
    if name == "negate_half":
        return apply(name, source, _arguments(texts, scope))
    if name == "picked":
        return _scattered(source, _arguments(texts, scope), scope["vocab_size"])
    if name == "repeated":
        return transform.reshape(transform.rows(source, 0, 1), -1)
    return source if name in _NOTHING else None


def _reshaped(source: Source, name: str, texts: tuple[str, ...], scope: Scope, *, flat: bool) -> Source | None:
    """The shape before: of those that make sense, the first from which the operation gives this one.

    A vector may have been one (``flat``), or a row of a matrix.
    """
    shape = source.shape
    total = prod(shape)
    if name == "squeeze":
        return transform.reshape(source, shape[0], 1, *shape[1:]) if len(shape) == 2 else source
    wanting: dict[str, int] = {}
    matrix = (total // shape[-1], shape[-1])
    for before in [(total,), matrix] if flat and len(shape) <= 2 else [matrix, (total,)]:
        inner = scope.over(shape=list(before))
        wanted = [_number(text, inner) for text in texts]
        known = prod(n for n in wanted if n not in (None, -1))
        if tuple(total // max(known, 1) if n == -1 else n for n in wanted) == shape:
            return transform.reshape(source, *before)
        if len(wanted) == len(shape) and not wanting:
            told = zip(texts, wanted, shape, strict=True)
            wanting = {t: n for t, w, n in told if w not in (n, -1) and "shape" not in t}
    if wanting:
        raise Wanting(wanting)
    return None


def _number(text: str, scope: Scope) -> int | None:
    try:
        value = evaluate(text, scope)
    except KQuantsError:
        return None
    return value if isinstance(value, int) else None


def _arithmetic(source: Source, name: str, text: str, scope: Scope) -> Source:
    """A number taken away, or divided by; one that nothing tells changes nothing."""
    neutral = 1.0 if name == "mul" else 0.0
    try:
        number = evaluate(text, scope)
    except KQuantsError:
        raise Wanting({text: neutral}) from None
    if not isinstance(number, int | float):
        raise Wanting({text: neutral})
    if number == neutral:
        return source
    return _mapped(source, (lambda x: x / np.float32(number)) if name == "mul" else (lambda x: x - np.float32(number)))


def _ternary(source: Source) -> Source:
    """Weights of which those of three values are the nearest multiples of their mean magnitude: so large again.

    As many as are zero, as much larger the others were before.
    """
    wide = transform.as_f32(source)

    @cache
    def share() -> np.float32:
        step = max(1, _STEP // max(1, wide.columns))
        pieces = ((lo, min(wide.count, lo + step)) for lo in range(0, wide.count, step))
        held = sum(int(np.count_nonzero(wide.rows(*piece).view(np.float32))) for piece in pieces)
        return np.float32(max(held, 1) / (wide.count * wide.columns))

    return _mapped(source, lambda x: x / share())


def _unpadded(source: Source) -> Source:
    """Without the zeros that the first matrix is."""
    height = source.count // source.shape[0]
    if source.rows(0, height).any():
        return source
    shape = (source.shape[0] - 1, *source.shape[1:])
    return replace(source, shape=shape, rows=lambda lo, hi: source.rows(lo + height, hi + height), extent=None)


def _scattered(source: Source, numbers: Sequence[int], height: int) -> Source:
    """Rows where they were; nobody knows the others, which are zeros."""
    where = np.full(height, len(numbers), np.int64)
    where[numbers] = np.arange(len(numbers))
    nothing = replace(
        source, shape=(1, source.columns), rows=lambda lo, hi: np.zeros((hi - lo, source.row_bytes), np.uint8)
    )
    return transform.gather(transform.concat([source, nothing]), (height, source.columns), lambda r: where[r])


def _mapped(source: Source, function: Callable[[Any], Any]) -> Source:
    source = transform.as_f32(source)

    def rows(lo: int, hi: int) -> NDArray[np.uint8]:
        return np.ascontiguousarray(function(source.rows(lo, hi).view(np.float32)), np.float32).view(np.uint8)

    return replace(source, rows=rows, extent=None)


def _logarithm(source: Source) -> Source | None:
    """Numbers of which minus the exponential is this: as F32, or as F16 where only those give it back."""
    source = transform.as_f32(source)
    for kind in (F32, F16):
        dtype = np.dtype(f"f{kind.nbytes}")
        made = Source(kind, source.shape, lambda lo, hi, d=dtype: _log(source, lo, hi, d)[0].view(np.uint8))  # type: ignore[misc]
        pieces = ((lo, min(source.count, lo + _STEP)) for lo in range(0, source.count, _STEP))
        if all(_log(source, *piece, dtype)[1] for piece in pieces):
            return made
    return Source(F32, source.shape, lambda lo, hi: _log(source, lo, hi, np.dtype(np.float32))[0].view(np.uint8))


def _log(source: Source, lo: int, hi: int, dtype: np.dtype[Any]) -> tuple[NDArray[Any], bool]:
    """Logarithms, each of its neighbours that gives the number back, and whether all do."""
    wanted = source.rows(lo, hi).view(np.float32)
    with np.errstate(all="ignore"):
        near = np.log(-wanted.astype(np.float64)).astype(dtype)
        best, good = near, _decay(near) == wanted
        for direction in (-np.inf, np.inf):
            other = near
            for _ in range(2):
                other = np.nextafter(other, dtype.type(direction))
                right = _decay(other) == wanted
                best, good = np.where(right & ~good, other, best), good | right
    return np.ascontiguousarray(best, dtype), bool(good.all())


def _decay(x: NDArray[Any]) -> NDArray[np.float32]:
    made: NDArray[np.float32] = (-np.exp(x.astype(np.float64)).astype(x.dtype)).astype(np.float32)
    return made
