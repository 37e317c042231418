"""What the encoders of IQ1_S and IQ1_M share: weights in three levels, -1, 0 and 1, shifted by an eighth either way.

A sub-block's best levels are found exactly. In order of size its weights fall into three runs, so it is enough to try
every pair of cuts between them; sums over the runs are differences of running sums. Every lane is one block.

Source of the facts: ``quantize_row_iq1_s_impl`` and ``quantize_row_iq1_m_impl`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import inlined
from .lanes import (
    LANES,
    as_type,
    bit_mask,
    fill,
    lane_of,
    load,
    mask_bits,
    scratch,
    select,
    size_of,
    store,
    zero_of,
)
from .nearest import not_codewords, put_nearest_of_8

F32 = np.float32
LEAST = -np.finfo(np.float32).max
SHIFT = F32(0.125)


@inlined
def rank(xs: Any, at: int, ranks: Any) -> None:
    """The places of a sub-block's weights in ascending order, equal ones as they stand: int32 lanes from 0."""
    for i in range(size_of(ranks)):
        x = xs[at + i]
        place = zero_of(ranks)
        for j in range(i):
            place = place + as_type(xs[at + j] <= x, np.int32)
        for j in range(i + 1, size_of(ranks)):
            place = place + as_type(xs[at + j] < x, np.int32)
        ranks[i] = place


@inlined
def put_in_order(ranks: Any, values: Any, first: int, last: int, ordered: Any) -> None:
    """Put the values of weights ``first`` to ``last``, in lane k, at ``ordered[rank, k]``."""
    for i in range(first, last):
        for k in range(LANES):
            ordered[lane_of(ranks, i, k), k] = lane_of(values, i, k)


@inlined
def running_sums(ordered: Any, sums: Any) -> None:
    """``sums[i]``: the sum of the first i ordered values."""
    total = zero_of(sums)
    sums[0] = total
    for i in range(size_of(sums) - 1):
        total = total + load(ordered, i, 0, LANES)
        sums[i + 1] = total


@inlined
def improves(along: Any, square: Any, best: Any) -> Any:
    """Where the scale ``along / square`` explains more than ``best``."""
    return (square > F32(0)) & (along * along > best * square)


@inlined
def levels_of_cuts(ranks: Any, first: Any, second: Any, scale: Any, levels: Any) -> None:
    """Level 0, 1 or 2 of each weight: which run its place is in; turned around where the scale is negative."""
    for i in range(size_of(ranks)):
        found = as_type(ranks[i] >= first, np.int32) + as_type(ranks[i] >= second, np.int32)
        levels[i] = select(scale < F32(0), np.int32(2) - found, found)


@inlined
def level_value(level: Any, shift: Any) -> Any:
    """What levels 0, 1 and 2 stand for: -1, 0 and 1 plus the shift."""
    return as_type(level - np.int32(1), np.float32) + shift


@inlined
def round_to_codewords(
    xs: Any, at: int, weight: Any, levels: Any, scale: Any, shifts: Any, alive: Any, tables: Any, codes: Any
) -> Any:
    """Turn levels into codes, the nearest codewords' where they are none; returns the scale, refitted if any were none.

    ``shifts[g]`` is the shift of group g of 8 weights; only lanes with a bit in ``alive`` matter.
    """
    index, _, start, near = tables
    terms = scratch(LANES, 24, np.float32)
    broken = np.uint64(0)
    for g in range(size_of(shifts)):
        code = zero_of(levels)
        for i in range(8):
            code = code | (levels[8 * g + i] << 2 * i)
        store(codes, g, 0, code)
        todo = not_codewords(index, codes, g) & alive
        broken |= todo
        if todo == 0:
            continue
        settled = distances(xs, at, weight, levels, 8 * g, scale, shifts[g], terms)
        put_nearest_of_8(terms, todo, settled, start, near, codes, g)
    if broken != 0:
        along, square = fill(LANES, F32(0)), fill(LANES, F32(0))
        for g in range(size_of(shifts)):
            along, square = add_products(xs, at, weight, g, load(codes, g, 0, LANES), shifts[g], F32(1), along, square)
        fits = bit_mask(broken, LANES) & (along > F32(0)) & (square > F32(0))
        scale = select(fits, along / square, scale)
    return scale


@inlined
def add_products(
    xs: Any, at: int, weight: Any, g: int, code: Any, shift: Any, times: Any, along: Any, square: Any
) -> Any:
    """Add group g's weighted products of value (times ``times``) and weight, and of the value's square, to the sums."""
    for i in range(8):
        q = level_value((code >> 2 * i) & 3, shift) * times
        w = weight[8 * g + i]
        along = along + w * q * xs[at + 8 * g + i]
        square = square + w * q * q
    return along, square


@inlined
def distances(xs: Any, at: int, weight: Any, levels: Any, first: int, scale: Any, shift: Any, terms: Any) -> Any:
    """``terms[8 * level + i]``: what weight ``first + i`` adds to the squared distance at a level.

    Returns a bit for each lane where every weight is nearest to its own level and farther from each level beyond.
    """
    settled = scale == scale
    for i in range(8):
        x, w, level = xs[at + first + i], weight[first + i], levels[first + i]
        for number in range(3):
            off = scale * (F32(number - 1) + shift) - x
            terms[8 * number + i] = w * off * off
        low, middle, high = terms[i], terms[8 + i], terms[16 + i]
        settled = settled & ((middle <= high) | (level == np.int32(2))) & ((middle <= low) | (level == np.int32(0)))
        settled = settled & ((low <= middle) | (level != np.int32(0))) & ((high <= middle) | (level != np.int32(2)))
    return mask_bits(settled)
