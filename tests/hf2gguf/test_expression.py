"""The language of architecture files: what it computes, and what it refuses."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf_py import KQuantsError
from hf2gguf.expression import Scope, evaluate, pipeline

SCOPE = Scope({"a": 6, "b": 4, "xs": [1, 2, 3], "d": {"k": 5}, "none": None}, {"c": "a * b", "gone": "None", "a2": "a"})


@pytest.mark.parametrize(
    "text",
    ["1 + 2 * 3", "-7 // 2", "2 ** 10", "7 % 4", "1 < 2 < 3", "not 0", "'x' in ['x', 'y']", "3 if 0 else 4",
     "[x * x for x in [1, 2, 3] if x != 2]", "max(3, 4)", "len([1, 2])", "[1, 2, 3][1:]", "{'k': 1}['k']", "0 or 5",
     "1 and 0", "sorted([3, 1, 2])", "sum([0.5, 0.25])", "int(2.9)"],
)  # fmt: skip
def test_as_python(text: str) -> None:
    assert evaluate(text, Scope({})) == eval(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("a + b", 10), ("c", 24), ("first('z', 'b', 'a')", 4), ("first('z')", None), ("get('z', 3)", 3),
     ("get(d, 'k')", 5),
     ("get(d, 'z', 1)", 1), ("get(none, 'k', 2)", 2), ("has('a')", True), ("has('gone')", False), ("has('none')", True),
     ("first('gone', 'a')", 6), ("first('none', 'a')", None), ("xs[0]", 1), ("d['k']", 5)],
)  # fmt: skip
def test_names(text: str, value: Any) -> None:
    assert evaluate(text, SCOPE) == value


def test_a_derived_name_inside_itself_is_the_configurations() -> None:
    scope = Scope({"size": 10, "pad": 8}, {"size": "-(size // -pad) * pad", "twice": "2 * size"})
    assert evaluate("size", scope) == 16
    assert evaluate("twice", scope) == 32
    assert evaluate("size", scope.over(pad=4)) == 16  # once computed it stays


@pytest.mark.parametrize(
    ("text", "said"),
    [("missing + 1", "lacks 'missing'"), ("().__class__", "Attribute"), ("open('/etc/passwd')", "no function 'open'"),
     ("eval('1')", "no function 'eval'"), ("lambda: 1", "Lambda"), ("(lambda: 1)()", "only functions by name"),
     ("[0] * 10 ** 9", "list that long"), ("9 ** 9999", "exponent"), ("range(10 ** 12)", "list that long"),
     ("1 / 0", "division"), ("a b", "no expression"), ("f'{a}'", "JoinedStr"), ("a := 1", "no expression"),
     ("[x for x in xs for y in xs]", "unpack")],
)  # fmt: skip
def test_refused(text: str, said: str) -> None:
    with pytest.raises(KQuantsError, match=said):
        evaluate(text, SCOPE)


@given(st.text(max_size=40))
def test_no_text_does_anything_but_compute_or_raise(text: str) -> None:
    with contextlib.suppress(KQuantsError):
        evaluate(text, SCOPE)


def test_pipeline() -> None:
    assert pipeline("blk.{i}.x | rows(0, n + 1) | transpose") == (
        "blk.{i}.x",
        (("rows", ("0", "n + 1")), ("transpose", ())),
    )
    with pytest.raises(KQuantsError, match="no operation"):
        pipeline("x | 1 + 2")
