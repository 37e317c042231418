"""Metadata values: the thirteen types, from Python to the file's bytes and back.

Source: the format's specification in ggml (``docs/gguf.md``) and what llama.cpp v0.5.0 reads and writes.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from typing import Any, Literal

from . import strings
from .input import Head
from .strings import Strings
from .types import ValueType

ByteOrder = Literal["little", "big"]

DTYPES: dict[ValueType, str] = {
    ValueType.UINT8: "u1",
    ValueType.INT8: "i1",
    ValueType.UINT16: "u2",
    ValueType.INT16: "i2",
    ValueType.UINT32: "u4",
    ValueType.INT32: "i4",
    ValueType.FLOAT32: "f4",
    ValueType.BOOL: "b1",
    ValueType.UINT64: "u8",
    ValueType.INT64: "i8",
    ValueType.FLOAT64: "f8",
}
"""How NumPy spells the types of numbers; the digit is their size in bytes."""
_LETTERS = {"u1": "B", "i1": "b", "u2": "H", "i2": "h", "u4": "I", "i4": "i", "u8": "Q", "i8": "q"}
_LETTERS |= {"f4": "f", "f8": "d", "b1": "?"}
_SIZES = {type_: int(dtype[1]) for type_, dtype in DTYPES.items()}
_DEEPEST = 16
"""Arrays inside arrays that a file may nest; nothing real nests more than one."""


def order_letter(byteorder: ByteOrder) -> str:
    """How ``struct`` and NumPy spell a byte order."""
    return "<" if byteorder == "little" else ">"


class Field:
    """One metadata key with its type and value; read from a file, its value is decoded when first asked for.

    A number is a Python int, float or bool, a string a str; an array of numbers is a NumPy array, one of strings a
    lazy sequence of str, one of arrays a list. ``raw`` holds the payload's bytes as the file has them (all that
    follows the type), or None for a field made by ``Field.of``.
    """

    __slots__ = ("_order", "_value", "item", "key", "raw", "type")

    def __init__(
        self, key: str, type: ValueType, value: Any, item: ValueType | None = None, raw: memoryview | None = None
    ) -> None:
        """Set the parts as they are; ``Field.of`` is the one that checks them."""
        self.key, self.type, self.item, self.raw = key, type, item, raw
        self._value, self._order = value, "<"

    @classmethod
    def of(cls, key: str, value: Any, type: ValueType | None = None, item: ValueType | None = None) -> Field:
        """Make a field; without ``type``, infer it as upstream's Python writer does.

        bool is BOOL, int INT32, float FLOAT32, str or bytes STRING, a list an ARRAY of what its first item is; a
        NumPy scalar or array keeps its own type. Raises KQuantsError when the value does not fit the type, when
        a list mixes types, and when an empty list comes without ``item``.
        """
        from . import encode

        if type is None:
            type, item = (ValueType.ARRAY, item) if item is not None else encode.infer(key, value)
        elif type is ValueType.ARRAY and item is None:
            item = encode.infer_item(key, value)
        field = cls(key, type, value, item if type is ValueType.ARRAY else None)
        raw = memoryview(field.payload("little"))
        end, _ = measure(Head(raw), 0, type, "<")
        field._value = decode(raw[:end], type, "<")
        return field

    @classmethod
    def read(cls, key: str, type: ValueType, item: ValueType | None, raw: memoryview, order: str) -> Field:
        """Make a field of checked bytes in a file; ``order`` is the struct letter of the file's byte order."""
        field = cls(key, type, _UNREAD, item, raw)
        field._order = order
        return field

    @property
    def value(self) -> Any:
        """The value, in Python's or NumPy's terms."""
        if self._value is _UNREAD:
            assert self.raw is not None
            self._value = decode(self.raw, self.type, self._order)
        return self._value

    def payload(self, byteorder: ByteOrder) -> bytes:
        """The bytes behind the type in a file of that byte order; raises KQuantsError when the value does not fit."""
        order = order_letter(byteorder)
        if self.raw is not None and order == self._order:
            return bytes(self.raw)
        from .encode import encode

        return encode(self.key, self.value, self.type, self.item, order)

    def first(self, count: int) -> list[Any]:
        """The first items of an array, with nothing behind them decoded."""
        if self.raw is None:
            few = self.value[:count]
            return few.tolist() if hasattr(few, "tolist") else list(few)
        assert self.item is not None
        count, body = min(count, self.count or 0), self.raw[12:]
        if self.item in DTYPES:
            return list(struct.unpack_from(f"{self._order}{count}{_LETTERS[DTYPES[self.item]]}", body))
        if self.item is ValueType.STRING:
            return Strings(body, count, self._order)[:]
        return list(_nested(body, count, self._order))

    def renamed(self, key: str) -> Field:
        """The same value under another key."""
        field = Field(key, self.type, self._value, self.item, self.raw)
        field._order = self._order
        return field

    @property
    def count(self) -> int | None:
        """Items of an array, without decoding it; None for any other type."""
        if self.type is not ValueType.ARRAY:
            return None
        if self.raw is None:
            return len(self.value)
        return int(struct.unpack_from(self._order + "Q", self.raw, 4)[0])

    @property
    def type_name(self) -> str:
        """The type in words, such as ``UINT32`` or ``ARRAY of STRING``."""
        return f"ARRAY of {self.item.name}" if self.item is not None else self.type.name

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Field):
            return NotImplemented
        same = (self.key, self.type) == (other.key, other.type)
        return same and self.payload("little") == other.payload("little")

    def __hash__(self) -> int:
        return hash((self.key, self.type))

    def __repr__(self) -> str:
        return f"Field({self.key!r}, {self.type_name}, {self.value!r})"


_UNREAD: Any = object()


def measure(head: Head, at: int, type_: ValueType, order: str, depth: int = 0) -> tuple[int, ValueType | None]:
    """Offset behind a value that starts at ``at``, and an array's item type; all its bytes are in the head then.

    Nothing is decoded. Raises struct.error when the bytes end first, ValueError when an array's item type does
    not exist or arrays nest too deep.
    """
    size = _SIZES.get(type_)
    if size is not None:
        head.want(at + size)
        return at + size, None
    if type_ is ValueType.STRING:
        return strings.skip(head, at, 1, order), None
    code, count = struct.unpack_from(order + "IQ", head.want(at + 12), at)
    item, at = ValueType(code), at + 12
    # The least the items can take is wanted first, so that a lie about the count ends here and not in a long walk.
    size = _SIZES.get(item) or (8 if item is ValueType.STRING else 12)
    head.want(at + size * count)
    if item in _SIZES:
        return at + size * count, item
    if item is ValueType.STRING:
        return strings.skip(head, at, count, order), item
    if depth >= _DEEPEST:
        raise ValueError(f"arrays nest deeper than {_DEEPEST}")
    for _ in range(count):
        at, _ = measure(head, at, ValueType.ARRAY, order, depth + 1)
    return at, item


def decode(raw: memoryview, type_: ValueType, order: str) -> Any:
    """The value of a payload that ``measure`` has passed."""
    if type_ in DTYPES:
        return struct.unpack_from(order + _LETTERS[DTYPES[type_]], raw)[0]
    if type_ is ValueType.STRING:
        return strings.to_text(raw[8:])
    code, count = struct.unpack_from(order + "IQ", raw, 0)
    item, body = ValueType(code), raw[12:]
    if item in DTYPES:
        import numpy as np  # here, so that looking at a file does not wait for it

        return (
            np.frombuffer(body, "u1", count) != 0
            if item is ValueType.BOOL
            else np.frombuffer(body, order + DTYPES[item], count)
        )
    if item is ValueType.STRING:
        return Strings(body, count, order)
    return list(_nested(body, count, order))


def _nested(body: memoryview, count: int, order: str) -> Iterator[Any]:
    head, at = Head(body), 0
    for _ in range(count):
        end, _ = measure(head, at, ValueType.ARRAY, order)
        yield decode(body[at:end], ValueType.ARRAY, order)
        at = end


NATIVE: ByteOrder = "little" if sys.byteorder == "little" else "big"
"""This machine's byte order."""
