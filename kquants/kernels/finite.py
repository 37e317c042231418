"""Find weights that are not numbers before they spoil the blocks they are in, and round on the way."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import array_in, array_out, inlined, kernel, number
from .lanes import any_lane, as_bits, lane, load, load_as, maximum, peek, store
from .numerics import half_bits, half_value


@inlined
def find_not_finite(x: Any, size: int) -> int:
    """The index of the first NaN or infinity among the first ``size`` numbers of float32[n, m], or -1."""
    at = 0
    while at + 128 <= size:
        # Infinity and NaN are the numbers whose magnitude, read as an integer, is the largest.
        most = as_bits(load(x, 0, at, 32)) & 0x7FFFFFFF
        for i in range(32, 128, 32):
            most = maximum(as_bits(load(x, 0, at + i, 32)) & 0x7FFFFFFF, most)
        if any_lane(most >= 0x7F800000):
            break
        at += 128
    while at < size:
        if (lane(as_bits(load(x, 0, at, 1)), 0) & 0x7FFFFFFF) >= 0x7F800000:
            return at
        at += 1
    return -1


@kernel((array_in("float32"),))
def first_not_finite(x: Any) -> int:
    """The flat index of the first NaN or infinity in float32[n, m], or -1."""
    return find_not_finite(x, x.size)


@kernel((array_in("uint8"), number("int64")))
def first_not_finite_half(halves: Any, exponent: int) -> int:
    """The index of the first NaN or infinity among the two-byte numbers in uint8[n, 2 * m], or -1.

    ``exponent`` has the bits that are all set in those and in no other: 0x7C00 for float16, 0x7F80 for bfloat16.
    """
    size = halves.size // 2
    bits = np.uint16(exponent)
    at = 0
    while at + 128 <= size:
        most = load_as(halves, 0, 2 * at, 64, np.uint16) & bits
        most = maximum(load_as(halves, 0, 2 * at + 128, 64, np.uint16) & bits, most)
        if any_lane(most >= bits):
            break
        at += 128
    while at < size:
        if peek(halves, 0, 2 * at, np.uint16) & bits == bits:
            return at
        at += 1
    return -1


@inlined
def round_to_half_in(x: Any, size: int) -> int:
    """Round the first ``size`` numbers as ``round_to_half`` does all."""
    found = -1
    at = 0
    while at + 32 <= size:
        rounded = half_value(half_bits(load(x, 0, at, 32)))
        store(x, 0, at, rounded)
        if found < 0 and any_lane((as_bits(rounded) & 0x7FFFFFFF) >= 0x7F800000):
            found = at
        at += 32
    while at < size:
        store(x, 0, at, half_value(half_bits(load(x, 0, at, 1))))
        at += 1
    at = found if found >= 0 else size & -32
    while at < size:
        if (lane(as_bits(load(x, 0, at, 1)), 0) & 0x7FFFFFFF) >= 0x7F800000:
            return at
        at += 1
    return -1


@kernel((array_out("float32"),))
def round_to_half(x: Any) -> int:
    """Round float32[n, m] to the nearest float16 numbers, in place; the index of the first NaN or infinity, or -1."""
    return round_to_half_in(x, x.size)
