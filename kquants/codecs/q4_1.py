"""Q4_1: 32 weights share a scale and a minimum; a weight is ``d * q + m`` with q from 0 to 15.

    byte  0        2        4                      20
          | d: f16 | m: f16 | q: 4 bits, two a byte |

Byte i of the sixteen holds weight i in its low and weight i + 16 in its high half.

Source of the facts: ``block_q4_1`` in ggml-common.h, ``quantize_row_q4_1_ref`` and ``_impl`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import DECODE, ENCODE, kernel
from ..lanes import as_type, join, load, lower, minimum, store, upper
from ..numerics import half_at, half_of
from ..onepass import least_and_most, or_zero, reciprocal

F32 = np.float32


@kernel(DECODE)
def decode(blocks: Any, out: Any) -> None:
    """uint8[n, 20] to float32[n, 32]."""
    for b in range(blocks.shape[0]):
        packed = load(blocks, b, 4, 16)
        q = as_type(join(packed & 15, packed >> 4), np.float32)
        store(out, b, 0, q * half_at(blocks, b, 0) + half_at(blocks, b, 2))


@kernel(ENCODE)
def encode(x: Any, out: Any) -> None:
    """float32[n, 32] to uint8[n, 20]."""
    for b in range(x.shape[0]):
        v = load(x, b, 0, 32)
        least, most = least_and_most(x, b, v)
        d = (most - least) / F32(15)
        q = minimum(as_type(or_zero((v - least) * reciprocal(d) + 0.5), np.uint8), 15)
        store(out, b, 0, half_of(d))
        store(out, b, 2, half_of(least))
        store(out, b, 4, lower(q) | (upper(q) << 4))
