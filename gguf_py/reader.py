"""Read a GGUF file: its header at once, everything else when it is asked for, nothing on trust."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from dataclasses import replace
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any

from . import strings
from .errors import KQuantsError
from .file import GGUFFile, Tensor
from .input import Head, InputFile, head_of
from .layout import DIMENSIONS, LARGEST, MAGIC, check_shape, padded, stated_alignment
from .types import ValueType, tensor_type
from .values import ByteOrder, Field, measure


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
        told = str(fault).startswith((name, f"cannot read {name}"))
        raise fault if told else KQuantsError(f"{name}: {fault}") from None


_Place = tuple[tuple[ValueType, ValueType | None], int, int]
"""A value's type and an array's item type, the first byte, and the one behind the last."""


class _Parser:
    """A place in the header that moves forward; every step is checked against the bytes that there are."""

    def __init__(self, head: Head, path: Path | str) -> None:
        self.head, self.size, self.path = head, head.size, path
        self.at, self.order = 0, "<"
        self.turn: tuple[str, int, int, str | None] | None = None
        """What is being read, which of how many, and the key or tensor that was named before."""
        self.named: str | None = None
        """The key or tensor that is being read, once its name was."""

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
            if axes > DIMENSIONS:
                raise KQuantsError(f"{self.doing} has {axes:,} axes, at most {DIMENSIONS} are possible")
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
        form, start = self.order + form, self.at
        self.at += struct.calcsize(form)
        return struct.unpack_from(form, self.head.want(self.at), start)

    def _name(self, what: str, number: int, count: int) -> str:
        """The next key or tensor's name; from then on, faults are those of what it names."""
        self.turn, self.named = (what, number, count, self.named), None
        self.named = self._string()
        return self.named

    @property
    def doing(self) -> str:
        """What is being read, in words."""
        if self.turn is None:
            return "the header"
        what, number, count, before = self.turn
        place = f"{number:,} of {count:,}" + ("" if before is None else f", behind {strings.quoted(before)}")
        return f"{what} {place}" if self.named is None else f"{what} {strings.quoted(self.named)} ({place})"

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
