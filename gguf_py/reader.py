"""Read a GGUF file: its header at once, everything else when it is asked for, nothing on trust."""

from __future__ import annotations

import importlib
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any

from . import strings
from .errors import KQuantsError
from .input import Head, InputFile, head_of
from .layout import LARGEST, MAGIC, TensorInfo, check_shape, padded, stated_alignment
from .types import ValueType, tensor_type
from .values import NATIVE, ByteOrder, Field, measure

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PLAIN = {"F32": "f4", "F16": "f2", "BF16": "u2", "F64": "f8", "I8": "i1", "I16": "i2", "I32": "i4", "I64": "i8"}


@dataclass(frozen=True, slots=True)
class Tensor(TensorInfo):
    """A tensor of a file that is open; its weights stay in the file until they are looked at."""

    offset: int = 0
    """Of its first byte, from the beginning of the file."""
    file: GGUFFile | None = None

    @property
    def input(self) -> InputFile:
        """Where it is read from; raises KQuantsError when the file is closed or only its header is here."""
        if self.file is None or self.file.input is None:
            raise KQuantsError(f"tensor {self.name!r}: only the header of this file is here, or the file is closed")
        return self.file.input

    @property
    def data(self) -> NDArray[np.uint8]:
        """The bytes as they are in the file, a read-only view: the shape's leading axes, then bytes of a row.

        They are mapped into memory. Should the file be cut short while they are looked at, the system ends the process:
        ``read_into`` and ``to_numpy`` raise then.
        """
        import numpy as np  # here, so that looking at a header does not wait for it

        flat = np.frombuffer(self.input.mapped(), np.uint8, self.nbytes, self.offset)
        return flat.reshape(*self.shape[:-1], self.row_bytes)

    def read_into(self, out: NDArray[np.uint8], lo: int = 0) -> None:
        """Fill uint8[n] with the bytes from ``lo`` of the tensor on; raises KQuantsError when they are gone."""
        self.input.read_into(out, self.offset + lo)

    def to_numpy(self) -> NDArray[np.float32]:
        """The weights as float32, of the tensor's shape, decoded whole."""
        import numpy as np

        data = np.empty(self.nbytes, np.uint8)
        self.read_into(data)
        byteorder = self.file.byteorder if self.file is not None else NATIVE
        plain = _PLAIN.get(self.type.name)
        if plain is None:
            if byteorder != "little":
                raise KQuantsError(f"tensor {self.name!r}: {self.type} blocks of a big-endian file are not decoded")
            kquants = importlib.import_module("kquants")  # here, not above: a file opens without the codecs
            decoded: NDArray[np.float32] = kquants.dequantize(data, self.type.name)
            return decoded.reshape(self.shape)
        numbers = data.view(("<" if byteorder == "little" else ">") + plain)
        if self.type.name == "BF16":
            return (numbers.astype(np.uint32) << 16).view(np.float32).reshape(self.shape)
        return numbers.astype(np.float32, copy=False).reshape(self.shape)

    @property
    def info(self) -> TensorInfo:
        """Name, type and shape alone."""
        return TensorInfo(self.name, self.type, self.shape)

    def __repr__(self) -> str:
        return f"Tensor({self.name!r}, {self.type}, {self.shape}, {self.nbytes:,} bytes at {self.offset:,})"


class Metadata(Mapping[str, Any]):
    """The values of a file's metadata by key, in file order; each decoded when it is first asked for."""

    def __init__(self, fields: Mapping[str, Field]) -> None:
        """Show the values of ``fields``."""
        self._fields = fields

    def __getitem__(self, key: str) -> Any:
        return self._fields[key].value

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Metadata({{{', '.join(f'{k!r}: {self[k]!r}' for k in self)}}})"

    def _repr_html_(self) -> str:
        from .html import keys

        return keys(self._fields)


@dataclass(frozen=True, eq=False)
class GGUFFile:
    """A file that is open for reading; a context manager. What was taken from it stays valid after ``close``."""

    path: Path | str
    version: int
    byteorder: ByteOrder
    alignment: int
    fields: Mapping[str, Field]
    """Metadata by key in file order, with types; ``metadata`` has the values alone."""
    tensors: Mapping[str, Tensor]
    """Tensors by name in file order."""
    data_offset: int
    """Where the tensor data begins: the header's end, padded to the alignment unless the file ends there."""
    size: int
    """Of the file in bytes."""
    header: memoryview
    """The bytes before ``data_offset``."""
    input: InputFile | None = None
    """Where tensors are read from; None when only the header was read, or after ``close``."""

    @property
    def metadata(self) -> Metadata:
        """Values by key in file order."""
        return Metadata(self.fields)

    def close(self) -> None:
        """Let go of the file; views that were taken keep their part of it alive."""
        object.__setattr__(self, "input", None)

    def __enter__(self) -> GGUFFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return (
            f"<GGUF v{self.version} {self.byteorder}-endian: {os.fspath(self.path)}, {len(self.fields)} metadata keys, "
            f"{len(self.tensors)} tensors, {self.size:,} bytes>"
        )

    def _repr_html_(self) -> str:
        from .html import page

        return page(self)


def open(path: str | os.PathLike[str]) -> GGUFFile:
    """Open a GGUF file, version 2 or 3, of either byte order, read-only.

    The header is read and checked at once: every count, length, type and offset against the bytes that are there.
    Values are decoded and weights are read when they are asked for. Raises KQuantsError when the file is missing, is
    not a GGUF file, ends too soon or contradicts itself.
    """
    file = InputFile(path)
    if file.size < len(MAGIC):
        raise KQuantsError(f"{file.path} is not a GGUF file: it has {file.size} bytes")
    opened = parse(head_of(file), Path(path))
    object.__setattr__(opened, "input", file)
    return opened


def parse(head: Head, path: Path | str) -> GGUFFile:
    """Parse the header that a file begins with; ``path`` is for messages. Raises KQuantsError as ``open`` does."""
    try:
        return _Parser(head, path).file()
    except KQuantsError as fault:
        name = os.fspath(path)
        raise fault if str(fault).startswith(name) else KQuantsError(f"{name}: {fault}") from None


_Place = tuple[tuple[ValueType, ValueType | None], int, int]
"""A value's type and an array's item type, the first byte, and the one behind the last."""


class _Parser:
    """A place in the header that moves forward; every step is checked against the bytes that there are."""

    def __init__(self, head: Head, path: Path | str) -> None:
        self.head, self.size, self.path = head, head.size, path
        self.at, self.order = 0, "<"
        self.doing, self.named = "the header", ""
        """What is being read, and the key or tensor that was named last."""

    def file(self) -> GGUFFile:
        try:
            byteorder, version = self._start()
            tensors, fields = self._unpack("QQ")
            self._possible(tensors, 24, "tensors")
            self._possible(fields, 13, "metadata keys")
            places = self._places(fields)
            infos = self._infos(tensors)
        except struct.error as fault:
            raise KQuantsError(
                f"the file ends in {self.doing}: that goes on to byte {fault.args[0]:,} at least, but the file has "
                f"{self.size:,} bytes: it is cut short or damaged"
            ) from None
        data = self.head.data
        by_key = {key: Field.read(key, *kinds, data[lo:hi], self.order) for key, (kinds, lo, hi) in places.items()}
        alignment = stated_alignment(by_key.values())
        origin = padded(self.at, alignment)
        if origin > self.size and not infos:
            origin = self.at  # upstream writes a file without tensors with or without padding behind its header
        header = self.head.want(min(origin, self.size))[:origin]
        opened = GGUFFile(
            self.path, version, byteorder, alignment, MappingProxyType(by_key), {}, origin, self.size, header
        )
        placed = {t.name: replace(t, offset=origin + t.offset, file=opened) for t in infos}
        for tensor in placed.values():
            if tensor.offset + tensor.nbytes > self.size:
                end = tensor.offset + tensor.nbytes
                raise KQuantsError(
                    f"tensor {strings.quoted(tensor.name)} ends at byte {end:,}, but the file has {self.size:,} bytes: "
                    "it is cut short or damaged"
                )
        object.__setattr__(opened, "tensors", MappingProxyType(placed))
        return opened

    def _start(self) -> tuple[ByteOrder, int]:
        if (found := bytes(self.head.want(4)[:4])) != MAGIC:
            raise KQuantsError(f"not a GGUF file: it begins with {found!r} instead of {MAGIC!r}")
        self.at = 4
        (version,) = self._unpack("I")
        if version & 0xFFFF == 0:
            self.order, self.at = ">", 4
            (version,) = self._unpack("I")
        if version not in (2, 3):
            raise KQuantsError(f"GGUF version {version} is not supported, only 2 and 3 are")
        return ("little" if self.order == "<" else "big"), version

    def _places(self, count: int) -> dict[str, _Place]:
        """Where the metadata's values lie; nothing is kept of the head, which may still be replaced by a longer one."""
        places: dict[str, _Place] = {}
        for number in range(1, count + 1):
            key = self._name("metadata key", number, count)
            if not key:
                raise KQuantsError(f"{self.doing} is empty")
            self._once(key, places, count)
            (code,) = self._unpack("I")
            try:
                type_, start = ValueType(code), self.at
                self.at, item = measure(self.head, start, type_, self.order)
            except ValueError as fault:
                raise KQuantsError(f"{self.doing}: {str(fault).replace('ValueType', 'metadata type')}") from None
            places[key] = ((type_, item), start, self.at)
        return places

    def _infos(self, count: int) -> list[Tensor]:
        infos: dict[str, Tensor] = {}
        for number in range(1, count + 1):
            name = self._name("tensor", number, count)
            self._once(name, infos, count)
            (axes,) = self._unpack("I")
            if axes > 4:
                raise KQuantsError(f"{self.doing} has {axes:,} axes, at most 4 are possible")
            *sizes, code, offset = self._unpack(f"{axes}QIQ")
            try:
                type_ = tensor_type(code)
            except KQuantsError:
                raise KQuantsError(f"{self.doing} is of type {code}, which does not exist") from None
            shape = tuple(reversed(sizes))
            check_shape(name, type_, shape)
            if offset > LARGEST - prod(shape) * 8:
                raise KQuantsError(f"{self.doing} begins at byte {offset:,}, where no file reaches")
            infos[name] = Tensor(name, type_, shape, offset)
        return list(infos.values())

    def _unpack(self, form: str) -> tuple[Any, ...]:
        reader = struct.Struct(self.order + form)
        self.at += reader.size
        return reader.unpack_from(self.head.want(self.at), self.at - reader.size)

    def _name(self, what: str, number: int, count: int) -> str:
        """The next key or tensor's name; from then on, faults are those of what it names."""
        place = f"{number:,} of {count:,}" + (f", behind {self.named}" if self.named else "")
        self.doing = f"{what} {place}"
        self.named = strings.quoted(name := self._string())
        self.doing = f"{what} {self.named} ({place})"
        return name

    def _once(self, name: str, seen: Mapping[str, Any], count: int) -> None:
        if name in seen:
            raise KQuantsError(
                f"{self.doing} comes twice, {list(seen).index(name) + 1:,} of {count:,} is called so too"
            )

    def _string(self) -> str:
        (length,) = self._unpack("Q")
        self.at += length
        return strings.to_text(self.head.want(self.at)[self.at - length : self.at])

    def _possible(self, count: int, least: int, what: str) -> None:
        if count * least > self.size - self.at:
            raise KQuantsError(f"the header speaks of {count:,} {what}, too many for {self.size:,} bytes")
