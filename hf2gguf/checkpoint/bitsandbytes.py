"""bitsandbytes: four bits in blocks (NF4, FP4), their scales perhaps quantized too; and LLM.int8."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from gguf_py.errors import KQuantsError
from kquants.source import Source

from .folder import parse_json, shown
from .plain import Floats, computed, expect, floats, scales_of
from .stored import Stored

Scales = Callable[[int, int], Floats]
"""Scales ``lo`` to ``hi``."""

_DTYPES = {"float16": "F16", "bfloat16": "BF16", "float32": "F32"}


@dataclass(frozen=True)
class FourBits:
    """The tensors of one weight in bitsandbytes' four bits; the nested ones are there when scales are quantized too."""

    packed: Stored
    absmax: Stored
    levels: Stored
    state: Stored
    nested_absmax: Stored | None = None
    nested_levels: Stored | None = None


def four_bits(parts: FourBits) -> Source:
    """NF4 or FP4: a level out of sixteen times the block's largest value, in the weight's own type.

    The first of two weights lies in the high half of a byte; the bytes may be stored as another number type
    (``bnb_4bit_quant_storage``). Source: bitsandbytes, ``functional.py`` (``dequantize_4bit``, ``QuantState``).
    """
    where = f"{parts.packed.shard.path}: the tensor {shown(parts.packed.name)}"
    state = parse_json(parts.state.whole(1 << 16).tobytes(), parts.state.shard.path)
    shape, block, kind = state.get("shape"), state.get("blocksize"), _DTYPES.get(state.get("dtype"))
    if not isinstance(shape, list) or not all(type(n) is int and n > 0 for n in shape) or kind is None:
        raise KQuantsError(f"{where} has a quant_state of shape {shown(shape)} and dtype {shown(state.get('dtype'))}")
    count = prod(shape)
    if type(block) is not int or block < 2 or block % 2:
        raise KQuantsError(f"{where} has blocks of {shown(block)} weights, expected an even number")
    if parts.packed.strides is not None or parts.packed.nbytes != -(-count // 2):
        raise KQuantsError(f"{where} has {parts.packed.nbytes} bytes, expected {-(-count // 2)} for {shape}")
    expect(parts.levels, "F32", (16,))
    blocks = -(-count // block)
    expect(parts.absmax, "F32 U8", (blocks,))
    scales = _nested(parts, state, blocks) if parts.absmax.dtype == "U8" else _plain_scales(parts.absmax)
    line = parts.packed.as_bytes()
    columns = shape[-1]

    def rows(lo: int, hi: int) -> Floats:
        first, last = lo * columns, hi * columns
        low, high = first // 2, -(-last // 2)
        packed = line.rows(low, high)[:, 0]
        codes = np.stack((packed >> 4, packed & 15), axis=-1).reshape(-1)[first - 2 * low : last - 2 * low]
        nearest = np.arange(first, last) // block
        scale = scales(first // block, -(-last // block))[nearest - first // block]
        values: Floats = floats(parts.levels.whole())[codes] * scale
        return values.reshape(hi - lo, columns)

    return computed(tuple(shape), rows, parts.packed, kind)


def _plain_scales(absmax: Stored) -> Scales:
    return lambda lo, hi: scales_of(absmax, absmax.block(0, 1, lo, hi))[0]


def _nested(parts: FourBits, state: Mapping[str, Any], blocks: int) -> Scales:
    """Scales that are bytes: a level out of 256 times the largest of a block of scales, plus an offset."""
    where = f"{parts.packed.shard.path}: the tensor {shown(parts.packed.name)}"
    size, offset = state.get("nested_blocksize"), state.get("nested_offset")
    if parts.nested_absmax is None or parts.nested_levels is None or type(size) is not int or size < 1:
        raise KQuantsError(f"{where} has quantized scales, but lacks nested_absmax, nested_quant_map or their sizes")
    if not isinstance(offset, int | float):
        raise KQuantsError(f"{where} has the nested_offset {shown(offset)}, expected a number")
    absmax = expect(parts.nested_absmax, "F32", (-(-blocks // size),))
    levels = expect(parts.nested_levels, "F32", (256,))

    def scales(lo: int, hi: int) -> Floats:
        group = np.arange(lo, hi) // size
        largest = scales_of(absmax, absmax.block(0, 1, lo // size, -(-hi // size)))[0][group - lo // size]
        values: Floats = floats(levels.whole())[parts.absmax.block(0, 1, lo, hi)[0]] * largest
        return values + np.float32(offset)

    return scales


def int8(weight: Stored, scale: Stored, layout: Stored | None = None) -> Source:
    """LLM.int8: a row's weights times its largest value over 127, multiplied in the library's order.

    ``layout`` is the tensor ``weight_format``; 0 stands for rows one after the other, the only layout read.
    """
    expect(weight, "I8", (None, None))
    expect(scale, "F32", weight.shape[:1])
    if layout is not None and prod(layout.shape) == 1 and int(layout.whole().reshape(())) != 0:
        raise KQuantsError(
            f"{weight.shard.path}: the tensor {shown(weight.name)} is laid out for a GPU's kernels, expected row by row"
        )
    inverse = np.float32(1 / 127)

    def rows(lo: int, hi: int) -> Floats:
        return floats(weight.values(lo, hi)) * scales_of(scale, scale.block(0, 1, lo, hi)).T * inverse

    return computed(weight.shape, rows, weight)
