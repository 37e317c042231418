"""The way back through an architecture's page for tensors: what names and shapes they had in a checkpoint."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod

import numpy as np

from gguf_py import KQuantsError
from kquants.source import Source

from .. import transform
from ..definition import Definition
from ..expression import Scope, evaluate, pipeline
from ..numbers import constant, same
from ..operations import apply
from ..tensors import map_tensors
from .inverses import Wanting
from .patterns import HOLE, SUFFIXES, filled, matched, original
from .solve import Fact
from .undo import Steps, undone


@dataclass(frozen=True)
class _Target:
    """What becomes of a tensor, or of a part of it."""

    stem: str
    steps: Steps


@dataclass(frozen=True)
class _Candidate:
    """A tensor of the checkpoint, or the experts of a layer, and the model's tensors that it accounts for."""

    covers: tuple[str, ...]
    made: Mapping[str, Source]
    stack: str = ""


def facts(page: Definition, sources: Mapping[str, Source]) -> list[Fact]:
    """What the sizes of stacked tensors, and types that the page may force, say about expressions of the page."""
    found: dict[str, Fact] = {}
    for of, text in page.types.items():
        forced = {s.type.name == "F32" for n, s in sources.items() if re.fullmatch(of, n)}
        if text.startswith("=") and len(forced) == 1:
            found[text] = Fact(text[1:], "F32" if forced.pop() else None)
    stems = set[str]()
    for text, targets in _routes(page):
        for target in targets:
            if target.stem in stems:
                continue  # which the page says otherwise
            stems.add(target.stem)
            stacks = [texts[0] for name, texts in target.steps if name == "stack"]
            pattern = re.compile(HOLE.sub(r"\\d+", re.escape(target.stem).replace(r"\{", "{").replace(r"\}", "}")))
            sizes = {s.shape[0] for n, s in sources.items() if pattern.fullmatch(re.sub(r"\.(weight|bias)$", "", n))}
            if stacks and "{e}" in text and len(sizes) == 1:
                found[stacks[0]] = Fact(stacks[0], sizes.pop())
    return list(found.values())


def tensors(page: Definition, scope: Scope, sources: Mapping[str, Source]) -> list[dict[str, Source]]:
    """The checkpoint's tensors by name, those of a shard together, each undone from the model's.

    Converting reads shard by shard and a shard's tensors by name: where the model's order is another, a new shard
    begins. Raises KQuantsError naming a tensor that cannot be taken back.
    """
    wanted = [name for name in sources if name not in page.generate]
    # Experts one by one where a page knows them so, unless their order tells of other names, or of one tensor.
    ways: list[list[dict[str, Source]]] = []
    for singly, place in ((True, 0), (True, -1), (False, 0)):
        ways.append(_shards(page, scope, sources, singly, place))
        if _order(page, scope, ways[-1]) == wanted:
            return ways[-1]
    return ways[0]


def _order(page: Definition, scope: Scope, shards: Sequence[Mapping[str, Source]]) -> list[str]:
    """The model's tensors in the order in which converting would write them."""
    every = {name: source for shard in shards for name, source in shard.items()}
    try:
        return [name for name, _ in map_tensors(every, replace(page, generate={}), scope, "the export")]
    except (KQuantsError, TypeError):  # a layer count that is none
        return []


def _shards(
    page: Definition, scope: Scope, sources: Mapping[str, Source], singly: bool, place: int
) -> list[dict[str, Source]]:
    left = [name for name in sources if name not in page.generate]
    groups: list[dict[str, Source]] = []
    stacked, taken = "", set[str]()
    while left:
        fitting: list[_Candidate] = []
        wanting: Wanting | None = None
        for guessed in (False, True):
            for attempt in _attempts(page, scope, left, sources, guessed):
                try:
                    candidate = attempt()
                except Wanting as found:
                    wanting = wanting or found
                else:
                    fitting += [candidate] if candidate is not None and not taken & set(candidate.made) else []
            if fitting or wanting is not None:
                break
        if not fitting and wanting is not None:
            raise wanting
        if not fitting:
            what = f"tensor {left[0]!r} of shape {list(sources[left[0]].shape)}"
            raise KQuantsError(f"{what}: the page of {page.name} does not say what it was in a checkpoint")
        experts = [candidate for candidate in fitting if candidate.stack]
        chosen = experts[place] if experts and singly else next((c for c in fitting if not c.stack), fitting[0])
        taken |= set(chosen.made)
        left = [name for name in left if name not in chosen.covers]
        if chosen.stack and chosen.stack == stacked:
            groups[-1] |= chosen.made  # the experts of a layer are made into tensors when all have come
        else:
            groups.append(dict(chosen.made))
        stacked = chosen.stack
    shards: list[dict[str, Source]] = []
    for group in groups:
        if shards and min(group) > max(shards[-1]):
            shards[-1] |= group
        else:
            shards.append(group)
    return [dict(sorted(shard.items())) for shard in shards]


def _routes(page: Definition) -> Iterator[tuple[str, list[_Target]]]:
    """The page's own patterns before those it shares, each with its targets."""
    for text, targets in page.tensors.items():
        said = (targets,) if isinstance(targets, str) else targets
        yield text, [_Target(*pipeline(target)) for target in said if target]


def _attempts(
    page: Definition, scope: Scope, left: Sequence[str], sources: Mapping[str, Source], guessed: bool
) -> Iterator[Callable[[], _Candidate | None]]:
    """What the first of the tensors that are left may have been, each to be tried.

    Numbers of the checkpoint's name that the tensor's own does not have are ``guessed``, or nothing is.
    """
    name = left[0]
    for text, targets in _routes(page):
        for suffix in SUFFIXES:
            if not name.endswith(suffix):
                continue
            for target in targets:
                numbers = matched(target.stem, name.removesuffix(suffix), scope)
                if numbers is None:
                    continue
                for more in _guesses(text, numbers, scope) if guessed else ({},):
                    yield partial(_made, page, text, targets, suffix, numbers | more, scope, left, sources)


def _guesses(text: str, numbers: Mapping[str, int], scope: Scope) -> Iterator[dict[str, int]]:
    """Any layer; of other things that are counted, the first."""
    holes = [hole for hole in dict.fromkeys(HOLE.findall(text)) if hole not in numbers]
    for layer in range(evaluate("block_count", scope)) if "i" in holes else (0,):
        yield {hole: layer if hole == "i" else 0 for hole in holes}


def _made(
    page: Definition,
    text: str,
    targets: Sequence[_Target],
    suffix: str,
    numbers: Mapping[str, int],
    scope: Scope,
    left: Sequence[str],
    sources: Mapping[str, Source],
) -> _Candidate | None:
    inner = scope.over(**numbers)
    try:
        here = [t for t in targets if all(evaluate(a[0], inner) for op, a in t.steps if op == "when")]
        covers = tuple(dict.fromkeys(filled(t.stem, inner) + suffix for t in here))
        if not covers or any(name not in sources for name in covers):
            return None
        if covers != tuple(left[: len(covers)]):
            return None  # the parts of a tensor come one after another
        pipes = [tuple(step for step in t.steps if step[0] not in ("when", "stack")) for t in here]
        parts = [sources[name] for name in covers]
        if any(step == "stack" for t in here for step, _ in t.steps):
            return _stacked(page, text, suffix, inner, covers, parts, pipes)
        if len(pipes) == 1 and [evaluate(a[0], inner) for op, a in pipes[0][-1:] if op in _JOINED] == [0]:
            return _parts(page, here[0], suffix, inner, covers, parts[0])
        if copies := [k for k, pipe in enumerate(pipes) if pipe and pipe[-1][0] in ("picked", "filled")]:
            whole = _with_copies(here, parts, pipes, copies, inner)
        else:
            whole = undone(parts, pipes, inner)
    except Wanting:
        raise
    except KQuantsError:
        return None
    found = None if whole is None else original(filled(text, inner) + suffix, page, scope)
    return None if found is None or whole is None else _Candidate(covers, {found: whole})


def _with_copies(
    targets: Sequence[_Target], parts: Sequence[Source], pipes: Sequence[Steps], copies: Sequence[int], scope: Scope
) -> Source | None:
    """The tensor of which some parts are rows that another part has too, or that are made up.

    Raises Wanting when what the page makes of it is not those.
    """
    others = [k for k in range(len(parts)) if k not in copies]
    if not others:
        return undone(parts, pipes, scope)
    whole = undone([parts[k] for k in others], [pipes[k] for k in others], scope)
    for k in copies:
        name, texts = pipes[k][-1]
        if name == "filled":
            said = {texts[0]: parts[k].columns, texts[1]: float(parts[k].rows(0, 1).view(np.float32)[0, 0])}
        else:
            said = {a[0]: False for op, a in targets[k].steps if op == "when"}
        try:
            fits = whole is None or same(apply(name, whole, [evaluate(t, scope) for t in texts]), parts[k])
        except KQuantsError:
            fits = False
        if not fits:
            raise Wanting(said)
    return whole


def _parts(
    page: Definition, first: _Target, suffix: str, scope: Scope, covers: tuple[str, ...], whole: Source
) -> _Candidate | None:
    """Tensors that were joined to one.

    Where one follows the other they had the same height, since nothing says otherwise; of a product one had it all, and
    the others were ones.
    """
    routes = [(text, t) for text, targets in _routes(page) for t in targets if t.stem == first.stem]
    joined = [(text, t.steps[:-1]) for text, t in routes if t.steps and t.steps[-1][0] in _JOINED]
    made: dict[str, Source] = {}
    count = first.steps[-1][1][1]
    if count.isidentifier() and (count not in scope or evaluate(count, scope) > len(joined)):
        raise Wanting({count: len(joined)})
    for text, steps in joined[: evaluate(count, scope)]:
        share = _JOINED[first.steps[-1][0]](whole, len(made), len(joined))
        part = undone([share], [steps], scope)
        name = original(filled(text, scope) + suffix, page, scope)
        if name is None or part is None:
            return None
        made[name] = part
    return _Candidate(covers, made)


def _share(whole: Source, place: int, count: int) -> Source:
    """One of so many equal parts along the first axis."""
    flat = transform.reshape(whole, whole.shape[0], -1)
    height = whole.shape[0] // count
    return transform.reshape(transform.rows(flat, place * height, (place + 1) * height), height, *whole.shape[1:])


def _factor(whole: Source, place: int, count: int) -> Source:
    """One of so many factors of a product."""
    return whole if place == count - 1 else transform.reshape(constant([1.0] * prod(whole.shape)), *whole.shape)


_JOINED = {"concat": _share, "product": _factor}


def _stacked(
    page: Definition,
    text: str,
    suffix: str,
    scope: Scope,
    covers: tuple[str, ...],
    parts: Sequence[Source],
    pipes: Sequence[Steps],
) -> _Candidate | None:
    """The experts, one by one."""
    if len(parts) != 1 or "{e}" not in text:
        return None
    made: dict[str, Source] = {}
    for e, matrix in enumerate(_split(parts[0])):
        whole = undone([matrix], pipes, scope)
        name = original(filled(text, scope.over(e=e)) + suffix, page, scope)
        if whole is None or name is None:
            return None
        made[name] = whole
    return _Candidate(covers, made, filled(text.split("{e}")[0], scope) + suffix)


def _split(source: Source) -> list[Source]:
    """The matrices of a stack."""
    count, height = source.shape[0], prod(source.shape[1:-1])

    def part(e: int) -> Source:
        return source.other(lambda lo, hi: source.rows(e * height + lo, e * height + hi), shape=source.shape[1:])

    return [part(e) for e in range(count)]
