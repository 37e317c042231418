"""A tensor as a checkpoint stores it: a number type, a shape and a place in a file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from gguf_py.errors import KQuantsError

from .folder import Shard, shown

DTYPES: dict[str, np.dtype[np.generic]] = {
    name: np.dtype(kind)
    for name, kind in {
        "F64": "<f8",
        "F32": "<f4",
        "F16": "<f2",
        "BF16": ml_dtypes.bfloat16,
        "F8_E4M3": ml_dtypes.float8_e4m3fn,
        "F8_E5M2": ml_dtypes.float8_e5m2,
        "F8_E8M0": ml_dtypes.float8_e8m0fnu,
        "I64": "<i8",
        "I32": "<i4",
        "I16": "<i2",
        "I8": "i1",
        "U64": "<u8",
        "U32": "<u4",
        "U16": "<u2",
        "U8": "u1",
        "BOOL": "?",
        "C64": "<c8",
    }.items()
}
"""Number types by the names that safetensors gives them."""

MAX_SMALL = 256 << 20
"""Bytes of a tensor that may be read whole: a scale, an index, a shape; never a weight."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor in a file. ``shape`` is in NumPy order; ``strides`` counts elements, None when rows lie one by one."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    shard: Shard
    offset: int
    strides: tuple[int, ...] | None = None

    @property
    def kind(self) -> np.dtype[np.generic]:
        """The NumPy dtype of an element."""
        return DTYPES[self.dtype]

    @property
    def columns(self) -> int:
        """Elements in a row; 1 for a scalar."""
        return self.shape[-1] if self.shape else 1

    @property
    def nbytes(self) -> int:
        """Bytes of the tensor."""
        return prod(self.shape) * self.kind.itemsize

    def rows(self, lo: int, hi: int) -> NDArray[np.uint8]:
        """Rows ``lo`` to ``hi`` of the flattened leading axes, uint8[hi - lo, row bytes]."""
        wide = self.columns * self.kind.itemsize
        if self.strides is not None:
            return self._gather(lo, hi)
        return self.shard.read(self.offset + lo * wide, (hi - lo) * wide).reshape(hi - lo, wide)

    def values(self, lo: int, hi: int) -> NDArray[np.generic]:
        """Rows ``lo`` to ``hi`` as numbers, [hi - lo, columns]."""
        return self.rows(lo, hi).view(self.kind)

    def block(self, lo: int, hi: int, first: int, last: int) -> NDArray[np.generic]:
        """Columns ``first`` to ``last`` of rows ``lo`` to ``hi``, [hi - lo, last - first]."""
        if self.strides is not None or 2 * (last - first) >= self.columns:
            return self.values(lo, hi)[:, first:last]
        size = self.kind.itemsize
        out = np.empty((hi - lo, (last - first) * size), np.uint8)
        for i in range(hi - lo):
            out[i] = self.shard.read(self.offset + ((lo + i) * self.columns + first) * size, out.shape[1])
        return out.view(self.kind)

    def reshaped(self, *shape: int) -> Stored:
        """The same elements, one by one in the file, in another shape."""
        assert self.strides is None and prod(shape) == prod(self.shape)
        return replace(self, shape=shape)

    def as_bytes(self) -> Stored:
        """The bytes of the tensor, U8 [bytes, 1]."""
        assert self.strides is None
        return replace(self, dtype="U8", shape=(self.nbytes, 1))

    def whole(self, limit: int = MAX_SMALL) -> NDArray[np.generic]:
        """The tensor in memory; raises KQuantsError when it has more than ``limit`` bytes."""
        if self.nbytes > limit:
            raise KQuantsError(
                f"{self.shard.path}: the tensor {shown(self.name)} has {self.nbytes} bytes, expected at most {limit}"
            )
        return self.values(0, prod(self.shape[:-1])).reshape(self.shape)

    def _gather(self, lo: int, hi: int) -> NDArray[np.uint8]:
        """Rows of a tensor whose elements lie apart (a transposed or sliced view, as PyTorch saves them)."""
        assert self.strides is not None
        size = self.kind.itemsize
        leading = np.unravel_index(np.arange(lo, hi), self.shape[:-1]) if self.shape[:-1] else ()
        starts = sum((i * s for i, s in zip(leading, self.strides, strict=False)), np.zeros(hi - lo, np.int64))
        step, columns = self.strides[-1], self.columns
        out = np.empty((hi - lo, columns, size), np.uint8)
        if len(starts) and int(starts[-1] - starts[0]) == hi - lo - 1:
            # Neighbouring rows lie side by side, as in a transposed matrix: one read a column serves all of them.
            for j in range(columns):
                at = self.offset + (int(starts[0]) + j * step) * size
                out[:, j] = self.shard.read(at, (hi - lo) * size).reshape(hi - lo, size)
        else:
            for i, start in enumerate(starts):
                span = self.shard.read(self.offset + int(start) * size, ((columns - 1) * step + 1) * size)
                out[i] = span.reshape(-1, size)[:: max(step, 1)] if step else span.reshape(1, size)
        return out.reshape(hi - lo, columns * size)
