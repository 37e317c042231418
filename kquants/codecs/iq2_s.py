"""IQ2_S: 8 weights share a codeword of 1024 and have a sign each; a weight is ``d * scale * value``.

    byte  0        2                 34              66                   74                      82
          | d: f16 | codewords' low 8 | signs: 32 bytes | codewords' high 2 bits | 16 times scale: 4 bits |

A scale s, of 16 weights, stands for (s + 1/2) / 4; a byte holds two, the first in its low half.

Source of the facts: ``block_iq2_s`` in ggml-common.h, ``quantize_row_iq2_s_impl`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from ..grids import grid
from ..jit import DECODE, array_in, kernel
from ..lanes import load, store
from ..numerics import half_at
from ..signs import signed

F32 = np.float32

_DECODE = (*DECODE, array_in(types.float32))


def decode(blocks: Any, out: Any) -> None:
    """uint8[n, 82] to float32[n, 256]."""
    _decode(blocks, out, grid("IQ2_S").values)


@kernel(_DECODE)
def _decode(blocks: Any, out: Any, values: Any) -> None:
    for b in range(blocks.shape[0]):
        d = half_at(blocks, b, 0)
        for j in range(16):
            scale = d * (F32(0.5) + F32(blocks[b, 74 + j // 2] >> 4 * (j % 2) & 15)) * F32(0.25)
            for k in range(2 * j, 2 * j + 2):
                high = np.intp(blocks[b, 66 + k // 4] >> 2 * (k % 4) & 3)
                magnitude = load(values, blocks[b, 2 + k] | high << 8, 0, 8) * scale
                store(out, b, 8 * k, signed(magnitude, blocks[b, 34 + k]))
