"""What a key of the file should say, and the changes of a configuration that may make a page say it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..definition import Definition
from ..expression import Scope, parse
from .back import Back
from .change import FREE, Change, concrete


@dataclass(frozen=True)
class Goal:
    """Expressions that set a key one after another, and the value that they should end with.

    ``first``: which of them may be the first that sets the key; that is where it stands in the file.
    """

    texts: tuple[str, ...]
    value: Any
    first: tuple[int, ...] = (0,)


def changes(page: Definition, scope: Scope, config: Mapping[str, Any], goal: Goal) -> Iterator[Change]:
    """Changes that may reach a goal."""
    back, value = Back(page, scope, config), goal.value
    nodes = [parse(text) for text in goal.texts]
    if value is None:
        yield from concrete(back.together([(node, None) for node in nodes]))
        return
    for k in goal.first:
        before, (node, *behind) = [(n, None) for n in nodes[:k]], nodes[k:]
        if not behind:
            yield from concrete(back.together([(node, value), *before]))
            continue
        nothing, last = [(n, None) for n in behind], behind[-1]
        reasons = [[(last, value), (node, value), *before], [(node, value), *nothing, *before]]
        other = [(last, value), (node, FREE), *before]
        for wanted in [other, *reasons] if isinstance(value, list) else [*reasons, other]:
            yield from concrete(back.together(wanted))
    yield from concrete(back.value(nodes[-1], value))
