"""Arrays as lazy sources, and lazy sources read in cuts: what the tests of ``transform`` and ``arithmetic`` share."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from gguf_py import tensor_type
from kquants.source import Source

Array = NDArray[Any]


def source(x: Array) -> Source:
    """An array as a source that insists on the ranges it is asked for."""
    kind = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64"}[x.dtype.name]
    rows = x.reshape(-1, x.shape[-1]) if x.ndim else x.reshape(1, 1)
    raw = np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), -1)

    def read(lo: int, hi: int) -> NDArray[np.uint8]:
        assert 0 <= lo <= hi <= len(raw)
        return raw[lo:hi].copy()

    return Source(tensor_type(kind), x.shape, read)


def read(s: Source, step: int = 10**9) -> Array:
    """All of a source, ``step`` rows at a time."""
    dtype: Any = {"F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16}[s.type.name]
    parts = [s.rows(lo, min(s.count, lo + step)) for lo in range(0, s.count, step)]
    assert all(p.shape[1] == s.row_bytes for p in parts)
    return np.concatenate(parts).view(dtype).reshape(s.shape)


def numbers(*shape: int, dtype: Any = np.float32) -> Array:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)
