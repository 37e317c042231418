"""IQ1_M: 8 weights share a codeword of 2048 and a shift; a weight is ``d * scale * (value + shift)``.

    byte  0                  32                                             48                              56
          | codewords' low 8 | 32 times 4 bits: codeword high 3 bits, shift 1 | 4 times u16: 4 times scale 3, d 4 bits |

Values are -1, 0 and 1; a scale s, of 16 weights, stands for 2 s + 1; the shift is 1/8, or -1/8 where its bit is set.
The four top halves of the u16 are, lowest first, the bits of d, an f16.

Source of the facts: ``block_iq1_m`` in ggml-common.h, ``quantize_row_iq1_m_impl`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import DECODE, array_in, inlined, kernel
from ..kernels.codewords import SEARCH, largest_of, round_scales
from ..kernels.grids import grid, neighbours
from ..kernels.importance import sum_of_squares, weigh, weigh_by_square
from ..kernels.lanes import (
    LANES,
    any_lane,
    as_type,
    block_rows,
    fill,
    gather,
    lane,
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
from ..kernels.numerics import half_bits, half_value
from ..kernels.packing import put_half
from ..kernels.ternary import (
    LEAST,
    SHIFT,
    add_products,
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
    """uint8[n, 56] to float32[n, 256]."""
    _decode(blocks, out, grid("IQ1_S").values)


@kernel(_DECODE)
def _decode(blocks: Any, out: Any, values: Any) -> None:
    for b in range(blocks.shape[0]):
        d = _unit(blocks, b)
        for j in range(16):
            scale = d * F32(2 * (peek(blocks, b, 48 + 2 * (j // 4), np.uint16) >> 3 * (j % 4) & 7) + 1)
            for k in range(2 * j, 2 * j + 2):
                high = np.intp(blocks[b, 32 + j] >> 4 * (k % 2))
                shift = F32(-0.125) if high & 8 else F32(0.125)
                store(out, b, 8 * k, (load(values, blocks[b, k] | (high & 7) << 8, 0, 8) + shift) * scale)


@inlined
def _unit(blocks: Any, b: int) -> Any:
    """The scale of the super-block, a float32 scalar."""
    bits = 0
    for j in range(4):
        bits |= (peek(blocks, b, 48 + 2 * j, np.uint16) >> 12) << 4 * j
    return lane(half_value(fill(1, np.int32(bits))), 0)


def encode(x: Any, out: Any) -> None:
    """float32[n, 256] to uint8[n, 56]."""
    _encode(x, x[:0], out, *neighbours("IQ1_S"))


def encode_weighted(x: Any, weights: Any, out: Any) -> None:
    """float32[rows, columns] and float32[columns] to uint8[rows, columns / 256 * 56]."""
    _encode(x.reshape(-1, 256), weights.reshape(-1, 256), out.reshape(-1, 56), *neighbours("IQ1_S"))


@kernel(SEARCH)
def _encode(x: Any, importance: Any, out: Any, index: Any, steps: Any, start: Any, near: Any, firsts: Any) -> None:
    xs, ws = scratch(LANES, 256, np.float32), scratch(LANES, 256, np.float32)
    size, weight = scratch(LANES, 16, np.float32), scratch(LANES, 16, np.float32)
    ranks, levels = scratch(LANES, 16, np.int32), scratch(LANES, 16, np.int32)
    scales, small, signs = scratch(LANES, 16, np.float32), scratch(LANES, 16, np.int32), scratch(LANES, 16, np.int32)
    shifts = scratch(LANES, 2, np.float32)
    packed = scratch(LANES, 56, np.uint8)
    codes = workspace(32, LANES, np.int32)
    tables = (index, steps, start, near)
    for first in range(0, x.shape[0], LANES):
        rows = block_rows(xs, first, x.shape[0])
        load_blocks(x, rows, xs)
        if len(importance):
            load_blocks(importance, rows % np.int32(len(importance)), ws)
        typical = F32(2) * sum_of_squares(xs, 0, 256) / F32(256)
        for j in range(16):
            _weigh(xs, ws, 16 * j, typical, len(importance) > 0, weight)
            for i in range(16):
                size[i] = abs(xs[16 * j + i])
            rank(xs, 16 * j, ranks)
            scale, one, two, minus = _cut(xs, 16 * j, weight, ranks)
            alive = ~(largest_of(size) < F32(1e-7)) & (one >= np.int32(0))
            levels_of_cuts(ranks, one, two, scale, levels)
            minus = select(scale < F32(0), np.int32(3) - minus, minus)
            _put_shifts(minus, shifts)
            here = codes[2 * j : 2 * j + 2]
            scale = round_to_codewords(xs, 16 * j, weight, levels, abs(scale), shifts, mask_bits(alive), tables, here)
            alive = alive & (scale == scale)
            scales[j] = select(alive, scale, F32(0))
            signs[j] = select(alive, minus, np.int32(0))
            for g in range(2):
                store(here, g, 0, select(alive, load(here, g, 0, LANES), np.int32(0)))
        round_scales(scales, 15, 7, F32(1), small)
        unit = largest_of(scales) / F32(15)
        along, square = zero_of(xs), zero_of(xs)
        for j in range(16):
            _weigh(xs, ws, 16 * j, typical, len(importance) > 0, weight)
            _put_shifts(signs[j], shifts)
            times = as_type(small[j] * np.int32(2) + np.int32(1), np.float32)
            for g in range(2):
                code = load(codes, 2 * j + g, 0, LANES)
                along, square = add_products(xs, 16 * j, weight, g, code, shifts[g], times, along, square)
        unit = half_bits(select(square > F32(0), along / square, unit) * F32(1.1125))
        some = largest_of(scales) != F32(0)
        for j in range(16):
            signs[j] = select(some, signs[j], np.int32(0))
        _pack(codes, index, signs, small, select(some, unit, np.int32(0)), packed)
        store_blocks(packed, out, first)


@inlined
def _pack(codes: Any, index: Any, signs: Any, small: Any, unit: Any, packed: Any) -> None:
    """A block's bytes from codes, signs of shifts, scales and the bits of the unit."""
    for j in range(16):
        low, high = gather(index, load(codes, 2 * j, 0, LANES)), gather(index, load(codes, 2 * j + 1, 0, LANES))
        packed[2 * j], packed[2 * j + 1] = as_type(low, np.uint8), as_type(high, np.uint8)
        minus = ((signs[j] & 2) << 2) | ((signs[j] & 1) << 7)
        packed[32 + j] = as_type((low >> 8) | ((high >> 8) << 4) | minus, np.uint8)
    for j in range(4):
        word = (unit >> 4 * j & 15) << 12
        for i in range(4):
            word = word | (small[4 * j + i] << 3 * i)
        put_half(packed, 48 + 2 * j, word)


@inlined
def _put_shifts(minus: Any, shifts: Any) -> None:
    """The shifts of two groups from a bit for each that is negative, the first group's the higher."""
    shifts[0] = select((minus & 2) != 0, fill(LANES, -SHIFT), SHIFT)
    shifts[1] = select((minus & 1) != 0, fill(LANES, -SHIFT), SHIFT)


@inlined
def _weigh(xs: Any, importance: Any, at: int, typical: Any, weighted: bool, weight: Any) -> None:
    if weighted:
        weigh(xs, at, importance, at, typical, 16, weight)
    else:
        weigh_by_square(xs, at, weight)


@inlined
def _cut(xs: Any, at: int, weight: Any, ranks: Any) -> Any:
    """The scale, the places of the two cuts and the signs of the shifts that explain a sub-block best.

    Places are -1 where none does. The running sums are kept for each half, because each has a shift of its own.
    """
    products = scratch(LANES, 16, np.float32)
    sum_x, sum_w = scratch(LANES, 34, np.float32), scratch(LANES, 34, np.float32)
    for i in range(16):
        products[i] = weight[i] * xs[at + i]
    sums = scratch(LANES, 17, np.float32)
    ordered = workspace(16, LANES, np.float32)
    for h in range(2):
        ordered[:] = F32(0)
        put_in_order(ranks, products, 8 * h, 8 * h + 8, ordered)
        running_sums(ordered, sums)
        for i in range(17):
            sum_x[2 * i + h] = sums[i]
        ordered[:] = F32(0)
        put_in_order(ranks, weight, 8 * h, 8 * h + 8, ordered)
        running_sums(ordered, sums)
        for i in range(17):
            sum_w[2 * i + h] = sums[i]
    best, scale = fill(LANES, LEAST), zero_of(weight)
    one, two, signs = fill(LANES, np.int32(-1)), fill(LANES, np.int32(-1)), fill(LANES, np.int32(0))
    up, down = F32(1) + SHIFT, F32(1) - SHIFT
    for i in range(17):
        for j in range(i, 17):
            x0, x1 = sum_x[2 * i] + sum_x[2 * j], sum_x[2 * i + 1] + sum_x[2 * j + 1]
            up0, down0 = _squares(sum_w, i, j, 0)
            up1, down1 = _squares(sum_w, i, j, 1)
            for k in range(4):
                along = sum_x[32] * (up if k < 2 else down) - x0 + (sum_x[33] * (down if k & 1 else up) - x1)
                square = (up0 if k < 2 else down0) + (down1 if k & 1 else up1)
                better = improves(along, square, best)
                if any_lane(better):
                    scale = select(better, along / square, scale)
                    best = select(better, scale * along, best)
                    one, two = select(better, np.int32(i), one), select(better, np.int32(j), two)
                    signs = select(better, np.int32(k), signs)
    return scale, one, two, signs


@inlined
def _squares(sum_w: Any, i: int, j: int, half: int) -> Any:
    """The weighted squares of what the levels stand for with cuts i and j, in one half, for either shift."""
    up, down = F32(1) + SHIFT, F32(1) - SHIFT
    outer, inner = up * up - SHIFT * SHIFT, down * down - SHIFT * SHIFT
    total, first, second = sum_w[32 + half], sum_w[2 * i + half], sum_w[2 * j + half]
    return total * up * up + first * inner - second * outer, total * down * down + first * outer - second * inner
