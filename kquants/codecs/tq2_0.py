"""TQ2_0: 256 weights share one scale; a weight is ``d * (t - 1)`` with t 0, 1 or 2.

    byte  0                                64       66
          | t: 2 bits, four a byte         | d: f16 |

Byte i of the first 32 holds weights i, i + 32, i + 64 and i + 96 from its lowest bits up; the next 32 bytes hold the
other half of the weights alike. The scale is the largest magnitude.

Source of the facts: ``block_tq2_0`` in ggml-common.h, ``quantize_row_tq2_0_ref`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import DECODE, ENCODE, kernel
from ..kernels.lanes import as_type, fill, load, store
from ..kernels.numerics import half_at, half_of
from ..kernels.onepass import peak_of_256, reciprocal, trits

F32 = np.float32


@kernel(DECODE)
def decode(blocks: Any, out: Any) -> None:
    """uint8[n, 66] to float32[n, 256]."""
    for b in range(blocks.shape[0]):
        d = half_at(blocks, b, 64)
        for half in range(2):
            packed = load(blocks, b, 32 * half, 32)
            for k in range(4):
                t = as_type(((packed >> (2 * k)) & 3) - 1, np.int8)
                store(out, b, 128 * half + 32 * k, as_type(t, np.float32) * d)


@kernel(ENCODE)
def encode(x: Any, out: Any) -> None:
    """float32[n, 256] to uint8[n, 66]."""
    for b in range(x.shape[0]):
        d = peak_of_256(x, b)
        inverse = reciprocal(d)
        for half in range(2):
            packed = fill(32, np.uint8(0))
            for k in range(4):
                packed = packed | (trits(load(x, b, 128 * half + 32 * k, 32) * inverse) << (2 * k))
            store(out, b, 32 * half, packed)
        store(out, b, 64, half_of(d))
