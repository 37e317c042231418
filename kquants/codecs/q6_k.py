"""Q6_K: a super-block of 16 sub-blocks of 16 weights; a weight is ``d * scale * (q - 32)`` with q from 0 to 63.

    byte  0                             128                          192               208      210
          | q: low 4 bits, two a byte   | q: high 2 bits, four a byte | scales: int8   | d: f16 |

Within each half of 128 weights, byte i of the 64 low ones holds weights i (low) and 64 + i; how four weights share the
bytes of the high bits is said in ``packing.put_pairs``. A super-block whose scales are all below 1e-15 is all zero
bytes.

Source of the facts: ``block_q6_K`` in ggml-common.h; ``quantize_row_q6_K_ref`` and ``_impl`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import DECODE, ENCODE, ENCODE_WEIGHTED, inlined, kernel
from ..kernels.lanes import (
    LANES,
    any_lane,
    as_type,
    block_rows,
    in_rows,
    load,
    load_blocks,
    minimum,
    scratch,
    select,
    store,
    store_blocks,
)
from ..kernels.numerics import half_at, half_bits, half_value, nearest_int
from ..kernels.packing import put_half, put_pairs, two_scalars
from ..kernels.search import ALL_ZERO, fit_scale, largest_in_size
from ..kernels.superblock import keep_searched, quantize_without_mins

F32 = np.float32


@kernel(DECODE)
def decode(blocks: Any, out: Any) -> None:
    """uint8[n, 210] to float32[n, 256]."""
    for b in range(blocks.shape[0]):
        d = half_at(blocks, b, 208)
        for j in range(0, 16, 2):  # two sub-blocks at a time
            half, part = j // 8, j % 8 // 2
            low = load(blocks, b, 64 * half + 32 * (part % 2), 32) >> (4 * (part // 2))
            high = load(blocks, b, 128 + 32 * half, 32) >> (2 * part)
            q = as_type((low & 15) | ((high & 3) << 4), np.int8) - 32
            scale = two_scalars(d * F32(np.int8(blocks[b, 192 + j])), d * F32(np.int8(blocks[b, 193 + j])))
            store(out, b, 16 * j, as_type(q, np.float32) * scale)


@kernel(ENCODE)
def encode(x: Any, out: Any) -> None:
    """float32[n, 256] to uint8[n, 210]."""
    xs = scratch(LANES, 256, np.float32)
    weight = scratch(LANES, 16, np.float32)
    fits = scratch(LANES, 32, np.float32)
    levels = scratch(LANES, 256, np.uint8)
    packed = scratch(LANES, 210, np.uint8)
    for first in range(0, x.shape[0], LANES):
        load_blocks(x, block_rows(xs, first, x.shape[0]), xs)
        for j in range(16):
            for i in range(16):
                weight[i] = xs[16 * j + i] * xs[16 * j + i]
            fits[j], fits[16 + j] = fit_scale(xs, 16 * j, weight, 0, 16, 32)
        _quantize(xs, fits, levels, packed)
        store_blocks(packed, out, first)


@kernel(ENCODE_WEIGHTED)
def encode_weighted(x: Any, weights: Any, out: Any) -> None:
    """float32[rows, columns] and an importance for each column to uint8[rows, columns / 256 * 210]."""
    x, weights, out = in_rows(x, 256), in_rows(weights, 256), in_rows(out, 210)
    xs = scratch(LANES, 256, np.float32)
    importance = scratch(LANES, 256, np.float32)
    fits = scratch(LANES, 32, np.float32)
    levels = scratch(LANES, 256, np.uint8)
    packed = scratch(LANES, 210, np.uint8)
    for first in range(0, x.shape[0], LANES):
        rows = block_rows(xs, first, x.shape[0])
        load_blocks(x, rows, xs)
        load_blocks(weights, rows % weights.shape[0], importance)
        for j in range(16):
            fits[j], fits[16 + j] = fit_scale(xs, 16 * j, importance, 16 * j, 16, 32)
        _quantize(xs, fits, levels, packed)
        store_blocks(packed, out, first)


@inlined
def _quantize(x: Any, fits: Any, levels: Any, packed: Any) -> None:
    """Round the sub-blocks' scales, the largest in size to -128, then every weight for its scale."""
    most, size = largest_in_size(fits, 0, 16)
    something = size >= ALL_ZERO
    to_small = F32(-128.0) / most
    unit = half_bits(1.0 / to_small)
    for j in range(16):
        small = minimum(nearest_int(to_small * fits[j]), 127)
        packed[192 + j] = select(something, as_type(small, np.uint8), np.uint8(0))
        scale = half_value(unit) * as_type(as_type(packed[192 + j], np.int8), np.float32)
        lost = quantize_without_mins(x, 16 * j, scale, 32, levels)
        if any_lane(lost):
            keep_searched(x, 16 * j, fits[16 + j], 32, lost, levels)
    if any_lane(~something):
        for i in range(256):
            levels[i] = select(something, levels[i], np.uint8(0))
    for half in range(2):
        for i in range(64):
            at = 128 * half + i
            packed[64 * half + i] = (levels[at] & 15) | (levels[at + 64] << 4)
    put_pairs(packed, 128, levels, 4)
    put_half(packed, 208, select(something, unit, 0))
