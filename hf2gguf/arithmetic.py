"""Arithmetic on weights between checkpoint and GGUF, lazy like the rest: in F16 if that is their type, else in F32.

Each step rounds as upstream's PyTorch rounds: F16 is widened to F32 for an operation, and its result narrowed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from gguf_py import KQuantsError
from kquants.source import Source

from .numbers import F16, F32, Bytes, as_f32

_PIECE = 1 << 20
"""Weights that are looked at at once where all of a tensor must be seen before its first row."""


def mapped(source: Source, function: Callable[[NDArray[np.float32]], NDArray[Any]]) -> Source:
    """``function`` of every weight, which it sees in F32; rounded to F16 if that is the source's type."""
    wide, narrow = as_f32(source), source.type is F16

    def read(lo: int, hi: int) -> Bytes:
        with np.errstate(over="ignore"):
            made = function(wide.rows(lo, hi).view(np.float32))
            values: NDArray[Any] = np.ascontiguousarray(made, np.float16 if narrow else np.float32)
        return values.view(np.uint8)

    return Source(F16 if narrow else F32, source.shape, read)


def add(source: Source, number: float) -> Source:
    """``number`` added to every weight; to F16 the nearest F16, as PyTorch has it (and not for a product)."""
    term = np.float32(np.float16(number) if source.type is F16 else number)
    return mapped(source, lambda x: x + term)


def mul(source: Source, number: float) -> Source:
    """Every weight times ``number``."""
    factor = np.float32(float(number))
    return mapped(source, lambda x: x * factor)


def product(sources: Sequence[Source]) -> Source:
    """Tensors of one shape multiplied, weight by weight, in F32."""
    if len({source.shape for source in sources}) > 1:
        raise KQuantsError(f"tensors of shapes {sorted({str(list(s.shape)) for s in sources})} have no product")
    first, *others = map(as_f32, sources)

    def read(lo: int, hi: int) -> Bytes:
        made = first.rows(lo, hi).view(np.float32)
        for other in others:
            made = made * other.rows(lo, hi).view(np.float32)
        values: Bytes = made.view(np.uint8)
        return values

    return Source(F32, first.shape, read)


def negate_half(source: Source, size: int) -> Source:
    """Minus the second half of the rows of each head of ``size`` rows."""
    if not isinstance(size, int) or size < 1:
        raise KQuantsError(f"heads of {size!r} rows are wanted, expected a number")
    signed = mapped(source, lambda x: -x)
    plain = source if source.type is F16 else as_f32(source)

    def read(lo: int, hi: int) -> Bytes:
        second = np.arange(lo, hi) % size >= size // 2
        return np.where(second[:, None], signed.rows(lo, hi), plain.rows(lo, hi))

    return Source(plain.type, source.shape, read)


def neg_exp(source: Source) -> Source:
    """Minus the exponential: the decay of a state-space model from its logarithm, each weight the nearest F32.

    Upstream takes Intel's MKL in PyTorch, whose F32 differ with the processor; ``spec/convert.md`` says how far.
    """
    return mapped(source, lambda x: (-np.exp(x.astype(np.float64))).astype(np.float32))


def _mean(source: Source, function: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> np.float32:
    """The mean of ``function`` of all weights, summed in F64: PyTorch's differs with the number of its threads."""
    wide = as_f32(source)
    step = max(1, _PIECE // max(1, source.columns))
    total = 0.0
    for lo in range(0, source.count, step):
        rows = wide.rows(lo, min(source.count, lo + step)).view(np.float32)
        total += float(function(rows).sum(dtype=np.float64))
    return np.float32(total / max(1, source.count * source.columns))


def centered(source: Source) -> Source:
    """Every weight less the mean of all, both rounded to the weights' own type."""
    own: Any = {"F16": np.float16, "BF16": ml_dtypes.bfloat16}.get(source.type.name, np.float32)
    mean = cache(lambda: np.float32(own(_mean(source, lambda x: x))))
    return mapped(source, lambda x: (x - mean()).astype(own).astype(np.float32))


def ternary(source: Source) -> Source:
    """BitNet's weights as it computes with them: -1, 0 and 1 times the mean magnitude of the tensor."""
    inverse = cache(lambda: np.float32(1) / max(_mean(source, np.abs), np.float32(1e-5)))
    return mapped(source, lambda x: np.clip(np.rint(x * inverse()), -1, 1) / inverse())
