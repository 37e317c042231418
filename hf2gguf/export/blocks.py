"""Weights that a file holds in the very blocks in which their model is published, bit by bit: MXFP4, FP8 as Q8_0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gguf_py import GGUFFile, TensorType, tensor_type
from kquants.source import Source, converted, of_tensors

from .. import transform
from .eight import EXPONENT, NUMBER, eight_bits

MXFP4 = tensor_type("MXFP4")
BYTE, SIGNED = TensorType(-1, "U8", 1, 1), TensorType(-1, "I8", 1, 1)
"""Bytes as safetensors calls them; GGUF has no such types."""


@dataclass(frozen=True)
class _Form:
    """How a family publishes weights in blocks."""

    config: Mapping[str, Any]
    """What ``config.json`` says of it (``quantization_config``)."""
    weight: str = ".weight"
    """What its names have behind those of modules: of MXFP4's numbers, of their scales."""
    scale: str = ".weight_scale"
    numbers: TensorType = BYTE
    exponents: TensorType = BYTE
    eight: bool = False
    """Whether other weights are published as FP8, and stand in a file as Q8_0."""


_FP8 = {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}
_FOUR_BITS = {"num_bits": 4, "type": "float", "group_size": 32, "strategy": "group"}
_FORMS = {
    "gpt-oss": _Form(
        {
            "quant_method": "mxfp4",
            "modules_to_not_convert": [
                "model.layers.*.self_attn",
                "model.layers.*.mlp.router",
                "model.embed_tokens",
                "lm_head",
            ],
        }
    ),
    "mimo2": _Form(_FP8 | {"store_dtype": "mxfp4", "mxfp4_block_size": 32}),
    "kimi-k3": _Form(
        {
            "quant_method": "compressed-tensors",
            "format": "mxfp4-pack-quantized",
            "config_groups": {"group_0": {"targets": ["Linear"], "weights": _FOUR_BITS}},
        },
        weight=".weight_packed",
    ),
    "deepseek4": _Form(
        _FP8 | {"scale_fmt": "ue8m0"}, scale=".scale", numbers=SIGNED, exponents=EXPONENT, eight=True
    ),
}  # fmt: skip


def _form(file: GGUFFile) -> _Form | None:
    """The form in which the file's model is published, if it holds such blocks."""
    there = any(tensor.type == MXFP4 for tensor in file.tensors.values())
    return _FORMS.get(str(file.metadata.get("general.architecture"))) if there else None


def config(file: GGUFFile) -> dict[str, Any]:
    """What the configuration says of weights that stay in blocks."""
    form = _form(file)
    return {} if form is None else {"quantization_config": dict(form.config)}


def sources(file: GGUFFile) -> tuple[dict[str, Source], bool]:
    """The file's tensors as a checkpoint can have them, others as F16; and whether those are any."""
    form, half, rounded = _form(file), tensor_type("F16"), False
    found: dict[str, Source] = {}
    for name, source in of_tensors(dict(file.tensors)).items():
        kept = source
        if form is not None and form.eight:
            kept = eight_bits(source) or source
        if kept.type.quantized and (form is None or kept.type != MXFP4):
            kept, rounded = converted(source, half), True
        found[name] = kept
    return found, rounded


def packed(file: GGUFFile, tensors: Mapping[str, Source]) -> dict[str, Source]:
    """A shard with numbers and scales of blocks by themselves."""
    form = _form(file)
    if form is None:
        return dict(tensors)
    if form is _FORMS["gpt-oss"]:
        return _taking_turns(tensors)
    made: dict[str, Source] = {}
    for name, source in tensors.items():
        base = name.removesuffix(".weight")
        if source.type == NUMBER:
            made |= {name: source, base + form.scale: source.origin}
        elif source.type == MXFP4:
            numbers, exponents = _apart(base, [source]).values()
            made[base + form.weight] = _as(form.numbers, transform.reshape(numbers, *source.shape[:-1], -1))
            made[base + form.scale] = _as(form.exponents, exponents)
        else:
            made[name] = source
    return dict(sorted(made.items()))


def _as(kind: TensorType, source: Source) -> Source:
    """The same bytes under another name of their type."""
    return Source(kind, source.shape, source.rows)


def _taking_turns(tensors: Mapping[str, Source]) -> dict[str, Source]:
    """GPT-OSS's, where rows of gate and up take turns."""
    made = {name: source for name, source in tensors.items() if source.type != MXFP4}
    for name in tensors.keys() - made.keys():
        base, source = name.removesuffix(".weight"), tensors[name]
        if base.endswith("gate_proj"):
            base, parts = base.removesuffix("gate_proj") + "gate_up_proj", [source]
            parts.append(tensors[name.replace("gate_proj", "up_proj")])
        elif base.endswith("up_proj"):
            continue
        else:
            parts = [source]
        made |= _apart(base, parts)
    return dict(sorted(made.items()))


def _apart(base: str, parts: list[Source]) -> dict[str, Source]:
    *outer, height, columns = parts[0].shape
    many, groups = len(parts), columns // MXFP4.block
    shape = (*outer, many * height, groups)

    def blocks(lo: int, hi: int) -> NDArray[np.uint8]:
        """Rows of the joined matrices: [rows, groups, bytes of a block]."""
        first, last = lo // many, -(-hi // many)
        rows = [part.rows(first, last).reshape(last - first, 1, groups, MXFP4.nbytes) for part in parts]
        together: Any = np.concatenate(rows, axis=1).reshape(-1, groups, MXFP4.nbytes)
        found: NDArray[np.uint8] = together[lo - first * many : hi - first * many]
        return found

    def weights(lo: int, hi: int) -> NDArray[np.uint8]:
        """Rows of one block each."""
        first, last = lo // groups, -(-hi // groups)
        found = _neighbours(blocks(first, last)[..., 1:]).reshape(-1, MXFP4.block // 2)
        return found[lo - first * groups : hi - first * groups]

    return {
        f"{base}_blocks": Source(BYTE, (*shape, MXFP4.block // 2), weights),
        f"{base}_scales": Source(BYTE, shape, lambda lo, hi: np.ascontiguousarray(blocks(lo, hi)[..., 0])),
    }


def _neighbours(halves: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Bytes with a weight of each half of a block, as bytes with neighbouring weights: uint8[..., n]."""
    weights = np.concatenate((halves & 15, halves >> 4), axis=-1)
    found: NDArray[np.uint8] = weights[..., ::2] | (weights[..., 1::2] << 4)
    return found
