"""Q1_0: 128 weights share one scale; a weight is ``d`` or ``-d``.

    byte  0        2                        18
          | d: f16 | signs: one bit a weight |

Bit i of the sixteen bytes, read as one little-endian number, is set where weight i is not negative. The scale is the
mean magnitude, its sum taken from the first weight to the last.

Source of the facts: ``block_q1_0`` in ggml-common.h, ``quantize_row_q1_0_ref`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import DECODE, ENCODE, kernel
from ..kernels.lanes import (
    LANES,
    as_type,
    bit_mask,
    block_rows,
    fill,
    load_blocks,
    peek,
    scratch,
    select,
    store,
    store_blocks,
    zero_of,
)
from ..kernels.numerics import half_at, half_bits
from ..kernels.packing import put_half

F32 = np.float32


@kernel(DECODE)
def decode(blocks: Any, out: Any) -> None:
    """uint8[n, 18] to float32[n, 128]."""
    for b in range(blocks.shape[0]):
        d = half_at(blocks, b, 0)
        for word in range(4):
            positive = bit_mask(peek(blocks, b, 2 + 4 * word, np.uint32), 32)
            store(out, b, 32 * word, select(positive, fill(32, d), -d))


@kernel(ENCODE)
def encode(x: Any, out: Any) -> None:
    """float32[n, 128] to uint8[n, 18]."""
    xs = scratch(LANES, 128, np.float32)
    packed = scratch(LANES, 18, np.uint8)
    for first in range(0, x.shape[0], LANES):
        load_blocks(x, block_rows(xs, first, x.shape[0]), xs)
        total = zero_of(xs)
        for byte in range(16):
            signs = as_type(zero_of(xs), np.int32)
            for bit in range(8):
                v = xs[8 * byte + bit]
                total = total + abs(v)
                signs = signs | (as_type(v >= 0.0, np.int32) << bit)
            packed[2 + byte] = as_type(signs, np.uint8)
        put_half(packed, 0, half_bits(total / 128.0))
        store_blocks(packed, out, first)
