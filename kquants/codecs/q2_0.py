"""Q2_0: 64 weights share one scale; a weight is ``d * (q - 1)`` with q from 0 to 3.

    byte  0        2                             18
          | d: f16 | q: 2 bits, four a byte      |

Weight i stands at bit 2 * i of the sixteen bytes, read as one little-endian number. The scale is the largest magnitude,
so the encoder uses q = 0, 1 and 2 only: three values in two bits.

Source of the facts: ``block_q2_0`` in ggml-common.h, ``quantize_row_q2_0_ref`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import DECODE, ENCODE, kernel
from ..kernels.lanes import as_type, fill, indices, load, peek, select, store, sum_lanes
from ..kernels.numerics import half_at, half_of, round_half_away
from ..kernels.onepass import or_zero, peak, reciprocal

F32 = np.float32


@kernel(DECODE)
def decode(blocks: Any, out: Any) -> None:
    """uint8[n, 18] to float32[n, 64]."""
    for b in range(blocks.shape[0]):
        d = half_at(blocks, b, 0)
        for part in range(4):
            word = fill(16, peek(blocks, b, 2 + 4 * part, np.int32))
            q = (word >> (2 * indices(16))) & 3
            store(out, b, 16 * part, as_type(q - 1, np.float32) * d)


@kernel(ENCODE)
def encode(x: Any, out: Any) -> None:
    """float32[n, 64] to uint8[n, 18]."""
    for b in range(x.shape[0]):
        d = peak(load(x, b, 0, 64))
        inverse = reciprocal(d)
        store(out, b, 0, half_of(d))
        for part in range(4):
            scaled = load(x, b, 16 * part, 16) * inverse
            # A scale too small to divide by leaves infinity and NaN: 0, as x86-64's conversion makes of them.
            q = select(abs(scaled) < 2.0, round_half_away(or_zero(scaled)) + 1, 0)
            store(out, b, 2 + 4 * part, sum_lanes(q << (2 * indices(16))))
