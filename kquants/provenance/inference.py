"""The recipe of a file, read off the file and the source that it is said to come from."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from gguf_py import KQuantsError, Tensor, ValueType
from gguf_py.shards import COUNT, NUMBER, TENSORS, ShardSet

from ..filetypes import COPY, FILE_TYPES, GUESSED, file_type
from ..imatrix import Imatrix
from ..plan import Item, Plan, of_tensors
from ..recode import convert_rows, decode, encoder, takes_weights
from ..source import Source
from .recipe import LONGEST, OVERRIDABLE, Recipe, planned

FILE_TYPE = "general.file_type"
IMATRIX = "quantize.imatrix."
ROWS = 16
"""Rows of a tensor that are looked at to see whether the importance matrix was used for it."""
LAYER = re.compile(r"blk\.(\d+)\.")


def infer(model: ShardSet, source: ShardSet, imatrix: Imatrix | None = None) -> Recipe:
    """The recipe that explains a model: the file type that it states, and what departs from it."""
    stated = model.metadata.get(FILE_TYPE)
    try:
        # Only copying guesses.
        name = file_type(stated).name if isinstance(stated, int) and not stated & GUESSED else COPY
    except KQuantsError:
        name = COPY
    pruned = _pruned(model, source, imatrix)
    base = Recipe(
        name,
        prune_layers=pruned,
        overrides=_overrides(model, source, f"{source.metadata.get('general.architecture')}.block_count", pruned),
        keep_split=_kept_split(model, source),
    )
    found = _types(model, source, base, imatrix)
    return found if imatrix is None else _filters(model, source, found, imatrix)


def _types(model: ShardSet, source: ShardSet, base: Recipe, imatrix: Imatrix | None) -> Recipe:
    """With the options that give each tensor the type that it has."""
    own = {t.name: t.type.name for t in model.tensors.values()}

    def odd(recipe: Recipe) -> dict[str, str]:
        """Tensors to which the recipe gives another type than the model has, and the model's."""
        try:
            items = _items(planned(model, source, recipe, imatrix))
        except KQuantsError:  # it would take a matrix, which the model was made without
            return own
        types = {item.info.name: item.info.type.name for item in items}
        return {n: kind for n, kind in own.items() if types.get(n, kind) != kind}

    # What a few options explain is better explained by them than by a list of tensors.
    guesses = _options(base, own)
    guesses += [replace(base, file_type=kind) for kind in (COPY, *FILE_TYPES)]  # the model misstates it
    for guess in guesses:
        if not odd(guess):
            return guess
    # A tensor whose type is said no longer counts where the rules count: others may become odd by it.
    listed: dict[str, str] = {}
    while rest := odd(replace(base, tensor_types=listed)):
        if rest.keys() <= listed.keys():
            break
        listed |= rest
    return replace(base, tensor_types=listed)


def _options(base: Recipe, own: Mapping[str, str]) -> list[Recipe]:
    """The recipe with none, one or more of the options about types, the fewest first; ``own`` are the model's types."""
    tries: list[dict[str, Any]] = [
        {"pure": True},
        {"leave_output": True},
        {"output_type": own.get("output.weight")},
        {"embedding_type": own.get("token_embd.weight")},
    ]
    several = (combinations(tries, count) for count in range(len(tries) + 1))
    merged = [{k: v for said in chosen for k, v in said.items()} for chosen in chain.from_iterable(several)]
    return [replace(base, **said) for said in merged if not {"leave_output", "output_type"} <= said.keys()]


def _items(plan: Plan) -> list[Item]:
    return [item for out in plan.outputs for item in out.items]


def _kept_split(model: ShardSet, source: ShardSet) -> bool:
    """Whether the shards were written as such: quantizing puts their keys in another order than splitting."""
    keys = list(model.fields)
    if not (len(model.files) == len(source.files) > 1) or not {COUNT, TENSORS} <= set(keys):
        return False
    return keys.index(COUNT) < keys.index(TENSORS)


def _overrides(
    model: ShardSet, source: ShardSet, block_count: str, pruned: Sequence[int]
) -> dict[str, tuple[str, Any]]:
    """What was said anew: quantizing puts it behind the file type, before what it says of the importance matrix."""
    keys = list(model.fields)
    tail = keys[keys.index(FILE_TYPE) + 1 :] if FILE_TYPE in keys else []
    found = {}
    for key in tail:
        if key.startswith(IMATRIX) or key in (NUMBER, COUNT, TENSORS):
            break
        if pruned and key == block_count:
            continue
        given = model.fields[key]
        if given.type is ValueType.ARRAY and key in source.fields:
            return {}  # nobody said this anew: the keys are in another order altogether
        kind = next((name for name, type_ in OVERRIDABLE.items() if type_ is given.type), None)
        if kind is not None and _sayable(key, given.value):
            found[key] = (kind, given.value)
    return found


def _sayable(key: str, value: Any) -> bool:
    """Whether ``--override-kv`` could say so."""
    if isinstance(value, str):
        try:
            return len(value.encode()) <= LONGEST and "\0" not in value and "=" not in key
        except UnicodeEncodeError:
            return False
    return "=" not in key and math.isfinite(value)


# ------------------------------------------------------------------------------------------------ layers that are gone


def _pruned(model: ShardSet, source: ShardSet, imatrix: Imatrix | None) -> tuple[int, ...]:
    """The source's layers that the model has not: those passed over when each is matched with the next that fits."""
    ours, theirs = _layers(source.tensors.values()), _layers(model.tensors.values())
    if not theirs or len(theirs) >= len(ours) or sorted(theirs) != list(range(len(theirs))):
        return ()
    sources = of_tensors(dict(source.tensors))
    left, kept = sorted(ours), []
    for number in sorted(theirs):
        near = left[: len(left) - (len(theirs) - number) + 1]
        fits = (n for n in near if _same_layer(theirs[number], ours[n], sources, imatrix))
        kept.append(next(fits, near[0]))
        left = left[left.index(kept[-1]) + 1 :]
    return tuple(sorted(set(ours) - set(kept)))


def _layers(tensors: Iterable[Tensor]) -> dict[int, dict[str, Tensor]]:
    """Tensors by layer and by the rest of their names."""
    layers: dict[int, dict[str, Tensor]] = {}
    for tensor in tensors:
        if found := LAYER.search(tensor.name):
            layers.setdefault(int(found[1]), {})[tensor.name[found.end() :]] = tensor
    return layers


def _same_layer(
    theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor], sources: Mapping[str, Source], imatrix: Imatrix | None
) -> bool:
    """Whether most of a layer's tensors begin with the blocks that those of the source give."""
    both = [(theirs[role], sources[ours[role].name], ours[role].name) for role in theirs if role in ours]
    agree = 0
    for tensor, source, name in both:
        values = None if imatrix is None else imatrix.entries.get(name)
        weights = None if values is None else values[: source.columns]
        agree += any(_agrees(tensor, source, w, 1) for w in ([None] if weights is None else [weights, None]))
    return 2 * agree > len(both)


def _agrees(tensor: Tensor, source: Source, importance: npt.NDArray[np.float32] | None, rows: int) -> bool:
    """Whether the first rows of a tensor are what the source gives, with an importance of the columns or without."""
    kind = tensor.type
    if source.shape != tensor.shape:
        return False
    rows = min(rows, tensor.shape[-2] if len(tensor.shape) > 1 else 1)
    data = np.empty((rows, tensor.row_bytes), np.uint8)
    tensor.read_into(data.reshape(-1))
    given = np.ascontiguousarray(source.rows(0, rows))
    if source.type == kind or not takes_weights(kind) or importance is None:
        try:
            return bool(np.array_equal(convert_rows(given, source.type, kind), data))
        except KQuantsError:
            return False  # the type has no encoder without an importance
    floats = np.empty((rows, source.columns), np.float32)
    decode(given.reshape(-1), source.type, floats.reshape(-1))
    out = np.empty_like(data)
    encoder(kind, weighted=True)(floats, np.ascontiguousarray(importance, np.float32), out)
    return bool(np.array_equal(out, data))


# ------------------------------------------------------------------------------------- where the matrix was not used


def _filters(model: ShardSet, source: ShardSet, recipe: Recipe, imatrix: Imatrix) -> Recipe:
    """With the names that say for which tensors the matrix was used, if the model counts fewer than it has."""
    stated = model.metadata.get(f"{IMATRIX}entries_count")
    if not isinstance(stated, int) or stated >= len(imatrix.entries):
        return recipe
    names = {(str(t.file and t.file.path), t.offset): name for name, t in source.tensors.items()}
    used, unused = set(), set()
    for item in _items(planned(model, source, recipe, imatrix)):
        tensor = model.tensors.get(item.info.name)
        if tensor is None or item.imatrix is None or tensor.type != item.info.type or not takes_weights(tensor.type):
            continue
        assert item.source.extent is not None
        name = names[item.source.extent.file.path, item.source.extent.offset]  # another one where layers were left out
        if _agrees(tensor, item.source, None, ROWS):
            unused.add(name)
        elif _agrees(tensor, item.source, item.imatrix[0], ROWS):
            used.add(name)
    excluded, included = _names(unused, used), _names(used, unused)
    guesses = [replace(recipe, exclude_weights=excluded), replace(recipe, include_weights=included)]
    guesses.sort(key=lambda guess: len(guess.exclude_weights) + len(guess.include_weights))
    # Of a type that takes no weights nothing is seen: any name that leaves as many entries gives the same bytes.
    for text in sorted({part for name in imatrix.entries for part in _parts(name)}, key=lambda text: (len(text), text)):
        guesses.append(replace(recipe, exclude_weights=(*excluded, text)))
        guesses.append(replace(recipe, include_weights=(*included, text)))

    def explains(guess: Recipe) -> bool:
        kept = set(imatrix.only(guess.include_weights, guess.exclude_weights).entries)
        return len(kept) == stated and not kept & unused and used <= kept

    return next((guess for guess in guesses if explains(guess)), guesses[0])


def _names(wanted: Iterable[str], others: Iterable[str]) -> tuple[str, ...]:
    """The fewest, then shortest texts that each of ``wanted`` has one of, and none of ``others`` any."""
    left, others = set(wanted), list(others)
    texts = {text for name in left for text in _parts(name) if not any(text in other for other in others)}
    found: list[str] = []
    while left:
        best = min(texts, key=lambda text: (-sum(text in name for name in left), len(text), text), default=None)
        covered = set() if best is None else {name for name in left if best in name}
        if best is None or not covered:
            break
        found.append(best)
        left -= covered
    return tuple(found)


def _parts(name: str) -> set[str]:
    """What a person would name a tensor by: its name, its layer, its role, the family of that."""
    layer = LAYER.search(name)
    role = name[layer.end() :] if layer else name
    stem = role.split(".")[0]
    return {name, role, stem, stem.split("_")[0] + "_"} | ({layer[0]} if layer else set())
