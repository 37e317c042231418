"""What undoes each operation on a tensor that is not just rows or columns put elsewhere (``undo``), by its name.

Beside ``operations``, which has what they do. Where a tensor tells a number that no metadata did, it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gguf_py import KQuantsError, tensor_type
from kquants.source import Source

from .. import transform
from ..expression import Scope, evaluate
from ..numbers import as_f32
from ..operations import apply

F32, F16 = tensor_type("F32"), tensor_type("F16")
_STEP = 1 << 20
"""Rows whose logarithms are compared at a time."""


class Wanting(KQuantsError):
    """What no metadata told and a tensor does: values that expressions of the page must have."""

    def __init__(self, values: dict[str, Any]) -> None:
        """``values`` by the expressions."""
        super().__init__(f"config.json does not give {', '.join(f'{text} = {v}' for text, v in values.items())}")
        self.values = values


@dataclass(frozen=True)
class Step:
    """An operation as a page calls it, what its arguments see, and whether the tensor comes to it as it was."""

    name: str
    texts: tuple[str, ...]
    scope: Scope
    first: bool

    @property
    def arguments(self) -> list[Any]:
        """The arguments' values."""
        return [evaluate(text, self.scope) for text in self.texts]


def reshape(source: Source, step: Step) -> Source | None:
    """The shape before: of those that make sense, the first from which the operation gives this one.

    A vector may have been one, if nothing came before, or a row of a matrix.
    """
    shape, texts = source.shape, step.texts
    total = prod(shape)
    wanting: dict[str, int] = {}
    matrix = (total // shape[-1], shape[-1])
    for before in [(total,), matrix] if step.first and len(shape) <= 2 else [matrix, (total,)]:
        inner = step.scope.over(shape=list(before))
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


def squeeze(source: Source, step: Step) -> Source:
    """A matrix had a dimension of one inside; in others none is missed."""
    first, *others = source.shape
    return transform.reshape(source, first, 1, *others) if len(others) == 1 else source


def padded(source: Source, step: Step) -> Source:
    """Without the zeros that the first matrix is, where they were put before the others; those behind do no harm."""
    height = source.count // source.shape[0]
    if len(step.texts) < 2 or source.rows(0, height).any():
        return source
    shape = (source.shape[0] - 1, *source.shape[1:])
    return source.other(lambda lo, hi: source.rows(lo + height, hi + height), shape=shape)


def picked(source: Source, step: Step) -> Source:
    """Rows where they were; nobody knows the others, which are zeros."""
    numbers, height = step.arguments, step.scope["vocab_size"]
    where = np.full(height, len(numbers), np.int64)
    where[numbers] = np.arange(len(numbers))
    nothing = replace(
        source, shape=(1, source.columns), rows=lambda lo, hi: np.zeros((hi - lo, source.row_bytes), np.uint8)
    )
    return transform.gather(transform.concat([source, nothing]), (height, source.columns), lambda r: where[r])


def arithmetic(source: Source, step: Step) -> Source:
    """A number taken away, or divided by; one that nothing tells changes nothing."""
    (text,), neutral = step.texts, 1.0 if step.name == "mul" else 0.0
    try:
        number = evaluate(text, step.scope)
    except KQuantsError:
        raise Wanting({text: neutral}) from None
    if not isinstance(number, int | float):
        raise Wanting({text: neutral})
    if number == neutral:
        return source
    if step.name == "mul":
        return _mapped(source, lambda x: x / np.float32(number))
    return _mapped(source, lambda x: x - np.float32(number))


def _mapped(source: Source, function: Callable[[Any], Any]) -> Source:
    source = as_f32(source)

    def rows(lo: int, hi: int) -> NDArray[np.uint8]:
        return np.ascontiguousarray(function(source.rows(lo, hi).view(np.float32)), np.float32).view(np.uint8)

    return source.other(rows)


def ternary(source: Source, step: Step) -> Source:
    """Weights of which those of three values are the nearest multiples of their mean magnitude: so large again.

    As many as are zero, as much larger the others were before.
    """
    wide = as_f32(source)

    @cache
    def share() -> np.float32:
        rows = max(1, _STEP // max(1, wide.columns))
        pieces = ((lo, min(wide.count, lo + rows)) for lo in range(0, wide.count, rows))
        held = sum(int(np.count_nonzero(wide.rows(*piece).view(np.float32))) for piece in pieces)
        return np.float32(max(held, 1) / (wide.count * wide.columns))

    return _mapped(source, lambda x: x / share())


def neg_exp(source: Source, step: Step) -> Source:
    """Numbers of which minus the exponential is this: as F32, or as F16 where only those give it back."""
    source = as_f32(source)
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


def _same(source: Source, step: Step) -> Source:
    """The tensor still holds all there was."""
    return source


INVERSES: dict[str, Callable[[Source, Step], Source | None]] = {
    "reshape": reshape,
    "squeeze": squeeze,
    "transpose": lambda source, step: transform.transpose(source),
    "padded": padded,
    "picked": picked,
    "repeated": lambda source, step: transform.reshape(transform.rows(source, 0, 1), -1),
    "add": arithmetic,
    "mul": arithmetic,
    "neg_exp": neg_exp,
    "ternary": ternary,
    "negate_half": lambda source, step: apply(step.name, source, step.arguments),
    **dict.fromkeys(("f32", "i32", "plain", "once", "unless_same", "when"), _same),
}
