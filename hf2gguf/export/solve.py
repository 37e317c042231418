"""Which configuration makes an architecture's page give what a file says.

For one key after another the page's expressions are read backwards (``back``), and each change of the configuration
that is proposed is tried forward: it is kept when more of the metadata comes out right than before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np

from gguf_py import Field, KQuantsError

from .. import config as configs
from ..definition import Definition
from ..expression import Scope, evaluate
from ..fields import SHARED, Fields
from .change import CARD_TEXT, POOLING, TOKENIZER, WEIGHTS, applied, distinct, equal
from .goal import Goal, changes

_MOST, _FEW = 400, 40
"""Changes that are tried for one key in one round, and of those that others may have to follow."""
_SPOILT = 6
"""Keys that a change may put wrong for others to put right."""
_ROUNDS = 8


@dataclass(frozen=True)
class Fact:
    """An expression outside the metadata that must give a value: a list of generated weights, a size of a tensor."""

    text: str
    value: Any


@dataclass
class Problem:
    """A page, the metadata it must give, and what the expressions see besides the configuration."""

    page: Definition
    fields: Mapping[str, Field]
    model_class: str
    facts: tuple[Fact, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)
    defaults: bool = True
    """Whether the page's defaults fill in what the configuration leaves out."""

    def scope(self, config: Mapping[str, Any]) -> Scope:
        """What the page's expressions see."""
        pooling = config.get(POOLING)
        settings = {**self.more.get("tokenizer_config", {}), **config.get(TOKENIZER, {})}
        other = {"tokenizer_config": settings, "pooling": pooling, "weights": config.get(WEIGHTS, {})}
        other["card"] = config.get(CARD_TEXT, "")
        more = {"generation_config": {}, "files": [], "folder": "", "shapes": {}, "bundled": {}, **self.more, **other}
        given = {key: value for key, value in config.items() if not key.startswith("=")}
        page = self.page if self.defaults else replace(self.page, defaults={})
        return configs.scope(given, page, model_class=self.model_class, file_type=1, **more)

    @cached_property
    def expressions(self) -> list[tuple[str, str]]:
        """The page's metadata in the order in which it is set, by the keys as the page spells them."""
        page = self.page
        tables = (page.early.items(), page.metadata, page.before.items(), page.after.items())
        return [item for table in tables for item in table]

    @cached_property
    def goals(self) -> dict[str, Goal]:
        """What the page's keys, and the facts, should give."""
        at: dict[str, list[int]] = {}
        for i, (key, _) in enumerate(self.expressions):
            at.setdefault(self.full(key), []).append(i)
        order = [key for key in self.fields if key in at and not _elsewhere(key)]
        low, high, last = dict[str, int](), dict[str, int](), -1
        for key in order:
            low[key] = next((i for i in at[key] if i > last), len(self.expressions))
            last = min(low[key], at[key][-1])
        last = len(self.expressions)
        for key in reversed(order):
            high[key] = next((i for i in reversed(at[key]) if i < last), -1)
            last = max(high[key], at[key][0])
        goals: dict[str, Goal] = {}
        for key, places in at.items():
            if not _elsewhere(key):
                first = tuple(k for k, i in enumerate(places) if low.get(key, 0) <= i <= high.get(key, 0))
                texts = tuple(self.expressions[i][1] for i in places)
                goals[key] = Goal(texts, self.wanted(key), first)
        return goals | {fact.text: Goal((fact.text,), fact.value) for fact in self.facts}

    def wanted(self, key: str) -> Any:
        """What the file says of a key, or None."""
        found = self.fields.get(key)
        return None if found is None else plain(found.value)

    def full(self, key: str) -> str:
        """The key as it stands in the file."""
        return key if key.startswith(SHARED) else f"{self.page.architecture}.{key}"


@dataclass(frozen=True, order=True)
class Score:
    """How far from the file: twice the keys that are missed and once those that are misplaced; then those that fail."""

    missed: int
    broken: int
    keys: frozenset[str] = field(default=frozenset(), compare=False)

    @property
    def perfect(self) -> bool:
        """Whether all that the page sets is as in the file."""
        return not self.missed


def plain(value: Any) -> Any:
    """A value as JSON spells it: a float32 by the fewest digits that give it back."""
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value.tolist()]
    if isinstance(value, float):
        return float(str(np.float32(value)))
    return list(value) if hasattr(value, "__len__") and not isinstance(value, str | dict) else value


def solve(problem: Problem, config: Mapping[str, Any], *, exact: bool) -> tuple[dict[str, Any], Score]:
    """A configuration, made of ``config``, from which the page gives the file's metadata; and how near it comes.

    First without the page's defaults, so that the configuration says everything itself, then, if the file is to come
    out again and not more than it says (``exact``), against them.
    """
    found, near = improve(replace(problem, defaults=False), dict(config))
    return improve(problem, found) if exact else (found, near)


def improve(problem: Problem, config: dict[str, Any]) -> tuple[dict[str, Any], Score]:
    """A configuration near another that comes nearer to the file, if there is one; and how near."""
    best = score(problem, config)
    for _ in range(_ROUNDS):
        before = best
        # Of lists of which a number may be the reason, the reason is better found when all else is.
        for key, goal in sorted(problem.goals.items(), key=lambda item: _spread(item[1])):
            if key in best.keys:
                config, best = _try(problem, config, best, goal)
        if best == before and not best.perfect:
            config, best = _try_more(problem, config, best)
        if best.perfect or best == before:
            break
    return config, best


def _spread(goal: Goal) -> bool:
    """Whether a goal is a list that a later expression may make of one number."""
    return isinstance(goal.value, list) and len(goal.texts) > 1


def _proposed(problem: Problem, config: Mapping[str, Any], goal: Goal, most: int) -> Iterator[dict[str, Any]]:
    """Configurations that may reach a goal."""
    try:
        scope = problem.scope(config)
    except KQuantsError:
        return
    for change in islice(distinct(changes(problem.page, scope, config, goal)), most):
        yield applied(config, change)


def _try(problem: Problem, config: dict[str, Any], best: Score, goal: Goal) -> tuple[dict[str, Any], Score]:
    """The configuration after the change that helps most; the first that puts everything right is taken at once."""
    nearest, kept = best, config
    for changed in _proposed(problem, config, goal, _MOST):
        found = score(problem, changed)
        if found < nearest:
            nearest, kept = found, changed
            if found.keys < best.keys:
                break
    return kept, nearest


def _try_more(problem: Problem, config: dict[str, Any], best: Score) -> tuple[dict[str, Any], Score]:
    """The configuration after a change that puts one thing right and a few others wrong, and changes for those."""
    for key in sorted(best.keys):
        for changed in _proposed(problem, config, problem.goals[key], _FEW):
            found = score(problem, changed)
            spoilt = found.keys - best.keys
            if key in found.keys or len(spoilt) > _SPOILT:
                continue
            for other in sorted(spoilt):
                if other in found.keys:
                    changed, found = _try(problem, changed, found, problem.goals[other])
            if found < best:
                return changed, found
    return config, best


def score(problem: Problem, config: Mapping[str, Any]) -> Score:
    """What of the file's metadata a configuration does not give, or gives in another place."""
    try:
        scope = problem.scope(config)
    except KQuantsError:
        return Score(1 << 20, 0)
    made, broken, places = Fields(problem.page.architecture), set(), dict[str, int]()
    seen: dict[str, int] = {}
    for name, text in problem.expressions:
        key = problem.full(name)
        place = seen[key] = seen.get(key, -1) + 1
        try:
            value = evaluate(text, scope)
            made.set(name, value)
        except KQuantsError:
            broken.add(key)
        else:
            if value not in (None, "", []):
                places.setdefault(key, place)
    there = {field.key: field for field in made}
    goals = problem.goals
    missed = {key for key in goals if key in seen and not _same(problem.fields.get(key), there.get(key))}
    moved = {key for key in places.keys() & goals.keys() - missed if places[key] not in goals[key].first}
    for fact in problem.facts:
        try:
            if not equal(evaluate(fact.text, scope), fact.value):
                missed.add(fact.text)
        except KQuantsError:
            broken.add(fact.text)
    missed |= broken & goals.keys()
    return Score(2 * len(missed) + len(moved - missed), len(broken), frozenset(missed | moved))


def _elsewhere(key: str) -> bool:
    """Whether others than the page set a key too."""
    return key.startswith("tokenizer.") or key == "general.file_type"


def _same(a: Field | None, b: Field | None) -> bool:
    if a is None or b is None:
        return a is b
    return a.type is b.type and a.item is b.item and a.payload("little") == b.payload("little")
