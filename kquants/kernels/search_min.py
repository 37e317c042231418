"""The search for a scale and a min: ``x = scale * level - min``, in the order of the scalar algorithm.

Every lane is one block. ``x`` and ``weight`` are scratches of float32 lanes, ``at`` is where the sub-block's ``n``
numbers start.

Source of the facts: ``make_qkx2_quants`` and ``make_qkx3_quants`` (the same fit) in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import forced, inlined
from .lanes import any_lane, maximum, minimum, opaque, scratch_like, select, zero_of
from .numerics import ANYWHERE, INSIDE, NEAR, NOT_BELOW, are_near, level_by

F32 = np.float32

TINY = F32(1e-30)
"""A cut above this has cut a range that is a number, and not beyond 1e32."""


@inlined
def fit_scale_and_min(
    x: Any, at: int, weight: Any, n: int, top: int, first: Any, step: Any, steps: int, mad: bool
) -> Any:
    """Fit ``x = scale * level - min`` with levels 0 to ``top`` and min not below 0.

    Starts from the levels that spread over the range of the numbers, then tries ``steps + 1`` others, the range cut
    into ``top + first + step * k`` parts: those levels are kept, with their least-squares scale and min, when the
    error gets smaller: squared or (``mad``) absolute, and ``weight[i]`` times as bad at number i.

    Returns scale, min and the cut and low of the levels: ``level(cut * (x - low), 0, top)``.
    """
    least = x[at]
    high = least
    sum_w = weight[0]
    sum_x = sum_w * least
    for i in range(1, n):
        v = x[at + i]
        least = minimum(v, least)
        high = maximum(v, high)
        sum_w = sum_w + weight[i]
        sum_x = sum_x + weight[i] * v
    low = select(least > 0.0, F32(0.0), least)
    flat = high == low
    flat_low = low

    levels = scratch_like(x, 32)
    cut = select(flat, F32(0.0), F32(top) / (high - low))
    scale = F32(1.0) / cut
    if are_near(cut * (least - low), cut * (high - low)):
        _put_levels(x, at, n, top, cut, low, levels, NEAR)
    else:
        _put_levels(x, at, n, top, cut, low, levels, ANYWHERE)
    best = _error(x, at, weight, n, scale, low, levels, mad)
    best_cut, best_low = cut, low
    for k in range(steps + 1):
        parts = F32(F32(first + F32(step * F32(k))) + F32(top))
        cut = select(flat, F32(0.0), parts / (high - low))
        sum_l, sum_l2, sum_xl = _cut_levels(x, at, weight, n, top, parts, cut, low, least, high, levels)
        determinant = sum_w * sum_l2 - sum_l * sum_l
        this_scale = (sum_w * sum_xl - sum_x * sum_l) / determinant
        this_low = (sum_l2 * sum_x - sum_l * sum_xl) / determinant
        above = this_low > 0.0
        if any_lane(above):  # seldom
            this_scale = select(above, sum_xl / sum_l2, this_scale)
            this_low = select(above, F32(0.0), this_low)
        error = _error(x, at, weight, n, this_scale, this_low, levels, mad)
        # No branch on whether any lane does better: it would be mispredicted more than it would save.
        better = (error < best) & (determinant > 0.0)
        best = select(better, error, best)
        best_cut = select(better, cut, best_cut)
        best_low = select(better, low, best_low)
        scale = select(better, this_scale, scale)
        low = select(better, this_low, low)
    return select(flat, F32(0.0), scale), -select(flat, flat_low, low), best_cut, best_low


@forced
def _cut_levels(
    x: Any,
    at: int,
    weight: Any,
    n: int,
    top: int,
    parts: Any,
    cut: Any,
    low: Any,
    least: Any,
    high: Any,
    levels: Any,
) -> Any:
    """The levels of a cut, and their weighted sums: of levels, of their squares, of their products with the numbers."""
    first = cut * (least - low)
    # The last number is ``parts`` away from low, as far as the range between them is a plain number; that is seen in
    # the cut, and looking at the smaller of two numbers costs less than at each.
    if not any_lane(~(minimum(cut, first + F32(0.5)) > TINY)):
        if parts < F32(top) + F32(0.49):
            return _sum_levels(x, at, weight, n, top, cut, low, levels, INSIDE)
        return _sum_levels(x, at, weight, n, top, cut, low, levels, NOT_BELOW)
    if are_near(first, cut * (high - low)):
        return _sum_levels(x, at, weight, n, top, cut, low, levels, NEAR)
    return _sum_levels(x, at, weight, n, top, cut, low, levels, ANYWHERE)


@forced
def _sum_levels(x: Any, at: int, weight: Any, n: int, top: int, cut: Any, low: Any, levels: Any, where: int) -> Any:
    _put_levels(x, at, n, top, cut, low, levels, where)
    sum_l = weight[0] * levels[0]
    sum_l2 = sum_l * levels[0]
    sum_xl = sum_l * x[at]
    for i in range(1, n):
        q = levels[i]
        wq = weight[i] * q
        sum_l = sum_l + wq
        sum_l2 = sum_l2 + wq * q
        sum_xl = sum_xl + wq * x[at + i]
    return sum_l, sum_l2, sum_xl


@forced
def _put_levels(x: Any, at: int, n: int, top: int, cut: Any, low: Any, levels: Any, where: int) -> None:
    """The levels of ``n`` numbers, a multiple of eight, that are ``where`` (see ``level_by``); zeros of either sign."""
    minus_cut = -cut  # turned around, for an instruction takes from memory what it subtracts
    # Eight at a time: if all were spelled out, LLVM would keep them in registers for the sums, and there are too few.
    for eight in range(opaque(n // 8)):
        for i in range(8 * eight, 8 * eight + 8):
            levels[i] = level_by(where, minus_cut * (low - x[at + i]), 0, top)


@forced
def _error(x: Any, at: int, weight: Any, n: int, scale: Any, low: Any, levels: Any, mad: bool) -> Any:
    error = zero_of(x)
    # Spelled out, the sum of one half of the lanes comes after that of the other, and each waits for itself.
    for i in range(opaque(n) if n == 16 else n):
        off = scale * levels[i] + low - x[at + i]
        error = error + weight[i] * (abs(off) if mad else off * off)
    return error
