"""NVFP4: 64 weights in 4 sub-blocks of 16, each with a small float for its scale; weights are 4-bit floats (E2M1).

    byte  0                       4                              36
          | scales: UE4M3, 4 of 8 | E2M1 codes: 8 bytes a sub-block |

UE4M3 has no sign, four exponent bits (bias 7) and three mantissa bits; 0x7F stands for 0, and the top bit is ignored.
Byte i of a sub-block's eight holds its weight i in the low and i + 8 in the high half. The scale is a sixth of the
largest magnitude, so that this weight becomes 6, the largest E2M1 value. What goes beyond the range of the scales is
left to another tensor, one scale for the whole, which ggml applies outside the blocks.

Source of the facts: ``block_nvfp4`` in ggml-common.h, ``quantize_row_nvfp4_ref`` in ggml-quants.c,
``ggml_ue4m3_to_fp32`` and ``ggml_fp32_to_ue4m3`` in ggml-impl.h.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import DECODE, ENCODE, inlined, kernel
from ..kernels.fourbit import closest_e2m1, e2m1_value
from ..kernels.lanes import as_bits, fill, join, lane, load, lower, store, upper
from ..kernels.onepass import peak

F32 = np.float32


def _half_scales() -> Any:
    """Half the value of every UE4M3 code: the table of values is doubled."""
    code = np.arange(256)
    exponent, mantissa = code >> 3 & 15, code & 7
    value = np.where(exponent == 0, np.ldexp(mantissa, -10), np.ldexp(8.0 + mantissa, exponent - 11))
    return np.where(code == 0x7F, 0, value).astype(np.float32)


_HALF_SCALE = _half_scales()


@inlined
def _ue4m3(v: Any) -> int:
    """The code nearest to a scale, halves up; from 248 on, where the top exponent begins, 0x7E, which is 448."""
    if v < F32(2.0**-6):  # subnormal: eighths of 2**-6
        return min(int(v * F32(512) + F32(0.5)), 7)
    # The four bits after the mantissa's first three decide; a carry runs into the exponent, as it should.
    code = ((lane(as_bits(fill(1, v)), 0) + (1 << 19)) >> 20) - ((127 - 7) << 3)
    return code if code < 0x78 else 0x7E


@kernel(DECODE)
def decode(blocks: Any, out: Any) -> None:
    """uint8[n, 36] to float32[n, 64]."""
    for b in range(blocks.shape[0]):
        for s in range(4):
            packed = load(blocks, b, 4 + 8 * s, 8)
            d = _HALF_SCALE[blocks[b, s]]
            store(out, b, 16 * s, e2m1_value(join(packed & 15, packed >> 4)) * d)


@kernel(ENCODE)
def encode(x: Any, out: Any) -> None:
    """float32[n, 64] to uint8[n, 36]."""
    for b in range(x.shape[0]):
        for s in range(4):
            v = load(x, b, 16 * s, 16)
            scale = _ue4m3(peak(v) / F32(6))
            code = closest_e2m1(v, _HALF_SCALE[scale])
            out[b, s] = scale
            store(out, b, 4 + 8 * s, lower(code) | (upper(code) << 4))
