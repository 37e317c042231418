"""IQ2_XXS: 8 weights share a codeword of 256 and an even number of minus signs; a weight is ``d * scale * value``.

    byte  0        2                                                             66
          | d: f16 | 8 times (32 weights): 4 codeword bytes | 4 times 7 signs, scale: u32 |

A scale s of 4 bits stands for (s + 1/2) / 4; it lies in the top bits of its u32, the signs below, first codeword lowest.

Source of the facts: ``block_iq2_xxs`` in ggml-common.h, ``quantize_row_iq2_xxs_impl`` in ggml-quants.c.
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
    """uint8[n, 66] to float32[n, 256]."""
    _decode(blocks, out, grid("IQ2_XXS").values)


@kernel(_DECODE)
def _decode(blocks: Any, out: Any, values: Any) -> None:
    for b in range(blocks.shape[0]):
        d = half_at(blocks, b, 0)
        for j in range(8):
            at = 2 + 8 * j
            word = peek(blocks, b, at + 4, np.uint32)
            scale = d * (F32(0.5) + F32(word >> 28)) * F32(0.25)
            for k in range(4):
                magnitude = load(values, blocks[b, at + k], 0, 8) * scale
                store(out, b, 32 * j + 8 * k, signed(magnitude, with_parity(word >> 7 * k & 127)))
