"""Find weights that are not numbers before they spoil the blocks they are in."""

from __future__ import annotations

from typing import Any

from ..jit import array_in, kernel
from .lanes import any_lane, as_bits, lane, load, maximum


@kernel((array_in("float32"),))
def first_not_finite(x: Any) -> int:
    """The flat index of the first NaN or infinity in float32[n, m], or -1."""
    size = x.size
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
