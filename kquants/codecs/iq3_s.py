"""IQ3_S: 4 weights share a codeword of 512 and have a sign each; a weight is ``d * scale * value``.

    byte  0        2                  66                    74               106                   110
          | d: f16 | codewords' low 8 | codewords' high bit | signs: 32 bytes | 8 times scale: 4 bits |

A scale s, of 32 weights, stands for 2 s + 1; a byte holds two, the first in its low half.

Source of the facts: ``block_iq3_s`` in ggml-common.h, ``quantize_row_iq3_s_impl`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from ..grids import grid
from ..jit import DECODE, array_in, kernel
from ..lanes import join, load, store
from ..numerics import half_at
from ..signs import signed

F32 = np.float32

_DECODE = (*DECODE, array_in(types.float32))


def decode(blocks: Any, out: Any) -> None:
    """uint8[n, 110] to float32[n, 256]."""
    _decode(blocks, out, grid("IQ3_S").values)


@kernel(_DECODE)
def _decode(blocks: Any, out: Any, values: Any) -> None:
    for b in range(blocks.shape[0]):
        d = half_at(blocks, b, 0)
        for j in range(8):
            scale = d * F32(1 + 2 * (blocks[b, 106 + j // 2] >> 4 * (j % 2) & 15))
            high = np.intp(blocks[b, 66 + j]) << 8
            for k in range(4):
                at = 2 + 8 * j + 2 * k
                first = load(values, blocks[b, at] | high >> 2 * k & 256, 0, 4)
                second = load(values, blocks[b, at + 1] | high >> 2 * k + 1 & 256, 0, 4)
                store(out, b, 32 * j + 8 * k, signed(join(first, second) * scale, blocks[b, 74 + 4 * j + k]))
