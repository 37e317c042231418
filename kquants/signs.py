"""Signs kept apart from magnitudes, as IQ2 and IQ3 keep them: one bit a weight, a byte for 8 weights.

Source of the facts: ``ksigns_iq2xs`` and ``kmask_iq2xs`` in ggml-common.h.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .jit import inlined
from .lanes import as_type, fill, indices, select

F32 = np.float32


@inlined
def with_parity(signs: Any) -> Any:
    """The sign byte of 7 stored bits: the eighth makes the number of minus signs even."""
    odd = signs ^ signs >> 4
    odd ^= odd >> 2
    odd ^= odd >> 1
    return signs | (odd & 1) << 7


@inlined
def signed(values: Any, signs: Any) -> Any:
    """Eight float32 lanes, negated where ``signs`` has the lane's bit.

    Multiplies, because ggml does: changing the sign of a NaN would show in its bits.
    """
    minus = (fill(8, np.int32(signs)) >> indices(8)) & 1
    return values * select(minus != 0, fill(8, F32(-1)), F32(1))
