"""Where everything goes in a file, known before a byte is written.

Source: the writers of llama.cpp v0.5.0 (``gguf_write_to_file`` and its Python ``GGUFWriter``), which agree.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod

from . import strings
from .errors import KQuantsError
from .types import TensorType, ValueType
from .values import ByteOrder, Field, order_letter

MAGIC = b"GGUF"
VERSION = 3
ALIGNMENT = 32
ALIGNMENT_KEY = "general.alignment"
DIMENSIONS = 4
"""Most axes a tensor may have."""
LARGEST = 2**63 - 1
"""Largest offset, size or count that a file may speak of: what a signed 64-bit file offset holds."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """A tensor without its weights: ``shape`` in NumPy order, rows first, the contiguous axis last."""

    name: str
    type: TensorType
    shape: tuple[int, ...]

    @property
    def columns(self) -> int:
        """Weights in a row; 1 for a scalar."""
        return self.shape[-1] if self.shape else 1

    @property
    def rows(self) -> int:
        """How many rows there are, all leading axes together."""
        return prod(self.shape[:-1])

    @property
    def count(self) -> int:
        """How many weights there are."""
        return prod(self.shape)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row; raises KQuantsError when its weights do not fill whole blocks."""
        return self.type.row_bytes(self.columns)

    @property
    def nbytes(self) -> int:
        """Bytes of the tensor, without padding."""
        return self.rows * self.row_bytes


@dataclass(frozen=True, slots=True)
class Layout:
    """A file before it is written: the header's bytes, padded to the data, and where each tensor begins."""

    header: bytes
    infos: tuple[TensorInfo, ...]
    offsets: tuple[int, ...]
    """Of each tensor, from the beginning of the file."""
    size: int
    """Of the whole file in bytes, padding behind the last tensor included."""
    alignment: int
    byteorder: ByteOrder = "little"


def lay_out(
    fields: Iterable[Field],
    infos: Iterable[TensorInfo],
    *,
    alignment: int | None = None,
    byteorder: ByteOrder = "little",
    version: int = VERSION,
    offsets: Sequence[int] | None = None,
    pad: bool = True,
) -> Layout:
    """Lay out a file: header, fields in their order, tensors one behind the other, each padded to the alignment.

    The alignment is what the field ``general.alignment`` says, else 32; to name another one here is an error, since
    no reader would know of it. ``offsets``, counted from the beginning of the data, are for writing a file again
    whose tensors do not lie in their order; ``pad=False`` ends a file without tensors right behind its header, as
    upstream's Python writer does where its C writer pads. Raises KQuantsError for a key or a name that comes twice,
    a row that fills no whole blocks, and whatever does not fit the format.
    """
    fields, infos = tuple(fields), tuple(infos)
    if byteorder not in ("little", "big") or version not in (2, 3):
        raise KQuantsError(f"a GGUF file of version {version}, {byteorder}-endian, cannot be written")
    stated = stated_alignment(fields)
    if alignment not in (None, stated):
        raise KQuantsError(f"an alignment of {alignment} is asked for, but {ALIGNMENT_KEY} says {stated}")
    _distinct("metadata key", [f.key for f in fields])
    _distinct("tensor", [t.name for t in infos])
    if offsets is None:
        relative, end = [], 0
        for info in infos:
            relative.append(end)
            end += padded(_checked(info).nbytes, stated)
    else:
        relative = list(offsets)
        end = max((at + _checked(info).nbytes for at, info in zip(relative, infos, strict=True)), default=0)
    header = _header(fields, infos, relative, version, byteorder)
    if infos or pad:
        header += bytes(-len(header) % stated)
    size = len(header) + end
    if size > LARGEST:
        raise KQuantsError(f"a file of {size} bytes is larger than any file can be")
    return Layout(header, infos, tuple(len(header) + at for at in relative), size, stated, byteorder)


def padded(size: int, alignment: int) -> int:
    """The next multiple of the alignment."""
    return size + -size % alignment


def stated_alignment(fields: Iterable[Field]) -> int:
    """The alignment that the fields ask for; raises KQuantsError when it is no positive UINT32."""
    field = next((f for f in fields if f.key == ALIGNMENT_KEY), None)
    if field is None:
        return ALIGNMENT
    if field.type is not ValueType.UINT32 or field.value == 0:
        raise KQuantsError(
            f"metadata key {ALIGNMENT_KEY!r}: a UINT32 above 0 is expected, found {field.type_name} {field.value!r}"
        )
    return int(field.value)


def _header(
    fields: Sequence[Field], infos: Sequence[TensorInfo], offsets: Sequence[int], version: int, byteorder: ByteOrder
) -> bytes:
    order = order_letter(byteorder)
    parts = [MAGIC, struct.pack(order + "IQQ", version, len(infos), len(fields))]
    for field in fields:
        parts += [_name(field.key, order), struct.pack(order + "I", field.type), field.payload(byteorder)]
    for info, offset in zip(infos, offsets, strict=True):
        axes = len(info.shape)
        numbers = (axes, *reversed(info.shape), info.type.id, offset)
        parts += [_name(info.name, order), struct.pack(f"{order}I{axes}QIQ", *numbers)]
    return b"".join(parts)


def _name(name: str, order: str) -> bytes:
    try:
        return strings.pack([name], order)
    except UnicodeEncodeError:
        raise KQuantsError(f"the name {name!r} is no text that UTF-8 can hold") from None


def _checked(info: TensorInfo) -> TensorInfo:
    check_shape(info.name, info.type, info.shape)
    return info


def check_shape(name: str, type_: TensorType, shape: Sequence[int]) -> None:
    """Raise KQuantsError unless the shape is one that a tensor of that type can have in a file."""
    name = strings.quoted(name)
    if len(shape) > DIMENSIONS:
        raise KQuantsError(f"tensor {name} has {len(shape)} axes, at most {DIMENSIONS} are possible")
    if any(n < 0 for n in shape) or prod(max(n, 1) for n in shape) * 8 > LARGEST:
        raise KQuantsError(f"tensor {name} has the shape {tuple(shape)}, which no file can hold")
    if (shape[-1] if shape else 1) % type_.block:
        raise KQuantsError(
            f"tensor {name} has rows of {shape[-1] if shape else 1} weights, "
            f"which do not fill whole {type_.name} blocks of {type_.block}"
        )


def _distinct(what: str, names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        seen: set[str] = set()
        twice = next(n for n in names if n in seen or seen.add(n))  # type: ignore[func-returns-value]
        raise KQuantsError(f"{what} {twice!r} comes twice")
