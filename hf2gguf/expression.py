"""The small language of architecture files: arithmetic over the keys of a model's configuration, and nothing else.

An expression is parsed by Python's own parser and walked here; names are configuration keys, the functions are those
of ``FUNCTIONS``, and no attribute, import, assignment or call of anything else exists. A definition is thus safe
to take from a stranger.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from statistics import NormalDist
from typing import Any

import numpy as np

from gguf_py import KQuantsError

from .rope import llama3_factors

_LIMIT = 1 << 20
"""Items a list may have and bits a number may take: a configuration that asks for more is not a model's."""

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: lambda a, b: _bounded(operator.mul, a, b),
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: lambda a, b: _bounded(operator.pow, a, b),
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
}


def _bounded(apply: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
    sizes = [len(x) if isinstance(x, (str, list)) else 0 for x in (a, b)]
    if apply is operator.pow and isinstance(b, int) and abs(b) > 64:
        raise ValueError("an exponent above 64")
    if any(sizes) and max(sizes) * max(int(x) for x in (a, b) if isinstance(x, int)) > _LIMIT:
        raise ValueError("a list that long")
    return apply(a, b)


def _range(*bounds: int) -> list[int]:
    made = range(*bounds)
    if len(made) > _LIMIT:
        raise ValueError("a list that long")
    return list(made)


def _normal_quantile(share: float) -> float:
    """How many standard deviations from the mean of a normal distribution this share lies below, in F32."""
    inside = 2 * np.float32(share) - np.float32(1)
    if abs(inside) >= 1:
        return math.copysign(math.inf, inside)
    inverse = NormalDist().inv_cdf((float(inside) + 1) / 2) / math.sqrt(2)
    return float(np.float32(inverse) * np.float32(math.sqrt(2)))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "len": len,
    "int": int,
    "float": float,
    "bool": bool,
    "max": max,
    "min": min,
    "sum": sum,
    "abs": abs,
    "round": round,
    "range": _range,
    "all": all,
    "any": any,
    "sorted": sorted,
    "index": lambda values, value: values.index(value),
    "ceil": math.ceil,
    "sqrt": math.sqrt,
    "log": math.log,
    "log2": math.log2,
    "is_list": lambda value: isinstance(value, list),
    "starts": lambda text, prefix: str(text).startswith(prefix),
    "ends": lambda text, suffix: str(text).endswith(suffix),
    "str": str,
    "split": lambda text, at: [part for part in str(text).split(at) if part.strip()],
    "keys": list,
    "lower": lambda text: str(text).lower(),
    "llama3_factors": llama3_factors,
    "normal_quantile": _normal_quantile,
}
"""What an expression may call besides ``first``, ``get`` and ``has``."""


class Scope(Mapping[str, Any]):
    """The names an expression sees: what is laid over, then derived names, then a configuration.

    A derived name is an expression, evaluated when it is first needed; inside itself it means the configuration's
    key, and a key it derives to None counts as absent.
    """

    def __init__(
        self, config: Mapping[str, Any], derived: Mapping[str, str] | None = None, over: Mapping[str, Any] | None = None
    ) -> None:
        self._config, self._derived, self._over = config, derived or {}, over or {}
        self._values: dict[str, Any] = {}
        self._open: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        if name in self._over:
            return self._over[name]
        if name in self._derived and name not in self._open:
            if name not in self._values:
                self._open.add(name)
                try:
                    self._values[name] = evaluate(self._derived[name], self)
                finally:
                    self._open.discard(name)
            return self._values[name]
        return self._config[name]

    def __contains__(self, name: object) -> bool:
        if name in self._derived and name not in self._over and name not in self._open:
            return self[str(name)] is not None
        return name in self._over or name in self._config

    def __iter__(self) -> Iterator[str]:
        return (name for name in {**self._config, **self._derived, **self._over} if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def over(self, **names: Any) -> Scope:
        """The same scope with more laid over it."""
        inner = Scope(self._config, self._derived, {**self._over, **names})
        inner._values, inner._open = self._values, self._open
        return inner

    def first(self, *names: str) -> Any:
        """The value of the first key that is there, else None."""
        return next((self[name] for name in names if name in self), None)

    def get_(self, *arguments: Any) -> Any:
        """``get('key', default)`` of the scope, or ``get(mapping, 'key', default)``."""
        if isinstance(arguments[0], str):
            return self.get(arguments[0], arguments[1] if len(arguments) > 1 else None)
        mapping, key, default = (*arguments, None)[:3]
        return default if mapping is None else mapping.get(key, default)


def evaluate(text: str | ast.expr, scope: Scope) -> Any:
    """The value of ``text``; raises KQuantsError naming the configuration key that is missing or what is wrong."""
    try:
        return _Walk(scope).visit(parse(text) if isinstance(text, str) else text)
    except KQuantsError:  # of a name inside
        raise
    except KeyError as missing:
        raise KQuantsError(f"config.json lacks {missing.args[0]!r}, which {_spelled(text)!r} needs") from missing
    except TypeError as fault:
        raise KQuantsError(f"config.json does not fit {_spelled(text)!r}{_where(text, scope)}") from fault
    except (ArithmeticError, ValueError, IndexError, AttributeError) as fault:
        raise KQuantsError(f"config.json does not fit {_spelled(text)!r}: {fault}") from fault


def _where(text: str | ast.expr, scope: Scope) -> str:
    """What the names of an expression stand for, for who is to find the one that does not fit."""
    nodes = ast.walk(parse(text) if isinstance(text, str) else text)
    names = dict.fromkeys(node.id for node in nodes if isinstance(node, ast.Name) and node.id not in FUNCTIONS)
    values = []
    for name in names:
        with suppress(KeyError):  # a function of the scope's own
            values.append(f"{name} is {repr(scope[name])[:40]}")
    return f", where {' and '.join(values)}" if values else ""


def _spelled(text: str | ast.expr) -> str:
    return text if isinstance(text, str) else ast.unparse(text)


@cache
def parse(text: str) -> ast.expr:
    """The expression as Python's parser sees it."""
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError as fault:
        raise KQuantsError(f"{text!r} is no expression of an architecture file: {fault.msg}") from fault


@cache
def pipeline(text: str) -> tuple[str, tuple[tuple[str, tuple[str, ...]], ...]]:
    """``name | op(a, b) | op`` as the name and its operations, each with the text of its arguments."""
    name, *steps = (part.strip() for part in text.split(" | "))
    parsed: list[tuple[str, tuple[str, ...]]] = []
    for step in steps:
        node = parse(step)
        if isinstance(node, ast.Name):
            parsed.append((node.id, ()))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
            parsed.append((node.func.id, tuple(ast.unparse(a) for a in node.args)))
        else:
            raise KQuantsError(f"{text!r}: {step!r} is no operation, expected a name or name(arguments)")
    return name, tuple(parsed)


class _Walk:
    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def visit(self, node: ast.expr) -> Any:
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            raise ValueError(f"{type(node).__name__} is not part of the language")
        return method(node)

    def _constant(self, node: ast.Constant) -> Any:
        return node.value

    def _name(self, node: ast.Name) -> Any:
        return self.scope[node.id]

    def _list(self, node: ast.List) -> Any:
        return [self.visit(n) for n in node.elts]

    def _tuple(self, node: ast.Tuple) -> Any:
        return [self.visit(n) for n in node.elts]

    def _dict(self, node: ast.Dict) -> Any:
        return {self.visit(k): self.visit(v) for k, v in zip(node.keys, node.values, strict=True) if k is not None}

    def _binop(self, node: ast.BinOp) -> Any:
        return _BINARY[type(node.op)](self.visit(node.left), self.visit(node.right))

    def _unaryop(self, node: ast.UnaryOp) -> Any:
        return _UNARY[type(node.op)](self.visit(node.operand))

    def _boolop(self, node: ast.BoolOp) -> Any:
        stop = isinstance(node.op, ast.Or)
        value: Any = None
        for part in node.values:
            value = self.visit(part)
            if bool(value) is stop:
                break
        return value

    def _compare(self, node: ast.Compare) -> Any:
        left = self.visit(node.left)
        for op, right_node in zip(node.ops, node.comparators, strict=True):
            right = self.visit(right_node)
            if not _COMPARE[type(op)](left, right):
                return False
            left = right
        return True

    def _ifexp(self, node: ast.IfExp) -> Any:
        return self.visit(node.body if self.visit(node.test) else node.orelse)

    def _subscript(self, node: ast.Subscript) -> Any:
        value = self.visit(node.value)
        if isinstance(node.slice, ast.Slice):
            parts = (node.slice.lower, node.slice.upper, node.slice.step)
            return value[slice(*(None if p is None else self.visit(p) for p in parts))]
        return value[self.visit(node.slice)]

    def _listcomp(self, node: ast.ListComp) -> Any:
        (loop,) = node.generators
        if not isinstance(loop.target, ast.Name):
            raise ValueError("a loop has one name")
        values = []
        for item in self.visit(loop.iter):
            inner = _Walk(self.scope.over(**{loop.target.id: item}))
            if all(inner.visit(test) for test in loop.ifs):
                values.append(inner.visit(node.elt))
        return values

    def _call(self, node: ast.Call) -> Any:
        if not isinstance(node.func, ast.Name) or node.keywords:
            raise ValueError("only functions by name")
        name = node.func.id
        own = {"first": self.scope.first, "get": self.scope.get_, "has": lambda key: key in self.scope}
        function = own.get(name) or FUNCTIONS.get(name)
        if function is None:
            raise ValueError(f"there is no function {name!r}")
        return function(*(self.visit(argument) for argument in node.args))
