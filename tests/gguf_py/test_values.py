"""Metadata values: what is inferred, what is refused, and that nothing is lost on the way."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest

from gguf_py import Field, KQuantsError, Strings, ValueType


@pytest.mark.parametrize(
    ("value", "kind", "item"),
    [
        (True, ValueType.BOOL, None),
        (5, ValueType.INT32, None),
        (0.5, ValueType.FLOAT32, None),
        ("text", ValueType.STRING, None),
        (np.uint16(3), ValueType.UINT16, None),
        (np.float64(3), ValueType.FLOAT64, None),
        ([1, 2], ValueType.ARRAY, ValueType.INT32),
        ([1.0], ValueType.ARRAY, ValueType.FLOAT32),
        (["a"], ValueType.ARRAY, ValueType.STRING),
        ([[1], [2]], ValueType.ARRAY, ValueType.ARRAY),
        (np.array([1, 2], np.int8), ValueType.ARRAY, ValueType.INT8),
        (np.array([True]), ValueType.ARRAY, ValueType.BOOL),
        (np.zeros((2, 2), np.int8), ValueType.ARRAY, ValueType.ARRAY),
    ],
)
def test_types_are_inferred_as_upstream_infers_them(value: Any, kind: ValueType, item: ValueType | None) -> None:
    field = Field.of("k", value)
    assert (field.type, field.item) == (kind, item)


@pytest.mark.parametrize(
    ("value", "kind", "item", "says"),
    [
        (2**31, None, None, "no INT32"),
        (-1, ValueType.UINT32, None, "no UINT32"),
        (256, ValueType.UINT8, None, "no UINT8"),
        (1.5, ValueType.INT32, None, "INT32 is expected"),
        ("1", ValueType.INT32, None, "INT32 is expected"),
        (1e39, ValueType.FLOAT32, None, "FLOAT32 is expected"),
        (1, ValueType.BOOL, None, "BOOL is expected"),
        (1, ValueType.STRING, None, "text is expected"),
        ("\ud800", ValueType.STRING, None, "text is expected"),
        ([1, "a"], None, None, "one type"),
        ([1, 2**40], None, ValueType.INT32, "1099511627776 is no INT32"),
        ([0.5], None, ValueType.UINT8, "UINT8 is expected"),
        ([], None, None, "needs its item type"),
        (None, None, None, "no metadata type holds a NoneType"),
        ([1], ValueType.INT32, None, "one INT32 is expected"),
        ("abc", ValueType.ARRAY, None, "an array is expected"),
        (np.zeros(2, np.complex64), None, None, "no metadata type holds an array of complex64"),
    ],
)
def test_what_does_not_fit_is_refused(value: Any, kind: ValueType | None, item: ValueType | None, says: str) -> None:
    with pytest.raises(KQuantsError, match=says) as refused:
        Field.of("some.key", value, kind, item)
    assert "some.key" in str(refused.value)


def test_integers_beyond_any_one_numpy_type() -> None:
    assert list(Field.of("k", [1, 2**64 - 1], item=ValueType.UINT64).value) == [1, 2**64 - 1]
    with pytest.raises(KQuantsError, match="no INT64"):
        Field.of("k", [-1, 2**64 - 1], item=ValueType.INT64)


def test_bytes_that_are_no_text_survive() -> None:
    field = Field.of("k", [b"\xff\xfe", b"ok"])
    assert field.value[1] == "ok"
    assert field.value.raw(0) == b"\xff\xfe"
    assert Field.of("k", list(field.value)).payload("little") == field.payload("little")


def test_strings_are_a_sequence() -> None:
    words = ["", "a", "ü" * 300, "b\0c", "🦙"]
    strings = Field.of("k", words).value
    assert isinstance(strings, Strings)
    assert list(strings) == words == [strings[i] for i in range(len(words))]
    assert strings[-1] == "🦙" and strings[1:3] == words[1:3] and strings == words and strings != words[:-1]
    assert strings != Field.of("k", [*words[:-1], "🐪"]).value and strings == Field.of("k", words).value
    assert "🦙" in strings and strings.index("a") == 1
    with pytest.raises(IndexError):
        strings[5]


def test_the_first_items_alone() -> None:
    for made in (Field.of("k", ["a", "b", "c"]), Field.of("k", [1, 2, 3]), Field.of("k", [[1], [2], [3, 4]])):
        read = Field.read("k", made.type, made.item, memoryview(made.payload("big")), ">")
        for field in (made, read):
            assert field.count == 3 and [str(item) for item in field.first(2)] == [str(item) for item in made.value[:2]]
            assert len(field.first(9)) == 3


def test_both_byte_orders() -> None:
    field = Field.of("k", [1, 2], item=ValueType.UINT16)
    assert field.payload("little") == struct.pack("<IQHH", 2, 2, 1, 2)
    assert field.payload("big") == struct.pack(">IQHH", 2, 2, 1, 2)


def test_values_are_what_the_file_will_hold() -> None:
    assert Field.of("k", 0.1).value == float(np.float32(0.1))
    assert Field.of("k", [1, 2]).value.dtype == np.int32
    assert Field.of("k", True).value is True
