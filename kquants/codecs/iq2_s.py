"""IQ2_S: 8 weights share a codeword of 1024 and have a sign each; a weight is ``d * scale * value``.

    byte  0        2                 34              66                   74                      82
          | d: f16 | codewords' low 8 | signs: 32 bytes | codewords' high 2 bits | 16 times scale: 4 bits |

A scale s, of 16 weights, stands for (s + 1/2) / 4; a byte holds two, the first in its low half.

Source of the facts: ``block_iq2_s`` in ggml-common.h, ``quantize_row_iq2_s_impl`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import DECODE, array_in, kernel
from ..kernels.codewords import BROKEN_GROUPS, SEARCH, fit_codewords, largest_of, round_scales
from ..kernels.grids import grid, neighbours
from ..kernels.importance import sum_of_squares, weigh
from ..kernels.lanes import (
    LANES,
    as_type,
    block_rows,
    gather,
    load,
    load_blocks,
    mask_bits,
    scratch,
    select,
    store,
    store_blocks,
    workspace,
    zero_of,
)
from ..kernels.numerics import half_at
from ..kernels.packing import put_half
from ..kernels.signs import signed, split_signs

F32 = np.float32

_DECODE = (*DECODE, array_in("float32"))


def decode(blocks: Any, out: Any) -> None:
    """uint8[n, 82] to float32[n, 256]."""
    _decode(blocks, out, grid("IQ2_S").values)


@kernel(_DECODE)
def _decode(blocks: Any, out: Any, values: Any) -> None:
    for b in range(blocks.shape[0]):
        d = half_at(blocks, b, 0)
        for j in range(16):
            scale = d * (F32(0.5) + F32(blocks[b, 74 + j // 2] >> 4 * (j % 2) & 15)) * F32(0.25)
            for k in range(2 * j, 2 * j + 2):
                high = np.intp(blocks[b, 66 + k // 4] >> 2 * (k % 4) & 3)
                magnitude = load(values, blocks[b, 2 + k] | high << 8, 0, 8) * scale
                store(out, b, 8 * k, signed(magnitude, blocks[b, 34 + k]))


def encode(x: Any, out: Any) -> None:
    """float32[n, 256] to uint8[n, 82]."""
    _encode(x, x[:0], out, *neighbours("IQ2_S"))


def encode_weighted(x: Any, weights: Any, out: Any) -> None:
    """float32[rows, columns] and float32[columns] to uint8[rows, columns / 256 * 82]."""
    _encode(x.reshape(-1, 256), weights.reshape(-1, 256), out.reshape(-1, 82), *neighbours("IQ2_S"))


@kernel(SEARCH)
def _encode(x: Any, importance: Any, out: Any, index: Any, steps: Any, start: Any, near: Any, firsts: Any) -> None:
    xs, ws = scratch(LANES, 256, np.float32), scratch(LANES, 256, np.float32)
    mag, weight, root = scratch(LANES, 16, np.float32), scratch(LANES, 16, np.float32), scratch(LANES, 16, np.float32)
    signs = scratch(LANES, 2, np.int32)
    scales, small = scratch(LANES, 16, np.float32), scratch(LANES, 16, np.int32)
    packed = scratch(LANES, 82, np.uint8)
    codes = workspace(2, LANES, np.int32)
    fit = (mag, weight, root, (index, steps, start, near, firsts), 8, 2)
    for first in range(0, x.shape[0], LANES):
        rows = block_rows(xs, first, x.shape[0])
        load_blocks(x, rows, xs)
        if len(importance):
            load_blocks(importance, rows % np.int32(len(importance)), ws)
        typical = F32(2) * sum_of_squares(xs, 0, 256) / F32(256)
        for i in range(66, 74):
            packed[i] = zero_of(packed)
        for j in range(16):
            if len(importance):
                weigh(xs, 16 * j, ws, 16 * j, typical, 16, weight)
            else:
                for i in range(16):
                    weight[i] = F32(0.25) * typical + xs[16 * j + i] * xs[16 * j + i]
            split_signs(xs, 16 * j, weight, False, mag, signs)
            largest = largest_of(mag)
            alive = ~(largest < F32(1e-8))
            scale = largest / F32(5)
            scale = fit_codewords(fit, largest, scale, 9, F32(0.1), mask_bits(alive), BROKEN_GROUPS, codes)
            alive = alive & (scale == scale)
            scales[j] = select(alive, abs(scale), F32(0))
            for g in range(2):
                k = 2 * j + g
                word = select(alive, gather(index, load(codes, g, 0, LANES)), np.int32(0))
                minus = select(alive, select(scale < F32(0), ~signs[g], signs[g]), np.int32(0))
                packed[2 + k] = as_type(word, np.uint8)
                packed[34 + k] = as_type(minus, np.uint8)
                packed[66 + k // 4] = packed[66 + k // 4] | as_type((word >> 8) << 2 * (k % 4), np.uint8)
        put_half(packed, 0, round_scales(scales, 31, 15, F32(0.9875), small))
        for j in range(8):
            packed[74 + j] = as_type(small[2 * j] | (small[2 * j + 1] << 4), np.uint8)
        store_blocks(packed, out, first)
