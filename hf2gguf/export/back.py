"""Expressions of an architecture's page read backwards: the changes of a configuration that may give them a value.

Every kind of node has its method. What a change really does is seen by evaluating the page forward, so that a method
may propose too much, and proposes the likeliest first.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, product
from statistics import NormalDist
from typing import Any

import numpy as np

from gguf_py import KQuantsError

from ..definition import Definition
from ..expression import Scope, evaluate, parse
from ..rope import llama3_factors

Path = tuple[str, ...]
Change = dict[Path, Any]

POOLING, TOKENIZER, WEIGHTS = "=pooling", "=tokenizer_config", "=weights"
"""Entries of a configuration in the making that belong into other files; of weights, lists of numbers by name."""

_FREE = object()
"""A value that something else must tell, as long as there is one."""
_MOST = 24
"""Changes for one part of an expression that are combined with those for another."""
_USUAL = (
    "num_hidden_layers max_position_embeddings hidden_size intermediate_size num_attention_heads num_key_value_heads "
    "rms_norm_eps layer_norm_eps num_local_experts num_experts num_experts_per_tok"
).split()
_KINDS = ("full_attention", "sliding_attention", "linear_attention", "attention", "conv", "mamba")
"""What configurations call the layers of a mixed model."""
_GUESSES: dict[str, tuple[Any, ...]] = {"rope_type": ("longrope", "yarn", "linear", "dynamic", "default")}
_LLAMA3 = {"rope_type": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0}
_TOP = ("rope_theta", "partial_rotary_factor")
"""Rope parameters that stand beside the others' mapping."""


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
    if isinstance(a, list) and isinstance(b, list) and a and isinstance(a[0], int | float):
        return len(a) == len(b) and np.array_equal(np.asarray(a, np.float32), np.asarray(b, np.float32))
    return bool(a == b)


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
        yield from _concrete(back.together([(node, None) for node in nodes]))
        return
    for k in goal.first:
        before, (node, *behind) = [(n, None) for n in nodes[:k]], nodes[k:]
        if not behind:
            yield from _concrete(back.together([(node, value), *before]))
            continue
        nothing, last = [(n, None) for n in behind], behind[-1]
        yield from _concrete(back.together([(last, value), (node, value), *before]))
        yield from _concrete(back.together([(node, value), *nothing, *before]))
        yield from _concrete(back.together([(last, value), (node, _FREE), *before]))
    yield from _concrete(back.value(nodes[-1], value))


def _concrete(changes: Iterable[Change]) -> Iterator[Change]:
    """Changes with something in every place that was left free."""
    for change in changes:
        free = [path for path, value in change.items() if value is _FREE]
        for values in product(*(_GUESSES.get(path[-1], (True, 1)) for path in free)):
            yield change | dict(zip(free, values, strict=True))


def _both(first: Iterable[Change], second: Any) -> Iterator[Change]:
    """What each of the first and each of the second asks for, unless they contradict."""
    for one in islice(first, _MOST):
        for other in islice(second(), _MOST):
            merged = dict(one)
            for path, value in other.items():
                if path in merged and merged[path] is not _FREE:
                    if value is not _FREE and merged[path] != value:
                        break
                else:
                    merged[path] = value
            else:
                yield merged


def numbers(value: float) -> Iterator[int | float]:
    """Numbers near a computed one that somebody may have written: whole, then of few digits."""
    if not np.isfinite(value):
        return
    said: list[int | float] = []
    if abs(value) < 1 << 53 and abs(value - round(value)) < 1e-3 * max(1.0, abs(value)):
        said.append(round(value))
    said.extend(float(f"{value:.{digits}g}") for digits in (1, 2, 3, 4, 5, 6, 7, 9, 12, 17))
    yield from dict.fromkeys(said)


class Back:
    """Nodes of expressions, each turned into the changes that may give it a value."""

    def __init__(
        self, page: Definition, scope: Scope, config: Mapping[str, Any], opened: frozenset[str] = frozenset()
    ) -> None:
        self.page, self.scope, self.config, self.opened = page, scope, config, opened
        # Whether the page has rope parameters in a mapping for each kind of attention.
        self.nested = any("rope['full_attention']" in text for _, text in page.metadata)

    def now(self, node: ast.expr) -> tuple[bool, Any]:
        """Whether a node has a value at present, and the value."""
        try:
            return True, evaluate(node, self.scope)
        except KQuantsError:
            return False, None

    def value(self, node: ast.expr, target: Any) -> Iterator[Change]:
        """Changes that may make a node give ``target``."""
        if target is not _FREE:
            known, value = self.now(node)
            if known and equal(value, target):
                yield {}
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is not None:
            yield from method(node, target)

    def truth(self, node: ast.expr, wanted: bool) -> Iterator[Change]:
        """Changes that may make a node true or false."""
        known, value = self.now(node)
        if known and bool(value) is wanted:
            yield {}
        match node:
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                yield from self.truth(operand, not wanted)
            case ast.BoolOp(op=op, values=values):
                if isinstance(op, ast.And) is wanted:
                    yield from self._all(values, wanted)
                else:
                    for part in values:
                        yield from self.truth(part, wanted)
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                yield from self._compared(left, op, right, wanted)
            case ast.Call(func=ast.Name(id=name), args=[ast.ListComp() as loop]) if name in ("all", "any"):
                yield from self._listcomp(loop, [wanted] * int(self.scope.get("block_count") or 1))
            case ast.Call(func=ast.Name(id="is_list"), args=[inner]) if wanted:
                yield from self.value(inner, _FREE)
            case ast.Call(func=ast.Name(id="has"), args=[ast.Constant(value=str(name))]):
                yield from self.value(ast.Name(name), _FREE if wanted else None)
            case _:
                for guess in (_FREE, True, 1) if wanted else (None, False, 0):
                    yield from self.value(node, guess)

    def together(self, wanted: Sequence[tuple[ast.expr, Any]]) -> Iterator[Change]:
        """Changes that may give each node its value."""
        (node, target), *others = wanted
        found: Iterable[Change] = self.value(node, target)
        for node, target in others:
            found = _both(found, partial(self.value, node, target))
        return iter(found)

    def _all(self, nodes: list[ast.expr], wanted: bool) -> Iterator[Change]:
        changes = self.truth(nodes[0], wanted)
        for node in nodes[1:]:
            changes = _both(changes, partial(self.truth, node, wanted))
        return iter(changes)

    def _compared(self, left: ast.expr, op: ast.cmpop, right: ast.expr, wanted: bool) -> Iterator[Change]:
        known, value = self.now(right)
        if not known:
            return
        if wanted and isinstance(op, ast.In) and isinstance(right, ast.Name) and right.id == "weights":
            yield {(WEIGHTS, self.now(left)[1]): _FREE}
            return
        if isinstance(op, ast.NotEq | ast.IsNot | ast.NotIn):
            wanted = not wanted
        if isinstance(op, ast.In | ast.NotIn):
            for item in value if wanted else (None, "default", False):
                yield from self.value(left, item)
        elif isinstance(op, ast.Eq | ast.NotEq | ast.Is | ast.IsNot):
            for item in (value,) if wanted else ((_FREE,) if value is None else (None, _FREE)):
                yield from self.value(left, item)

    # ---------------------------------------------------------------------------------------------- names and keys

    def _name(self, node: ast.Name, target: Any) -> Iterator[Change]:
        name = node.id
        if name == "pooling":
            yield {(POOLING,): target}
        elif name in self.page.derived and name not in self.opened:
            inner = Back(self.page, self.scope, self.config, self.opened | {name})
            yield from inner.value(parse(self.page.derived[name]), target)
        elif name not in ("model_class", "file_type", "files", "rope", "rope_full", "tokenizer_config"):
            yield {(name,): target}

    def _path(self, node: ast.expr) -> Path | None:
        """Where in the configuration a mapping lies, or a value in it."""
        match node:
            case ast.Name(id="rope_full") if self.nested:
                return ("rope_scaling", "full_attention")
            case ast.Name(id="rope" | "rope_full"):
                return ("rope_scaling",)
            case ast.Name(id="tokenizer_config"):
                return (TOKENIZER,)
            case ast.Subscript(value=ast.Name(id="weights"), slice=key):
                return (WEIGHTS, str(self.now(key)[1]))
            case ast.Name(id=name):
                return None if name in self.page.derived else (name,)
            case ast.Call(func=ast.Name(id="get"), args=[ast.Constant(value=str(name)), *_]):
                return (name,)
            case ast.Call(func=ast.Name(id="get"), args=[inner, ast.Constant(value=str(name)), *_]):
                outer = self._path(inner)
            case ast.Subscript(value=inner, slice=ast.Constant(value=str(name))):
                outer = self._path(inner)
            case _:
                return None
        if outer == ("rope_scaling",) and name in _TOP:
            return (name,)
        if outer == ("rope_scaling", "sliding_attention") and not self.nested:
            known = {key for kind in self.page.defaults.values() for key in kind}
            return ("swa_rope_theta" if "swa_rope_theta" in known else "rope_local_base_freq",)
        return None if outer is None else (*outer, name)

    def _at(self, node: ast.expr, target: Any) -> Iterator[Change]:
        path = self._path(node)
        if path is not None and not (len(path) == 1 and path[0] in ("vision_config", "rope_scaling")):
            yield {path: target}

    def _subscript(self, node: ast.Subscript, target: Any) -> Iterator[Change]:
        if isinstance(node.value, ast.Dict):
            yield from self._looked_up(node.value, node.slice, target)
        elif isinstance(node.slice, ast.Slice):
            yield from self._sliced(node, target)
        elif (path := self._path(node.value)) is not None and path[0] == WEIGHTS:
            yield {path: target if target in (None, _FREE) else [target]}
        else:
            yield from self._at(node, target)

    def _sliced(self, node: ast.Subscript, target: Any) -> Iterator[Change]:
        """``(list + padding)[:n]``: the list, without padding at its end."""
        if isinstance(target, list) and isinstance(node.value, ast.BinOp):
            items = list(target)
            while items and not items[-1]:
                items.pop()
            yield from self.value(node.value.left, items)

    def _looked_up(self, table: ast.Dict, key: ast.expr, target: Any) -> Iterator[Change]:
        for said, value in zip(table.keys, table.values, strict=True):
            if said is not None:
                known, name = self.now(said)
                if known:
                    yield from _both(self.value(value, target), partial(self.value, key, name))
        if target is None:
            yield from self.value(key, None)

    # --------------------------------------------------------------------------------------------------- operators

    def _constant(self, node: ast.Constant, target: Any) -> Iterator[Change]:
        if target is _FREE and node.value is not None:
            yield {}

    def _unaryop(self, node: ast.UnaryOp, target: Any) -> Iterator[Change]:
        if isinstance(node.op, ast.USub) and isinstance(target, int | float):
            yield from self.value(node.operand, -target)

    def _boolop(self, node: ast.BoolOp, target: Any) -> Iterator[Change]:
        *earlier, last = node.values
        if isinstance(node.op, ast.And):
            yield from _both(self._all(earlier, True), lambda: self.value(last, target))
            if not target:
                yield from self.truth(earlier[0], False)
            return
        if target:
            yield from self.value(node.values[0], target)
        yield from _both(self._all(earlier, False), lambda: self.value(last, target))

    def _ifexp(self, node: ast.IfExp, target: Any) -> Iterator[Change]:
        known, held = self.now(node.test)
        for side in (True, False) if not known or held else (False, True):
            branch = node.body if side else node.orelse
            yield from _both(self.truth(node.test, side), partial(self.value, branch, target))

    def _compare(self, node: ast.Compare, target: Any) -> Iterator[Change]:
        if isinstance(target, bool):
            yield from self.truth(node, target)

    def _binop(self, node: ast.BinOp, target: Any) -> Iterator[Change]:
        if isinstance(target, list) and isinstance(node.op, ast.Add):
            known, tail = self.now(node.right)
            if known and isinstance(tail, list) and target[len(target) - len(tail) :] == tail:
                yield from self.value(node.left, target[: len(target) - len(tail)])
            return
        if isinstance(target, bool) or not isinstance(target, int | float):
            return
        left, right = self.now(node.left), self.now(node.right)
        for (known, value), unknown, side in ((right, node.left, 0), (left, node.right, 1)):
            if known and isinstance(value, int | float):
                try:
                    wanted = _undone(node.op, side, float(target), float(value))
                except (ArithmeticError, ValueError):
                    continue
                for number in numbers(wanted):
                    yield from self.value(unknown, number)

    # ----------------------------------------------------------------------------------------------------- functions

    def _call(self, node: ast.Call, target: Any) -> Iterator[Change]:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        arguments = node.args
        if name == "get":
            if isinstance(arguments[0], ast.Dict):
                yield from self._looked_up(arguments[0], arguments[1], target)
            elif isinstance(arguments[0], ast.Constant):
                yield from self._name(ast.Name(str(arguments[0].value)), target)
            else:
                yield from self._at(node, target)
            if len(arguments) == 3:  # a value for want of another
                yield from self.value(arguments[2], target)
        elif name == "first":
            yield from self._first([str(a.value) for a in arguments if isinstance(a, ast.Constant)], target)
        elif name in ("any", "all") and isinstance(target, bool):
            yield from self.truth(node, target)
        elif name == "len" and isinstance(target, int):
            yield from self.value(arguments[0], list(range(target)))
        elif name == "sqrt" and isinstance(target, int | float):
            for number in numbers(float(target) ** 2):
                yield from self.value(arguments[0], number)
        elif name == "bool" and isinstance(target, bool):
            yield from self.truth(arguments[0], target)
        elif name == "llama3_factors" and isinstance(target, list):
            yield from self._llama3(target)
        elif name in ("int", "float", "str", "round", "max", "min", "ceil", "lower"):
            yield from self.value(arguments[0], target)

    def _first(self, names: list[str], target: Any) -> Iterator[Change]:
        present = [name for name in names if name in self.config]
        if target is None:
            for name in present or [name for name in names if self._there(name)]:
                yield from self._name(ast.Name(name), None)
            return
        told = [name for name in names if name not in present and self._there(name)]
        page = " ".join(map(str, self.page.defaults.values()))
        known = [name for name in names if re.search(rf"\b{name}\b", page)]
        usual = [name for name in names if name in _USUAL]
        for name in dict.fromkeys([*present, *told, *known, *usual, *names]):
            yield from self._name(ast.Name(name), target)

    def _there(self, name: str) -> bool:
        """Whether there is a value, or something to derive it from."""
        return name in self.page.derived or name in self.scope

    def _llama3(self, spelled: list[float]) -> Iterator[Change]:
        """The largest factor is that of the slowest waves; the contexts are those that models were published with."""
        theta = self.config.get("rope_theta", 10000.0)
        factor = max(spelled)
        for context in (8192, 4096, 2048, 16384, 32768):
            said = {**_LLAMA3, "factor": factor, "original_max_position_embeddings": context}
            if llama3_factors({**said, "rope_theta": theta}, 2 * len(spelled)) == spelled:
                yield {("rope_scaling",): said}

    def _listcomp(self, node: ast.ListComp, target: Any) -> Iterator[Change]:
        (loop,) = node.generators
        if not isinstance(target, list) or not isinstance(loop.target, ast.Name):
            return
        name, element = loop.target.id, node.elt
        if loop.ifs:
            yield from self._filtered(node, target)
            return
        if isinstance(element, ast.IfExp) and isinstance(element.orelse, ast.Constant):
            usual = element.orelse.value
            held = [item != usual for item in target]
            values = {item for item in target if item != usual} or {None}
            if len(values) > 1:
                return
            (value,) = values
            changes: Iterable[Change] = [{}] if value is None else list(self.value(element.body, value))
            test: ast.expr = element.test
        else:
            held, changes, test = target, [{}], element
        match test:
            case ast.Compare(left=ast.Name(id=left), ops=[ast.In()], comparators=[group]) if left == name:
                known, items = self.now(loop.iter)
                if known and len(items) == len(held):
                    those = [item for item, is_held in zip(items, held, strict=True) if is_held]
                    yield from _both(changes, lambda: self.value(group, those))
                return
            case ast.Compare(left=ast.Subscript(value=items, slice=ast.Name(id=left)), ops=[op], comparators=[group]):
                if left == name and isinstance(op, ast.In | ast.Eq):
                    those = self._kinds(items, group, held)
                    yield from _both(changes, lambda: self.value(items, those))
                return
        chosen = [self._choice(test, name, is_held) for is_held in held]
        if _FREE not in chosen:
            yield from _both(changes, lambda: self.value(loop.iter, chosen))
        elif (each := self._each(node, target)) is not None:
            yield each

    def _each(self, node: ast.ListComp, target: list[Any]) -> Change | None:
        """The first change for every item of a list, by itself."""
        (loop,) = node.generators
        known, items = self.now(loop.iter)
        if not known or len(items) != len(target) or not isinstance(loop.target, ast.Name):
            return None
        whole: Change = {}
        for item, value in zip(items, target, strict=True):
            inner = Back(self.page, self.scope.over(**{loop.target.id: item}), self.config, self.opened)
            one = next(inner.value(node.elt, value), None)
            if one is None:
                return None
            whole |= one
        return whole

    def _kinds(self, node: ast.expr, group: ast.expr, held: Sequence[Any]) -> list[Any]:
        """Kinds of layers, those of a group where they are to be held, and as they are elsewhere if they may."""
        known, inside = self.now(group)
        inside = (inside if isinstance(inside, list) else [inside]) if known else []
        known, now = self.now(node)
        now = list(now) if known and len(now) == len(held) else [None] * len(held)
        inner = max(map(str, inside), key=len, default="")
        outer = next(kind for kind in reversed(_KINDS) if kind not in inside)
        return [
            kind
            if kind in (*_KINDS, "mlp", "moe") and (kind in inside) is bool(is_held)
            else inner
            if is_held
            else outer
            for kind, is_held in zip(now, held, strict=True)
        ]

    def _choice(self, test: ast.expr, name: str, wanted: Any) -> Any:
        """What the variable of a loop may have been for a test to give a value."""
        said = [n.value for n in ast.walk(test) if isinstance(n, ast.Constant)]
        match test:
            case ast.Call(func=ast.Name(id="normal_quantile")):
                said += numbers(NormalDist().cdf(wanted))
        for choice in [*said, *_KINDS, 1, 0, True, False]:
            try:
                if evaluate(test, self.scope.over(**{name: choice})) == wanted:
                    return choice
            except KQuantsError:
                continue
        return _FREE

    def _filtered(self, node: ast.ListComp, target: list[Any]) -> Iterator[Change]:
        """The layers that a rule picks: the one or two small numbers in the rule are tried."""
        (loop,) = node.generators
        assert isinstance(loop.target, ast.Name)
        match loop.ifs:
            case [ast.Compare(left=ast.Subscript(value=items), ops=[ast.In() | ast.Eq()], comparators=[group])]:
                known, layers = self.now(loop.iter)
                if known:
                    yield from self.value(items, self._kinds(items, group, [layer in target for layer in layers]))
        inside = {n.id for test in loop.ifs for n in ast.walk(test) if isinstance(n, ast.Name)} - {loop.target.id}
        names = sorted(name for name in inside if name not in self.page.derived)
        if not names or len(names) > 2:
            return
        for values in product(range(33), repeat=len(names)):
            said = dict(zip(names, values, strict=True))
            try:
                if evaluate(node, self.scope.over(**said)) == target:
                    yield {(name,): value for name, value in said.items()}
            except KQuantsError:
                continue


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
