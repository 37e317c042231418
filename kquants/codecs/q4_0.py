"""Q4_0: 32 weights share one scale; a weight is ``d * (q - 8)`` with q from 0 to 15.

    byte  0        2                      18
          | d: f16 | q: 4 bits, two a byte |

Byte i of the sixteen holds weight i in its low and weight i + 16 in its high half. The scale is the weight of largest
magnitude over -8, sign kept, so that this weight is met exactly.

Source of the facts: ``block_q4_0`` in ggml-common.h, ``quantize_row_q4_0_ref`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import DECODE, ENCODE, kernel
from ..lanes import as_type, join, load, lower, minimum, store, upper
from ..numerics import half_at, half_of
from ..onepass import or_zero, reciprocal, signed_peak

F32 = np.float32


@kernel(DECODE)
def decode(blocks: Any, out: Any) -> None:
    """uint8[n, 18] to float32[n, 32]."""
    for b in range(blocks.shape[0]):
        packed = load(blocks, b, 2, 16)
        q = as_type(join(packed & 15, packed >> 4) - 8, np.int8)
        store(out, b, 0, as_type(q, np.float32) * half_at(blocks, b, 0))


@kernel(ENCODE)
def encode(x: Any, out: Any) -> None:
    """float32[n, 32] to uint8[n, 18]."""
    for b in range(x.shape[0]):
        v = load(x, b, 0, 32)
        d = signed_peak(x, b, v) / F32(-8)
        q = minimum(as_type(or_zero(v * reciprocal(d) + 8.5), np.uint8), 15)
        store(out, b, 0, half_of(d))
        store(out, b, 2, lower(q) | (upper(q) << 4))
