"""Expressions of an architecture's page read backwards: the changes of a configuration that may give them a value.

Every kind of node has its method. What a change really does is seen by evaluating the page forward, so that a method
may propose too much, and proposes the likeliest first.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

from gguf_py import KQuantsError

from ..definition import Definition
from ..expression import Scope, evaluate, parse
from .change import CARD_TEXT, FREE, POOLING, TOKENIZER, WEIGHTS, Change, Path, both, equal
from .functions import FUNCTIONS, operator
from .loops import loop, some

_USUAL = (
    "num_hidden_layers max_position_embeddings hidden_size intermediate_size num_attention_heads num_key_value_heads "
    "rms_norm_eps layer_norm_eps num_local_experts num_experts num_experts_per_tok"
).split()
_TOP = ("rope_theta", "partial_rotary_factor")
"""Rope parameters that stand beside the others' mapping."""


class Back:
    """Nodes of expressions, each turned into the changes that may give it a value.

    Who wants a value asks ``value``, or ``truth``; the node's method asks the same of its parts. If ``a // b`` should
    be 8 and b is 4, the method for operators asks for an ``a`` of 32, and that for names answers {("a",): 32}.
    """

    def __init__(
        self, page: Definition, scope: Scope, config: Mapping[str, Any], opened: frozenset[str] = frozenset()
    ) -> None:
        self.page, self.scope, self.config, self.opened = page, scope, config, opened
        self.rope = "rope_parameters" if any("rope_parameters" in d for d in page.defaults.values()) else "rope_scaling"
        # Whether the page has rope parameters in a mapping for each kind of attention.
        self.nested = any("rope['full_attention']" in text for _, text in page.metadata)

    def now(self, node: ast.expr) -> tuple[bool, Any]:
        """Whether a node has a value at present, and the value."""
        try:
            return True, evaluate(node, self.scope)
        except KQuantsError:
            return False, None

    def layers(self) -> int:
        """How many there are, as far as that is known."""
        try:
            return int(self.scope.get("block_count") or 1)
        except KQuantsError:
            return 1

    def within(self, **names: Any) -> Back:
        """The same inside a loop."""
        return Back(self.page, self.scope.over(**names), self.config, self.opened)

    def opening(self, name: str) -> Back:
        """The same inside a derived name, which there means the configuration's key."""
        return Back(self.page, self.scope, self.config, self.opened | {name})

    def value(self, node: ast.expr, target: Any) -> Iterator[Change]:
        """Changes that may make a node give ``target``."""
        if target is not FREE:
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
            case ast.Call(func=ast.Name(id=name), args=[ast.ListComp() as each]) if name in ("all", "any"):
                for inner in some(self, each) if wanted and name == "any" else ():
                    yield from inner.truth(each.elt, True)
                yield from loop(self, each, [wanted] * self.layers())
            case ast.Call(func=ast.Name(id="all" | "any"), args=[inner]):
                yield from self.value(inner, FREE)
            case ast.Call(func=ast.Name(id="is_list"), args=[inner]):
                yield from self.value(inner, FREE) if wanted else [{}]
            case ast.Call(func=ast.Name(id="has"), args=[ast.Constant(value=str(name))]):
                yield from self.value(ast.Name(name), FREE if wanted else None)
            case _:
                for guess in (FREE, True, 1) if wanted else (None, False, 0):
                    yield from self.value(node, guess)

    def together(self, wanted: Sequence[tuple[ast.expr, Any]]) -> Iterator[Change]:
        """Changes that may give each node its value."""
        (node, target), *others = wanted
        found: Iterable[Change] = self.value(node, target)
        for node, target in others:
            found = both(found, partial(self.value, node, target))
        return iter(found)

    def _all(self, nodes: list[ast.expr], wanted: bool) -> Iterator[Change]:
        changes = self.truth(nodes[0], wanted)
        for node in nodes[1:]:
            changes = both(changes, partial(self.truth, node, wanted))
        return iter(changes)

    def _compared(self, left: ast.expr, op: ast.cmpop, right: ast.expr, wanted: bool) -> Iterator[Change]:
        known, value = self.now(right)
        if not known:
            return
        if wanted and isinstance(op, ast.In) and isinstance(right, ast.Name) and right.id == "weights":
            yield {(WEIGHTS, self.now(left)[1]): FREE}
            return
        if isinstance(op, ast.NotEq | ast.IsNot | ast.NotIn):
            wanted = not wanted
        if isinstance(op, ast.In | ast.NotIn):
            if wanted and isinstance(value, str):
                yield from self.value(right, self.now(left)[1])
                return
            for item in value if wanted else (None, "default", False):
                yield from self.value(left, item)
        elif isinstance(op, ast.Eq | ast.NotEq | ast.Is | ast.IsNot):
            for item in (value,) if wanted else ((FREE,) if value is None else (None, FREE)):
                yield from self.value(left, item)

    # ---------------------------------------------------------------------------------------------- names and keys

    def _name(self, node: ast.Name, target: Any) -> Iterator[Change]:
        name = node.id
        if name == "pooling":
            if target in (FREE, None, 1, 2, 3):
                yield {(POOLING,): target}
        elif name == "card":
            yield {(CARD_TEXT,): target}
        elif name in self.page.derived and name not in self.opened:
            yield from self.opening(name).value(parse(self.page.derived[name]), target)
        elif name not in ("model_class", "file_type", "files", "rope", "rope_full", "tokenizer_config"):
            yield {(name,): target}

    def path(self, node: ast.expr) -> Path | None:
        """Where in the configuration a mapping lies, or a value in it."""
        match node:
            case ast.Name(id="rope_full") if self.nested:
                return (self.rope, "full_attention")
            case ast.Name(id="rope" | "rope_full"):
                return (self.rope,)
            case ast.Name(id="tokenizer_config"):
                return (TOKENIZER,)
            case ast.Subscript(value=ast.Name(id="weights"), slice=key):
                return (WEIGHTS, str(self.now(key)[1]))
            case ast.Name(id=name) if name in self.page.derived and name not in self.opened:
                return self.opening(name).path(parse(self.page.derived[name]))
            case ast.Name(id=name):
                return (name,)
            case ast.BoolOp(op=ast.Or(), values=[first, ast.Dict(keys=[])]):
                return self.path(first)
            case ast.Call(func=ast.Name(id="get"), args=[ast.Constant(value=str(name)), *_]):
                return (name,)
            case ast.Call(func=ast.Name(id="get"), args=[inner, ast.Constant(value=str(name)), *_]):
                outer = self.path(inner)
            case ast.Subscript(value=inner, slice=ast.Constant(value=str(name))):
                outer = self.path(inner)
            case _:
                return None
        if outer == (self.rope,) and name in _TOP:
            return (name,)
        if outer == (self.rope, "sliding_attention") and not self.nested:
            known = {key for kind in self.page.defaults.values() for key in kind}
            return ("swa_rope_theta" if "swa_rope_theta" in known else "rope_local_base_freq",)
        return None if outer is None else (*outer, name)

    def _at(self, node: ast.expr, target: Any) -> Iterator[Change]:
        path = self.path(node)
        if path is not None and not (len(path) == 1 and path[0] in ("vision_config", self.rope)):
            yield {path: target}

    def _subscript(self, node: ast.Subscript, target: Any) -> Iterator[Change]:
        if isinstance(node.value, ast.Dict):
            yield from self._looked_up(node.value, node.slice, target)
        elif isinstance(node.slice, ast.Slice):
            yield from self._sliced(node, target)
        elif (path := self.path(node.value)) is not None and path[0] == WEIGHTS:
            yield {path: target if target in (None, FREE) else [target]}
        elif isinstance(node.slice, ast.Call) and target is not FREE:
            yield from self.value(node.value, [target] * self.layers())
        else:
            yield from self._at(node, target)

    def _sliced(self, node: ast.Subscript, target: Any) -> Iterator[Change]:
        """``(list + padding)[:n]``: the list, without padding at its end; ``list[:n]``: the list."""
        if isinstance(target, list) and not isinstance(node.value, ast.BinOp):
            yield from self.value(node.value, target)
        elif isinstance(target, list) and isinstance(node.value, ast.BinOp):
            items = list(target)
            while items and not items[-1]:
                items.pop()
            yield from self.value(node.value.left, items)

    def _looked_up(self, table: ast.Dict, key: ast.expr, target: Any) -> Iterator[Change]:
        for said, value in zip(table.keys, table.values, strict=True):
            if said is not None:
                known, name = self.now(said)
                if known:
                    yield from both(self.value(value, target), partial(self.value, key, name))
        if target is None:
            yield from self.value(key, None)

    # --------------------------------------------------------------------------------------------------- operators

    def _constant(self, node: ast.Constant, target: Any) -> Iterator[Change]:
        if target is FREE and node.value is not None:
            yield {}

    def _unaryop(self, node: ast.UnaryOp, target: Any) -> Iterator[Change]:
        if isinstance(node.op, ast.USub) and isinstance(target, int | float):
            yield from self.value(node.operand, -target)

    def _boolop(self, node: ast.BoolOp, target: Any) -> Iterator[Change]:
        *earlier, last = node.values
        if isinstance(node.op, ast.And):
            yield from both(self._all(earlier, True), lambda: self.value(last, target))
            if not target:
                yield from self.truth(earlier[0], False)
            return
        alternatives = [both(self._all(earlier, False), lambda: self.value(last, target))]
        if target is not None:  # what is not there yet is rather computed
            alternatives.insert(1 if not self.now(earlier[0])[1] else 0, self.value(earlier[0], target))
        yield from chain(*alternatives)

    def _ifexp(self, node: ast.IfExp, target: Any) -> Iterator[Change]:
        known, held = self.now(node.test)
        for side in (True, False) if not known or held else (False, True):
            branch = node.body if side else node.orelse
            yield from both(self.truth(node.test, side), partial(self.value, branch, target))
        if target:  # the test may be about what the branch is made of
            yield from self.value(node.body, target)

    def _binop(self, node: ast.BinOp, target: Any) -> Iterator[Change]:
        yield from operator(self, node, target)

    def _compare(self, node: ast.Compare, target: Any) -> Iterator[Change]:
        if isinstance(target, bool):
            yield from self.truth(node, target)

    # ----------------------------------------------------------------------------------------------------- functions

    def _listcomp(self, node: ast.ListComp, target: Any) -> Iterator[Change]:
        yield from loop(self, node, target)

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
        elif name in FUNCTIONS:
            yield from FUNCTIONS[name](self, arguments, target)

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
