"""Q5_0: 32 weights share one scale; a weight is ``d * (q - 16)`` with q from 0 to 31.

    byte  0        2                            6                              22
          | d: f16 | bit 4 of q: one a weight   | q: low 4 bits, two a byte    |

Bit i of the four bytes, read as one little-endian number, belongs to weight i. Byte i of the sixteen holds weight i in
its low and weight i + 16 in its high half. The scale is the weight of largest magnitude over -16, sign kept, so that
this weight is met exactly.

Source of the facts: ``block_q5_0`` in ggml-common.h, ``quantize_row_q5_0_ref`` and ``_impl`` in ggml-quants.c.
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
    minimum,
    peek,
    scratch,
    select,
    store,
    store_blocks,
    upper,
    workspace,
)
from ..kernels.numerics import half_at, half_bits, half_of, level
from ..kernels.onepass import or_zero, put_fifth_bits, put_halves, reciprocal, signed_peak
from ..kernels.packing import put_half
from ..kernels.search import fit_scale

F32 = np.float32


@kernel(DECODE)
def decode(blocks: Any, out: Any) -> None:
    """uint8[n, 22] to float32[n, 32]."""
    for b in range(blocks.shape[0]):
        low = load(blocks, b, 6, 16)
        high = as_type(bit_mask(peek(blocks, b, 2, np.uint32), 32), np.uint8) << 4
        q = as_type((join(low & 15, low >> 4) | high) - 16, np.int8)
        store(out, b, 0, as_type(q, np.float32) * half_at(blocks, b, 0))


@kernel(ENCODE)
def encode(x: Any, out: Any) -> None:
    """float32[n, 32] to uint8[n, 22]."""
    for b in range(x.shape[0]):
        v = load(x, b, 0, 32)
        d = signed_peak(x, b, v) / F32(-16)
        q = minimum(as_type(or_zero(v * reciprocal(d) + 16.5), np.uint8), 31)
        store(out, b, 0, half_of(d))
        store(out, b, 2, np.uint32(mask_bits(q > 15)))
        store(out, b, 6, (lower(q) & 15) | (upper(q) << 4))


@kernel(ENCODE_WEIGHTED)
def encode_weighted(x: Any, weights: Any, out: Any) -> None:
    """float32[rows, columns] and float32[columns] to uint8[rows, row bytes]."""
    for first in range(0, x.shape[0], STRIP):
        _encode_strip(x[first : first + STRIP], weights, out[first : first + STRIP])


@inlined
def _encode_strip(x: Any, weights: Any, out: Any) -> None:
    blocks, importance, found = in_rows(x, 32), in_rows(weights, 32), in_rows(out, 22)
    xs = scratch(LANES, 32, np.float32)
    weight = scratch(LANES, 32, np.float32)
    levels = scratch(LANES, 32, np.uint8)
    packed = scratch(LANES, 22, np.uint8)
    means = workspace(1, MEANS, np.float32)
    row_mean_squares(blocks, importance.shape[0], xs, means)
    for first in range(0, blocks.shape[0], LANES):
        load_weighted(blocks, importance, means, block_rows(xs, first, blocks.shape[0]), xs, weight)
        scale, cut = fit_scale(xs, 0, weight, 0, 32, 16)
        put_half(packed, 0, half_bits(scale))
        empty = cut != cut
        for i in range(32):
            q = as_type(level(cut * xs[i], -16, 15) + 16.0, np.uint8)
            levels[i] = select(empty, np.uint8(0), q)  # which decodes as zeros too, its scale being 0
        put_fifth_bits(packed, 2, levels)
        put_halves(packed, 6, levels)
        store_blocks(packed, found, first)
