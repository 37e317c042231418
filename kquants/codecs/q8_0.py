"""Q8_0: 32 weights share one scale; a weight is ``d * q`` with q from -127 to 127.

    byte  0        2                                34
          | d: f16 | q: int8, one a weight          |

Source of the facts: ``block_q8_0`` in ggml-common.h, ``quantize_row_q8_0_ref`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import DECODE, ENCODE, kernel
from ..kernels.lanes import as_type, load, store
from ..kernels.numerics import half_at, half_of, round_half_away
from ..kernels.onepass import or_zero, peak, reciprocal

F32 = np.float32


@kernel(DECODE)
def decode(blocks: Any, out: Any) -> None:
    """uint8[n, 34] to float32[n, 32]."""
    for b in range(blocks.shape[0]):
        q = as_type(load(blocks, b, 2, 32), np.int8)
        store(out, b, 0, as_type(q, np.float32) * half_at(blocks, b, 0))


@kernel(ENCODE)
def encode(x: Any, out: Any) -> None:
    """float32[n, 32] to uint8[n, 34]."""
    for b in range(x.shape[0]):
        v = load(x, b, 0, 32)
        d = peak(v) / F32(127)
        store(out, b, 0, half_of(d))
        store(out, b, 2, as_type(round_half_away(or_zero(v * reciprocal(d))), np.int8))
