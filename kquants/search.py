"""The searches that K-quant encoders share, each named for what it fits to a sub-block's weights.

Every lane is one block's sub-block, and every lane adds in the order of the scalar algorithm, which fixes the result
to the last bit. Source of the facts: ``make_qkx2_quants`` and its relatives in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .jit import inlined
from .lanes import LANES, any_lane, as_type, fill, maximum, minimum, scratch, select, sqrt
from .numerics import half_bits, half_value, level, nearest_int
from .packing import put_half, put_scales_and_mins

F32 = np.float32


@inlined
def fit_scale_and_min(
    x: Any, at: int, weight: Any, n: int, top: int, first: Any, step: Any, steps: int, mad: bool
) -> Any:
    """Fit ``x = scale * level - min`` with levels 0 to ``top`` to the ``n`` weights at ``x[at]``.

    Starts from the levels that spread over the range of the weights, then tries ``steps + 1`` others, the range cut
    into ``top + first + step * k`` parts: the levels that gives are kept with their least-squares scale and min when
    the weighted error, squared or (``mad``) absolute, gets smaller. ``weight[0 : n]`` says how much an error counts.

    Returns scale, min and, for those who need the levels, the ``(cut, low)`` of ``level_of`` that made them.
    """
    low = x[at]
    high = low
    sum_w = weight[0]
    sum_x = sum_w * low
    for i in range(1, n):
        v = x[at + i]
        low = minimum(v, low)
        high = maximum(v, high)
        sum_w = sum_w + weight[i]
        sum_x = sum_x + weight[i] * v
    low = select(low > 0.0, F32(0.0), low)
    flat = high == low
    start = low

    nothing = fill(LANES, F32(0.0))
    cut = F32(top) / (high - low)
    scale = F32(1.0) / cut
    best = nothing
    for i in range(n):
        off = scale * level(cut * (x[at + i] - low), 0, top) + low - x[at + i]
        best = best + weight[i] * (abs(off) if mad else off * off)
    best_cut, best_low = cut, low

    levels = scratch(LANES, 32, np.float32)
    for k in range(steps + 1):
        cut = F32(F32(first + F32(step * F32(k))) + F32(top)) / (high - low)
        sum_l, sum_l2, sum_xl = nothing, nothing, nothing
        for i in range(n):
            v = x[at + i]
            q = level(cut * (v - low), 0, top)
            levels[i] = q
            wq = weight[i] * q
            sum_l = sum_l + wq
            sum_l2 = sum_l2 + wq * q
            sum_xl = sum_xl + wq * v
        determinant = sum_w * sum_l2 - sum_l * sum_l
        this_scale = (sum_w * sum_xl - sum_x * sum_l) / determinant
        this_low = (sum_l2 * sum_x - sum_l * sum_xl) / determinant
        above = this_low > 0.0
        this_scale = select(above, sum_xl / sum_l2, this_scale)
        this_low = select(above, F32(0.0), this_low)
        error = nothing
        for i in range(n):
            off = this_scale * levels[i] + this_low - x[at + i]
            error = error + weight[i] * (abs(off) if mad else off * off)
        better = (error < best) & (determinant > 0.0)
        if any_lane(better):
            best = select(better, error, best)
            best_cut = select(better, cut, best_cut)
            best_low = select(better, low, best_low)
            scale = select(better, this_scale, scale)
            low = select(better, this_low, low)
    scale = select(flat, F32(0.0), scale)
    low = select(flat, start, low)
    best_cut = select(flat, F32(0.0), best_cut)
    return scale, -low, best_cut, best_low


@inlined
def typical_weight(x: Any, at: int, weight: Any) -> None:
    """How much an error counts without an importance matrix: the size plus the sub-block's root mean square."""
    sum_x2 = x[at] * x[at]
    for i in range(1, 32):
        sum_x2 = sum_x2 + x[at + i] * x[at + i]
    typical = sqrt(sum_x2 / 32.0)
    for i in range(32):
        weight[i] = typical + abs(x[at + i])


@inlined
def round_scales_and_mins(fits: Any, packed: Any) -> None:
    """Round the eight scales ``fits[0:8]`` and mins ``fits[8:16]`` to 6 bits against the largest and pack 16 bytes.

    What the decoder will see, ``d * scale`` and ``dmin * min``, takes the place of what was fitted.
    """
    small = scratch(LANES, 16, np.uint8)
    for kind in range(2):
        most = fill(LANES, F32(0.0))
        for j in range(8):
            most = maximum(fits[8 * kind + j], most)
        inverse = select(most > 0.0, 63.0 / most, F32(0.0))
        unit = half_bits(most / 63.0)
        put_half(packed, 2 * kind, unit)
        for j in range(8):
            q = minimum(nearest_int(inverse * fits[8 * kind + j]) & 255, 63)
            small[8 * kind + j] = as_type(q, np.uint8)
            fits[8 * kind + j] = half_value(unit) * as_type(q, np.float32)
    put_scales_and_mins(packed, 4, small)


@inlined
def quantize_with_mins(x: Any, fits: Any, levels: Any, size: int, top: int) -> None:
    """The final levels of 256 weights in sub-blocks of ``size`` for the scales and mins as the decoder will see them.

    ``fits`` holds the scale, the min, the cut and the low of each sub-block, kind by kind. A sub-block whose scale was
    rounded to zero keeps the levels its search found, as upstream leaves them.
    """
    count = 256 // size
    for j in range(count):
        scale, least = fits[j], fits[count + j]
        for i in range(size * j, size * j + size):
            levels[i] = as_type(level((x[i] + least) / scale, 0, top), np.uint8)
        lost = scale == 0.0
        if any_lane(lost):
            cut, low = fits[2 * count + j], fits[3 * count + j]
            for i in range(size * j, size * j + size):
                levels[i] = select(lost, as_type(level(cut * (x[i] - low), 0, top), np.uint8), levels[i])
