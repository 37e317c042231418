"""Weights that say by their parts how they are stored: FP8, INT8, packed integers, NVFP4, MXFP4, MXFP8.

compressed-tensors, ModelOpt, Quark and the FP8 of Hugging Face name the parts nearly alike, and one checkpoint may mix
them; number types and shapes tell them apart.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from typing import Any

import numpy as np

from gguf_py.errors import KQuantsError
from kquants.source import Source

from .blocks import mxfp4_rows, nvfp4
from .folder import shown
from .packed import Compressed, compressed
from .plain import Floats, computed, scales_of
from .scaled import ranked, scaled
from .stored import Stored

Tensors = Mapping[str, Stored]
Lazy = Callable[[], Source]
Weights = dict[str, Lazy | None]
"""Names in order; None for a tensor that is as it is stored."""


@dataclass(frozen=True)
class Factors:
    """What an NVFP4 weight goes with: its own scale, and that of the activations it meets, F32 [1] each.

    ``wide`` says that the activations are not to be quantized to four bits.
    """

    scale: Source
    input_scale: Source
    wide: bool


@dataclass(frozen=True)
class Decoded:
    """The weights of a checkpoint, and what is kept of their encoding."""

    weights: Weights
    factors: Mapping[str, Callable[[], Factors]] = field(default_factory=dict)
    """Of the weights that stay NVFP4, by name, in order."""
    kept: str | None = None
    """The type of weights that stay in blocks, if there are any: MXFP4 or NVFP4."""


@dataclass(frozen=True)
class Recipe:
    """How weights may be quantized: bits of packed integers, weights a scale along a row, a scale's block."""

    bits: Any = None
    size: Any = None
    block: Sequence[Any] = ()


UNUSED = (
    ".activation_scale",
    "_activation_scale",
    ".qscale_act",
    ".input_scale",
    ".input_scale_ub",
    ".input_zero_point",
    ".input_global_scale",
    ".output_scale",
    ".output_zero_point",
    ".q_scale",
    ".k_scale",
    ".v_scale",
    ".prob_output_scale",
)
"""Ends of the names of scales for activations, which no GGUF file has a place for."""

_SCALES = (("_scale_inv", ""), (".weight_scale", ".weight"), (".qscale_weight", ".weight"), (".scale", ".weight"))
"""Ends of the names of scales, and what makes them the names of their weights."""

_OTHERS = "_packed _shape _zero_point _g_idx _global_scale _scale_2".split()
"""What the other parts have behind the name of a weight."""


_EXPERT = re.compile(r"\.experts\.\d+\.")


def by_parts(stored: Tensors, recipes: Sequence[Recipe], algorithms: Mapping[str, Any] | None = None) -> Decoded:
    """The weights that have a scale, decoded or kept as their parts say; the first recipe that fits is followed.

    ``algorithms`` are ModelOpt's, by the beginnings of names.
    """
    weights: Weights = dict.fromkeys(stored)
    last: Weights = {}
    factors: dict[str, Callable[[], Factors]] = {}
    kept = None
    for name, scale in stored.items():
        target = _weight_of(stored, name)
        if target is None:
            continue
        other = {end: stored.get(target + end) for end in _OTHERS}
        weight = other["_packed"] or part(stored, target)
        weights.pop(name, None)
        for end in _OTHERS:
            weights.pop(target + end, None)
        exponents = scale.dtype in ("U8", "F8_E8M0")
        if weight.dtype == "U8" and scale.dtype == "F8_E4M3":
            weights.pop(target, None)
            weights[target] = partial(nvfp4, weight, scale)
            factors[target] = partial(_factors, stored, target, algorithms or {})
        elif weight.dtype in ("U8", "I8") and exponents and 16 * scale.columns == weight.columns:
            kept = "MXFP4"
            weights[target] = partial(mxfp4_rows, replace(weight, dtype="U8"), scale)
        elif weight.dtype == "I32":
            parts = Compressed(weight, scale, part(stored, target + "_shape"), other["_zero_point"], other["_g_idx"])
            last[target] = partial(_first, [partial(compressed, parts, r.bits, r.size) for r in recipes])
        else:
            if exponents:
                scale = replace(scale, dtype="F8_E8M0")
            blocks = [(), *(r.block for r in recipes), *([(1, 32)] if exponents else [])]
            zero, flat = other["_zero_point"], _flat(scale, weight)
            ways = [partial(scaled, weight, flat, block, zero) for block in blocks]
            cut = [partial(ranked, weight, flat, r.block) for r in recipes if r.block]
            weights[target] = partial(_first, ways[:1] + cut + ways[1:])
    for base in bases(weights, "_packed"):
        part(stored, base + "_scale")
    first = {name: weights.pop(name) for name in factors}
    return Decoded(first | without(weights, *UNUSED) | last, factors, "NVFP4" if factors else kept)


def _weight_of(stored: Tensors, name: str) -> str | None:
    """The name of the weight that the tensor ``name`` scales, or None when it is no scale."""
    for end, of_weight in _SCALES:
        if name.endswith(end):
            target = name.removesuffix(end) + of_weight
            if target in stored and (end != ".scale" or stored[target].dtype in ("F8_E4M3", "I8")):
                return target
            if target + "_packed" in stored or end == ".weight_scale":
                return target
    return None


def _flat(scale: Stored, weight: Stored) -> Stored:
    """ModelOpt's scales of blocks have axes of one between the others."""
    if len(scale.shape) <= len(weight.shape) or scale.strides is not None:
        return scale
    return scale.reshaped(*(n for n in scale.shape if n != 1))


def _first(ways: Sequence[Lazy]) -> Source:
    """What the first way that fits makes; raises the last one's KQuantsError when none does."""
    for way in ways[:-1]:
        try:
            return way()
        except KQuantsError:
            continue
    return ways[-1]()


def _factors(stored: Tensors, name: str, algorithms: Mapping[str, Any]) -> Factors:
    base = name.removesuffix(".weight")
    inverse = stored.get(name + "_global_scale") or stored.get(base + ".input_global_scale")
    if inverse is not None:
        own, meets = stored.get(name + "_global_scale"), stored.get(base + ".input_global_scale")
    else:
        own, meets = stored.get(name + "_scale_2"), stored.get(base + ".input_scale")
    at = _EXPERT.sub(".experts.", base)
    while at and at not in algorithms:
        at = at.rpartition(".")[0]
    some = next(iter(stored.values()))
    wide = algorithms.get(at) == "W4A16_NVFP4"
    return Factors(_factor(own, inverse is not None, some), _factor(meets, inverse is not None, some), wide)


def _factor(stored: Stored | None, inverse: bool, some: Stored) -> Source:
    if stored is not None and (prod(stored.shape) != 1 or stored.dtype not in ("F32", "F16", "BF16")):
        raise KQuantsError(
            f"{stored.shard.path}: the scale {shown(stored.name)} is {stored.dtype} {list(stored.shape)},"
            " expected one number"
        )

    def rows(lo: int, hi: int) -> Floats:
        if stored is None:
            return np.ones((1, 1), np.float32)
        number = scales_of(stored, stored.whole()).reshape(1, 1)
        with np.errstate(divide="ignore"):
            return np.float32(1) / number if inverse else number

    return computed((1,), rows, stored or some)


def part(stored: Tensors, name: str) -> Stored:
    """The tensor ``name``; raises KQuantsError when it is not there."""
    if name not in stored:
        folder = next(iter(stored.values())).shard.path.parent
        raise KQuantsError(f"{folder}: lacks the tensor {shown(name)}, a part of a quantized weight")
    return stored[name]


def bases(stored: Iterable[str], end: str) -> list[str]:
    """What stands before ``end`` in the names that end so."""
    return [name.removesuffix(end) for name in stored if name.endswith(end)]


def without(weights: Weights, *ends: str) -> Weights:
    """The weights whose names do not end so."""
    return {name: how for name, how in weights.items() if not name.endswith(ends)}
