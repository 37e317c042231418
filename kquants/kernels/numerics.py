"""Roundings and number formats in lanes, to the last bit of ggml's scalar code and without any processor's help.

Source of the facts: ``nearest_int`` in ggml-quants.c, the half-precision and bfloat16 conversions in ggml-impl.h.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import inlined
from .lanes import (
    HALF,
    ROUND,
    any_lane,
    as_bits,
    as_float,
    as_type,
    fill,
    from_half,
    lane,
    maximum,
    minimum,
    peek,
    rounded,
    select,
    to_half,
)

# 1.5 * 2**23: adding it leaves the nearest integer in the low bits of a float32.
_MAGIC = np.float32(12582912.0)
SIGN = np.int32(-(2**31))
F32 = np.float32

INSIDE, NOT_BELOW, NEAR, ANYWHERE = 0, 1, 2, 3
"""Where numbers that become levels are: all nearest to integers of the range; none to one below it, and in
``level_within``'s reach; in its reach; unknown."""
_FAR = F32(2.0**21)
"""Numbers below this are in that reach."""


@inlined
def nearest_int(x: Any) -> Any:
    """The nearest integer, ties to even, as int32 lanes.

    Beyond 2**22 it is what upstream's bit trick leaves: some integer from -2**22 to 2**22 - 1, and 0 for NaN.
    """
    return (as_bits(x + _MAGIC) & 0x7FFFFF) - 0x400000


@inlined
def level(x: Any, lowest: int, highest: int) -> Any:
    """``nearest_int(x)`` held between two integers, as float32 lanes."""
    bits = as_bits(x + _MAGIC) & 0x7FFFFF
    bits = select(bits < lowest + 0x400000, lowest + 0x400000, bits)
    bits = select(bits > highest + 0x400000, highest + 0x400000, bits)
    return as_float(bits | 0x4B000000) - _MAGIC


@inlined
def nearest(x: Any) -> Any:
    """The nearest integer, ties to even, as float32 lanes, for lanes within 2**22; a zero may have either sign."""
    return rounded(x) if ROUND else (x + _MAGIC) - _MAGIC


@inlined
def level_within(x: Any, lowest: int, highest: int) -> Any:
    """As ``level``, in fewer instructions, for lanes known to lie within 2**22; a zero may have either sign."""
    # Just below the lowest level, because comparing with zero takes an instruction more.
    return nearest(minimum(maximum(x, F32(lowest) - F32(0.25)), highest))


@inlined
def are_near(one: Any, other: Any) -> bool:
    """Whether, in every lane, all numbers between two are in ``level_within``'s reach."""
    return not any_lane(~((abs(one) < _FAR) & (abs(other) < _FAR)))


@inlined
def level_by(where: int, x: Any, lowest: int, highest: int) -> Any:
    """As ``level``, for lanes that are INSIDE the range between two integers, NOT_BELOW it, NEAR or ANYWHERE."""
    if where == INSIDE:
        return nearest(x)
    if where == NOT_BELOW:
        return nearest(minimum(x, highest))
    return level_within(x, lowest, highest) if where == NEAR else level(x, lowest, highest)


@inlined
def round_half_away(x: Any) -> Any:
    """C's ``roundf`` for lanes of magnitude below 2**22: the nearest integer, ties away from zero, as int32 lanes.

    Adds the float before one half and cuts: only a true half or more reaches the next integer.
    """
    almost_half = as_float((as_bits(x) & SIGN) | 0x3EFFFFFF)
    return as_type(x + almost_half, np.int32)


@inlined
def half_bits(x: Any) -> Any:
    """float32 lanes to the bits of the nearest float16, ties to even, as int32 lanes; NaN becomes 0x7E00 with its sign.

    Scaling up by 2**112 and down by 2**110 makes what overflows infinite; adding a power of two that depends on the
    exponent then rounds at the float16's last place, subnormal or not.
    """
    if HALF:
        return select(abs(x) == abs(x), as_type(to_half(x), np.int32), 0x7E00 | ((as_bits(x) >> 16) & 0x8000))
    bits = as_bits(x)
    magnitude = bits & 0x7FFFFFFF
    scaled = (abs(x) * np.float32(2.0**112)) * np.float32(2.0**-110)
    exponent = magnitude & 0x7F800000
    exponent = select(exponent < 0x38800000, 0x38800000, exponent)
    rounded = as_bits(as_float(exponent + 0x07800000) + scaled)
    half = ((rounded >> 13) & 0x7C00) + (rounded & 0xFFF)
    half = select(magnitude > 0x7F800000, 0x7E00, half)
    return half | ((bits >> 16) & 0x8000)


@inlined
def half_value(half: Any) -> Any:
    """The bits of float16 numbers, in lanes of 16 or 32 bits, to float32 lanes."""
    if HALF:
        return from_half(as_type(half, np.uint16))
    half = as_type(half, np.int32)
    magnitude = half & 0x7FFF
    normal = as_float((magnitude << 13) + 0x70000000) * np.float32(2.0**-112)
    subnormal = as_float(magnitude | 0x3F000000) - np.float32(0.5)
    value = as_bits(select(magnitude < 0x0400, subnormal, normal))
    return as_float(value | ((half & 0x8000) << 16))


@inlined
def half_at(blocks: Any, block: int, byte: int) -> Any:
    """The float16 at a byte of a block, as a float32 scalar."""
    return lane(half_value(fill(1, peek(blocks, block, byte, np.uint16))), 0)


@inlined
def half_of(x: Any) -> Any:
    """The nearest float16 of a float32 scalar, as the integer of its bits."""
    return np.uint16(lane(half_bits(fill(1, x)), 0))


@inlined
def brain_bits(x: Any) -> Any:
    """float32 lanes to the bits of the nearest bfloat16, ties to even, as int32 lanes; NaN is made quiet."""
    bits = as_bits(x)
    rounded = (bits + (((bits >> 16) & 1) + 0x7FFF)) >> 16
    return select((bits & 0x7FFFFFFF) > 0x7F800000, (bits >> 16) | 64, rounded)


@inlined
def brain_value(brain: Any) -> Any:
    """The bits of bfloat16 numbers, in lanes of 16 or 32 bits, to float32 lanes."""
    return as_float(as_type(brain, np.int32) << 16)
