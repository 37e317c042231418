"""IQ3_XXS: 4 weights share a codeword of 256, 8 an even number of minus signs; a weight is ``d * scale * value``.

    byte  0        2                    66                                        98
          | d: f16 | 64 codewords: bytes | 8 times u32: 4 times 7 signs, scale: 4 bits |

A scale s, of 32 weights, stands for (s + 1/2) / 2.

Source of the facts: ``block_iq3_xxs`` in ggml-common.h, ``quantize_row_iq3_xxs_impl`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import DECODE, array_in, kernel
from ..kernels.codewords import BROKEN_GROUPS, SEARCH, clear_empty, fit_codewords, largest_of, round_scales
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
    peek,
    scratch,
    select,
    store,
    store_blocks,
    workspace,
    zero_of,
)
from ..kernels.numerics import half_at
from ..kernels.packing import put_half, put_word
from ..kernels.signs import signed, split_signs, with_parity

F32 = np.float32

_DECODE = (*DECODE, array_in("float32"))


def decode(blocks: Any, out: Any) -> None:
    """uint8[n, 98] to float32[n, 256]."""
    _decode(blocks, out, grid("IQ3_XXS").values)


@kernel(_DECODE)
def _decode(blocks: Any, out: Any, values: Any) -> None:
    for b in range(blocks.shape[0]):
        d = half_at(blocks, b, 0)
        for j in range(8):
            word = peek(blocks, b, 66 + 4 * j, np.uint32)
            scale = d * (F32(0.5) + F32(word >> 28)) * F32(0.5)
            for k in range(4):
                at = 2 + 8 * j + 2 * k
                pair = join(load(values, blocks[b, at], 0, 4), load(values, blocks[b, at + 1], 0, 4))
                store(out, b, 32 * j + 8 * k, signed(pair * scale, with_parity(word >> 7 * k & 127)))


def encode(x: Any, out: Any) -> None:
    """float32[n, 256] to uint8[n, 98]."""
    _encode(x, x[:0], out, *neighbours("IQ3_XXS"))


def encode_weighted(x: Any, weights: Any, out: Any) -> None:
    """float32[rows, columns] and float32[columns] to uint8[rows, columns / 256 * 98]."""
    _encode(x.reshape(-1, 256), weights.reshape(-1, 256), out.reshape(-1, 98), *neighbours("IQ3_XXS"))


@kernel(SEARCH)
def _encode(x: Any, importance: Any, out: Any, index: Any, steps: Any, start: Any, near: Any, firsts: Any) -> None:
    xs, ws = scratch(LANES, 256, np.float32), scratch(LANES, 256, np.float32)
    mag, weight, root = scratch(LANES, 32, np.float32), scratch(LANES, 32, np.float32), scratch(LANES, 32, np.float32)
    signs, signs_of_all = scratch(LANES, 4, np.int32), scratch(LANES, 8, np.int32)
    scales, small = scratch(LANES, 8, np.float32), scratch(LANES, 8, np.int32)
    packed = scratch(LANES, 98, np.uint8)
    codes = workspace(8, LANES, np.int32)
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
            split_signs(xs, 32 * j, weight, True, mag, signs)
            largest = largest_of(mag)
            alive = ~(largest < F32(1e-8))
            scale = largest / F32(15)
            scale = fit_codewords(fit, largest, scale, 15, F32(0.2), mask_bits(alive), BROKEN_GROUPS, codes)
            alive = alive & (scale == scale)
            scales[j] = select(alive, abs(scale), F32(0))
            for g in range(8):
                found = gather(index, load(codes, g, 0, LANES))
                packed[2 + 8 * j + g] = as_type(select(alive, found, np.int32(0)), np.uint8)
            word = zero_of(signs)
            for g in range(4):
                word = word | (select(scale < F32(0), signs[g] ^ 127, signs[g]) << 7 * g)
            signs_of_all[j] = select(alive, word, np.int32(0))
        put_half(packed, 0, round_scales(scales, 31, 15, F32(1.0125), small))
        for j in range(8):
            put_word(packed, 66 + 4 * j, signs_of_all[j] | (small[j] << 28))
        clear_empty(packed, scales)
        store_blocks(packed, out, first)
