"""Signs kept apart from magnitudes, as IQ2 and IQ3 keep them: one bit a weight, a byte for 8 weights.

Source of the facts: ``ksigns_iq2xs`` and ``kmask_iq2xs`` in ggml-common.h.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import inlined
from .lanes import LANES, as_type, fill, indices, select, size_of

F32 = np.float32


@inlined
def is_odd(signs: Any) -> Any:
    """1 where the number of minus signs in a byte is odd, else 0."""
    odd = signs ^ (signs >> 4)
    odd = odd ^ (odd >> 2)
    return (odd ^ (odd >> 1)) & 1


@inlined
def with_parity(signs: Any) -> Any:
    """The sign byte of 7 stored bits: the eighth makes the number of minus signs even."""
    return signs | is_odd(signs) << 7


@inlined
def signed(values: Any, signs: Any) -> Any:
    """Eight float32 lanes, negated where ``signs`` has the lane's bit.

    Multiplies, because ggml does: changing the sign of a NaN would show in its bits.
    """
    minus = (fill(8, np.int32(signs)) >> indices(8)) & 1
    return values * select(minus != 0, fill(8, F32(-1)), F32(1))


@inlined
def split_signs(xs: Any, at: int, weight: Any, even: bool, mag: Any, signs: Any) -> None:
    """Split the weights from ``xs[at]`` on into magnitudes and a sign byte for each group of 8, int32 lanes.

    Where signs have to be ``even``, a group with an odd number of them takes the wrong sign for the weight that
    matters least, whose magnitude becomes negative, and the byte keeps 7 bits.
    """
    for g in range(size_of(signs)):
        bits = fill(LANES, np.int32(0))
        least, flip = fill(LANES, F32(0)), fill(LANES, np.int32(1))
        for i in range(8):
            x = xs[at + 8 * g + i]
            plus = x >= F32(0)
            mag[8 * g + i] = select(plus, x, -x)
            bits = bits | (as_type(~plus, np.int32) << i)
            matters = weight[8 * g + i] * x * x
            if i == 0:
                least = matters
            else:
                less = matters < least
                least = select(less, matters, least)
                flip = select(less, np.int32(1 << i), flip)
        if even:
            flip = select(is_odd(bits) != 0, flip, np.int32(0))
            for i in range(8):
                magnitude = mag[8 * g + i]
                mag[8 * g + i] = select((flip & np.int32(1 << i)) != 0, -magnitude, magnitude)
            bits = (bits ^ flip) & 127
        signs[g] = bits
