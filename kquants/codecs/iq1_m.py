"""IQ1_M: 8 weights share a codeword of 2048 and a shift; a weight is ``d * scale * (value + shift)``.

    byte  0                  32                                             48                              56
          | codewords' low 8 | 32 times 4 bits: codeword high 3 bits, shift 1 | 4 times u16: 4 times scale 3, d 4 bits |

Values are -1, 0 and 1; a scale s, of 16 weights, stands for 2 s + 1; the shift is 1/8, or -1/8 where its bit is set.
The four top halves of the u16 are, lowest first, the bits of d, an f16.

Source of the facts: ``block_iq1_m`` in ggml-common.h, ``quantize_row_iq1_m_impl`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from ..grids import grid
from ..jit import DECODE, array_in, inlined, kernel
from ..lanes import fill, lane, load, peek, store
from ..numerics import half_value

F32 = np.float32

_DECODE = (*DECODE, array_in(types.float32))


def decode(blocks: Any, out: Any) -> None:
    """uint8[n, 56] to float32[n, 256]."""
    _decode(blocks, out, grid("IQ1_S").values)


@kernel(_DECODE)
def _decode(blocks: Any, out: Any, values: Any) -> None:
    for b in range(blocks.shape[0]):
        d = _unit(blocks, b)
        for j in range(16):
            scale = d * F32(2 * (peek(blocks, b, 48 + 2 * (j // 4), np.uint16) >> 3 * (j % 4) & 7) + 1)
            for k in range(2 * j, 2 * j + 2):
                high = np.intp(blocks[b, 32 + j] >> 4 * (k % 2))
                shift = F32(-0.125) if high & 8 else F32(0.125)
                store(out, b, 8 * k, (load(values, blocks[b, k] | (high & 7) << 8, 0, 8) + shift) * scale)


@inlined
def _unit(blocks: Any, b: int) -> Any:
    """The scale of the super-block, a float32 scalar."""
    bits = 0
    for j in range(4):
        bits |= (peek(blocks, b, 48 + 2 * j, np.uint16) >> 12) << 4 * j
    return lane(half_value(fill(1, np.int32(bits))), 0)
