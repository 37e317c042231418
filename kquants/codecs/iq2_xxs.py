"""IQ2_XXS: 8 weights share a codeword of 256 and an even number of minus signs; a weight is ``d * scale * value``.

    byte  0        2                                                             66
          | d: f16 | 8 times (32 weights): 4 codeword bytes | 4 times 7 signs, scale: u32 |

A scale s of 4 bits stands for (s + 1/2) / 4; it has the top bits of its u32, the signs those below, the first lowest.

Source of the facts: ``block_iq2_xxs`` in ggml-common.h, ``quantize_row_iq2_xxs_impl`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import DECODE, array_in, kernel
from ..kernels.codewords import EVERY_GROUP, SEARCH, clear_empty, fit_codewords, largest_of, round_scales
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
from ..kernels.search import fit_positive_scale
from ..kernels.signs import signed, split_signs, with_parity

F32 = np.float32

_DECODE = (*DECODE, array_in("float32"))


def decode(blocks: Any, out: Any) -> None:
    """uint8[n, 66] to float32[n, 256]."""
    _decode(blocks, out, grid("IQ2_XXS").values)


@kernel(_DECODE)
def _decode(blocks: Any, out: Any, values: Any) -> None:
    for b in range(blocks.shape[0]):
        d = half_at(blocks, b, 0)
        for j in range(8):
            at = 2 + 8 * j
            word = peek(blocks, b, at + 4, np.uint32)
            scale = d * (F32(0.5) + F32(word >> 28)) * F32(0.25)
            for k in range(4):
                magnitude = load(values, blocks[b, at + k], 0, 8) * scale
                store(out, b, 32 * j + 8 * k, signed(magnitude, with_parity(word >> 7 * k & 127)))


def encode_weighted(x: Any, weights: Any, out: Any) -> None:
    """float32[rows, columns] and float32[columns] to uint8[rows, columns / 256 * 66]."""
    _encode(x.reshape(-1, 256), weights.reshape(-1, 256), out.reshape(-1, 66), *neighbours("IQ2_XXS"))


@kernel(SEARCH)
def _encode(x: Any, importance: Any, out: Any, index: Any, steps: Any, start: Any, near: Any, firsts: Any) -> None:
    xs, ws = scratch(LANES, 256, np.float32), scratch(LANES, 256, np.float32)
    mag, weight, root = scratch(LANES, 32, np.float32), scratch(LANES, 32, np.float32), scratch(LANES, 32, np.float32)
    signs, signs_of_all = scratch(LANES, 4, np.int32), scratch(LANES, 8, np.int32)
    scales, small = scratch(LANES, 8, np.float32), scratch(LANES, 8, np.int32)
    levels = scratch(LANES, 32, np.uint8)
    packed = scratch(LANES, 66, np.uint8)
    codes = workspace(4, LANES, np.int32)
    fit = (mag, weight, root, (index, steps, start, near, firsts), 8, 2)
    for first in range(0, x.shape[0], LANES):
        rows = block_rows(xs, first, x.shape[0])
        load_blocks(x, rows, xs)
        load_blocks(importance, rows % np.int32(len(importance)), ws)
        typical = sum_of_squares(xs, 0, 256) / F32(256)
        for j in range(8):
            weigh(xs, 32 * j, ws, 32 * j, typical, 32, weight)
            split_signs(xs, 32 * j, weight, True, mag, signs)
            scale = fit_positive_scale(mag, 0, weight, 32, 4, levels, 0)
            alive = ~(largest_of(mag) < F32(1e-15)) & ~(scale * F32(3) <= F32(0))
            scale = fit_codewords(fit, scale * F32(3), scale, 6, F32(0.1), mask_bits(alive), EVERY_GROUP, codes)
            alive = alive & (scale == scale)
            scales[j] = select(alive, abs(scale), F32(0))
            word = zero_of(signs)
            for g in range(4):
                found = gather(index, load(codes, g, 0, LANES))
                packed[2 + 8 * j + g] = as_type(select(alive, found, np.int32(0)), np.uint8)
                word = word | (select(scale < F32(0), signs[g] ^ 127, signs[g]) << 7 * g)
            signs_of_all[j] = select(alive, word, np.int32(0))
        put_half(packed, 0, round_scales(scales, 31, 15, F32(1), small))
        for j in range(8):
            put_word(packed, 6 + 8 * j, signs_of_all[j] | (small[j] << 28))
        clear_empty(packed, scales)
        store_blocks(packed, out, first)
