"""The searches for a scale that block encoders share, each named for what it fits; those for a min too: ``search_min``.

Every lane is one block, and every lane adds in the order of the scalar algorithm, which fixes the result to the last
bit. ``x`` and ``weight`` are scratches of float32 lanes, ``at`` is where the sub-block's ``n`` numbers start.

Source of the facts: ``make_qx_quants``, ``make_q3_quants`` and ``make_qp_quants`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import inlined
from .lanes import any_lane, as_type, maximum, minimum, scratch_like, select, zero_of
from .numerics import ANYWHERE, INSIDE, NEAR, NOT_BELOW, level, level_by, level_within, nearest_int

F32 = np.float32

ALL_ZERO = F32(1e-15)
"""A sub-block with no number as large as this is taken for zero."""
LARGE = F32(1e30)
"""A sub-block with no number as large as this has levels within reach, whatever the cut."""


@inlined
def largest_in_size(x: Any, at: int, n: int) -> Any:
    """The first of the numbers with the largest magnitude, and that magnitude; both 0 when all are zero."""
    most, size = zero_of(x), zero_of(x)
    for i in range(at, at + n):
        larger = abs(x[i]) > size
        size = select(larger, abs(x[i]), size)
        most = select(larger, x[i], most)
    return most, size


@inlined
def fit_scale(x: Any, at: int, weight: Any, weight_at: int, n: int, top: int, finite: bool = True) -> Any:
    """Fit ``x = scale * level`` with levels -top to top - 1, the number of largest magnitude on the long side.

    Tries the levels that put this number at -top and 18 cuts around it, ``(top + k / 10)`` for k from -9 to 9; keeps
    those that explain most of the numbers' weighted squares, ``weight[weight_at + i]`` for number i. ``finite``
    says whether the numbers are known to be that.

    Returns scale and the cut of the levels: ``level(cut * x, -top, top - 1)``; 0 and NaN when all numbers are zero.
    """
    most, size = largest_in_size(x, at, n)
    least, high = x[at], x[at]
    product = scratch_like(x, 32)  # of weight and number
    for i in range(n):
        v = x[at + i]
        least, high = minimum(v, least), maximum(v, high)
        product[i] = weight[weight_at + i] * v
    other = select(most > 0.0, least, high)  # the largest on the other side, if there is one
    tame = finite and not any_lane(~(size < LARGE))
    best, scale, best_cut = zero_of(x), zero_of(x), zero_of(x)
    for turn in range(19):
        k = 0 if turn == 0 else turn - 10 + (turn > 9)  # 0 first, then -9 to -1 and 1 to 9
        reach = F32(F32(top) + F32(F32(0.1) * F32(k)))  # how far from 0 the levels are at most
        cut = -reach / most
        above = any_lane(~(cut * other < F32(top) - F32(0.5)))
        below = reach > F32(top) + F32(0.49)
        if not tame:
            sum_xl, sum_l2 = _sum_products(x, at, weight, weight_at, product, n, top, cut, ANYWHERE)
        elif below:
            sum_xl, sum_l2 = _sum_products(x, at, weight, weight_at, product, n, top, cut, NEAR)
        elif above:
            sum_xl, sum_l2 = _sum_products(x, at, weight, weight_at, product, n, top, cut, NOT_BELOW)
        else:
            sum_xl, sum_l2 = _sum_products(x, at, weight, weight_at, product, n, top, cut, INSIDE)
        if turn == 0:
            scale = select(sum_l2 != 0.0, sum_xl / sum_l2, F32(0.0))
            best = scale * sum_xl
            best_cut = cut
        else:
            better = (sum_l2 > 0.0) & (sum_xl * sum_xl > best * sum_l2)
            scale = select(better, sum_xl / sum_l2, scale)
            best = select(better, scale * sum_xl, best)
            best_cut = select(better, cut, best_cut)
    empty = size < ALL_ZERO
    return select(empty, F32(0.0), scale), select(empty, F32(np.nan), best_cut)


@inlined
def _sum_products(
    x: Any, at: int, weight: Any, weight_at: int, product: Any, n: int, top: int, cut: Any, where: int
) -> Any:
    """The weighted sums of the levels' products with the numbers, and of their squares."""
    sum_xl, sum_l2 = zero_of(x), zero_of(x)
    for i in range(n):
        q = level_by(where, cut * x[at + i], -top, top - 1)
        sum_xl = sum_xl + product[i] * q
        sum_l2 = sum_l2 + (weight[weight_at + i] * q) * q
    return sum_xl, sum_l2


@inlined
def refine_scale(x: Any, at: int, n: int, top: int, levels: Any) -> Any:
    """Fit ``x = scale * level`` with levels -top to top - 1 by moving one level at a time; returns the scale.

    Starts with the number of largest magnitude at -top. In up to five rounds each level moves to where the others'
    scale wants it when that explains more of the numbers' squares, weighted by the squares themselves. Leaves
    ``level + top`` in ``levels[at : at + n]``, float32; 0 when all numbers are zero.
    """
    most, size = largest_in_size(x, at, n)
    cut = F32(-top) / most
    sum_xl, sum_l2 = zero_of(x), zero_of(x)
    square, cube = scratch_like(x, 16), scratch_like(x, 16)  # of the numbers
    share_xl, share_l2 = scratch_like(x, 16), scratch_like(x, 16)  # each number's part in the sums
    for i in range(n):
        v = x[at + i]
        q = level_within(cut * v, -top, top - 1)
        levels[at + i] = q
        square[i] = v * v
        cube[i] = square[i] * v
        share_xl[i] = cube[i] * q
        share_l2[i] = (square[i] * q) * q
        sum_xl = sum_xl + share_xl[i]
        sum_l2 = sum_l2 + share_l2[i]
    for _ in range(5):
        quiet = True
        for i in range(n):
            other_xl = sum_xl - share_xl[i]
            other_l2 = sum_l2 - share_l2[i]
            moved = level(x[at + i] * other_l2 / other_xl, -top, top - 1)
            moves = (other_xl > 0.0) & (moved != levels[at + i])
            if any_lane(moves):  # rare after the first round
                moved_xl = cube[i] * moved
                moved_l2 = (square[i] * moved) * moved
                new_xl = other_xl + moved_xl
                new_l2 = other_l2 + moved_l2
                better = moves & (new_l2 > 0.0) & ((new_xl * new_xl) * sum_l2 > (sum_xl * sum_xl) * new_l2)
                levels[at + i] = select(better, moved, levels[at + i])
                share_xl[i] = select(better, moved_xl, share_xl[i])
                share_l2[i] = select(better, moved_l2, share_l2[i])
                sum_xl = select(better, new_xl, sum_xl)
                sum_l2 = select(better, new_l2, sum_l2)
                quiet = quiet and not any_lane(better)
        if quiet:
            break
    empty = size < ALL_ZERO
    for i in range(n):
        levels[at + i] = select(empty, F32(0.0), levels[at + i] + F32(top))
    return select(empty | ~(sum_l2 > 0.0), F32(0.0), sum_xl / sum_l2)


@inlined
def fit_positive_scale(x: Any, at: int, weight: Any, n: int, top: int, levels: Any, levels_at: int) -> Any:
    """Fit ``x = scale * level`` with levels 0 to ``top`` to numbers that should not be negative; returns the scale.

    Picks the best of nine cuts by weighted squared error, then moves one level at a time as ``refine_scale`` does.
    Leaves the levels at ``levels[levels_at]``, uint8 lanes: a negative number's wraps around, as it does upstream.
    """
    most = zero_of(x)
    for i in range(at, at + n):
        most = maximum(most, x[i])
    cut = F32(top) / most
    best = zero_of(x)
    best_cut = cut
    for turn in range(9):
        k = 0 if turn == 0 else turn - 5 + (turn > 4)  # 0 first, then -4 to -1 and 1 to 4
        cut = F32(F32(F32(0.1) * F32(k)) + F32(top)) / most
        scale = F32(1.0) / cut
        error = zero_of(x)
        for i in range(n):
            q = nearest_int(cut * x[at + i])
            q = (q & 255) if turn == 0 else minimum(q, top)
            off = x[at + i] - scale * as_type(q, np.float32)
            error = error + (weight[i] * off) * off
        if turn == 0:
            best = error
        better = error < best
        best = select(better, error, best)
        best_cut = select(better, cut, best_cut)

    sum_xl, sum_l2 = zero_of(x), zero_of(x)
    for i in range(n):
        q = minimum(nearest_int(best_cut * x[at + i]), top)
        levels[levels_at + i] = as_type(q, np.uint8)
        sum_xl = sum_xl + (weight[i] * x[at + i]) * as_type(q, np.float32)
        sum_l2 = sum_l2 + (weight[i] * as_type(q, np.float32)) * as_type(q, np.float32)
    for _ in range(5):
        changed = sum_l2 < sum_l2  # in no lane
        for i in range(n):
            v, w = x[at + i], weight[i]
            q = as_type(levels[levels_at + i], np.float32)
            other_xl = sum_xl - (w * v) * q
            other_l2 = sum_l2 - (w * q) * q
            target = minimum(nearest_int(v * other_l2 / other_xl), top)
            moved = as_type(target, np.float32)
            new_xl = other_xl + (w * v) * moved
            new_l2 = other_l2 + (w * moved) * moved
            better = (
                (other_xl > 0.0)
                & (other_l2 > 0.0)
                & (moved != q)
                & ((new_xl * new_xl) * sum_l2 > (sum_xl * sum_xl) * new_l2)
            )
            levels[levels_at + i] = select(better, as_type(target, np.uint8), levels[levels_at + i])
            sum_xl = select(better, new_xl, sum_xl)
            sum_l2 = select(better, new_l2, sum_l2)
            changed = changed | better
        if not any_lane(changed):
            break
    empty = most < ALL_ZERO
    for i in range(levels_at, levels_at + n):
        levels[i] = select(empty, np.uint8(0), levels[i])
    return select(empty | ~(sum_l2 > 0.0), F32(0.0), sum_xl / sum_l2)
