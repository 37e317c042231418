"""String arrays that cost nothing until they are looked at."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

from .input import Head


def to_text(raw: bytes | memoryview) -> str:
    """Text of a string's bytes; bytes that are not UTF-8 become lone surrogates, so that nothing is lost."""
    return str(raw, "utf-8", "surrogateescape")


def to_bytes(text: str | bytes | bytearray) -> bytes:
    """Bytes of a string, the inverse of ``to_text``.

    Raises UnicodeEncodeError for any other lone surrogate, TypeError for what is no text.
    """
    if isinstance(text, str):
        return text.encode("utf-8", "surrogateescape")
    if not isinstance(text, (bytes, bytearray)):
        raise TypeError(text)
    return bytes(text)


def quoted(text: str, most: int = 100) -> str:
    """A name for a message: escaped, in quotation marks, and not longer than a line can bear."""
    return repr(text) if len(text) <= most else f"{text[:most]!r}… ({len(text):,} characters)"


def skip(head: Head, at: int, count: int, order: str) -> int:
    """Offset behind ``count`` length-prefixed strings that start at ``at``; raises struct.error past the end.

    Each length says where the next one lies, so the walk is sequential; it reads nothing but the lengths.
    """
    length, data = struct.Struct(order + "Q").unpack_from, head.data
    for _ in range(count):
        try:
            at += 8 + length(data, at)[0]
        except (struct.error, OverflowError):  # not all of it is here, or nowhere
            data = head.want(at + 8)
            at += 8 + length(data, at)[0]
    head.want(at)
    return at


def pack(values: Iterable[str | bytes | bytearray], order: str) -> bytes:
    """The bytes of strings in a file: each as a 64-bit length and that many bytes."""
    if isinstance(values, Strings) and values._order == order:
        return bytes(values._data)
    length = struct.Struct(order + "Q").pack
    return b"".join([part for raw in map(to_bytes, values) for part in (length(len(raw)), raw)])


class Strings(Sequence[str]):
    """The strings of an array in a file: a sequence that finds and decodes them when they are asked for."""

    __slots__ = ("_count", "_data", "_order", "_starts")

    def __init__(self, data: memoryview, count: int, order: str) -> None:
        """Lay a view of exactly ``count`` checked strings, with ``order`` the struct letter of the byte order."""
        self._data, self._count, self._order = data, count, order
        self._starts: array[int] | None = None

    def _spans(self) -> Iterator[tuple[int, int]]:
        length, at = struct.Struct(self._order + "Q").unpack_from, 0
        for _ in range(self._count):
            start = at + 8
            at = start + length(self._data, at)[0]
            yield start, at

    def raw(self, index: int) -> bytes:
        """The bytes of one string, as they are in the file."""
        if self._starts is None:
            self._starts = array("q", (lo for lo, _ in self._spans()))
        start = self._starts[index]
        (size,) = struct.unpack_from(self._order + "Q", self._data, start - 8)
        return bytes(self._data[start : start + size])

    def has_nul(self) -> bool:
        """Whether a NUL stands in one of the strings, where a string of C's would end."""
        data = bytes(self._data)
        return any(0 in data[start:end] for start, end in self._spans())

    @property
    def nbytes(self) -> int:
        """Bytes that the strings and their lengths take in the file."""
        return len(self._data)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._count))]
        return to_text(self.raw(index))

    def __iter__(self) -> Iterator[str]:
        # What _spans and to_text do, in one loop over bytes: a vocabulary has a quarter of a million of them.
        data, length, at = bytes(self._data), struct.Struct(self._order + "Q").unpack_from, 0
        for _ in range(self._count):
            start = at + 8
            at = start + length(data, at)[0]
            yield data[start:at].decode("utf-8", "surrogateescape")

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Strings) and self._order == other._order:
            return self._count == other._count and self._data == other._data
        if isinstance(other, Sequence) and not isinstance(other, str):
            return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self[:3])) + (", …" if self._count > 3 else "")
        return f"<{self._count} strings: {shown}>"
