"""The plan: this tensor, from here, to this type, at this offset, before a byte is written.

Everything that can be said about a run is a reading of it: sizes, layout, disk space, progress, what is left to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from gguf_py.errors import KQuantsError
from gguf_py.layout import Layout, TensorInfo, lay_out
from gguf_py.types import TensorType
from gguf_py.values import Field

from .source import Bytes, Extent, Floats, Source, converted, in_file, of_tensors

__all__ = [
    "Extent",
    "Item",
    "Output",
    "Plan",
    "Source",
    "converted",
    "in_file",
    "of_tensors",
    "output",
]


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One tensor: what it will be, and where it comes from."""

    info: TensorInfo
    source: Source
    imatrix: Floats | None = None
    """The importance of each column, float32[matrices, columns]: one row for each of the tensor's matrices (experts),
    or one row for all of them."""
    rule: str = ""
    """Why it gets this type, for people."""


@dataclass(frozen=True, slots=True)
class Output:
    """One file."""

    path: Path
    layout: Layout
    items: tuple[Item, ...]
    """In the order of the layout."""
    turned: Callable[[TensorType, Bytes], Bytes] | None = None
    """What gives whole blocks the byte order of the file, where it is not little-endian."""

    def __post_init__(self) -> None:
        for item in self.items:
            if item.info.count != item.source.count * item.source.columns or item.info.columns != item.source.columns:
                raise KQuantsError(
                    f"tensor {item.info.name!r}: the shape is {item.info.shape}, its source's is {item.source.shape}"
                )

    @property
    def weights(self) -> int:
        """How many weights the file has."""
        return sum(item.info.count for item in self.items)

    @property
    def data_bytes(self) -> int:
        """Bytes of the tensors alone."""
        return sum(item.info.nbytes for item in self.items)

    @property
    def bpw(self) -> float:
        """Bits a weight, of the tensors alone, as llama-quantize counts."""
        return 8 * self.data_bytes / max(1, self.weights)


@dataclass(frozen=True, slots=True)
class Plan:
    """One run: the files it writes. Tensors of one source that several files share are read once."""

    outputs: tuple[Output, ...]
    notes: tuple[str, ...] = field(default=())
    """What whoever made the plan thinks a person should know."""
    origin: str | None = None
    """What tells the sources that are made of files, and do not lie in one, from any others; None when nothing does."""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(output.layout.size for output in self.outputs)


def output(path: str | Path, fields: Iterable[Field], items: Iterable[Item]) -> Output:
    """Lay out a file; raises KQuantsError when a tensor does not have its source's shape or the format forbids it."""
    items = tuple(items)
    return Output(Path(path), lay_out(fields, [item.info for item in items]), items)
