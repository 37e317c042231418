"""Numbers that a GGUF file has a type for pass through; the others become F32, row by row."""

from __future__ import annotations

from collections.abc import Callable

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from gguf_py.errors import KQuantsError
from gguf_py.types import TENSOR_TYPES
from kquants.source import Source

from .folder import shown
from .stored import DTYPES, Stored

F32 = TENSOR_TYPES["F32"]
Floats = NDArray[np.float32]

_BYTES = np.arange(256, dtype=np.uint8)
_OF_BYTE = {DTYPES[name]: _BYTES.view(DTYPES[name]).astype(np.float32) for name in ("F8_E4M3", "F8_E5M2", "F8_E8M0")}
"""The 256 values of each number type of eight bits."""


def floats(values: NDArray[np.generic]) -> Floats:
    """The values as float32, rounded to nearest even where they have more digits."""
    table = _OF_BYTE.get(values.dtype)
    if table is not None:
        return table[values.view(np.uint8)]
    return np.asarray(values).astype(np.float32, copy=False)


def scales_of(stored: Stored, values: NDArray[np.generic]) -> Floats:
    """Scales, or zeros, that were read from ``stored``; raises KQuantsError when one is no finite number."""
    found = floats(values)
    if not np.isfinite(found).all():
        raise KQuantsError(f"{stored.shard.path}: the tensor {shown(stored.name)} holds scales that are no numbers")
    return found


def plain(stored: Stored) -> Source:
    """The tensor as it is when its number type is one of GGUF's, else converted to F32."""
    same = TENSOR_TYPES.get(stored.dtype)
    if same is not None:
        return Source(same, stored.shape, stored.rows, stored)
    if stored.dtype == "C64":
        raise KQuantsError(f"{stored.shard.path}: the tensor {shown(stored.name)} holds complex numbers")
    return computed(stored.shape, lambda lo, hi: floats(stored.values(lo, hi)), stored)


FLOATS = {name: name for name in ("F32", "F16", "BF16")}
"""Number types that a decoded weight can have."""

_ROUNDED = {"F32": np.dtype(np.float32), "F16": np.dtype(np.float16), "BF16": np.dtype(ml_dtypes.bfloat16)}


def computed(
    shape: tuple[int, ...], rows: Callable[[int, int], Floats], origin: Stored, type_name: str = "F32"
) -> Source:
    """A tensor whose rows ``rows(lo, hi)`` computes in float32, [hi - lo, columns], rounded to F32, F16 or BF16."""
    kind = _ROUNDED[type_name]

    def encoded(lo: int, hi: int) -> NDArray[np.uint8]:
        return np.ascontiguousarray(rows(lo, hi).astype(kind, copy=False)).view(np.uint8)

    return Source(TENSOR_TYPES[type_name], shape, encoded, origin)


def expect(stored: Stored, dtypes: str, shape: tuple[int | None, ...]) -> Stored:
    """The tensor itself; raises KQuantsError unless it has one of the number types and the shape.

    None in the shape stands for any size but 0.
    """
    fits = len(stored.shape) == len(shape) and all(
        want == n or (want is None and n > 0) for n, want in zip(stored.shape, shape, strict=True)
    )
    if stored.dtype not in dtypes.split() or not fits:
        wanted = ", ".join("any" if n is None else str(n) for n in shape)
        raise KQuantsError(
            f"{stored.shard.path}: the tensor {shown(stored.name)} is {stored.dtype} {list(stored.shape)},"
            f" expected {' or '.join(dtypes.split())} [{wanted}]"
        )
    return stored
