"""Which tensors of a checkpoint make up a quantized weight, and how it is decoded, by ``quantization_config``.

The names and order of what comes out are upstream's (``dequant_model`` in ``conversion/base.py``, v0.5.0) where
upstream knows the method; for the others a decoded weight stands where its first part stood.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gguf_py.errors import KQuantsError
from kquants.source import Source

from .blocks import FourBits, four_bits, mxfp4
from .folder import shown
from .packed import Compressed, Quantized, awq, compressed, gptq
from .scaled import bitnet, int8_of_bitsandbytes, scaled
from .stored import Stored

Tensors = Mapping[str, Stored]
Lazy = Callable[[], Source]
Weights = dict[str, Lazy | None]
"""Names in order; None for a tensor that is as it is stored."""

_UNUSED = (
    ".activation_scale",
    "_activation_scale",
    ".qscale_act",
    ".input_scale",
    ".input_zero_point",
    ".output_scale",
    ".k_scale",
    ".v_scale",
)
"""Ends of the names of scales for activations, which no GGUF file has a place for."""


def decoded(stored: Tensors, config: Mapping[str, Any], folder: Path) -> Weights:
    """The checkpoint's weights by name, those that ``config`` says are quantized with how to decode them.

    Raises KQuantsError for a method that is not known, or when a part of a weight is missing.
    """
    method, settings = _settings(config)
    plain: Weights = dict.fromkeys(stored)
    if method is None:
        return plain
    if method not in _METHODS:
        raise KQuantsError(f"{folder}: weights quantized by {shown(method)}, expected one of {', '.join(_METHODS)}")
    with fitting(folder):
        return _METHODS[method](stored, settings, plain)


@contextmanager
def fitting(folder: Path) -> Iterator[None]:
    """Turns what goes wrong with a nonsensical ``quantization_config`` into one sentence."""
    try:
        yield
    except (TypeError, AttributeError, LookupError) as fault:
        raise KQuantsError(f"{folder}: quantization_config makes no sense ({fault})") from fault


def _settings(config: Mapping[str, Any]) -> tuple[str | None, Mapping[str, Any]]:
    for level in (config, config.get("text_config")):
        for key in ("quantization_config", "compression_config"):
            found = level.get(key) if isinstance(level, Mapping) else None
            if isinstance(found, Mapping) and found.get("quant_method") is not None:
                return str(found["quant_method"]), found
    return None, {}


def _part(stored: Tensors, name: str) -> Stored:
    if name not in stored:
        folder = next(iter(stored.values())).shard.path.parent
        raise KQuantsError(f"{folder}: lacks the tensor {shown(name)}, a part of a quantized weight")
    return stored[name]


def _eight_bits(stored: Tensors, settings: Mapping[str, Any], weights: Weights) -> Weights:
    """FP8: scales named after the weight, in blocks when the settings give a block size."""
    block = settings.get("weight_block_size") or ()
    for name in stored:
        for end, of_weight in (("_scale_inv", ""), (".weight_scale", ".weight"), (".qscale_weight", ".weight")):
            target = name.removesuffix(end) + of_weight
            if name.endswith(end) and target in stored:
                weights[target] = lambda w=stored[target], s=stored[name]: scaled(w, s, block)  # type: ignore[misc]
                weights.pop(name, None)
    return _without(weights, *_UNUSED)


def _without(weights: Weights, *ends: str) -> Weights:
    return {name: how for name, how in weights.items() if not name.endswith(ends)}


def _gptq(stored: Tensors, settings: Mapping[str, Any], weights: Weights) -> Weights:
    bits = settings.get("bits", 4)
    offset = 1 if settings.get("checkpoint_format", "gptq") == "gptq" else 0
    for base in _bases(stored, ".qweight"):
        parts = Quantized(
            stored[base + ".qweight"],
            _part(stored, base + ".qzeros"),
            _part(stored, base + ".scales"),
            stored.get(base + ".g_idx"),
        )
        for end in (".qweight", ".qzeros", ".scales", ".g_idx"):
            weights.pop(base + end, None)
        weights[base + ".weight"] = lambda p=parts: gptq(p, bits, offset)  # type: ignore[misc]
    return weights


def _awq(stored: Tensors, settings: Mapping[str, Any], weights: Weights) -> Weights:
    if settings.get("version", "gemm") != "gemm":
        raise KQuantsError(f"AWQ packed for {shown(settings['version'])}, expected gemm")
    bits = settings.get("bits", settings.get("w_bit", 4))
    made: Weights = {}
    for name, how in weights.items():
        base, _, end = name.rpartition(".")
        if base + ".qweight" not in stored or end not in ("qweight", "qzeros", "scales"):
            made[name] = how
        elif end == "qweight":
            parts = Quantized(stored[name], _part(stored, base + ".qzeros"), _part(stored, base + ".scales"))
            made[base + ".weight"] = lambda p=parts: awq(p, bits)  # type: ignore[misc]
    return made


def _bases(stored: Tensors, end: str) -> list[str]:
    return [name.removesuffix(end) for name in stored if name.endswith(end)]


def _bitsandbytes(stored: Tensors, settings: Mapping[str, Any], weights: Weights) -> Weights:
    made: Weights = {}
    for name, how in weights.items():
        states = [name + ".quant_state.bitsandbytes__" + kind for kind in ("nf4", "fp4")]
        state = next((stored[s] for s in states if s in stored), None)
        base = name.removesuffix(".weight")
        if state is not None:
            parts = FourBits(
                stored[name],
                _part(stored, name + ".absmax"),
                _part(stored, name + ".quant_map"),
                state,
                stored.get(name + ".nested_absmax"),
                stored.get(name + ".nested_quant_map"),
            )
            made[name] = lambda p=parts: four_bits(p)  # type: ignore[misc]
        elif base != name and base + ".SCB" in stored:
            made[name] = lambda w=stored[name], s=stored[base + ".SCB"]: int8_of_bitsandbytes(w, s)  # type: ignore[misc]
        elif not name.endswith((".SCB", ".weight_format")) and ".weight." not in name:
            made[name] = how
    return made


def _compressed_tensors(stored: Tensors, settings: Mapping[str, Any], weights: Weights) -> Weights:
    layout, groups = settings.get("format"), settings.get("config_groups") or {}
    recipes = [group["weights"] for group in groups.values() if group.get("weights")]
    if not recipes or any(recipe != recipes[0] for recipe in recipes[1:]):
        raise KQuantsError(f"compressed-tensors with {len(recipes)} recipes for weights, expected one for all")
    recipe = recipes[0]
    if layout in ("float-quantized", "int-quantized", "naive-quantized"):
        block = recipe.get("block_structure") or ()
        for base in _bases(stored, ".weight_scale"):
            weight, scale = _part(stored, base + ".weight"), stored[base + ".weight_scale"]
            zero = stored.get(base + ".weight_zero_point")
            weights[base + ".weight"] = lambda w=weight, s=scale, z=zero: scaled(w, s, block, z)  # type: ignore[misc]
        return _without(weights, ".weight_scale", ".weight_zero_point", *_UNUSED)
    if layout != "pack-quantized":
        raise KQuantsError(f"compressed-tensors in the format {shown(layout)}, expected pack-, float- or int-quantized")
    bits, size = recipe.get("num_bits"), recipe.get("group_size")
    for base in _bases(stored, ".weight_packed"):
        name = base + ".weight"
        parts = Compressed(
            stored[name + "_packed"],
            _part(stored, name + "_scale"),
            _part(stored, name + "_shape"),
            stored.get(name + "_zero_point"),
            stored.get(name + "_g_idx"),
        )
        for end in ("_packed", "_scale", "_shape", "_zero_point", "_g_idx"):
            weights.pop(name + end, None)
        weights[name] = lambda p=parts: compressed(p, bits, size)  # type: ignore[misc]
    return _without(weights, *_UNUSED)


def _bitnet(stored: Tensors, settings: Mapping[str, Any], weights: Weights) -> Weights:
    for base in _bases(stored, ".weight_scale"):
        weight, scale = _part(stored, base + ".weight"), stored[base + ".weight_scale"]
        weights[base + ".weight"] = lambda w=weight, s=scale: bitnet(w, s)  # type: ignore[misc]
    return _without(weights, ".weight_scale")


def _mxfp4(stored: Tensors, settings: Mapping[str, Any], weights: Weights) -> Weights:
    """GPT-OSS: experts' blocks and scales become MXFP4 tensors, written before all others; gate and up alternate."""
    made: Weights = {}
    for base in _bases(stored, "_scales"):
        blocks, scales = _part(stored, base + "_blocks"), stored[base + "_scales"]
        if base.endswith("gate_up_proj"):
            for first, half in enumerate(("gate_proj", "up_proj")):
                name = base.removesuffix("gate_up_proj") + half + ".weight"
                made[name] = lambda b=blocks, s=scales, f=first: mxfp4(b, s, f, 2)  # type: ignore[misc]
        else:
            made[base + ".weight"] = lambda b=blocks, s=scales: mxfp4(b, s)  # type: ignore[misc]
    return made | _without(weights, "_blocks", "_scales")


_METHODS: dict[str, Callable[[Tensors, Mapping[str, Any], Weights], Weights]] = {
    "fp8": _eight_bits,
    "fbgemm_fp8": _eight_bits,
    "modelopt": _eight_bits,
    "gptq": _gptq,
    "awq": _awq,
    "bitsandbytes": _bitsandbytes,
    "compressed-tensors": _compressed_tensors,
    "bitnet": _bitnet,
    "mxfp4": _mxfp4,
}
"""Quantization methods by the name a config gives them."""
