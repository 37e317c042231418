"""MXFP4: 32 weights share a power of two; a weight is ``2**(e - 127)`` times a 4-bit float (E2M1).

    byte  0      1                              17
          | e: 8 | E2M1 codes: two a byte       |

Byte i of the sixteen holds weight i in its low and weight i + 16 in its high half. The encoder chooses e so that the
largest magnitude's power of two becomes 4, the power of two of the largest E2M1 value, 6.

Source of the facts: ``block_mxfp4`` in ggml-common.h, ``quantize_row_mxfp4_ref`` in ggml-quants.c,
``ggml_e8m0_to_fp32_half`` in ggml-impl.h.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..jit import DECODE, ENCODE, inlined, kernel
from ..kernels.fourbit import closest_e2m1, e2m1_value
from ..kernels.lanes import join, load, lower, store, upper
from ..kernels.onepass import peak

F32 = np.float32

_HALF_SCALE = np.ldexp(np.float32(1), np.arange(256) - 128)
"""Half of ``2**(e - 127)`` for every e: the table of values is doubled."""


@inlined
def _exponent(largest: Any) -> int:
    """The e for a block by its largest magnitude, 0 for 0.

    The logarithm is rounded to float32 before its integer part is taken, so that a magnitude just below a power of two
    counts as that power. Below 2**-125 e would be negative; it is then taken modulo 256, as x86-64 does.
    """
    if largest == 0:
        return 0
    return (math.floor(F32(math.log2(np.float64(largest)))) + 125) & 255


@kernel(DECODE)
def decode(blocks: Any, out: Any) -> None:
    """uint8[n, 17] to float32[n, 32]."""
    for b in range(blocks.shape[0]):
        packed = load(blocks, b, 1, 16)
        store(out, b, 0, e2m1_value(join(packed & 15, packed >> 4)) * _HALF_SCALE[blocks[b, 0]])


@kernel(ENCODE)
def encode(x: Any, out: Any) -> None:
    """float32[n, 32] to uint8[n, 17]."""
    for b in range(x.shape[0]):
        v = load(x, b, 0, 32)
        e = _exponent(peak(v))
        code = closest_e2m1(v, _HALF_SCALE[e])
        out[b, 0] = e
        store(out, b, 1, lower(code) | (upper(code) << 4))
