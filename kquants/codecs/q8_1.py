"""Q8_1: 32 weights share one scale and remember their sum; a weight is ``d * q`` with q from -127 to 127.

    byte  0        2        4                        36
          | d: f16 | s: f16 | q: int8, one a weight  |

``s`` is d times the sum of all q. Dot products with types that have a minimum use it; decoding does not. It is the
form llama.cpp gives activations while it computes, so ggml has an encoder but no decoder: ours is the obvious one.

Source of the facts: ``block_q8_1`` in ggml-common.h, ``quantize_row_q8_1_ref`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import DECODE, ENCODE, kernel
from ..kernels.lanes import as_type, load, store, sum_lanes
from ..kernels.numerics import half_at, half_of, round_half_away
from ..kernels.onepass import or_zero, peak, reciprocal

F32 = np.float32


@kernel(DECODE)
def decode(blocks: Any, out: Any) -> None:
    """uint8[n, 36] to float32[n, 32]."""
    for b in range(blocks.shape[0]):
        q = as_type(load(blocks, b, 4, 32), np.int8)
        store(out, b, 0, as_type(q, np.float32) * half_at(blocks, b, 0))


@kernel(ENCODE)
def encode(x: Any, out: Any) -> None:
    """float32[n, 32] to uint8[n, 36]."""
    for b in range(x.shape[0]):
        v = load(x, b, 0, 32)
        d = peak(v) / F32(127)
        q = round_half_away(or_zero(v * reciprocal(d)))
        store(out, b, 0, half_of(d))
        store(out, b, 2, half_of(F32(sum_lanes(q)) * d))
        store(out, b, 4, as_type(q, np.int8))
