"""The search that the encoders of IQ2 and IQ3 share: one scale and a codeword for every 8 or 4 weights of a sub-block.

Every lane is one block's sub-block. A scale turns its weights into levels; levels that are no codeword give way to
the nearest of the codewords listed for them (``nearest``). The scale that explains the weights best is kept, fitted by
least squares, and its levels are rounded once more.

Source of the facts: ``quantize_row_iq2_xs_impl`` and its four relatives in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import array_in, array_out, inlined
from .lanes import (
    LANES,
    any_lane,
    as_type,
    bit_mask,
    fill,
    load,
    mask_bits,
    maximum,
    minimum,
    select,
    size_of,
    sqrt,
    store,
    workspace,
)
from .nearest import find_nearest_of_4, find_nearest_of_8
from .numerics import half_bits, level, nearest_int

F32 = np.float32
SEARCH = (
    array_in("float32"),
    array_in("float32"),
    array_out("uint8"),
    array_in("int32", 1),
    array_in("int32", 1),
    array_in("int32"),
    array_in("uint16"),
    array_in("int32"),
)
"""``_encode(x, importance, out, *neighbours)``: float32[n, 256], float32[blocks of a row, 256], uint8[n, bytes].

An importance without rows stands for none.
"""

GROUPS = 8
"""The most codewords that a sub-block has."""

BROKEN_GROUPS, BROKEN_WHOLE, EVERY_GROUP = range(3)
"""What is rounded once more: groups whose levels were no codeword; all of a sub-block that has one; all always."""

SETTLED = F32(0.499)
"""How far from its level a weight may lie so that no rounding can make the next level seem as near."""


@inlined
def largest_of(mag: Any) -> Any:
    """The largest magnitude of a sub-block."""
    largest = mag[0]
    for i in range(1, size_of(mag)):
        largest = maximum(largest, mag[i])
    return largest


@inlined
def fit_codewords(fit: Any, peak: Any, scale: Any, reach: int, step: Any, alive: Any, again: int, codes: Any) -> Any:
    """The scale of a sub-block and its codes, in the lanes with a bit in ``alive``; see ``scan_scales``.

    Starts from ``scale`` and the lowest levels. ``again`` says what is rounded once more to the scale that was found.
    """
    mag, weight, root, _, width, _ = fit
    for i in range(size_of(mag)):
        root[i] = sqrt(weight[i])
    codes[:] = 0 if width == 8 else 0x1111
    broken = workspace(1, GROUPS, np.uint64)[0, : codes.shape[0]]
    broken[:] = np.uint64(0) if again == BROKEN_GROUPS else alive
    scale = scan_scales(fit, peak, scale, reach, step, alive, codes, broken)
    some = np.uint64(0)
    for bits in broken:
        some |= bits
    if again == EVERY_GROUP:
        some = alive
    positive = mask_bits(scale > F32(0)) & alive
    for g in range(len(broken)):
        broken[g] = (broken[g] if again == BROKEN_GROUPS else some) & positive
    return refine(fit, scale, broken, codes)


@inlined
def round_scales(scales: Any, top: int, most: int, factor: Any, small: Any) -> Any:
    """Round the sub-blocks' scales to odd numbers 1 to ``top`` of a common unit, whose float16 bits are returned.

    Sets ``small`` to the numbers' halves, 0 to ``most``; ``factor`` is what the written unit is larger by.
    """
    largest = fill(LANES, F32(0))
    for j in range(size_of(scales)):
        largest = maximum(largest, scales[j])
    unit = largest / F32(top)
    inverse = F32(1) / unit
    some = largest != F32(0)
    for j in range(size_of(scales)):
        half = nearest_int(F32(0.5) * (inverse * scales[j] - F32(1)))
        half = minimum(maximum(half, np.int32(0)), np.int32(most))
        small[j] = select(some, half, np.int32(0))
    return select(some, half_bits(unit * factor), np.int32(0))


@inlined
def clear_empty(packed: Any, scales: Any) -> None:
    """Zero the blocks of which no sub-block has a scale."""
    some = scales[0] != F32(0)
    for j in range(1, size_of(scales)):
        some = some | (scales[j] != F32(0))
    for i in range(size_of(packed)):
        packed[i] = select(some, packed[i], np.uint8(0))


@inlined
def scan_scales(fit: Any, peak: Any, scale: Any, reach: int, step: Any, alive: Any, codes: Any, off: Any) -> Any:
    """The best of the scales that put ``peak`` at the top odd number plus ``step`` times -reach to reach.

    ``fit`` is (magnitudes, weights, their square roots, tables of ``grids``, weights in a codeword, top level). Leaves
    the groups' codes in ``codes`` and, in ``off[g]``, a bit for each lane whose group g was no codeword. Lanes where
    nothing is better than nothing keep ``scale``, codes and bits. Only lanes with a bit in ``alive`` matter.
    """
    _, _, _, _, _, top = fit
    trial, trial_off = workspace(GROUPS, LANES, np.int32)[: len(off)], workspace(1, GROUPS, np.uint64)[0, : len(off)]
    best = fill(LANES, F32(0))
    for k in range(-reach, reach + 1):
        inverse = F32(F32(2 * top + 1) + F32(F32(k) * step)) / peak
        round_groups(fit, inverse, F32(1) / inverse, alive, trial, trial_off)
        along, square = products(fit, trial)
        better = (square > F32(0)) & (along * along > best * square)
        if any_lane(better):
            scale = select(better, along / square, scale)
            best = select(better, scale * along, best)
            chosen = mask_bits(better)
            for g in range(len(off)):
                store(codes, g, 0, select(better, load(trial, g, 0, LANES), load(codes, g, 0, LANES)))
                off[g] = (trial_off[g] & chosen) | (off[g] & ~chosen)
    return scale


@inlined
def refine(fit: Any, scale: Any, again: Any, codes: Any) -> Any:
    """Round group g again, to ``scale``, in the lanes with a bit in ``again[g]``; the least-squares scale of all."""
    touched = np.uint64(0)
    for bits in again:
        touched |= bits
    if touched != 0:
        trial, off = workspace(GROUPS, LANES, np.int32)[: len(again)], workspace(1, GROUPS, np.uint64)[0, : len(again)]
        round_groups(fit, F32(1) / scale, scale, touched, trial, off)
        for g in range(len(again)):
            mask = bit_mask(again[g], LANES)
            store(codes, g, 0, select(mask, load(trial, g, 0, LANES), load(codes, g, 0, LANES)))
        along, square = products(fit, codes)
        scale = select(bit_mask(touched, LANES) & (square > F32(0)), along / square, scale)
    return scale


@inlined
def products(fit: Any, codes: Any) -> Any:
    """The weighted sums, over the sub-block, of magnitude times odd number and of the odd number's square."""
    mag, weight, _, _, width, _ = fit
    along = fill(LANES, F32(0))
    square = along
    for g in range(codes.shape[0]):
        code = load(codes, g, 0, LANES)
        for i in range(width):
            q = odd_digit(code, i, width)
            w = weight[width * g + i]
            along = along + w * mag[width * g + i] * q
            square = square + w * q * q
    return along, square


@inlined
def odd_digit(code: Any, i: int, width: int) -> Any:
    """Digit i of codes as the odd number it stands for, float32 lanes."""
    digit = as_type((code >> (16 // width * i)) & (2 ** (16 // width) - 1), np.float32)
    return digit * F32(2) + F32(1) if width == 8 else digit


@inlined
def round_groups(fit: Any, inverse: Any, scale: Any, alive: Any, codes: Any, off: Any) -> None:
    """Round every group of ``width`` magnitudes to a codeword, for a scale and its inverse.

    Sets ``codes[g]`` and, in ``off[g]``, a bit for each lane of ``alive`` where the levels were no codeword.
    """
    mag, _, _, _, width, top = fit
    known = inverse < F32(1e30)
    for g in range(len(off)):
        code = fill(LANES, F32(0))
        worst = code
        for i in range(width - 1, -1, -1):
            v = F32(0.5) * (inverse * mag[width * g + i] - F32(1))
            rounded = level(v, 0, top)
            worst = maximum(abs(minimum(maximum(v, F32(0)), F32(top)) - rounded), worst)
            digit = rounded if width == 8 else rounded * F32(2) + F32(1)
            code = code * F32(2 ** (16 // width)) + digit
        settled = (worst <= SETTLED) & known
        if width == 8:
            store(codes, g, 0, as_type(code, np.int32))
            off[g] = find_nearest_of_8(fit, g, scale, mask_bits(settled), alive, codes)
        else:
            off[g] = find_nearest_of_4(fit, g, as_type(code, np.int32), scale, settled, alive, codes)
