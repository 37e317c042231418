"""Changes of a configuration in the making: values at paths, some of them left free, combined and applied."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice, product
from typing import Any

import numpy as np

Path = tuple[str, ...]
Change = dict[Path, Any]

POOLING, TOKENIZER, WEIGHTS, CARD_TEXT = "=pooling", "=tokenizer_config", "=weights", "=card"
"""Entries of a configuration in the making that belong into other files; of weights, lists of numbers by name."""
FREE = object()
"""A value that something else must tell, as long as there is one."""
_MOST = 24
"""Changes for one part of an expression that are combined with those for another."""
_GUESSES: dict[str, tuple[Any, ...]] = {"rope_type": ("longrope", "yarn", "linear", "dynamic", "default")}


def applied(config: Mapping[str, Any], change: Change) -> dict[str, Any]:
    """The configuration with other values at some paths."""
    changed = copy.deepcopy(dict(config))
    for path, value in change.items():
        place = changed
        for part in path[:-1]:
            if not isinstance(place.get(part), dict):
                place[part] = {}
            place = place[part]
        place[path[-1]] = copy.deepcopy(value)
    return changed


def equal(a: Any, b: Any) -> bool:
    """Whether two values are the same, lists of numbers as float32."""
    if isinstance(a, list) and isinstance(b, list) and all(isinstance(x, int | float) for x in (*a, *b)):
        return len(a) == len(b) and np.array_equal(np.asarray(a, np.float32), np.asarray(b, np.float32))
    return bool(a == b)


def concrete(changes: Iterable[Change]) -> Iterator[Change]:
    """Changes with something in every place that was left free."""
    for change in changes:
        free = [path for path, value in change.items() if value is FREE]
        for values in product(*(_GUESSES.get(path[-1], (True, 1)) for path in free)):
            yield change | dict(zip(free, values, strict=True))


def both(first: Iterable[Change], second: Callable[[], Iterable[Change]]) -> Iterator[Change]:
    """What each of the first and each of the second asks for, unless they contradict."""
    for one in islice(distinct(first), _MOST):
        for other in islice(distinct(second()), _MOST):
            merged = dict(one)
            for path, value in other.items():
                if path in merged and merged[path] is not FREE:
                    if value is not FREE and merged[path] != value:
                        break
                else:
                    merged[path] = value
            else:
                yield merged


def distinct(changes: Iterable[Change]) -> Iterator[Change]:
    """Each change once."""
    seen: set[str] = set()
    for change in changes:
        spelled = repr(change)
        if spelled not in seen:
            seen.add(spelled)
            yield change


def numbers(value: float) -> Iterator[int | float]:
    """Numbers near a computed one that somebody may have written: whole, then of few digits."""
    if not np.isfinite(value):
        return
    said: list[int | float] = []
    if abs(value) < 1 << 53 and abs(value - round(value)) < 1e-3 * max(1.0, abs(value)):
        said.append(round(value))
    said.extend(float(f"{value:.{digits}g}") for digits in (1, 2, 3, 4, 5, 6, 7, 9, 12, 17))
    yield from dict.fromkeys(said)
