"""Q5_0: 32 weights share one scale; a weight is ``d * (q - 16)`` with q from 0 to 31.

    byte  0        2                            6                              22
          | d: f16 | bit 4 of q: one a weight   | q: low 4 bits, two a byte    |

Bit i of the four bytes, read as one little-endian number, belongs to weight i. Byte i of the sixteen holds weight i in
its low and weight i + 16 in its high half. The scale is the weight of largest magnitude over -16, sign kept, so that
this weight is met exactly.

Source of the facts: ``block_q5_0`` in ggml-common.h, ``quantize_row_q5_0_ref`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import DECODE, ENCODE, kernel
from ..lanes import (
    as_type,
    bit_mask,
    join,
    largest_lane,
    load,
    lower,
    lowest_bit,
    mask_bits,
    minimum,
    peek,
    store,
    upper,
)
from ..numerics import half_at, half_of

F32 = np.float32


@kernel(DECODE)
def decode(blocks: Any, out: Any) -> None:
    """uint8[n, 22] to float32[n, 32]."""
    for b in range(blocks.shape[0]):
        low = load(blocks, b, 6, 16)
        high = bit_mask(peek(blocks, b, 2, np.uint32), 32)
        q = as_type(join(low & 15, low >> 4), np.int32) | (as_type(high, np.int32) << 4)
        store(out, b, 0, as_type(q - 16, np.float32) * half_at(blocks, b, 0))


@kernel(ENCODE)
def encode(x: Any, out: Any) -> None:
    """float32[n, 32] to uint8[n, 22]."""
    for b in range(x.shape[0]):
        v = load(x, b, 0, 32)
        size = abs(v)
        largest = largest_lane(size)
        first = lowest_bit(mask_bits(size == largest))
        d = (x[b, first] if largest > 0 else F32(0)) / F32(-16)
        inverse = F32(1) / d if d != 0 else F32(0)
        q = minimum(as_type(as_type(v * inverse + 16.5, np.int8), np.uint8), 31)
        store(out, b, 0, half_of(d))
        store(out, b, 2, np.uint32(mask_bits(q > 15)))
        store(out, b, 6, (lower(q) & 15) | (upper(q) << 4))
