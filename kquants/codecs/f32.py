"""F32: IEEE single precision, four bytes a weight, little-endian: decoding and encoding copy."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import DECODE, ENCODE, kernel
from ..kernels.lanes import load, load_as, store


@kernel(DECODE)
def decode(blocks: Any, out: Any) -> None:
    """uint8[n, 4 * m] to float32[n, m]."""
    for i in range(0, out.size - 31, 32):
        store(out, 0, i, load_as(blocks, 0, 4 * i, 32, np.float32))
    for i in range(out.size & -32, out.size):
        store(out, 0, i, load_as(blocks, 0, 4 * i, 1, np.float32))


@kernel(ENCODE)
def encode(x: Any, out: Any) -> None:
    """float32[n, m] to uint8[n, 4 * m]."""
    for i in range(0, x.size - 31, 32):
        store(out, 0, 4 * i, load(x, 0, i, 32))
    for i in range(x.size & -32, x.size):
        store(out, 0, 4 * i, load(x, 0, i, 1))
