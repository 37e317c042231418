"""A page's patterns of names read backwards: which numbers a name was made with, and what it was in a checkpoint."""

from __future__ import annotations

import re
from functools import cache

from gguf_py import KQuantsError

from ..definition import Definition
from ..expression import Scope, evaluate
from ..tensors import kept

HOLE = re.compile(r"\{([^}]+)\}")
SUFFIXES = ("", ".weight", ".bias")
_LITERAL = re.compile(r"(?P<start>\^?)(?P<text>(?:[\w-]|\\\.)*)(?P<end>\$?)")
"""A pattern that matches one text only, perhaps only at one end."""
_NUMBERED = re.compile(r"(?P<text>(?:[\w-]|\\\.)*)\(\\d\+\)")
"""A pattern that matches one text with a number behind it."""
_LAYERS = 4096


@cache
def _pattern(stem: str) -> tuple[re.Pattern[str], list[str], list[str]]:
    """What matches a target's name, its holes, and those of them that are a variable."""
    pieces = HOLE.split(stem)
    plain = [hole for hole in pieces[1::2] if hole.isidentifier() and len(hole) == 1]
    pattern = ""
    for at, piece in enumerate(pieces):
        pattern += re.escape(piece) if at % 2 == 0 else f"(?P<_{at}>.*)" if piece not in plain else r"(\d+)"
    return re.compile(pattern), pieces[1::2], plain


def matched(stem: str, name: str, scope: Scope) -> dict[str, int] | None:
    """The numbers with which a target's name is ``name``; a hole may be an expression of another number."""
    pattern, said, plain = _pattern(stem)
    found = pattern.fullmatch(name)
    if found is None:
        return None
    holes = dict(zip(said, found.groups(), strict=True))
    numbers = {hole: int(text) for hole, text in holes.items() if hole in plain}
    for hole, text in holes.items():
        if hole in plain:
            continue
        variables = [v for v in re.findall(r"\b[a-z]\b", hole) if v not in numbers and v not in scope]
        for number in range(_LAYERS) if variables else (0,):
            try:
                if str(evaluate(hole, scope.over(**numbers, **dict.fromkeys(variables, number)))) == text:
                    numbers |= dict.fromkeys(variables, number)
                    break
            except KQuantsError:
                return None
        else:
            return None
    return numbers


def filled(text: str, scope: Scope) -> str:
    return HOLE.sub(lambda hole: str(evaluate(hole[1], scope)), text)


def original(known: str, page: Definition, scope: Scope) -> str | None:
    """A checkpoint's name for what the patterns know as ``known``; None if converting would not find it.

    Endings are those that models have been published with, prefixes are left away.
    """
    before: list[str] = []
    behind = [known]
    for pattern, into in page.rename:
        numbered = _NUMBERED.fullmatch(pattern)
        if numbered is not None and into.endswith(r"\1"):
            text = numbered["text"].replace("\\.", ".")
            before.append(re.sub(rf"{re.escape(into[:-2])}(\d+)", lambda number: text + number[1], known))  # noqa: B023
            continue
        literal = _LITERAL.fullmatch(pattern)
        if literal is None or not into or "\\" in into:
            continue
        into = filled(into, scope)
        text = literal["text"].replace("\\.", ".")
        if literal["end"] and known.endswith(into) and into not in SUFFIXES:
            before.append(known.removesuffix(into) + text)
        elif literal["start"] and known.startswith(into):
            behind.append(text + known.removeprefix(into))
        elif not literal["end"] and not literal["start"]:
            behind.append(known.replace(into, text))
    asked = " ".join(page.derived.values())  # whether a tensor is there by its name
    names = sorted([*before, *behind], key=lambda name: f"'{name}'" not in asked)
    return next((name for name in names if list(kept([name], page, scope)) == [(name, known)]), None)
