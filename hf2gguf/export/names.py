"""The way back through an architecture's page: what metadata and tensors were in a checkpoint."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from gguf_py import KQuantsError
from kquants.source import Source

from .. import transform
from ..definition import Definition
from ..expression import Scope, evaluate, pipeline

_ALTERNATIVES = re.compile(r"first\((?P<keys>'[^()]*')\)(?: or \w+)?")
_ONE = re.compile(r"get\('(?P<key>\w+)'(?:, [^()]*)?\)(?: or .*)?|(?P<name>[a-z]\w*)")
_ROPE = re.compile(r"get\(rope_full, 'rope_theta'\)")
_USUAL = (
    "num_hidden_layers max_position_embeddings hidden_size intermediate_size num_attention_heads num_key_value_heads "
    "rms_norm_eps layer_norm_eps num_local_experts num_experts num_experts_per_tok"
).split()
_HOLE = re.compile(r"\\\{(\w+)\\\}")
_SUFFIXES = ("", ".weight", ".bias")


def configuration(page: Definition, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Configuration keys whose values metadata states: those that the page copies, by whatever name it prefers."""
    config: dict[str, Any] = {}
    for key, expression in page.metadata:
        value = metadata.get(key if key.startswith("general.") else f"{page.architecture}.{key}")
        name = _key(page, expression)
        if value is not None and name is not None and not key.startswith("general."):
            config.setdefault(name, _plain(value))
    return config


def _key(page: Definition, expression: str) -> str | None:
    """The configuration key that an expression copies; None when it does anything else."""
    if _ROPE.fullmatch(expression):
        return "rope_theta"
    if found := _ALTERNATIVES.fullmatch(expression):
        names = re.findall(r"'(\w+)'", found["keys"])
        return next((str(name) for name in names if name in _USUAL), str(names[0]))
    if found := _ONE.fullmatch(expression):
        name: str = found["key"] or found["name"]
        if name == "head_size":  # head_dim, or made of others: attention.key_length tells which
            return None
        derived = page.derived.get(name)
        return name if derived is None else _key(page, derived)
    return None


def _plain(value: Any) -> Any:
    """A value as JSON spells it: a float32 by the fewest digits that give it back."""
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value.tolist()]
    return float(str(np.float32(value))) if isinstance(value, float) else value


def rope_scaling(metadata: Mapping[str, Any], architecture: str) -> dict[str, Any] | None:
    """Linear or YaRN scaling as a configuration has it."""
    prefix = f"{architecture}.rope.scaling."
    kind = metadata.get(prefix + "type")
    if kind is None:
        return None
    names = {
        "factor": "factor",
        "original_context_length": "original_max_position_embeddings",
        "yarn_ext_factor": "extrapolation_factor",
        "yarn_attn_factor": "attention_factor",
        "yarn_beta_fast": "beta_fast",
        "yarn_beta_slow": "beta_slow",
    }
    said = {name: _plain(metadata[prefix + key]) for key, name in names.items() if prefix + key in metadata}
    return {"rope_type": kind, **said}


def tensors(page: Definition, scope: Scope, sources: Mapping[str, Source]) -> list[dict[str, Source]]:
    """The checkpoint's tensors by name, those of a shard together, each undone from the model's.

    Converting reads shard by shard and a shard's tensors by name: where the model's order is another, a new shard
    begins. Raises KQuantsError naming a tensor that cannot be taken back.
    """
    seen: set[str] = set()
    groups: list[dict[str, Source]] = []
    stacked = ""
    for name, source in sources.items():
        if name in page.generate:
            continue
        fitting = [made for made in _candidates(page, scope, name, source) if not seen & set(made)]
        # Experts one by one where a page knows them so: it may know some, packed otherwise, only together.
        undone = max(fitting, key=lambda made: len(made) > 1, default=None)
        if undone is None:
            raise KQuantsError(f"tensor {name!r}: the page of {page.name} does not say what it was in a checkpoint")
        seen |= set(undone)
        layer = name.rsplit(".", 2)[0] if len(undone) > 1 else ""
        if layer and layer == stacked:
            groups[-1] |= undone  # the experts of a layer are made into tensors when all have come
        else:
            groups.append(undone)
        stacked = layer
    shards: list[dict[str, Source]] = []
    for group in groups:
        if shards and min(group) > max(shards[-1]):
            shards[-1] |= group
        else:
            shards.append(group)
    return [dict(sorted(shard.items())) for shard in shards]


def _candidates(page: Definition, scope: Scope, name: str, source: Source) -> Iterator[dict[str, Source]]:
    """What the tensor may have been: the page's own names before those it shares."""
    for text, targets in page.tensors.items():
        for target in (targets,) if isinstance(targets, str) else targets:
            if not target or (isinstance(targets, list) and len(targets) > 1):
                continue  # nothing, or a part of something larger
            stem, steps = pipeline(target)
            pattern = re.compile(_HOLE.sub(r"(?P<\1>\\d+)", re.escape(stem)))
            for suffix in _SUFFIXES:
                if not name.endswith(suffix):
                    continue
                match = pattern.fullmatch(name.removesuffix(suffix) if suffix else name)
                if match is None:
                    continue
                numbers = {k: int(v) for k, v in match.groupdict().items()}
                made = _undone(source, steps, scope.over(**numbers, shape=list(source.shape)))
                if made is not None:
                    yield {_filled(text, {**numbers, "e": e}) + suffix: part for e, part in enumerate(made)}


def _filled(text: str, numbers: dict[str, int]) -> str:
    return re.sub(r"\{(\w+)\}", lambda hole: str(numbers[hole[1]]), text)


def _undone(source: Source, steps: Any, scope: Scope) -> list[Source] | None:
    """The operations taken back, the last first: several sources where experts were stacked; None if that cannot be."""
    parts = [source]
    for operation, texts in reversed(steps):
        arguments = [evaluate(text, scope) for text in texts]
        if operation == "stack" and len(parts) == 1:
            parts = _split(parts[0])
        elif operation == "permute":
            parts = [transform.unpermute(part, *arguments) for part in parts]
        elif operation == "unpermute":
            parts = [transform.permute(part, *arguments) for part in parts]
        elif operation == "transpose":
            parts = [transform.transpose(part) for part in parts]
        elif operation == "add":
            parts = [transform.add(part, -arguments[0]) for part in parts]
        else:
            return None
    return parts


def _split(source: Source) -> list[Source]:
    """The matrices of a stack."""
    count, height = source.shape[0], int(np.prod(source.shape[1:-1]))

    def part(e: int) -> Source:
        return replace(
            source,
            shape=source.shape[1:],
            rows=lambda lo, hi: source.rows(e * height + lo, e * height + hi),
            extent=None,
        )

    return [part(e) for e in range(count)]
