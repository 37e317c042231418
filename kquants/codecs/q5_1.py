"""Q5_1: 32 weights share a scale and a minimum; a weight is ``d * q + m`` with q from 0 to 31.

    byte  0        2        4                           8                             24
          | d: f16 | m: f16 | bit 4 of q: one a weight  | q: low 4 bits, two a byte   |

Bit i of bytes 4 to 7, read as one little-endian number, belongs to weight i. Byte i of the sixteen holds weight i in
its low and weight i + 16 in its high half.

Source of the facts: ``block_q5_1`` in ggml-common.h, ``quantize_row_q5_1_ref`` and ``_impl`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import DECODE, ENCODE, ENCODE_WEIGHTED, inlined, kernel
from ..kernels.importance import MEANS, STRIP, load_weighted, row_mean_squares
from ..kernels.lanes import (
    LANES,
    as_type,
    bit_mask,
    block_rows,
    in_rows,
    join,
    load,
    lower,
    mask_bits,
    peek,
    scratch,
    store,
    store_blocks,
    upper,
    workspace,
)
from ..kernels.numerics import half_at, half_bits, half_of, level
from ..kernels.onepass import least_and_most, or_zero, plus_minimum, put_fifth_bits, put_halves, reciprocal
from ..kernels.packing import put_half
from ..kernels.search_min import fit_scale_and_min

F32 = np.float32


@kernel(DECODE)
def decode(blocks: Any, out: Any) -> None:
    """uint8[n, 24] to float32[n, 32]."""
    for b in range(blocks.shape[0]):
        low = load(blocks, b, 8, 16)
        high = as_type(bit_mask(peek(blocks, b, 4, np.uint32), 32), np.uint8) << 4
        q = as_type(join(low & 15, low >> 4) | high, np.float32)
        store(out, b, 0, plus_minimum(q * half_at(blocks, b, 0), half_at(blocks, b, 2)))


@kernel(ENCODE)
def encode(x: Any, out: Any) -> None:
    """float32[n, 32] to uint8[n, 24]."""
    for b in range(x.shape[0]):
        v = load(x, b, 0, 32)
        least, most = least_and_most(x, b, v)
        d = (most - least) / F32(31)
        q = as_type(or_zero((v - least) * reciprocal(d) + 0.5), np.uint8)
        store(out, b, 0, half_of(d))
        store(out, b, 2, half_of(least))
        store(out, b, 4, np.uint32(mask_bits(q > 15)))
        store(out, b, 8, (lower(q) & 15) | (upper(q) << 4))


@kernel(ENCODE_WEIGHTED)
def encode_weighted(x: Any, weights: Any, out: Any) -> None:
    """float32[rows, columns] and float32[columns] to uint8[rows, row bytes]."""
    for first in range(0, x.shape[0], STRIP):
        _encode_strip(x[first : first + STRIP], weights, out[first : first + STRIP])


@inlined
def _encode_strip(x: Any, weights: Any, out: Any) -> None:
    blocks, importance, found = in_rows(x, 32), in_rows(weights, 32), in_rows(out, 24)
    xs = scratch(LANES, 32, np.float32)
    weight = scratch(LANES, 32, np.float32)
    levels = scratch(LANES, 32, np.uint8)
    packed = scratch(LANES, 24, np.uint8)
    means = workspace(1, MEANS, np.float32)
    row_mean_squares(blocks, importance.shape[0], xs, means)
    for first in range(0, blocks.shape[0], LANES):
        load_weighted(blocks, importance, means, block_rows(xs, first, blocks.shape[0]), xs, weight)
        scale, minus_low, cut, low = fit_scale_and_min(xs, 0, weight, 32, 31, F32(-0.9), F32(0.05), 36, False)
        put_half(packed, 0, half_bits(scale))
        put_half(packed, 2, half_bits(-minus_low))
        for i in range(32):
            levels[i] = as_type(level(cut * (xs[i] - low), 0, 31), np.uint8)
        put_fifth_bits(packed, 4, levels)
        put_halves(packed, 8, levels)
        store_blocks(packed, found, first)
