"""Which tensors of a checkpoint make up a quantized weight, and how it is decoded, by ``quantization_config``.

The names and order of what comes out are upstream's (``dequant_model`` in ``conversion/base.py``, v0.5.0) where
upstream knows the method; for the others a decoded weight stands where its first part stood.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from gguf_py.errors import KQuantsError

from . import aqlm, awq, bitsandbytes, hqq, quanto, torchao
from .bitsandbytes import FourBits
from .blocks import mxfp4
from .folder import shown
from .packed import Quantized, gptq
from .parts import Decoded, Recipe, Tensors, Weights, bases, by_parts, part, without
from .scaled import bitnet

Settings = Mapping[str, Any]


def decoded(stored: Tensors, settings: Settings | None, folder: Path) -> Decoded:
    """The checkpoint's weights by name, those that are quantized as ``settings`` says with how to decode them.

    Raises KQuantsError for a method that is not known, or when a part of a weight is missing.
    """
    if settings is None:
        return Decoded(dict.fromkeys(stored))
    method = str(settings["quant_method"])
    if method not in _METHODS:
        raise KQuantsError(f"{folder}: weights quantized by {shown(method)}, expected one of {', '.join(_METHODS)}")
    with fitting(folder):
        found = _METHODS[method](stored, settings)
        return found if isinstance(found, Decoded) else Decoded(found)


@contextmanager
def fitting(folder: Path) -> Iterator[None]:
    """Turns what goes wrong with a nonsensical ``quantization_config`` into one sentence."""
    try:
        yield
    except KQuantsError:
        raise
    except (TypeError, AttributeError, LookupError, ValueError, ArithmeticError) as fault:
        raise KQuantsError(f"{folder}: quantization_config makes no sense ({fault})") from fault


def _fp8(stored: Tensors, settings: Settings) -> Decoded:
    return by_parts(stored, [Recipe(block=settings.get("weight_block_size") or ())])


def _modelopt(stored: Tensors, settings: Settings) -> Decoded:
    folded = next((name for name in stored if name.endswith(".pre_quant_scale")), None)
    if folded is not None:
        raise KQuantsError(f"ModelOpt's AWQ, which scales activations by {shown(folded)}; expected FP8, MXFP8 or NVFP4")
    algorithms = {name: of.get("quant_algo") for name, of in (settings.get("quantized_layers") or {}).items()}
    return by_parts(stored, [Recipe()], {"": settings.get("quant_algo")} | algorithms)


def _quark(stored: Tensors, settings: Settings) -> Decoded:
    return by_parts(stored, [Recipe()])


_FORMATS = (
    "dense pack-quantized float-quantized int-quantized naive-quantized mixed-precision nvfp4-pack-quantized"
    " mxfp4-pack-quantized mxfp8-quantized"
).split()


def _compressed_tensors(stored: Tensors, settings: Settings) -> Decoded:
    groups = (settings.get("config_groups") or {}).values()
    for layout in (settings.get("format"), *(group.get("format") for group in groups)):
        if layout is not None and layout not in _FORMATS:
            raise KQuantsError(f"compressed-tensors in the format {shown(layout)}, expected {', '.join(_FORMATS)}")
    recipes = []
    for found in (group.get("weights") for group in groups):
        if found:
            size, block = found.get("group_size"), found.get("block_structure")
            grouped = (1, size) if size and found.get("strategy") == "group" else ()
            recipes.append(Recipe(found.get("num_bits"), size, block or grouped))
    if not recipes:
        raise KQuantsError("compressed-tensors without recipes for weights in config_groups")
    return by_parts(stored, recipes)


def _gptq(stored: Tensors, settings: Settings) -> Weights:
    layout = settings.get("checkpoint_format") or settings.get("format") or "gptq"
    if layout == "marlin" or settings.get("is_marlin_format"):
        return _marlin(stored, "B", "s")
    if layout not in ("gptq", "gptq_v2", "gptq_p"):
        raise KQuantsError(f"GPTQ packed for {shown(layout)}, expected gptq, gptq_v2, gptq_p or marlin")
    planes = (3, 5, 6, 7) if layout == "gptq_p" else (5, 6, 7)
    return _packed_down(stored, settings, zero_offset=1 if layout == "gptq" else 0, planes=planes)


def _packed_down(stored: Tensors, settings: Settings, *, zero_offset: int, planes: tuple[int, ...] = ()) -> Weights:
    weights: Weights = dict.fromkeys(stored)
    mixed = bool(settings.get("dynamic") or settings.get("extra_config"))
    for base in bases(stored, ".qweight"):
        parts = _parts(stored, base)
        for end in (".qweight", ".qzeros", ".scales", ".g_idx"):
            weights.pop(base + end, None)
        bits = settings.get("bits", 4)
        if mixed:  # modules may differ: the shapes say how many bits
            bits = 32 * parts.qzeros.columns // max(parts.scales.columns, 1)
        weights[base + ".weight"] = partial(gptq, parts, bits, zero_offset=zero_offset, planes=planes)
    return weights


def _parts(stored: Tensors, base: str) -> Quantized:
    return Quantized(
        stored[base + ".qweight"],
        part(stored, base + ".qzeros"),
        part(stored, base + ".scales"),
        stored.get(base + ".g_idx"),
    )


def _auto_round(stored: Tensors, settings: Settings) -> Decoded | Weights:
    layout = str(settings.get("packing_format") or settings.get("backend") or "auto_round:auto_gptq")
    if "awq" in layout:
        return _awq(stored, settings)
    if any(name.endswith((".weight_scale", ".weight_packed")) for name in stored):
        return by_parts(stored, [Recipe(settings.get("bits"), settings.get("group_size"))])
    v1 = "gptq" in layout and "gptqmodel" not in layout
    return _packed_down(stored, settings, zero_offset=1 if v1 else 0)


def _awq(stored: Tensors, settings: Settings) -> Weights:
    layout = str(settings.get("version") or settings.get("format") or "gemm").lower()
    if layout == "marlin":
        return _marlin(stored, "qweight", "scales")
    if layout not in awq.LAYOUTS:
        raise KQuantsError(f"AWQ packed for {shown(layout)}, expected {', '.join(awq.LAYOUTS)} or marlin")
    bits = settings.get("bits", settings.get("w_bit", 4))
    if bits != 4:
        raise KQuantsError(f"AWQ of {bits} bits, expected 4")
    size = settings.get("group_size", settings.get("q_group_size", 128))
    made: Weights = {}
    for name in stored:
        base, _, end = name.rpartition(".")
        if base + ".qweight" not in stored or end not in ("qweight", "qzeros", "scales"):
            made[name] = None
        elif end == "qweight":
            made[base + ".weight"] = partial(awq.LAYOUTS[layout], _parts(stored, base), size)
    return made


def _marlin(stored: Tensors, weight: str, scale: str) -> Weights:
    made: Weights = {}
    for name in stored:
        base, _, end = name.rpartition(".")
        if end == weight:
            made[base + ".weight"] = partial(awq.marlin, stored[name], part(stored, f"{base}.{scale}"))
        elif f"{base}.{weight}" not in stored or end not in (scale, "workspace", "reduce_buffer"):
            made[name] = None
    return made


def _bitsandbytes(stored: Tensors, settings: Settings) -> Weights:
    made: Weights = {}
    for name in stored:
        states = [name + ".quant_state.bitsandbytes__" + kind for kind in ("nf4", "fp4")]
        state = next((stored[s] for s in states if s in stored), None)
        base = name.removesuffix(".weight")
        if state is not None:
            parts = FourBits(
                stored[name],
                part(stored, name + ".absmax"),
                part(stored, name + ".quant_map"),
                state,
                stored.get(name + ".nested_absmax"),
                stored.get(name + ".nested_quant_map"),
            )
            made[name] = partial(bitsandbytes.four_bits, parts)
        elif base != name and base + ".SCB" in stored:
            layout = stored.get(base + ".weight_format")
            made[name] = partial(bitsandbytes.int8, stored[name], stored[base + ".SCB"], layout)
        elif not name.endswith((".SCB", ".weight_format")) and ".weight." not in name:
            made[name] = None
    return made


def _bitnet(stored: Tensors, settings: Settings) -> Weights:
    weights: Weights = dict.fromkeys(stored)
    for base in bases(stored, ".weight_scale"):
        weight, scale = part(stored, base + ".weight"), stored[base + ".weight_scale"]
        weights[base + ".weight"] = partial(bitnet, weight, scale)
    return without(weights, ".weight_scale")


def _mxfp4(stored: Tensors, settings: Settings) -> Decoded:
    """GPT-OSS: experts' blocks and scales become MXFP4 tensors, written before all others; gate and up alternate."""
    made: Weights = {}
    for base in bases(stored, "_scales"):
        blocks, scales = part(stored, base + "_blocks"), stored[base + "_scales"]
        if base.endswith("gate_up_proj"):
            for first, half in enumerate(("gate_proj", "up_proj")):
                name = base.removesuffix("gate_up_proj") + half + ".weight"
                made[name] = partial(mxfp4, blocks, scales, first, 2)
        else:
            made[base + ".weight"] = partial(mxfp4, blocks, scales)
    return Decoded(made | without(dict.fromkeys(stored), "_blocks", "_scales"), kept="MXFP4")


_METHODS: dict[str, Callable[[Tensors, Settings], Decoded | Weights]] = {
    "fp8": _fp8,
    "fbgemm_fp8": _fp8,
    "modelopt": _modelopt,
    "quark": _quark,
    "compressed-tensors": _compressed_tensors,
    "gptq": _gptq,
    "auto-round": _auto_round,
    "intel/auto-round": _auto_round,
    "awq": _awq,
    "bitsandbytes": _bitsandbytes,
    "bitnet": _bitnet,
    "mxfp4": _mxfp4,
    "hqq": lambda stored, _: hqq.weights(stored),
    "quanto": lambda stored, _: quanto.weights(stored),
    "torchao": lambda stored, _: torchao.weights(stored),
    "aqlm": lambda stored, _: aqlm.weights(stored),
}
"""Quantization methods by the name a config gives them."""
