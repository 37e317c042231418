"""Numbers that a GGUF file has a type for pass through; the others become F32, row by row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gguf_py.types import TENSOR_TYPES
from kquants.source import Source

from .stored import Stored

F32 = TENSOR_TYPES["F32"]


def plain(stored: Stored) -> Source:
    """The tensor as it is when its number type is one of GGUF's, else converted to F32 (as ``float32(x)`` rounds)."""
    same = TENSOR_TYPES.get(stored.dtype)
    if same is not None:
        return Source(same, stored.shape, stored.rows, stored)

    def rows(lo: int, hi: int) -> NDArray[np.uint8]:
        return as_bytes(stored.values(lo, hi))

    return Source(F32, stored.shape, rows, stored)


def as_bytes(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Float32 of values[n, columns], as uint8[n, 4 * columns]."""
    return np.ascontiguousarray(values, np.float32).view(np.uint8)
