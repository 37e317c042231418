"""Q4_K: a super-block of 8 sub-blocks of 32 weights; a weight is ``d * scale * q - dmin * min`` with q from 0 to 15.

    byte  0        2           4                       16                              144
          | d: f16 | dmin: f16 | scales, mins: 6 bits  | q: 4 bits, two a byte         |

The 32 bytes of q at 16 + 32 * p hold sub-block 2p in their low and 2p + 1 in their high halves. How scales and mins
share twelve bytes is said in ``packing.put_scales_and_mins``.

Source of the facts: ``block_q4_K`` in ggml-common.h; ``quantize_row_q4_K_ref`` and ``_impl`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import DECODE, ENCODE, ENCODE_WEIGHTED, kernel
from ..kernels.importance import sum_of_squares
from ..kernels.lanes import LANES, as_type, block_rows, in_rows, load, load_blocks, scratch, store, store_blocks
from ..kernels.numerics import half_at
from ..kernels.packing import put_nibbles, scale_and_min
from ..kernels.superblock import (
    fit_scales_and_mins,
    fit_sub_blocks,
    fit_sub_blocks_weighted,
    quantize_with_mins,
    round_scales_and_mins,
)

F32 = np.float32


@kernel(DECODE)
def decode(blocks: Any, out: Any) -> None:
    """uint8[n, 144] to float32[n, 256]."""
    for b in range(blocks.shape[0]):
        d = half_at(blocks, b, 0)
        dmin = half_at(blocks, b, 2)
        for pair in range(4):
            q = load(blocks, b, 16 + 32 * pair, 32)
            scale, least = scale_and_min(blocks, b, 4, 2 * pair)
            store(out, b, 64 * pair, as_type(q & 15, np.float32) * (d * scale) - dmin * least)
            scale, least = scale_and_min(blocks, b, 4, 2 * pair + 1)
            store(out, b, 64 * pair + 32, as_type(q >> 4, np.float32) * (d * scale) - dmin * least)


@kernel(ENCODE)
def encode(x: Any, out: Any) -> None:
    """float32[n, 256] to uint8[n, 144]."""
    xs = scratch(LANES, 256, np.float32)
    fits = scratch(LANES, 32, np.float32)
    levels = scratch(LANES, 256, np.uint8)
    packed = scratch(LANES, 144, np.uint8)
    for first in range(0, x.shape[0], LANES):
        load_blocks(x, block_rows(xs, first, x.shape[0]), xs)
        fit_sub_blocks(xs, 15, F32(-1.0), F32(0.1), 20, fits)
        round_scales_and_mins(fits, packed)
        quantize_with_mins(xs, fits, 32, 15, levels)
        put_nibbles(packed, 16, levels)
        store_blocks(packed, out, first)


@kernel(ENCODE_WEIGHTED)
def encode_weighted(x: Any, weights: Any, out: Any) -> None:
    """float32[rows, columns] and an importance for each column to uint8[rows, columns / 256 * 144]."""
    x, weights, out = in_rows(x, 256), in_rows(weights, 256), in_rows(out, 144)
    xs = scratch(LANES, 256, np.float32)
    importance = scratch(LANES, 256, np.float32)
    fits = scratch(LANES, 32, np.float32)
    sums = scratch(LANES, 8, np.float32)
    levels = scratch(LANES, 256, np.uint8)
    packed = scratch(LANES, 144, np.uint8)
    for first in range(0, x.shape[0], LANES):
        rows = block_rows(xs, first, x.shape[0])
        load_blocks(x, rows, xs)
        load_blocks(weights, rows % weights.shape[0], importance)
        square = 2.0 * sum_of_squares(xs, 0, 256) / 256.0
        fit_sub_blocks_weighted(xs, importance, square, 32, 15, fits, sums)
        fit_scales_and_mins(fits, sums, packed, 255)
        quantize_with_mins(xs, fits, 32, 15, levels)
        put_nibbles(packed, 16, levels)
        store_blocks(packed, out, first)
