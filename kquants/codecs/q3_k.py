"""Q3_K: a super-block of 16 sub-blocks of 16 weights; a weight is ``d * (scale - 32) * (q - 4)`` with q from 0 to 7.

    byte  0               32                                96               108      110
          | bit 2 of q    | q: low 2 bits, four a byte      | scales: 6 bits | d: f16 |

Bit k of the i-th of the first 32 bytes belongs to weight 32k + i; how four weights share a byte of the low bits is said
in ``packing.put_pairs``. Byte j of the first eight bytes of scales holds the low four bits of scales j and j + 8;
byte j of the last four holds the high two bits of scales j, j + 4, j + 8 and j + 12.

Source of the facts: ``block_q3_K`` in ggml-common.h; ``quantize_row_q3_K_ref`` and ``_impl`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import DECODE, ENCODE, ENCODE_WEIGHTED, inlined, kernel
from ..kernels.importance import sum_of_squares, weigh
from ..kernels.lanes import (
    LANES,
    any_lane,
    as_type,
    block_rows,
    in_rows,
    load,
    load_blocks,
    maximum,
    minimum,
    scratch,
    select,
    store,
    store_blocks,
)
from ..kernels.numerics import half_at, half_bits, nearest_int
from ..kernels.packing import put_bit_planes, put_half, put_pairs, two_scalars
from ..kernels.search import fit_scale, largest_in_size, refine_scale
from ..kernels.superblock import keep_searched, quantize_without_mins, searched, seen_half

F32 = np.float32

FEWER = max(8, LANES // 2)
"""Lanes of the plain search: a step is skipped when no lane would move, which is more likely among fewer."""


@kernel(DECODE)
def decode(blocks: Any, out: Any) -> None:
    """uint8[n, 110] to float32[n, 256]."""
    for b in range(blocks.shape[0]):
        d = half_at(blocks, b, 108)
        high = load(blocks, b, 0, 32)
        for j in range(0, 16, 2):  # two sub-blocks at a time
            low = (load(blocks, b, 32 + 32 * (j // 8), 32) >> (j % 8)) & 3
            q = as_type(low | (((high >> (j // 2)) & 1) << 2), np.int8) - 4
            scale = two_scalars(d * _scale(blocks, b, j), d * _scale(blocks, b, j + 1))
            store(out, b, 16 * j, as_type(q, np.float32) * scale)


@inlined
def _scale(blocks: Any, block: int, j: int) -> Any:
    low = (blocks[block, 96 + j % 8] >> (4 * (j // 8))) & 15
    high = (blocks[block, 104 + j % 4] >> (2 * (j // 4))) & 3
    return F32((low | (high << 4)) - 32)


@kernel(ENCODE)
def encode(x: Any, out: Any) -> None:
    """float32[n, 256] to uint8[n, 110]."""
    xs = scratch(FEWER, 256, np.float32)
    scales = scratch(FEWER, 16, np.float32)
    small = scratch(FEWER, 16, np.uint8)
    found = scratch(FEWER, 256, np.float32)
    levels = scratch(FEWER, 256, np.uint8)
    packed = scratch(FEWER, 110, np.uint8)
    for first in range(0, x.shape[0], FEWER):
        load_blocks(x, block_rows(xs, first, x.shape[0]), xs)
        for j in range(16):
            scales[j] = refine_scale(xs, 16 * j, 16, 4, found)
        most, _ = largest_in_size(scales, 0, 16)
        to_small = F32(-32.0) / most
        for j in range(16):
            wrapped = as_type(as_type(nearest_int(to_small * scales[j]), np.int8), np.int32)
            rounded = minimum(maximum(wrapped, -32), 31) + 32
            small[j] = select(most != 0.0, as_type(rounded, np.uint8), np.uint8(0))
        put_half(packed, 108, select(most != 0.0, half_bits(1.0 / to_small), 0))
        _pack_scales(small, packed)
        for j in range(16):
            lost = quantize_without_mins(xs, 16 * j, _seen_scale(small, packed, j), 4, levels)
            if any_lane(lost):
                for i in range(16 * j, 16 * j + 16):
                    levels[i] = select(lost, as_type(found[i], np.uint8), levels[i])
        _pack_levels(levels, packed)
        store_blocks(packed, out, first)


@kernel(ENCODE_WEIGHTED)
def encode_weighted(x: Any, weights: Any, out: Any) -> None:
    """float32[rows, columns] and an importance for each column to uint8[rows, columns / 256 * 110]."""
    x, weights, out = in_rows(x, 256), in_rows(weights, 256), in_rows(out, 110)
    xs = scratch(LANES, 256, np.float32)
    importance = scratch(LANES, 256, np.float32)
    weight = scratch(LANES, 16, np.float32)
    fits = scratch(LANES, 32, np.float32)  # scales, then cuts
    sums = scratch(LANES, 16, np.float32)
    small = scratch(LANES, 16, np.uint8)
    levels = scratch(LANES, 256, np.uint8)
    packed = scratch(LANES, 110, np.uint8)
    for first in range(0, x.shape[0], LANES):
        rows = block_rows(xs, first, x.shape[0])
        load_blocks(x, rows, xs)
        load_blocks(weights, rows % weights.shape[0], importance)
        square = 2.0 * sum_of_squares(xs, 0, 256) / 256.0
        for j in range(16):
            sums[j] = weigh(xs, 16 * j, importance, 16 * j, square, 16, weight)
            fits[j], fits[16 + j] = fit_scale(xs, 16 * j, weight, 0, 16, 4)
        unit, cut = fit_scale(fits, 0, sums, 0, 16, 32, False)
        for j in range(16):
            small[j] = searched(fits[j], cut, 32)
        put_half(packed, 108, half_bits(unit))
        _pack_scales(small, packed)
        for j in range(16):
            lost = quantize_without_mins(xs, 16 * j, _seen_scale(small, packed, j), 4, levels)
            if any_lane(lost):
                keep_searched(xs, 16 * j, fits[16 + j], 4, lost, levels)
        _pack_levels(levels, packed)
        store_blocks(packed, out, first)


@inlined
def _pack_scales(small: Any, packed: Any) -> None:
    """Pack the 6-bit scales."""
    for j in range(8):
        packed[96 + j] = (small[j] & 15) | (small[j + 8] << 4)
    for j in range(4):
        pairs = small[j] >> 4
        for k in range(1, 4):
            pairs = pairs | ((small[j + 4 * k] >> 4) << (2 * k))
        packed[104 + j] = pairs


@inlined
def _seen_scale(small: Any, packed: Any, j: int) -> Any:
    """The scale of a sub-block that the decoder will see."""
    return seen_half(packed, 108) * (as_type(small[j], np.float32) - 32.0)


@inlined
def _pack_levels(levels: Any, packed: Any) -> None:
    put_bit_planes(packed, 0, levels, 2)
    put_pairs(packed, 32, levels, 0)
