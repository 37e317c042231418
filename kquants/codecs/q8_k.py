"""Q8_K: 256 weights share one float32 scale; a weight is ``d * q`` with q from -127 to 127.

    byte  0        4                            260                                292
          | d: f32 | q: int8, one a weight      | sums of 16 q each: int16         |

No file holds it: ggml computes with it. The scale is the weight of largest magnitude over -127, sign kept. A block of
zeros is all zero bytes (upstream leaves its sums unset).

Source of the facts: ``block_q8_K`` in ggml-common.h, ``quantize_row_q8_K_ref`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import DECODE, ENCODE, kernel
from ..kernels.lanes import as_type, largest_lane, load, lowest_bit, mask_bits, maximum, minimum, peek, store, sum_lanes
from ..kernels.numerics import nearest_int

F32 = np.float32


@kernel(DECODE)
def decode(blocks: Any, out: Any) -> None:
    """uint8[n, 292] to float32[n, 256]."""
    for b in range(blocks.shape[0]):
        d = peek(blocks, b, 0, np.float32)
        for i in range(0, 256, 32):
            q = as_type(load(blocks, b, 4 + i, 32), np.int8)
            store(out, b, i, as_type(q, np.float32) * d)


@kernel(ENCODE)
def encode(x: Any, out: Any) -> None:
    """float32[n, 256] to uint8[n, 292]."""
    for b in range(x.shape[0]):
        sizes = abs(load(x, b, 0, 32))
        for i in range(32, 256, 32):
            sizes = maximum(abs(load(x, b, i, 32)), sizes)
        size = largest_lane(sizes)
        cut = F32(0)
        for i in range(0, 256, 32):
            at_most = mask_bits(abs(load(x, b, i, 32)) == size)
            if at_most != 0 and size > 0:
                cut = F32(-127) / x[b, i + lowest_bit(at_most)]
                break
        store(out, b, 0, F32(1) / cut if size > 0 else F32(0))
        for i in range(0, 256, 16):
            q = minimum(nearest_int(load(x, b, i, 16) * cut), 127)
            store(out, b, 4 + i, as_type(q, np.int8))
            store(out, b, 260 + i // 8, np.int16(sum_lanes(as_type(as_type(q, np.int8), np.int32))))
