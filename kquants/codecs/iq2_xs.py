"""IQ2_XS: 8 weights share a codeword of 512 and an even number of minus signs; a weight is ``d * scale * value``.

    byte  0        2                                      66                    74
          | d: f16 | 32 times u16: codeword 9, signs 7 bits | 16 times scale: 4 bits |

A scale s, of 16 weights, stands for (s + 1/2) / 4; a byte holds two, the first in its low half.

Source of the facts: ``block_iq2_xs`` in ggml-common.h, ``quantize_row_iq2_xs_impl`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from ..grids import grid
from ..jit import DECODE, array_in, kernel
from ..lanes import load, peek, store
from ..numerics import half_at
from ..signs import signed, with_parity

F32 = np.float32

_DECODE = (*DECODE, array_in(types.float32))


def decode(blocks: Any, out: Any) -> None:
    """uint8[n, 74] to float32[n, 256]."""
    _decode(blocks, out, grid("IQ2_XS").values)


@kernel(_DECODE)
def _decode(blocks: Any, out: Any, values: Any) -> None:
    for b in range(blocks.shape[0]):
        d = half_at(blocks, b, 0)
        for j in range(16):
            scale = d * (F32(0.5) + F32(blocks[b, 66 + j // 2] >> 4 * (j % 2) & 15)) * F32(0.25)
            for k in range(2 * j, 2 * j + 2):
                word = peek(blocks, b, 2 + 2 * k, np.uint16)
                magnitude = load(values, word & 511, 0, 8) * scale
                store(out, b, 8 * k, signed(magnitude, with_parity(word >> 9)))
