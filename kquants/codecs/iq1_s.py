"""IQ1_S: 8 weights share a codeword of 2048; a weight is ``d * scale * (value + shift)``, values -1, 0 and 1.

    byte  0        2                  34                                                      50
          | d: f16 | codewords' low 8 | 8 times u16: 4 times codeword high 3 bits, scale 3, shift 1 |

A scale s, of 32 weights, stands for 2 s + 1; the shift is 1/8, or -1/8 where its bit is set.

Source of the facts: ``block_iq1_s`` in ggml-common.h, ``quantize_row_iq1_s_impl`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from ..grids import grid
from ..jit import DECODE, array_in, kernel
from ..lanes import load, peek, store
from ..numerics import half_at

F32 = np.float32

_DECODE = (*DECODE, array_in(types.float32))


def decode(blocks: Any, out: Any) -> None:
    """uint8[n, 50] to float32[n, 256]."""
    _decode(blocks, out, grid("IQ1_S").values)


@kernel(_DECODE)
def _decode(blocks: Any, out: Any, values: Any) -> None:
    for b in range(blocks.shape[0]):
        d = half_at(blocks, b, 0)
        for j in range(8):
            high = np.intp(peek(blocks, b, 34 + 2 * j, np.uint16))
            scale = d * F32(2 * (high >> 12 & 7) + 1)
            shift = F32(-0.125) if high & 0x8000 else F32(0.125)
            for k in range(4 * j, 4 * j + 4):
                word = blocks[b, 2 + k] | (high >> 3 * (k % 4) & 7) << 8
                store(out, b, 8 * k, (load(values, word, 0, 8) + shift) * scale)
