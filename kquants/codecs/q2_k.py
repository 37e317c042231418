"""Q2_K: a super-block of 16 sub-blocks of 16 weights; a weight is ``d * scale * q - dmin * min`` with q from 0 to 3.

    byte  0                       16                         80       82          84
          | scale, min: 4 bits    | q: 2 bits, four a byte   | d: f16 | dmin: f16 |

Byte j of the first sixteen holds the scale of sub-block j in its low and the min in its high half. How four weights
share a byte is said in ``packing.put_pairs``.

Source of the facts: ``block_q2_K`` in ggml-common.h; ``quantize_row_q2_K_ref`` and ``_impl`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import DECODE, ENCODE, ENCODE_WEIGHTED, inlined, kernel
from ..kernels.importance import sum_of_squares
from ..kernels.lanes import LANES, as_type, block_rows, in_rows, load, load_blocks, scratch, select, store, store_blocks
from ..kernels.numerics import half_at, half_bits, nearest_int
from ..kernels.packing import put_half, put_pairs, two_scalars
from ..kernels.search import fit_positive_scale
from ..kernels.search_min import fit_scale_and_min
from ..kernels.superblock import fit_sub_blocks_weighted, largest_fit, quantize_with_mins, seen_half

F32 = np.float32


@kernel(DECODE)
def decode(blocks: Any, out: Any) -> None:
    """uint8[n, 84] to float32[n, 256]."""
    for b in range(blocks.shape[0]):
        d = half_at(blocks, b, 80)
        dmin = half_at(blocks, b, 82)
        for j in range(0, 16, 2):  # two sub-blocks at a time
            q = (load(blocks, b, 16 + 32 * (j // 8), 32) >> (j % 8)) & 3
            one, two = blocks[b, j], blocks[b, j + 1]
            scale = two_scalars(d * F32(one & 15), d * F32(two & 15))
            least = two_scalars(dmin * F32(one >> 4), dmin * F32(two >> 4))
            store(out, b, 16 * j, as_type(q, np.float32) * scale - least)


@kernel(ENCODE)
def encode(x: Any, out: Any) -> None:
    """float32[n, 256] to uint8[n, 84]."""
    xs = scratch(LANES, 256, np.float32)
    weight = scratch(LANES, 16, np.float32)
    fits = scratch(LANES, 64, np.float32)
    levels = scratch(LANES, 256, np.uint8)
    packed = scratch(LANES, 84, np.uint8)
    for first in range(0, x.shape[0], LANES):
        load_blocks(x, block_rows(xs, first, x.shape[0]), xs)
        for j in range(16):
            for i in range(16):
                weight[i] = abs(xs[16 * j + i])
            fits[j], fits[16 + j], fits[32 + j], fits[48 + j] = fit_scale_and_min(
                xs, 16 * j, weight, 16, 3, F32(-0.5), F32(0.1), 15, True
            )
        for kind in range(2):  # scales, then mins: the largest becomes 15
            most = largest_fit(fits, 16 * kind, 16)
            put_half(packed, 80 + 2 * kind, half_bits(select(most > 0.0, most / 15.0, F32(0.0))))
            for j in range(16):
                small = as_type(nearest_int(15.0 / most * fits[16 * kind + j]), np.uint8)
                small = select(most > 0.0, small, np.uint8(0))
                packed[j] = small if kind == 0 else packed[j] | (small << 4)
        _see_scales_and_mins(fits, packed)
        quantize_with_mins(xs, fits, 16, 3, levels)
        put_pairs(packed, 16, levels, 0)
        store_blocks(packed, out, first)


@kernel(ENCODE_WEIGHTED)
def encode_weighted(x: Any, weights: Any, out: Any) -> None:
    """float32[rows, columns] and an importance for each column to uint8[rows, columns / 256 * 84]."""
    x, weights, out = in_rows(x, 256), in_rows(weights, 256), in_rows(out, 84)
    xs = scratch(LANES, 256, np.float32)
    importance = scratch(LANES, 256, np.float32)
    fits = scratch(LANES, 64, np.float32)
    sums = scratch(LANES, 16, np.float32)
    small = scratch(LANES, 32, np.uint8)
    levels = scratch(LANES, 256, np.uint8)
    packed = scratch(LANES, 84, np.uint8)
    for first in range(0, x.shape[0], LANES):
        rows = block_rows(xs, first, x.shape[0])
        load_blocks(x, rows, xs)
        load_blocks(weights, rows % weights.shape[0], importance)
        fit_sub_blocks_weighted(xs, importance, sum_of_squares(xs, 0, 256) / 256.0, 16, 3, fits, sums)
        for kind in range(2):
            unit = fit_positive_scale(fits, 16 * kind, sums, 16, 15, small, 16 * kind)
            put_half(packed, 80 + 2 * kind, half_bits(unit))
        for j in range(16):
            packed[j] = small[j] | (small[16 + j] << 4)
        _see_scales_and_mins(fits, packed)
        quantize_with_mins(xs, fits, 16, 3, levels)
        put_pairs(packed, 16, levels, 0)
        store_blocks(packed, out, first)


@inlined
def _see_scales_and_mins(fits: Any, packed: Any) -> None:
    """What was fitted gives way to what the decoder will see."""
    d, dmin = seen_half(packed, 80), seen_half(packed, 82)
    for j in range(16):
        fits[j] = d * as_type(packed[j] & 15, np.float32)
        fits[16 + j] = dmin * as_type(packed[j] >> 4, np.float32)
