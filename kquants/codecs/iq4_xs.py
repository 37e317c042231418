"""IQ4_XS: a super-block of 8 sub-blocks of 32 weights; a weight is ``d * (scale - 32) * value``.

    byte  0        2                       4                       8                            136
          | d: f16 | scales: high 2 bits   | scales: low 4 bits    | codes: 4 bits, two a byte  |

``value`` is one of sixteen unevenly spaced ones. The high bits of sub-block j stand at bit 2 * j of bytes 2 and 3, read
as one little-endian number; a byte of the low ones holds two sub-blocks, the first in its low half. Byte i of a
sub-block's sixteen holds its weight i in the low and weight i + 16 in the high half.

Source of the facts: ``block_iq4_xs`` in ggml-common.h, ``quantize_iq4_xs`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import DECODE, ENCODE, ENCODE_WEIGHTED, inlined, kernel
from ..kernels.fourbit import (
    closest_iq4_code,
    fit_iq4_scale,
    iq4_value,
)
from ..kernels.importance import sum_of_squares, weigh, weigh_by_square
from ..kernels.lanes import (
    LANES,
    as_type,
    block_rows,
    in_rows,
    join,
    load,
    load_blocks,
    maximum,
    minimum,
    peek,
    scratch,
    select,
    store,
    store_blocks,
    zero_of,
)
from ..kernels.numerics import half_at, half_bits, nearest_int
from ..kernels.packing import put_half

F32 = np.float32


@kernel(DECODE)
def decode(blocks: Any, out: Any) -> None:
    """uint8[n, 136] to float32[n, 256]."""
    for b in range(blocks.shape[0]):
        d = half_at(blocks, b, 0)
        high = peek(blocks, b, 2, np.uint16)
        for j in range(8):
            scale = (blocks[b, 4 + j // 2] >> 4 * (j % 2) & 15) | (high >> 2 * j & 3) << 4
            packed = load(blocks, b, 8 + 16 * j, 16)
            values = iq4_value(join(packed & 15, packed >> 4))
            store(out, b, 32 * j, values * (d * F32(scale - 32)))


@inlined
def _pack(x: Any, scales: Any, packed: Any) -> None:
    """Round the eight scales against the one of largest magnitude, find the codes again, and pack 136 bytes."""
    peak, largest = zero_of(scales), zero_of(scales)
    for j in range(8):
        size = abs(scales[j])
        peak = select(size > largest, scales[j], peak)
        largest = select(size > largest, size, largest)
    d = -peak / 32.0
    put_half(packed, 0, half_bits(d))
    inverse = select(d == 0.0, F32(0), 1.0 / d)
    low = as_type(zero_of(x), np.int32)
    high = low
    for j in range(8):
        level = maximum(minimum(nearest_int(inverse * scales[j]), 31), -32)
        scale = d * as_type(level, np.float32)
        to_values = select(scale == 0.0, F32(0), 1.0 / scale)
        for i in range(16):
            first = closest_iq4_code(to_values * x[32 * j + i])
            second = closest_iq4_code(to_values * x[32 * j + 16 + i])
            packed[8 + 16 * j + i] = first | (second << 4)
        level = level + 32
        high = high | ((level >> 4) << (2 * j))
        if j % 2 == 0:
            low = level & 15
        else:
            packed[4 + j // 2] = as_type(low | (level << 4), np.uint8)
    packed[2] = as_type(high, np.uint8)
    packed[3] = as_type(high >> 8, np.uint8)


@kernel(ENCODE)
def encode(x: Any, out: Any) -> None:
    """float32[n, 256] to uint8[n, 136]."""
    xs = scratch(LANES, 256, np.float32)
    weight = scratch(LANES, 32, np.float32)
    scales = scratch(LANES, 8, np.float32)
    packed = scratch(LANES, 136, np.uint8)
    for first in range(0, x.shape[0], LANES):
        load_blocks(x, block_rows(xs, first, x.shape[0]), xs)
        for j in range(8):
            weigh_by_square(xs, 32 * j, weight)
            scales[j] = fit_iq4_scale(xs, 32 * j, weight)
        _pack(xs, scales, packed)
        store_blocks(packed, out, first)


@kernel(ENCODE_WEIGHTED)
def encode_weighted(x: Any, weights: Any, out: Any) -> None:
    """float32[rows, columns] and float32[columns] to uint8[rows, row bytes]."""
    blocks, marks = in_rows(x, 256), in_rows(weights, 256)
    found = in_rows(out, 136)
    xs = scratch(LANES, 256, np.float32)
    importance = scratch(LANES, 256, np.float32)
    weight = scratch(LANES, 32, np.float32)
    scales = scratch(LANES, 8, np.float32)
    packed = scratch(LANES, 136, np.uint8)
    for first in range(0, blocks.shape[0], LANES):
        rows = block_rows(xs, first, blocks.shape[0])
        load_blocks(blocks, rows, xs)
        load_blocks(marks, rows % marks.shape[0], importance)
        mean_square = sum_of_squares(xs, 0, 256) * F32(2 / 256)
        for j in range(8):
            weigh(xs, 32 * j, importance, 32 * j, mean_square, 32, weight)
            scales[j] = fit_iq4_scale(xs, 32 * j, weight)
        _pack(xs, scales, packed)
        store_blocks(packed, found, first)
