"""List comprehensions of a page read backwards: which list, or which names inside, make them give another list."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from gguf_py import KQuantsError

from ..expression import FUNCTIONS, evaluate
from .change import FREE, Change, both, equal, numbers

if TYPE_CHECKING:
    from .back import Back

_KINDS = ("full_attention", "sliding_attention", "linear_attention", "attention", "conv", "mamba")
"""What configurations call the layers of a mixed model."""


def loop(back: Back, node: ast.ListComp, target: Any) -> Iterator[Change]:
    """Changes that may make a list comprehension give ``target``."""
    (over,) = node.generators
    if not isinstance(target, list) or not isinstance(over.target, ast.Name):
        return
    name, element = over.target.id, node.elt
    if over.ifs:
        yield from _filtered(back, over, node, target)
        return
    match element:
        case ast.Subscript(value=table, slice=ast.Call(func=ast.Name(id="str"))):
            yield from back.value(table, {str(i): item for i, item in enumerate(target)})
            return
        case ast.IfExp(test=test, body=body, orelse=ast.Constant(value=usual)):
            held = [item != usual for item in target]
            values = {item for item in target if item != usual}
            if len(values) > 1:
                return
            changes: Iterable[Change] = list(back.value(body, values.pop())) if values else [{}]
        case _:
            test, held, changes = element, target, [{}]
    match test:
        case ast.Compare(left=ast.Subscript(value=kinds, slice=ast.Name(id=index)), comparators=[group]) if (
            index == name
        ):
            yield from both(changes, lambda: back.value(kinds, _kinds(back, kinds, group, held)))
            return
        case ast.Compare(left=left, ops=[ast.In()], comparators=[group]) if not _mentions(group, name):
            items = _items(back, over.iter)
            if len(items) == len(held):
                places = [evaluate(left, back.scope.over(**{name: item})) for item in items]
                those = [place for place, is_held in zip(places, held, strict=True) if is_held]
                yield from both(changes, lambda: back.value(group, those))
                return
    chosen = [_choice(back, test, name, is_held) for is_held in held]
    if FREE not in chosen:
        yield from both(changes, lambda: back.value(over.iter, chosen))
    elif (each := _each(back, name, node, target)) is not None:
        yield each


def _items(back: Back, node: ast.expr) -> list[Any]:
    """What a loop runs over at present; a text is its letters."""
    _, items = back.now(node)
    return list(items) if isinstance(items, list | str) else []


def _each(back: Back, name: str, node: ast.ListComp, target: list[Any]) -> Change | None:
    """The first change for every item of a list, by itself."""
    items = _items(back, node.generators[0].iter)
    if len(items) != len(target):
        return None
    whole: Change = {}
    for item, value in zip(items, target, strict=True):
        one = next(back.within(**{name: item}).value(node.elt, value), None)
        if one is None:
            return None
        whole |= one
    return whole


def _kinds(back: Back, node: ast.expr, group: ast.expr, held: Sequence[Any]) -> list[Any]:
    """Kinds of layers: one of a group where it is to be held, another elsewhere; those that fit stay."""
    known, inside = back.now(group)
    inside = (inside if isinstance(inside, list) else [inside]) if known else []
    now = _items(back, node)
    now = now if len(now) == len(held) else [None] * len(held)
    inner = max(map(str, inside), key=len, default="")
    outer = next(kind for kind in reversed(_KINDS) if kind not in inside)
    fits = [kind in (*_KINDS, "mlp", "moe") and (kind in inside) is bool(h) for kind, h in zip(now, held, strict=True)]
    wanted = [inner if is_held else outer for is_held in held]
    return [kind if fit else other for kind, fit, other in zip(now, fits, wanted, strict=True)]


def _choice(back: Back, test: ast.expr, name: str, wanted: Any) -> Any:
    """What the variable of a loop may have been for a test to give a value."""
    said = [n.value for n in ast.walk(test) if isinstance(n, ast.Constant)]
    match test:
        case ast.Call(func=ast.Name(id="normal_quantile")):
            said += numbers(NormalDist().cdf(wanted))
    for choice in [*said, *_KINDS, 1, 0, True, False]:
        try:
            if equal([evaluate(test, back.scope.over(**{name: choice}))], [wanted]):
                return choice
        except KQuantsError:
            continue
    return FREE


def _filtered(back: Back, over: ast.comprehension, node: ast.ListComp, target: list[Any]) -> Iterator[Change]:
    """The layers that a rule picks, by their kinds; else the one or two small numbers in the rule are tried."""
    match over.ifs:
        case [ast.Compare(left=ast.Subscript(value=kinds), ops=[ast.In() | ast.Eq()], comparators=[group])]:
            known, layers = back.now(over.iter)
            if known:
                yield from back.value(kinds, _kinds(back, kinds, group, [layer in target for layer in layers]))
    assert isinstance(over.target, ast.Name)
    inside = {n.id for test in over.ifs for n in ast.walk(test) if isinstance(n, ast.Name)} - {over.target.id}
    names = sorted(inside - {*back.page.derived, *FUNCTIONS, "weights"})
    if not names or len(names) > 2:
        return
    for values in product(range(33), repeat=len(names)):
        said = dict(zip(names, values, strict=True))
        try:
            if evaluate(node, back.scope.over(**said)) == target:
                yield {(name,): value for name, value in said.items()}
        except KQuantsError:
            continue


def _mentions(node: ast.expr, name: str) -> bool:
    return any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(node))
