"""IQ3_XXS: 4 weights share a codeword of 256, 8 an even number of minus signs; a weight is ``d * scale * value``.

    byte  0        2                    66                                        98
          | d: f16 | 64 codewords: bytes | 8 times u32: 4 times 7 signs, scale: 4 bits |

A scale s, of 32 weights, stands for (s + 1/2) / 2.

Source of the facts: ``block_iq3_xxs`` in ggml-common.h, ``quantize_row_iq3_xxs_impl`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from ..grids import grid
from ..jit import DECODE, array_in, kernel
from ..lanes import join, load, peek, store
from ..numerics import half_at
from ..signs import signed, with_parity

F32 = np.float32

_DECODE = (*DECODE, array_in(types.float32))


def decode(blocks: Any, out: Any) -> None:
    """uint8[n, 98] to float32[n, 256]."""
    _decode(blocks, out, grid("IQ3_XXS").values)


@kernel(_DECODE)
def _decode(blocks: Any, out: Any, values: Any) -> None:
    for b in range(blocks.shape[0]):
        d = half_at(blocks, b, 0)
        for j in range(8):
            word = peek(blocks, b, 66 + 4 * j, np.uint32)
            scale = d * (F32(0.5) + F32(word >> 28)) * F32(0.5)
            for k in range(4):
                at = 2 + 8 * j + 2 * k
                pair = join(load(values, blocks[b, at], 0, 4), load(values, blocks[b, at + 1], 0, 4))
                store(out, b, 32 * j + 8 * k, signed(pair * scale, with_parity(word >> 7 * k & 127)))
