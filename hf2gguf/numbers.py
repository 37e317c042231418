"""The number types of weights between checkpoint and GGUF: BF16 and the integers become F32 for arithmetic, F16 stays.

So it is in upstream's converter. Sources are lazy here as in ``transform``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gguf_py import KQuantsError, TensorType, tensor_type
from kquants.source import Rows, Source

Bytes = NDArray[np.uint8]

F32, F16 = tensor_type("F32"), tensor_type("F16")
_PIECE = 8 << 20
"""Bytes of a tensor that are compared at a time."""

_NUMPY = {"F32": "f4", "F16": "f2", "F64": "f8", "I8": "i1", "I16": "i2", "I32": "i4", "I64": "i8"}


def as_f32(source: Source) -> Source:
    """The same numbers as F32."""
    if source.type is F32:
        return source

    def read(lo: int, hi: int) -> Bytes:
        raw = source.rows(lo, hi)
        if source.type.name == "BF16":
            return (raw.view(np.uint16).astype(np.uint32) << 16).view(np.uint8)
        with np.errstate(over="ignore"):
            return raw.view(_NUMPY[source.type.name]).astype(np.float32).view(np.uint8)

    if source.type.name != "BF16" and source.type.name not in _NUMPY:
        raise KQuantsError(f"{source.type} weights do not become F32 here")
    return Source(F32, source.shape, read)


def as_i32(source: Source) -> Source:
    """Whole numbers as I32; they came through F32, and so are exact below 2^24."""
    wide = as_f32(source)
    read: Rows = lambda lo, hi: wide.rows(lo, hi).view(np.float32).astype(np.int32).view(np.uint8)  # noqa: E731
    return Source(tensor_type("I32"), source.shape, read)


def plain(source: Source) -> Source:
    """F16, BF16 and F32 as they are, every other number as F32: what upstream goes on with."""
    return source if source.type.name in ("F32", "F16", "BF16") or source.type.quantized else as_f32(source)


def same(a: Source, b: Source) -> bool:
    """Whether two sources hold the same numbers; reads both until they differ."""
    if a.shape != b.shape:
        return False
    a, b = as_f32(a), as_f32(b)
    step = max(1, _PIECE // max(1, a.row_bytes))
    pieces = ((lo, min(a.count, lo + step)) for lo in range(0, a.count, step))
    return all(np.array_equal(a.rows(*p).view(np.float32), b.rows(*p).view(np.float32)) for p in pieces)


def constant(values: Sequence[float], kind: TensorType = F32) -> Source:
    """A vector of a plain type that stands in no checkpoint."""
    row = np.asarray(values, _NUMPY[kind.name])[None].view(np.uint8)
    read: Rows = lambda lo, hi: row[lo:hi]  # noqa: E731
    return Source(kind, (len(values),), read)
