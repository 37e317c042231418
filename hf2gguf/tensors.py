"""From a checkpoint's tensors to a GGUF file's: names by pattern, operations, experts merged, in upstream's order."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gguf_py import KQuantsError
from kquants.source import Source

from . import arithmetic, transform
from .checkpoint.folder import shown
from .definition import Definition
from .expression import Scope, evaluate, pipeline
from .numbers import constant, plain, same
from .operations import apply

_NUMBER = re.compile(r"(?<![^.])\d+(?![^.])")
_HOLE = re.compile(r"\{([^}]+)\}")
_LAYER = re.compile(r"\blayers\.(\d+)\.")
MERGING = ("stack", "concat", "product")
"""Operations that wait for other tensors."""
COMPARING = ("once", "unless_same")
"""Operations, the last of a target's, that leave the tensor out if it, or its like, has been made before."""
_SUFFIXES = (".weight", ".bias")
_NEVER = (".attention.masked_bias", ".attention.bias", ".rotary_emb.inv_freq")
"""Buffers that some checkpoints carry and no model needs."""


@dataclass(frozen=True)
class Pattern:
    """A name with holes, and what a tensor of that name becomes."""

    order: int
    text: str
    match: re.Pattern[str]
    targets: tuple[str, ...]


class Names:
    """The patterns of a definition, found by a name with its numbers left out."""

    def __init__(self, definition: Definition) -> None:
        self._by_shape: dict[str, list[Pattern]] = {}
        for order, (text, target) in enumerate(definition.tensors.items()):
            pattern = re.escape(text).replace(r"\{", "{").replace(r"\}", "}")
            match = re.compile(_HOLE.sub(r"(?P<\1>\\d+)", pattern))
            targets = (target,) if isinstance(target, str) else tuple(target)
            shape = _NUMBER.sub("#", _HOLE.sub("0", text))
            self._by_shape.setdefault(shape, []).append(Pattern(order, text, match, targets))

    def __iter__(self) -> Iterator[Pattern]:
        return (pattern for alike in self._by_shape.values() for pattern in alike)

    def find(self, name: str) -> tuple[Pattern, dict[str, int], str] | None:
        """The pattern for ``name``, the numbers in its holes, and the suffix it leaves to the target."""
        for suffix in ("", *_SUFFIXES):
            if not name.endswith(suffix):
                continue
            stem = name.removesuffix(suffix) if suffix else name
            for pattern in self._by_shape.get(_NUMBER.sub("#", stem), ()):
                found = pattern.match.fullmatch(stem)
                if found is not None:
                    return pattern, {k: int(v) for k, v in found.groupdict().items()}, suffix
        return None


def kept(names: Iterable[str], definition: Definition, scope: Scope | None = None) -> Iterator[tuple[str, str]]:
    """The checkpoint's names that are not dropped, each with the name the patterns know it by.

    Holes in what replaces a part of a name are filled when there is a ``scope``.
    """
    drop = [re.compile(d) for d in definition.drop]
    rename = [(re.compile(a), b) for a, b in definition.rename]
    for name in names:
        if any(d.search(name) for d in drop):
            continue
        known = name
        for pattern, into in rename:
            renamed = pattern.sub(into, known)
            known = _filled(renamed, scope) if scope is not None and renamed != known else renamed
        if not any(d.search(known) for d in drop):
            yield name, known


def evaluated(texts: Iterable[str], scope: Scope) -> list[str]:
    """Texts of a page, those that are expressions evaluated, without those that then are None."""
    made = (evaluate(text[1:], scope) if text.startswith("=") else text for text in texts)
    return [text for text in made if text is not None]


def _ahead(names: Iterable[tuple[str, str]], patterns: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Those with one of the patterns first, by pattern and the numbers in the name; then the others as they come."""
    if not patterns:
        return names

    def place(pair: tuple[str, str]) -> tuple[int, list[int]]:
        at = next((i for i, pattern in enumerate(patterns) if re.search(pattern, pair[1])), len(patterns))
        return at, [int(n) for n in _NUMBER.findall(pair[1])] if at < len(patterns) else []

    return sorted(names, key=place)


def map_tensors(
    tensors: Mapping[str, Source], definition: Definition, scope: Scope, where: object
) -> Iterator[tuple[str, Source]]:
    """The GGUF tensors, in upstream's order: generated ones, then as the checkpoint has them; experts when complete.

    Raises KQuantsError naming the tensor that has no place, whose shape does not fit, or that is missing.
    """
    for name, text in definition.generate.items():
        values = evaluate(text, scope)
        if values is None:
            continue
        if not isinstance(values, list) or not all(isinstance(value, (int, float)) for value in values):
            raise KQuantsError(f"{where}: {name} is to be a list of numbers, but {text!r} gives {values!r}")
        yield name, constant(values)
    mapper = _Mapper(definition, scope)
    layers, spare = scope["block_count"], bool(scope.get("spare_layers"))
    for original, name in _ahead(kept(tensors, definition, scope), evaluated(definition.ahead, scope)):
        layer = _LAYER.search(name)
        if any(n.endswith(_NEVER) for n in (original, name)) or (spare and layer and int(layer[1]) >= layers):
            continue
        # A decoder that was published without its head has names without "model.".
        found = mapper.names.find(name) or mapper.names.find(f"model.{name}")
        if found is None:
            known = f" (known as {shown(name)})" if name != original else ""
            raise KQuantsError(
                f"{where}: the tensor {shown(original)}{known} has no place in a {definition.architecture} model: "
                f"no name under [tensors] of {definition.name}.toml or its bases is like it"
            )
        pattern, numbers, suffix = found
        if numbers.get("i", 0) >= layers and any(pattern.targets):
            raise KQuantsError(f"{where}: there is a tensor {shown(original)}, but config.json says {layers} layers")
        try:
            yield from mapper.place(pattern, numbers, suffix, plain(tensors[original]))
        except KQuantsError as fault:
            raise KQuantsError(f"{where}: tensor {shown(original)}: {fault}") from fault
    for merge in mapper.waiting():
        raise KQuantsError(f"{where}: {merge.target} is made of {merge.wanted} tensors, {len(merge.parts)} are there")


Steps = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass
class _Merge:
    """Tensors that become one: those that have come, by their place, and what happens to the whole."""

    order: int
    target: str
    wanted: int
    join: Callable[[Sequence[Source]], Source]
    then: Steps
    scope: Scope
    parts: dict[int, Source] = field(default_factory=dict)


class _Mapper:
    def __init__(self, definition: Definition, scope: Scope) -> None:
        self.names, self.scope = Names(definition), scope
        self.groups: dict[str, dict[str, _Merge]] = {}
        self.made: dict[str, Source] = {}
        stacked = [
            p.text.split("{e}")[0] for p in self.names if "{e}" in p.text and any("stack(" in t for t in p.targets)
        ]
        self.sizes = Counter(stacked)

    def place(
        self, pattern: Pattern, numbers: dict[str, int], suffix: str, source: Source
    ) -> Iterator[tuple[str, Source]]:
        """The targets of one tensor; nothing yet while a merge waits for its other parts."""
        inner = self.scope.over(**numbers, shape=list(source.shape))
        for text in pattern.targets:
            if not text:
                continue
            name, steps = pipeline(text)
            name = _filled(name, inner) + suffix
            made, at = self._apply(source, steps, inner)
            if made is None:
                continue
            if at == len(steps):
                self.made[name] = made
                yield name, made
                continue
            if steps[at][0] in COMPARING:
                other = self.made.get(evaluate(steps[at][1][0], inner) if steps[at][1] else name)
                if other is None or not (steps[at][0] == "once" or same(made, other)):
                    self.made[name] = made
                    yield name, made
                continue
            operation, texts = steps[at]
            arguments = [evaluate(t, inner) for t in texts]
            if type(wanted := arguments[-1 if operation != "stack" else 0]) is not int or wanted < 1:
                raise KQuantsError(f"{operation} is of {wanted!r} tensors, expected a number")
            order = pattern.order if operation != "stack" or len(arguments) < 2 else arguments[1]
            if operation == "stack":
                prefix, place, join = pattern.text.split("{e}")[0], numbers["e"], transform.stack
            else:
                join = arithmetic.product if operation == "product" else transform.concat
                prefix, place = text.split(" ")[0], arguments[0]
            group = self.groups.setdefault(_filled(prefix, inner) + suffix, {})
            merge = group.setdefault(name, _Merge(order, name, wanted, join, steps[at + 1 :], inner))
            merge.parts[place] = made
            yield from self._complete(_filled(prefix, inner) + suffix, self.sizes.get(prefix, 1))

    def _apply(self, source: Source, steps: Steps, scope: Scope) -> tuple[Source | None, int]:
        """The source after the steps that need it alone, and the place of the first that does not.

        None when ``when`` says no.
        """
        for at, (operation, texts) in enumerate(steps):
            if operation in (*MERGING, *COMPARING):
                return source, at
            arguments = [evaluate(t, scope) for t in texts]
            if operation == "when":
                if not arguments[0]:
                    return None, at
            else:
                source = apply(operation, source, arguments)
        return source, len(steps)

    def _complete(self, key: str, size: int) -> Iterator[tuple[str, Source]]:
        """The tensors of a group of which every part has come, in the order of their patterns."""
        group = self.groups[key]
        if len(group) < size or any(len(merge.parts) < merge.wanted for merge in group.values()):
            return
        del self.groups[key]
        for merge in sorted(group.values(), key=lambda m: m.order):
            missing = next((i for i in range(merge.wanted) if i not in merge.parts), None)
            if missing is not None:
                raise KQuantsError(f"{merge.target} lacks its part {missing}")
            whole, _ = self._apply(merge.join([merge.parts[i] for i in range(merge.wanted)]), merge.then, merge.scope)
            if whole is not None:
                yield merge.target, whole

    def waiting(self) -> Iterator[_Merge]:
        """Merges that never became whole."""
        for group in self.groups.values():
            yield from group.values()


def _filled(text: str, scope: Scope) -> str:
    return _HOLE.sub(lambda hole: str(evaluate(hole[1], scope)), text)
