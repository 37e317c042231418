"""Small fields that several block types pack alike, written from lanes and read for one block.

Source of the facts: the structures in ggml-common.h; ``get_scale_min_k4`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .jit import inlined
from .lanes import as_type

F32 = np.float32


@inlined
def put_half(packed: Any, at: int, bits: Any) -> None:
    """Put the bits of float16 lanes at bytes ``at`` and ``at + 1``."""
    packed[at] = as_type(bits, np.uint8)
    packed[at + 1] = as_type(bits >> 8, np.uint8)


@inlined
def put_scales_and_mins(packed: Any, at: int, small: Any) -> None:
    """Pack eight scales, ``small[0:8]``, and eight mins, ``small[8:16]``, uint8 lanes of 6 bits, into 12 bytes.

    Bytes 0 to 3 hold scales 0 to 3 and bytes 4 to 7 mins 0 to 3, each with two bits to spare. Bytes 8 to 11 hold the
    low four bits of scales and mins 4 to 7; their high two bits fill the spare bits of the eight bytes before.
    """
    for j in range(4):
        packed[at + j] = small[j] | ((small[j + 4] >> 4) << 6)
        packed[at + 4 + j] = small[8 + j] | ((small[12 + j] >> 4) << 6)
        packed[at + 8 + j] = (small[j + 4] & 15) | (small[12 + j] << 4)


@inlined
def scale_and_min(blocks: Any, block: int, at: int, j: int) -> Any:
    """The reverse for one block: scale and min ``j``, as float32 scalars."""
    if j < 4:
        return F32(blocks[block, at + j] & 63), F32(blocks[block, at + 4 + j] & 63)
    low = blocks[block, at + 4 + j]
    scale = (low & 15) | ((blocks[block, at + j - 4] >> 6) << 4)
    least = (low >> 4) | ((blocks[block, at + j] >> 6) << 4)
    return F32(scale), F32(least)
