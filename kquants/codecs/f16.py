"""F16: IEEE half precision, two bytes a weight, little-endian.

Overflow gives infinity; rounding is to nearest, ties to even. The kernels take any number of weights a row.

Source of the facts: the half-precision conversions in ggml-impl.h.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import DECODE, ENCODE, kernel
from ..kernels.lanes import as_type, load, load_as, store
from ..kernels.numerics import half_bits, half_value


@kernel(DECODE)
def decode(blocks: Any, out: Any) -> None:
    """uint8[n, 2 * m] to float32[n, m]."""
    for i in range(0, out.size - 31, 32):
        store(out, 0, i, half_value(load_as(blocks, 0, 2 * i, 32, np.uint16)))
    for i in range(out.size & -32, out.size):
        store(out, 0, i, half_value(load_as(blocks, 0, 2 * i, 1, np.uint16)))


@kernel(ENCODE)
def encode(x: Any, out: Any) -> None:
    """float32[n, m] to uint8[n, 2 * m]."""
    for i in range(0, x.size - 31, 32):
        store(out, 0, 2 * i, as_type(half_bits(load(x, 0, i, 32)), np.uint16))
    for i in range(x.size & -32, x.size):
        store(out, 0, 2 * i, as_type(half_bits(load(x, 0, i, 1)), np.uint16))
