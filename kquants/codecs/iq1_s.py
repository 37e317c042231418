"""IQ1_S: 8 weights share a codeword of 2048; a weight is ``d * scale * (value + shift)``, values -1, 0 and 1.

    byte  0        2                  34                                                      50
          | d: f16 | codewords' low 8 | 8 times u16: 4 times codeword high 3 bits, scale 3, shift 1 |

A scale s, of 32 weights, stands for 2 s + 1; the shift is 1/8, or -1/8 where its bit is set.

Source of the facts: ``block_iq1_s`` in ggml-common.h, ``quantize_row_iq1_s_impl`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import DECODE, array_in, inlined, kernel
from ..kernels.codewords import SEARCH, largest_of, round_scales
from ..kernels.grids import grid, neighbours
from ..kernels.importance import sum_of_squares, weigh
from ..kernels.lanes import (
    LANES,
    any_lane,
    as_type,
    block_rows,
    fill,
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
from ..kernels.packing import put_half
from ..kernels.ternary import (
    LEAST,
    SHIFT,
    improves,
    levels_of_cuts,
    put_in_order,
    rank,
    round_to_codewords,
    running_sums,
)

F32 = np.float32

_DECODE = (*DECODE, array_in("float32"))


def decode(blocks: Any, out: Any) -> None:
    """uint8[n, 50] to float32[n, 256]."""
    _decode(blocks, out, grid("IQ1_S").values)


@kernel(_DECODE)
def _decode(blocks: Any, out: Any, values: Any) -> None:
    for b in range(blocks.shape[0]):
        d = half_at(blocks, b, 0)
        for j in range(8):
            high = np.intp(peek(blocks, b, 34 + 2 * j, np.uint16))
            scale = d * F32(2 * (high >> 12 & 7) + 1)
            shift = F32(-0.125) if high & 0x8000 else F32(0.125)
            for k in range(4 * j, 4 * j + 4):
                word = blocks[b, 2 + k] | (high >> 3 * (k % 4) & 7) << 8
                store(out, b, 8 * k, (load(values, word, 0, 8) + shift) * scale)


def encode_weighted(x: Any, weights: Any, out: Any) -> None:
    """float32[rows, columns] and float32[columns] to uint8[rows, columns / 256 * 50]."""
    _encode(x.reshape(-1, 256), weights.reshape(-1, 256), out.reshape(-1, 50), *neighbours("IQ1_S"))


@kernel(SEARCH)
def _encode(x: Any, importance: Any, out: Any, index: Any, steps: Any, start: Any, near: Any, firsts: Any) -> None:
    xs, ws = scratch(LANES, 256, np.float32), scratch(LANES, 256, np.float32)
    size, weight = scratch(LANES, 32, np.float32), scratch(LANES, 32, np.float32)
    ranks, levels = scratch(LANES, 32, np.int32), scratch(LANES, 32, np.int32)
    shifts = scratch(LANES, 4, np.float32)
    scales, small, high = scratch(LANES, 8, np.float32), scratch(LANES, 8, np.int32), scratch(LANES, 8, np.int32)
    packed = scratch(LANES, 50, np.uint8)
    codes = workspace(4, LANES, np.int32)
    for first in range(0, x.shape[0], LANES):
        rows = block_rows(xs, first, x.shape[0])
        load_blocks(x, rows, xs)
        load_blocks(importance, rows % np.int32(len(importance)), ws)
        typical = F32(2) * sum_of_squares(xs, 0, 256) / F32(256)
        for j in range(8):
            weigh(xs, 32 * j, ws, 32 * j, typical, 32, weight)
            for i in range(32):
                size[i] = abs(xs[32 * j + i])
            rank(xs, 32 * j, ranks)
            scale, one, two, shift = _cut(xs, 32 * j, weight, ranks)
            alive = ~(largest_of(size) < F32(1e-12)) & (one >= np.int32(0))
            levels_of_cuts(ranks, one, two, scale, levels)
            shift = select(scale < F32(0), -shift, shift)
            for g in range(4):
                shifts[g] = shift
            tables = (index, steps, start, near)
            scale = round_to_codewords(xs, 32 * j, weight, levels, abs(scale), shifts, mask_bits(alive), tables, codes)
            alive = alive & (scale == scale)
            scales[j] = select(alive, scale, F32(0))
            bits = as_type(alive & (shift < F32(0)), np.int32) << 15
            for g in range(4):
                word = select(alive, gather(index, load(codes, g, 0, LANES)), np.int32(0))
                packed[2 + 4 * j + g] = as_type(word, np.uint8)
                bits = bits | ((word >> 8) << 3 * g)
            high[j] = bits
        unit = round_scales(scales, 15, 7, F32(1.125), small)
        put_half(packed, 0, unit)
        some = largest_of(scales) != F32(0)
        for j in range(8):
            put_half(packed, 34 + 2 * j, select(some, high[j], high[j] & 0xFFF) | (small[j] << 12))
        store_blocks(packed, out, first)


@inlined
def _cut(xs: Any, at: int, weight: Any, ranks: Any) -> Any:
    """The scale, the places of the two cuts and the shift that explain a sub-block best; places -1 if none does."""
    products = scratch(LANES, 32, np.float32)
    sum_x, sum_w = scratch(LANES, 33, np.float32), scratch(LANES, 33, np.float32)
    for i in range(32):
        products[i] = weight[i] * xs[at + i]
    ordered = workspace(32, LANES, np.float32)
    put_in_order(ranks, products, 0, 32, ordered)
    running_sums(ordered, sum_x)
    put_in_order(ranks, weight, 0, 32, ordered)
    running_sums(ordered, sum_w)
    last, most = scratch(LANES, 66, np.float32), scratch(LANES, 66, np.float32)
    for i in range(33):  # what the last run adds to the products and to the squares, for either shift
        for s in range(2):
            q = F32(1) + (SHIFT if s == 0 else -SHIFT)
            last[2 * i + s] = (sum_x[32] - sum_x[i]) * q
            most[2 * i + s] = (sum_w[32] - sum_w[i]) * q * q
    best, scale = fill(LANES, LEAST), zero_of(weight)
    one, two, shift = fill(LANES, np.int32(-1)), fill(LANES, np.int32(-1)), zero_of(weight)
    up, down = F32(-1) + SHIFT, F32(-1) - SHIFT
    for i in range(33):
        for j in range(i, 33):
            middle = (sum_x[j] - sum_x[i]) * SHIFT
            middle_square = (sum_w[j] - sum_w[i]) * SHIFT * SHIFT
            along = sum_x[i] * up + middle + last[2 * j]
            square = sum_w[i] * up * up + middle_square + most[2 * j]
            better = improves(along, square, best)
            if any_lane(better):
                scale = select(better, along / square, scale)
                best = select(better, scale * along, best)
                one, two = select(better, np.int32(i), one), select(better, np.int32(j), two)
                shift = select(better, SHIFT, shift)
            along = sum_x[i] * down - middle + last[2 * j + 1]
            square = sum_w[i] * down * down + middle_square + most[2 * j + 1]
            better = improves(along, square, best)
            if any_lane(better):
                scale = select(better, along / square, scale)
                best = select(better, scale * along, best)
                one, two = select(better, np.int32(i), one), select(better, np.int32(j), two)
                shift = select(better, -SHIFT, shift)
    return scale, one, two, shift
