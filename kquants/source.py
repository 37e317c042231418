"""Where a tensor's bytes come from: the one value that readers hand to plans."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gguf_py.errors import KQuantsError
from gguf_py.file import Tensor
from gguf_py.input import InputFile
from gguf_py.types import TensorType

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Rows = Callable[[int, int], Bytes]


@dataclass(frozen=True, slots=True)
class Extent:
    """A tensor's bytes, one after the other, in a file."""

    file: InputFile
    offset: int


@dataclass(frozen=True, slots=True)
class Source:
    """A tensor that is read by rows, when they are needed and no sooner.

    ``shape`` is in NumPy order. ``rows(lo, hi)`` gives rows ``lo`` to ``hi`` of the flattened leading axes as
    uint8 of shape (hi - lo, row bytes); it may be called from several threads at once, raises KQuantsError when the
    bytes are not there, and may reuse nothing it returned before.
    """

    type: TensorType
    shape: tuple[int, ...]
    rows: Rows
    origin: Any = None
    """What a reader may want to know about where the bytes lie, or None."""
    extent: Extent | None = None
    """Where the bytes lie, if that is in one piece and in this order: then any part of a row can be read."""
    wide: Source | None = None
    """The same tensor in another type, of which this is the rounding, if it is nothing else: see ``converted``."""

    @property
    def columns(self) -> int:
        """Weights in a row; 1 for a scalar."""
        return self.shape[-1] if self.shape else 1

    @property
    def count(self) -> int:
        """How many rows there are; 1 for a vector or a scalar."""
        return prod(self.shape[:-1])

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return self.type.row_bytes(self.columns)

    def other(self, rows: Rows, type: TensorType | None = None, shape: tuple[int, ...] | None = None) -> Source:
        """The source of other rows, made of these."""
        shape = self.shape if shape is None else shape
        return replace(self, type=type or self.type, shape=shape, rows=rows, extent=None, wide=None)


def in_file(file: InputFile, offset: int, type: TensorType, shape: tuple[int, ...]) -> Source:
    """The source of a tensor whose bytes begin at ``offset`` of a file."""
    extent = Extent(file, offset)

    def rows(lo: int, hi: int) -> Bytes:
        out = np.empty((hi - lo) * source.row_bytes, np.uint8)
        file.read_into(out, offset + lo * source.row_bytes)
        return out.reshape(hi - lo, source.row_bytes)

    source = Source(type, shape, rows, extent=extent)
    return source


def of_tensors(tensors: dict[str, Tensor]) -> dict[str, Source]:
    """The sources of the tensors of GGUF files, by the same names; raises KQuantsError for a big-endian file."""
    sources = {}
    for name, tensor in tensors.items():
        assert tensor.file is not None
        if tensor.file.byteorder != "little":
            raise KQuantsError(f"{tensor.file.path} is big-endian, a little-endian file is expected")
        sources[name] = in_file(tensor.input, tensor.offset, tensor.type, tensor.shape)
    return sources


def converted(source: Source, type: TensorType) -> Source:
    """The same tensor as it would be stored in another type: float32 on the way, encoded, and read from there."""
    from .recode import convert_rows

    if type == source.type:
        return source

    def rows(lo: int, hi: int) -> Bytes:
        return convert_rows(source.rows(lo, hi), source.type, type)

    return replace(source.other(rows, type), wide=source)
