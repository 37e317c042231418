"""IQ3_S: 4 weights share a codeword of 512 and have a sign each; a weight is ``d * scale * value``.

    byte  0        2                  66                    74               106                   110
          | d: f16 | codewords' low 8 | codewords' high bit | signs: 32 bytes | 8 times scale: 4 bits |

A scale s, of 32 weights, stands for 2 s + 1; a byte holds two, the first in its low half.

Source of the facts: ``block_iq3_s`` in ggml-common.h, ``quantize_row_iq3_s_impl`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import DECODE, array_in, inlined, kernel
from ..kernels.codewords import BROKEN_WHOLE, SEARCH, fit_codewords, largest_of, round_scales
from ..kernels.grids import grid, neighbours
from ..kernels.importance import sum_of_squares, weigh, weigh_by_square
from ..kernels.lanes import (
    LANES,
    as_type,
    block_rows,
    gather,
    join,
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
    """uint8[n, 110] to float32[n, 256]."""
    _decode(blocks, out, grid("IQ3_S").values)


@kernel(_DECODE)
def _decode(blocks: Any, out: Any, values: Any) -> None:
    for b in range(blocks.shape[0]):
        d = half_at(blocks, b, 0)
        for j in range(8):
            scale = d * F32(1 + 2 * (blocks[b, 106 + j // 2] >> 4 * (j % 2) & 15))
            high = np.intp(blocks[b, 66 + j]) << 8
            for k in range(4):
                at = 2 + 8 * j + 2 * k
                first = load(values, blocks[b, at] | high >> 2 * k & 256, 0, 4)
                second = load(values, blocks[b, at + 1] | high >> 2 * k + 1 & 256, 0, 4)
                store(out, b, 32 * j + 8 * k, signed(join(first, second) * scale, blocks[b, 74 + 4 * j + k]))


def encode(x: Any, out: Any) -> None:
    """float32[n, 256] to uint8[n, 110]."""
    _encode(x, x[:0], out, *neighbours("IQ3_S"))


def encode_weighted(x: Any, weights: Any, out: Any) -> None:
    """float32[rows, columns] and float32[columns] to uint8[rows, columns / 256 * 110]."""
    _encode(x.reshape(-1, 256), weights.reshape(-1, 256), out.reshape(-1, 110), *neighbours("IQ3_S"))


@kernel(SEARCH)
def _encode(x: Any, importance: Any, out: Any, index: Any, steps: Any, start: Any, near: Any, firsts: Any) -> None:
    xs, ws = scratch(LANES, 256, np.float32), scratch(LANES, 256, np.float32)
    mag, weight, root = scratch(LANES, 32, np.float32), scratch(LANES, 32, np.float32), scratch(LANES, 32, np.float32)
    signs = scratch(LANES, 4, np.int32)
    scales, small = scratch(LANES, 8, np.float32), scratch(LANES, 8, np.int32)
    packed = scratch(LANES, 110, np.uint8)
    codes = workspace(8, LANES, np.int32)
    filled = workspace(1, 8, np.uint64)[0]
    fit = (mag, weight, root, (index, steps, start, near, firsts), 4, 7)
    for first in range(0, x.shape[0], LANES):
        rows = block_rows(xs, first, x.shape[0])
        load_blocks(x, rows, xs)
        if len(importance):
            load_blocks(importance, rows % np.int32(len(importance)), ws)
        typical = F32(2) * sum_of_squares(xs, 0, 256) / F32(256)
        for j in range(8):
            if len(importance):
                weigh(xs, 32 * j, ws, 32 * j, typical, 32, weight)
            else:
                weigh_by_square(xs, 32 * j, weight)
            split_signs(xs, 32 * j, weight, False, mag, signs)
            largest = largest_of(mag)
            alive = largest != F32(0)
            filled[j] = mask_bits(alive)
            scale = largest / F32(15)
            scale = fit_codewords(fit, largest, scale, 9, F32(0.2), filled[j], BROKEN_WHOLE, codes)
            alive = alive & (scale == scale)
            scales[j] = select(alive, abs(scale), F32(0))
            high = zero_of(signs)
            for g in range(8):
                word = select(alive, gather(index, load(codes, g, 0, LANES)), np.int32(0))
                packed[2 + 8 * j + g] = as_type(word, np.uint8)
                high = high | ((word >> 8) << g)
            packed[66 + j] = as_type(high, np.uint8)
            for g in range(4):
                minus = select(alive, select(scale < F32(0), ~signs[g], signs[g]), np.int32(0))
                packed[74 + 4 * j + g] = as_type(minus, np.uint8)
        put_half(packed, 0, round_scales(scales, 31, 15, F32(1.033), small))
        for j in range(4):
            packed[106 + j] = as_type(small[2 * j] | (small[2 * j + 1] << 4), np.uint8)
        store_blocks(packed, out, first)
        for k in range(min(LANES, x.shape[0] - first)):
            _close_gaps(out[first + k], filled, np.uint64(k))


@inlined
def _close_gaps(block: Any, filled: Any, k: Any) -> None:
    """Move low bytes and signs up over sub-blocks of zeros: upstream writes none for them, nor leaves their place."""
    to = 0
    for j in range(8):
        if filled[j] >> k & np.uint64(1):
            if to < j:
                for i in range(8):
                    block[2 + 8 * to + i] = block[2 + 8 * j + i]
                for i in range(4):
                    block[74 + 4 * to + i] = block[74 + 4 * j + i]
            to += 1
    block[2 + 8 * to : 66] = 0
    block[74 + 4 * to : 106] = 0
