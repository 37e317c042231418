"""Operators and functions of expressions read backwards: of each, which arguments may make it give a value."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import takewhile
from math import pi
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from ..rope import llama3_factors
from .change import Change, both, equal, numbers
from .loops import OTHERS

if TYPE_CHECKING:
    from .back import Back

Arguments = Sequence[ast.expr]
_LLAMA3: dict[str, Any] = {"rope_type": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0}


def operator(back: Back, node: ast.BinOp, target: Any) -> Iterator[Change]:
    """The operand that is not known, from the other; of two lists, either."""
    if isinstance(target, list):
        yield from _joined(back, node, target)
        return
    if isinstance(target, bool) or not isinstance(target, int | float):
        return
    left, right = back.now(node.left), back.now(node.right)
    for (known, value), unknown, side in ((right, node.left, 0), (left, node.right, 1)):
        if known and isinstance(value, int | float):
            try:
                wanted = _undone(node.op, side, float(target), float(value))
            except (ArithmeticError, ValueError):
                continue
            for number in numbers(wanted):
                yield from back.value(unknown, number)


def _joined(back: Back, node: ast.BinOp, target: list[Any]) -> Iterator[Change]:
    """A list and another behind it; one of a single item so often is as long as what it is made of says."""
    match node.op, node.right:
        case ast.Add(), ast.BinOp(left=ast.List(elts=[item]), op=ast.Mult(), right=often) if not back.now(often)[0]:
            repeated = len(list(takewhile(lambda x: x == back.now(item)[1], reversed(target))))
            for tail in range(repeated + 1):
                yield from both(back.value(often, tail), partial(back.value, node.left, target[: len(target) - tail]))
        case ast.Add(), _:
            known, behind = back.now(node.right)
            if known and isinstance(behind, list) and target[len(target) - len(behind) :] == behind:
                yield from back.value(node.left, target[: len(target) - len(behind)])
            known, before = back.now(node.left)
            if known and isinstance(before, list) and target[: len(before)] == before:
                yield from back.value(node.right, target[len(before) :])


def _undone(op: ast.operator, side: int, result: float, other: float) -> float:
    """The operand that makes ``op`` give ``result`` with ``other``; ``side`` 0 is the left one."""
    match op:
        case ast.Add():
            return result - other
        case ast.Sub():
            return other - result if side else result + other
        case ast.Mult():
            return result / other
        case ast.Div() | ast.FloorDiv():
            return other / result if side else result * other
        case ast.Pow() if not side:
            return float(result ** (1 / other))
    raise ValueError("no way back")


def _as_it_is(back: Back, arguments: Arguments, target: Any) -> Iterator[Change]:
    yield from back.value(arguments[0], target)


def _truth(back: Back, arguments: Arguments, target: Any) -> Iterator[Change]:
    if isinstance(target, bool):
        yield from back.truth(arguments[0], target)


def _each(name: str) -> Callable[[Back, Arguments, Any], Iterator[Change]]:
    def back_from(back: Back, arguments: Arguments, target: Any) -> Iterator[Change]:
        if isinstance(target, bool):
            yield from back.truth(ast.Call(ast.Name(name), list(arguments), []), target)

    return back_from


def _length(back: Back, arguments: Arguments, target: Any) -> Iterator[Change]:
    if isinstance(target, int):
        yield from back.value(arguments[0], list(range(target)))


def _least(back: Back, arguments: Arguments, target: Any) -> Iterator[Change]:
    """Of a list of layers, those from the least on."""
    if len(arguments) > 1:
        yield from back.value(arguments[0], target)
    elif isinstance(target, int):
        yield from back.value(arguments[0], list(range(target, back.layers())))


def _index(back: Back, arguments: Arguments, target: Any) -> Iterator[Change]:
    """Layers of another kind before a place, those of one kind from there on."""
    if isinstance(target, int):
        item = back.now(arguments[1])[1]
        other = 0 if item == 1 else next(kind for kind in OTHERS if kind != item)
        yield from back.value(arguments[0], [other] * target + [item] * (back.layers() + 1 - target))


def _split(back: Back, arguments: Arguments, target: Any) -> Iterator[Change]:
    if isinstance(target, list):
        yield from back.value(arguments[0], str(back.now(arguments[1])[1]).join(map(str, target)))


def _near(undo: Callable[[float], float]) -> Callable[[Back, Arguments, Any], Iterator[Change]]:
    """Numbers near to what a function's inverse gives."""

    def back_from(back: Back, arguments: Arguments, target: Any) -> Iterator[Change]:
        if isinstance(target, int | float):
            for number in numbers(undo(float(target))):
                yield from back.value(arguments[0], number)

    return back_from


def _llama3(back: Back, arguments: Arguments, target: Any) -> Iterator[Change]:
    """The largest factor is that of the slowest waves; a wave in between tells the context that it was made for."""
    if not target:  # the file has no factors
        return
    path = back.path(ast.Name("rope_full")) or (back.rope,)
    theta = (back.scope.get("rope_full") or {}).get("rope_theta", 10000.0)
    factor, size = max(target), 2 * len(target)
    contexts = [8192, 4096, 2048, 16384, 32768]
    for i, blended in enumerate(target):
        if 1 < blended < factor:
            smooth = (1 / blended - 1 / factor) / (1 - 1 / factor)
            wave = 2 * pi * theta ** (2 * i / size)
            contexts.insert(0, round((smooth * (_LLAMA3["high_freq_factor"] - 1) + 1) * wave))
    for context in contexts:
        said = {**_LLAMA3, "factor": factor, "original_max_position_embeddings": context}
        if equal(llama3_factors({**said, "rope_theta": theta}, size, len(arguments) == 3), target):
            yield {(*path, key): value for key, value in said.items()}


FUNCTIONS: dict[str, Callable[[Back, Arguments, Any], Iterator[Change]]] = {
    **dict.fromkeys(("sorted", "int", "float", "str", "round", "max", "ceil", "lower"), _as_it_is),
    "all": _each("all"),
    "any": _each("any"),
    "bool": _truth,
    "index": _index,
    "len": _length,
    "llama3_factors": _llama3,
    "min": _least,
    "normal_quantile": _near(NormalDist().cdf),
    "split": _split,
    "sqrt": _near(lambda number: number**2),
}
"""By name, as ``expression`` has them."""
