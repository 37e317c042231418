"""The form of an architecture file, checked whole before anything is made of it; ``spec/convert.md`` describes it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any

from gguf_py import KQuantsError, tensor_type

from .expression import parse, pipeline

Check = Callable[[str, Any], None]
"""Takes what is looked at, as a message names it, and its value; raises KQuantsError saying what was expected."""


def text(what: str, value: Any) -> None:
    if not isinstance(value, str):
        raise KQuantsError(f"{what} is a text, found {value!r}")


def expression(what: str, value: Any) -> None:
    if not isinstance(value, str):
        raise KQuantsError(f"{what} is an expression, a text such as \"first('hidden_size', 'dim')\", found {value!r}")
    _within(what, parse, value)


def default(what: str, value: Any) -> None:
    if isinstance(value, str) and value.startswith("="):
        expression(what, value[1:])


def pattern(what: str, value: Any) -> None:
    text(what, value)
    try:
        re.compile(value)
    except re.error as fault:
        raise KQuantsError(f"{what} is a regular expression, but {value!r} is none ({fault})") from None


def pattern_or_expression(what: str, value: Any) -> None:
    (default if isinstance(value, str) and value.startswith("=") else pattern)(what, value)


def target(what: str, value: Any) -> None:
    for one in value if isinstance(value, list) else [value]:
        if not isinstance(one, str):
            raise KQuantsError(f"{what} is a GGUF name with operations or a list of them, found {value!r}")
        _within(what, pipeline, one)


def kind(what: str, value: Any) -> None:
    default(what, value)
    if value not in ("outtype", "stored") and not str(value).startswith("="):
        text(what, value)
        _within(what, tensor_type, value)


def pair(what: str, value: Any) -> None:
    if not isinstance(value, list) or len(value) != 2:
        raise KQuantsError(f"{what} is a pair, a regular expression and what replaces it, found {value!r}")
    pattern(what, value[0])
    text(what, value[1])


def many(check: Check) -> Check:
    """A list, each item of which passes ``check``."""

    def checked(what: str, value: Any) -> None:
        if not isinstance(value, list):
            raise KQuantsError(f"{what} is a list, found {value!r}")
        for i, item in enumerate(value, 1):
            check(f"{what}, item {i},", item)

    return checked


def table(check: Check, key: Check | None = None) -> Check:
    """A table, each value of which passes ``check``, and each key ``key``."""

    def checked(what: str, value: Any) -> None:
        if not isinstance(value, Mapping):
            raise KQuantsError(f"{what} is a table, found {value!r}")
        for name, item in value.items():
            if key is not None:
                key(what, name)
            check(f"{what}, {name!r},", item)

    return checked


FORM: dict[str, Check] = {
    "base": text,
    "architecture": text,
    "classes": many(text),
    "drop": many(pattern),
    "rename": many(pair),
    "ahead": many(pattern_or_expression),
    "defaults": table(table(default)),
    "derived": table(expression),
    "first": table(expression),
    "metadata": table(expression),
    "tensors": table(target),
    "generate": table(expression),
    "types": table(kind, pattern),
    "vocabulary": table(text),
    "early": table(expression),
    "before": table(expression),
    "after": table(expression),
}
"""What an architecture file may hold."""


def check(where: object, page: Mapping[str, Any]) -> None:
    """Raise KQuantsError naming the file and the first thing in it that does not have the form."""
    for key, value in page.items():
        if key not in FORM:
            near = difflib.get_close_matches(key, FORM, 1)
            raise KQuantsError(
                f"{where}: there is no table {key!r} in an architecture file"
                f"{f' (did you mean {near[0]}?)' if near else ', but ' + ', '.join(FORM)}"
            )
        FORM[key](f"{where}: {key}", value)


def _within(what: str, read: Callable[[str], Any], value: str) -> None:
    try:
        read(value)
    except KQuantsError as fault:
        raise KQuantsError(f"{what} does not fit: {fault}") from None
