"""IQ4_NL: 32 weights share one scale; a weight is ``d * value`` with one of sixteen unevenly spaced values.

    byte  0        2                         18
          | d: f16 | codes: 4 bits, two a byte |

Byte i of the sixteen holds weight i in its low and weight i + 16 in its high half.

Source of the facts: ``block_iq4_nl`` in ggml-common.h, ``quantize_iq4_nl`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import DECODE, ENCODE, ENCODE_WEIGHTED, inlined, kernel
from ..kernels.fourbit import closest_iq4_code, fit_iq4_scale, iq4_value
from ..kernels.importance import sum_of_squares, weigh, weigh_by_square
from ..kernels.lanes import LANES, block_rows, in_rows, join, load, load_blocks, scratch, select, store, store_blocks
from ..kernels.numerics import half_at, half_bits
from ..kernels.packing import put_half

F32 = np.float32


@kernel(DECODE)
def decode(blocks: Any, out: Any) -> None:
    """uint8[n, 18] to float32[n, 32]."""
    for b in range(blocks.shape[0]):
        packed = load(blocks, b, 2, 16)
        store(out, b, 0, iq4_value(join(packed & 15, packed >> 4)) * half_at(blocks, b, 0))


@inlined
def _pack(x: Any, scale: Any, packed: Any) -> None:
    inverse = select(scale == 0.0, F32(0), 1.0 / scale)
    put_half(packed, 0, half_bits(scale))
    for i in range(16):
        packed[2 + i] = closest_iq4_code(inverse * x[i]) | (closest_iq4_code(inverse * x[16 + i]) << 4)


@kernel(ENCODE)
def encode(x: Any, out: Any) -> None:
    """float32[n, 32] to uint8[n, 18]."""
    xs = scratch(LANES, 32, np.float32)
    weight = scratch(LANES, 32, np.float32)
    packed = scratch(LANES, 18, np.uint8)
    for first in range(0, x.shape[0], LANES):
        load_blocks(x, block_rows(xs, first, x.shape[0]), xs)
        weigh_by_square(xs, 0, weight)
        _pack(xs, fit_iq4_scale(xs, 0, weight), packed)
        store_blocks(packed, out, first)


@kernel(ENCODE_WEIGHTED)
def encode_weighted(x: Any, weights: Any, out: Any) -> None:
    """float32[rows, columns] and float32[columns] to uint8[rows, row bytes]."""
    blocks, marks = in_rows(x, 32), in_rows(weights, 32)
    found = in_rows(out, 18)
    xs = scratch(LANES, 32, np.float32)
    importance = scratch(LANES, 32, np.float32)
    weight = scratch(LANES, 32, np.float32)
    packed = scratch(LANES, 18, np.uint8)
    for first in range(0, blocks.shape[0], LANES):
        rows = block_rows(xs, first, blocks.shape[0])
        load_blocks(blocks, rows, xs)
        load_blocks(marks, rows % marks.shape[0], importance)
        weigh(xs, 0, importance, 0, sum_of_squares(xs, 0, 32) * F32(2 / 32), 32, weight)
        _pack(xs, fit_iq4_scale(xs, 0, weight), packed)
        store_blocks(packed, found, first)
