"""Small fields that several block types pack alike: put from lanes, and read back for lanes or for one block.

Source of the facts: the structures in ggml-common.h; ``get_scale_min_k4`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import inlined
from .lanes import as_type, fill, join

F32 = np.float32


@inlined
def put_half(packed: Any, at: int, bits: Any) -> None:
    """Put the bits of float16 lanes at bytes ``at`` and ``at + 1``."""
    packed[at] = as_type(bits, np.uint8)
    packed[at + 1] = as_type(bits >> 8, np.uint8)


@inlined
def put_word(packed: Any, at: int, bits: Any) -> None:
    """Put 32 bits at bytes ``at`` to ``at + 3``, the lowest first."""
    for i in range(4):
        packed[at + i] = as_type(bits >> 8 * i, np.uint8)


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
def get_scales_and_mins(packed: Any, at: int, scales: Any) -> None:
    """Read them back, as a decoder will: float32 lanes, the scales to ``scales[0:8]``, the mins to ``scales[8:16]``."""
    for j in range(4):
        scales[j] = as_type(packed[at + j] & 63, np.float32)
        scales[8 + j] = as_type(packed[at + 4 + j] & 63, np.float32)
        low = packed[at + 8 + j]
        scales[4 + j] = as_type((low & 15) | ((packed[at + j] >> 6) << 4), np.float32)
        scales[12 + j] = as_type((low >> 4) | ((packed[at + 4 + j] >> 6) << 4), np.float32)


@inlined
def scale_and_min(blocks: Any, block: int, at: int, j: int) -> Any:
    """Scale and min ``j`` of one block, as float32 scalars."""
    if j < 4:
        return F32(blocks[block, at + j] & 63), F32(blocks[block, at + 4 + j] & 63)
    low = blocks[block, at + 4 + j]
    scale = (low & 15) | ((blocks[block, at + j - 4] >> 6) << 4)
    least = (low >> 4) | ((blocks[block, at + j] >> 6) << 4)
    return F32(scale), F32(least)


@inlined
def put_nibbles(packed: Any, at: int, levels: Any) -> None:
    """Pack the low four bits of 256 levels: byte i of the p-th 32 bytes holds levels 64p + i (low) and 64p + 32 + i."""
    for p in range(4):
        for i in range(32):
            packed[at + 32 * p + i] = (levels[64 * p + i] & 15) | (levels[64 * p + 32 + i] << 4)


@inlined
def put_bit_planes(packed: Any, at: int, levels: Any, bit: int) -> None:
    """Pack one bit of 256 levels: bit k of the i-th of 32 bytes belongs to level 32k + i."""
    for i in range(32):
        plane = (levels[i] >> bit) & 1
        for k in range(1, 8):
            plane = plane | (((levels[32 * k + i] >> bit) & 1) << k)
        packed[at + i] = plane


@inlined
def put_pairs(packed: Any, at: int, levels: Any, shift: int) -> None:
    """Pack two bits of 256 levels, from bit ``shift`` on: byte i of a half holds levels i, 32 + i, 64 + i, 96 + i."""
    for half in range(2):
        for i in range(32):
            pairs = (levels[128 * half + i] >> shift) & 3
            for k in range(1, 4):
                pairs = pairs | (((levels[128 * half + 32 * k + i] >> shift) & 3) << (2 * k))
            packed[at + 32 * half + i] = pairs


@inlined
def two_scalars(first: Any, second: Any) -> Any:
    """32 lanes: 16 times one scalar, then 16 times another."""
    return join(fill(16, first), fill(16, second))
