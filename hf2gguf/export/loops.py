"""List comprehensions of a page read backwards: which list, or which names inside, make them give another list."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice, product
from typing import TYPE_CHECKING, Any

from gguf_py import KQuantsError

from ..expression import FUNCTIONS, evaluate
from .change import FREE, Change, applied, both, concrete, equal

if TYPE_CHECKING:
    from .back import Back

_KINDS = ("full_attention", "sliding_attention", "linear_attention", "attention", "conv", "mamba")
"""What configurations call the layers of a mixed model."""
OTHERS = ("dense", *_KINDS)
"""What the layers of other kinds may be called."""
_MOST = 24
"""Changes that are tried for one item."""
_SMALL = range(33)


def loop(back: Back, node: ast.ListComp, target: Any) -> Iterator[Change]:
    """Changes that may make a list comprehension give ``target``."""
    (over,) = node.generators
    if not isinstance(target, list) or not isinstance(over.target, ast.Name):
        return
    if over.ifs:
        yield from _filtered(back, over, node, target)
        yield from _small(back, over.target.id, over.ifs, node, target)
        return
    element: ast.expr = node.elt
    held: list[Any] = target
    changes: list[Change] = [{}]
    match element:
        case ast.Subscript(value=table, slice=ast.Call(func=ast.Name(id="str"))):
            yield from back.value(table, {str(i): item for i, item in enumerate(target)})
            return
        case ast.IfExp(test=test, body=body, orelse=ast.Constant() | ast.UnaryOp() as otherwise):
            usual = back.now(otherwise)[1]
            yield from _membership(back, over, test, [item != usual for item in target], [{}])
            values = {item for item in target if item != usual}
            if len(values) <= 1:  # one value where something holds, another elsewhere
                element, held = test, [item != usual for item in target]
                changes = list(back.value(body, values.pop())) if values else [{}]
        case ast.BoolOp(op=ast.Or(), values=[*_, last]):  # others of the reasons may hold nowhere
            yield from _membership(back, over, last, held, [{}])
    yield from _membership(back, over, element, held, changes)
    ones, known = _unknown_as_one(back, element, over.target.id)
    for chosen in _choices(known, element, over, held):
        yield from both(changes, lambda chosen=chosen: both([ones], partial(back.value, over.iter, chosen)))  # type: ignore[misc]
    for part in ast.walk(element):
        match part:
            case ast.Subscript(value=items, slice=ast.Name(id=index)) if index == over.target.id:
                yield from both([ones], partial(back.value, items, target))  # as if nothing were added to them
    if (each := _each(back, over, node, target)) is not None:
        yield each
    yield from both(changes, lambda: _small(back, over.target.id, [element], ast.ListComp(element, [over]), held))  # type: ignore[attr-defined]


def _membership(
    back: Back, over: ast.comprehension, test: ast.expr, held: Sequence[Any], changes: Iterable[Change]
) -> Iterator[Change]:
    """Where an element says whether a layer is of some kind, or in some group: other kinds, or another group."""
    assert isinstance(over.target, ast.Name)
    name = over.target.id
    match test:
        case ast.Compare(left=ast.Subscript(value=kinds, slice=ast.Name(id=index)), comparators=[group]) if (
            index == name
        ):
            yield from both(changes, lambda: back.value(kinds, _kinds(back, kinds, group, held)))
        case ast.Compare(left=left, ops=[ast.In()], comparators=[group]) if not _mentions(group, name):
            items = _items(back, over.iter)
            if len(items) == len(held):
                places = [evaluate(left, back.scope.over(**{name: item})) for item in items]
                those = [place for place, is_held in zip(places, held, strict=True) if is_held]
                yield from both(changes, lambda: back.value(group, those))
                others = [place for place in places if place not in those]
                if others and those:  # one more, which does not show
                    yield from both(changes, lambda: back.value(group, [others[0], *those]))


def some(back: Back, node: ast.ListComp) -> Iterator[Back]:
    """How things are in each round of a loop."""
    (over,) = node.generators
    if isinstance(over.target, ast.Name):
        for item in _items(back, over.iter):
            yield back.within(**{over.target.id: item})


def _items(back: Back, node: ast.expr) -> list[Any]:
    """What a loop runs over at present; a text is its letters."""
    _, items = back.now(node)
    return list(items) if isinstance(items, list | str) else []


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


def _names(back: Back, nodes: Iterable[ast.AST], name: str) -> list[str]:
    """Keys of the configuration that expressions name."""
    said = {n.id for node in nodes for n in ast.walk(node) if isinstance(n, ast.Name)}
    return sorted(said - {name, *back.page.derived, *FUNCTIONS, "weights", "get", "has", "first"})


def _unknown_as_one(back: Back, element: ast.expr, name: str) -> tuple[Change, Back]:
    """A change that makes each number that nothing tells yet a 1, and how things are then."""
    unknown = [key for key in _names(back, [element], name) if key not in back.scope]
    return {(key,): 1 for key in unknown}, back.within(**dict.fromkeys(unknown, 1))


def _choices(back: Back, element: ast.expr, over: ast.comprehension, held: Sequence[Any]) -> Iterator[list[Any]]:
    """Lists of which each item makes the element what it should be: the first that does so, and the last."""
    assert isinstance(over.target, ast.Name)
    now = _items(back, over.iter)
    now = now if len(now) == len(held) else [None] * len(held)
    each = [list(_chosen(back, element, over.target.id, *pair)) for pair in zip(now, held, strict=True)]
    if all(each):
        yield [choices[0] for choices in each]
        if any(len(choices) > 1 for choices in each):
            yield [choices[-1] for choices in each]


def _chosen(back: Back, element: ast.expr, name: str, now: Any, wanted: Any) -> Iterator[Any]:
    """What the variable of a loop may have been for an element to have a value."""

    def fits(choice: Any) -> bool:
        try:
            return equal([evaluate(element, back.scope.over(**{name: choice}))], [wanted])
        except KQuantsError:
            return False

    if not isinstance(now, dict):
        said = [n.value for n in ast.walk(element) if isinstance(n, ast.Constant)]
        plain = next(filter(fits, [*said, *_KINDS, 1, 0, True, False, wanted, str(wanted)]), FREE)
        if plain is not FREE:
            yield plain
            return
    elif fits(now):
        yield now
    inner = back.within(**{name: now}) if now is not None else back
    for change in islice(concrete(inner.value(element, wanted)), _MOST):
        if change and all(path[0] == name for path in change):
            choice = applied({name: now}, change)[name]
            if fits(choice):
                yield choice


def _each(back: Back, over: ast.comprehension, node: ast.ListComp, target: list[Any]) -> Change | None:
    """The first change for every item of a list, by itself."""
    assert isinstance(over.target, ast.Name)
    items = _items(back, over.iter)
    if len(items) != len(target):
        return None
    whole: Change = {}
    for item, value in zip(items, target, strict=True):
        one = next(back.within(**{over.target.id: item}).value(node.elt, value), None)
        if one is None:
            return None
        whole |= one
    return whole


def _filtered(back: Back, over: ast.comprehension, node: ast.ListComp, target: list[Any]) -> Iterator[Change]:
    """The layers that a rule picks, by their kinds."""
    match over.ifs:
        case [ast.Compare(left=ast.Subscript(value=kinds), ops=[ast.In() | ast.Eq()], comparators=[group])]:
            known, layers = back.now(over.iter)
            if known:
                yield from back.value(kinds, _kinds(back, kinds, group, [layer in target for layer in layers]))


def _small(back: Back, name: str, rule: Sequence[ast.expr], node: ast.ListComp, target: Any) -> Iterator[Change]:
    """The one or two small numbers in a rule, those that nothing tells yet before others."""
    names = _names(back, rule, name)
    names = [key for key in names if key not in back.scope] or names
    if not 1 <= len(names) <= 2:
        return
    for values in product(_SMALL, repeat=len(names)):
        said = dict(zip(names, values, strict=True))
        try:
            if evaluate(node, back.scope.over(**said)) == target:
                yield {(key,): value for key, value in said.items()}
        except KQuantsError:
            continue


def _mentions(node: ast.expr, name: str) -> bool:
    return any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(node))
