"""What the encoders share that pass once over a block: its extremes, the reciprocal of a scale, cutting to integers.

Source of the facts: the ``quantize_row_*_ref`` functions in ggml-quants.c, and, where C leaves a
conversion undefined, what x86-64 does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import inlined
from .lanes import as_bits, as_type, largest_lane, load, lowest_bit, mask_bits, maximum, select, smallest_lane
from .numerics import round_half_away

F32 = np.float32


@inlined
def signed_peak(x: Any, block: int, v: Any) -> Any:
    """Of ``v``, loaded from ``x[block, 0:]``, the weight farthest from zero, of equals the first; 0 for zeros."""
    size = as_bits(v) & 0x7FFFFFFF  # as integers they compare as the floats do, and faster
    largest = largest_lane(size)
    return x[block, lowest_bit(mask_bits(size == largest))] if largest > 0 else F32(0)


@inlined
def peak(v: Any) -> Any:
    """The largest magnitude among lanes."""
    return largest_lane(abs(v))


@inlined
def peak_of_256(x: Any, block: int) -> Any:
    """The largest magnitude of 256 weights."""
    largest = abs(load(x, block, 0, 32))
    for i in range(32, 256, 32):
        largest = maximum(abs(load(x, block, i, 32)), largest)
    return largest_lane(largest)


@inlined
def least_and_most(x: Any, block: int, v: Any) -> Any:
    """The smallest and the largest weight of ``v``, loaded from ``x[block, 0:]``; of zeros the first, sign and all."""
    least = x[block, lowest_bit(mask_bits(v == smallest_lane(v)))]
    most = x[block, lowest_bit(mask_bits(v == largest_lane(v)))]
    return least, most


@inlined
def reciprocal(d: Any) -> Any:
    """1 / d, and 0 for 0. It is infinite for subnormals below 2**-128."""
    return F32(1) / d if d != 0 else F32(0)


@inlined
def or_zero(v: Any) -> Any:
    """Lanes that an integer can be made of: infinity and NaN, where C's conversion is undefined, become 0."""
    return select(abs(v) < 65536.0, v, F32(0))


@inlined
def trits(v: Any) -> Any:
    """Lanes of -1 to 1 rounded to -1, 0 or 1, as uint8 lanes 0, 1 and 2."""
    return as_type(round_half_away(or_zero(v)), np.uint8) + 1


@inlined
def plus_minimum(scaled: Any, minimum: Any) -> Any:
    """``scaled + minimum``, and ``scaled`` where that is NaN: of two NaNs the first has to win on every processor."""
    return select(scaled == scaled, scaled + minimum, scaled)


@inlined
def put_halves(packed: Any, at: int, levels: Any) -> None:
    """Pack the low four bits of 32 levels, lanes of bytes: byte i holds level i in its low, 16 + i in its high half."""
    for i in range(16):
        packed[at + i] = (levels[i] & 15) | (levels[16 + i] << 4)


@inlined
def put_fifth_bits(packed: Any, at: int, levels: Any) -> None:
    """Pack bit 4 of 32 levels, lanes of bytes, into four bytes: bit i of the little-endian number is level i's."""
    for byte in range(4):
        bits = (levels[8 * byte] >> 4) & 1
        for i in range(1, 8):
            bits = bits | (((levels[8 * byte + i] >> 4) & 1) << i)
        packed[at + byte] = bits
