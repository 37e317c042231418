"""What the K-quants do alike with the sub-blocks of a super-block of 256 weights.

In every function ``x`` holds the 256 weights of each lane's super-block. Sub-blocks have ``size`` weights, so there are
``count = 256 // size``. A scratch named ``fits`` holds, kind by kind, ``count`` scales, mins, cuts and lows: what
``search_min.fit_scale_and_min`` returns; or scales and cuts, what ``search.fit_scale`` does.

Source of the facts: the ``quantize_row_q*_K_ref`` and ``quantize_row_q*_K_impl`` functions in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import inlined
from .importance import sum_of_squares, weigh
from .lanes import any_lane, as_type, maximum, minimum, scratch_like, select, sqrt, zero_of
from .numerics import half_bits, half_value, level, nearest_int
from .packing import get_scales_and_mins, put_half, put_scales_and_mins
from .search import fit_positive_scale
from .search_min import fit_scale_and_min

F32 = np.float32


@inlined
def fit_sub_blocks(x: Any, top: int, first: Any, step: Any, steps: int, fits: Any) -> None:
    """Scale and min of each 32 weights, where an error counts by the weight's size plus their root mean square."""
    weight = scratch_like(x, 32)
    for j in range(8):
        typical = sqrt(sum_of_squares(x, 32 * j, 32) / 32.0)
        for i in range(32):
            weight[i] = typical + abs(x[32 * j + i])
        fits[j], fits[8 + j], fits[16 + j], fits[24 + j] = fit_scale_and_min(
            x, 32 * j, weight, 32, top, first, step, steps, False
        )


@inlined
def fit_sub_blocks_weighted(x: Any, importance: Any, square: Any, size: int, top: int, fits: Any, sums: Any) -> None:
    """Scale and min of each sub-block, where an error counts as ``weigh`` says; ``sums`` receives the weights' sums."""
    weight = scratch_like(x, 32)
    count = 256 // size
    for j in range(count):
        sums[j] = weigh(x, size * j, importance, size * j, square, size, weight)
        fits[j], fits[count + j], fits[2 * count + j], fits[3 * count + j] = fit_scale_and_min(
            x, size * j, weight, size, top, F32(-0.9), F32(0.05), 36, False
        )


@inlined
def largest_fit(fits: Any, at: int, n: int) -> Any:
    """The largest of ``n`` scales or mins, at least 0."""
    most = zero_of(fits)
    for i in range(at, at + n):
        most = maximum(fits[i], most)
    return most


@inlined
def round_scales_and_mins(fits: Any, packed: Any) -> None:
    """Round eight scales and mins to 6 bits, the largest to 63; put the first 16 bytes and what they will decode to."""
    small = scratch_like(packed, 16)
    for kind in range(2):
        most = largest_fit(fits, 8 * kind, 8)
        inverse = select(most > 0.0, 63.0 / most, F32(0.0))
        put_half(packed, 2 * kind, half_bits(most / 63.0))
        for j in range(8 * kind, 8 * kind + 8):
            small[j] = as_type(minimum(nearest_int(inverse * fits[j]) & 255, 63), np.uint8)
    _see_scales_and_mins(fits, packed, small)


@inlined
def fit_scales_and_mins(fits: Any, sums: Any, packed: Any, most: int) -> None:
    """Fit eight scales and mins to 6 bits, each as important as its sub-block, else like ``round_scales_and_mins``.

    A negative one has wrapped around in its byte; upstream holds that to 63 for Q5_K and not (``most`` 255) for Q4_K.
    """
    small = scratch_like(packed, 16)
    for kind in range(2):
        unit = fit_positive_scale(fits, 8 * kind, sums, 8, 63, small, 8 * kind)
        put_half(packed, 2 * kind, half_bits(unit))
    for j in range(16):
        small[j] = minimum(small[j], most)
    _see_scales_and_mins(fits, packed, small)


@inlined
def _see_scales_and_mins(fits: Any, packed: Any, small: Any) -> None:
    """Pack 6-bit scales and mins; what was fitted gives way to what the decoder will see, ``d`` times the small one."""
    put_scales_and_mins(packed, 4, small)
    get_scales_and_mins(packed, 4, fits)
    for kind in range(2):
        unit = seen_half(packed, 2 * kind)
        for j in range(8 * kind, 8 * kind + 8):
            fits[j] = unit * fits[j]


@inlined
def seen_half(packed: Any, at: int) -> Any:
    """The float16 put at bytes ``at`` and ``at + 1``, as float32 lanes."""
    return half_value(as_type(packed[at], np.int32) | (as_type(packed[at + 1], np.int32) << 8))


@inlined
def quantize_with_mins(x: Any, fits: Any, size: int, top: int, levels: Any) -> None:
    """The levels, uint8 lanes, for scales and mins as the decoder will see them.

    A sub-block whose scale was rounded to zero keeps the levels of its search, as upstream leaves them.
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


@inlined
def quantize_without_mins(x: Any, at: int, scale: Any, top: int, levels: Any) -> Any:
    """The levels plus ``top``, uint8 lanes, of the 16 weights at ``at`` for the scale that the decoder will see.

    Returns the lanes where that is zero, in which upstream leaves the levels of the search: see ``keep_searched``.
    """
    for i in range(at, at + 16):
        levels[i] = as_type(level(x[i] / scale, -top, top - 1) + F32(top), np.uint8)
    return scale == 0.0


@inlined
def keep_searched(x: Any, at: int, cut: Any, top: int, lost: Any, levels: Any) -> None:
    """In the lanes that are lost, 16 levels as ``search.fit_scale`` cut them."""
    for i in range(at, at + 16):
        levels[i] = select(lost, searched(x[i], cut, top), levels[i])


@inlined
def searched(x: Any, cut: Any, top: int) -> Any:
    """The level plus ``top``, uint8, that ``search.fit_scale`` cut a number into; 0 where it found nothing to fit."""
    return select(cut != cut, np.uint8(0), as_type(level(cut * x, -top, top - 1) + F32(top), np.uint8))
