"""Blocks that GGUF has too, repacked bit by bit and kept: MXFP4 and NVFP4."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gguf_py.errors import KQuantsError
from gguf_py.types import TENSOR_TYPES
from kquants.source import Source

from .folder import shown
from .plain import expect
from .stored import Stored

MXFP4, NVFP4 = TENSOR_TYPES["MXFP4"], TENSOR_TYPES["NVFP4"]


def mxfp4(blocks: Stored, scales: Stored, first: int = 0, step: int = 1) -> Source:
    """OpenAI's MXFP4 as ggml's: rows ``first``, ``first + step``, … of the next to last axis.

    ``blocks`` is U8 [..., rows, groups, 16], two neighbours a byte, low half first; ``scales`` U8 [..., rows, groups].
    ggml puts weight j and j + 16 of a group into one byte; no bit of a weight changes.
    """
    *leading, height, groups, _ = expect(blocks, "U8", (*([None] * max(len(blocks.shape) - 1, 2)), 16)).shape
    expect(scales, "U8 F8_E8M0", blocks.shape[:-1])
    taken = len(range(first, height, step))
    shape = (*leading, taken, groups * 32)

    def rows(lo: int, hi: int) -> NDArray[np.uint8]:
        outer, inner = np.divmod(np.arange(lo, hi), max(taken, 1))
        wanted = outer * height + first + inner * step
        low, high = int(wanted[0]), int(wanted[-1]) + 1
        packed = blocks.rows(low * groups, high * groups).reshape(high - low, groups, 16)[wanted - low]
        out = np.empty((hi - lo, groups, MXFP4.nbytes), np.uint8)
        out[:, :, 0] = _numbers(scales, 255, scales.rows(low, high)[wanted - low])
        out[:, :, 1:] = halved(packed)
        return out.reshape(hi - lo, -1)

    return Source(MXFP4, shape, rows, blocks)


def mxfp4_rows(packed: Stored, scales: Stored) -> Source:
    """MXFP4 whose rows are not cut into groups: ``packed`` U8 [..., rows, columns / 2]."""
    columns = 2 * packed.columns
    if columns % 32 or packed.strides is not None:
        raise KQuantsError(
            f"{packed.shard.path}: the tensor {shown(packed.name)} has rows of {columns} weights, expected groups of 32"
        )
    return mxfp4(packed.reshaped(*packed.shape[:-1], columns // 32, 16), scales)


def nvfp4(packed: Stored, scales: Stored) -> Source:
    """NVFP4 as ggml's: ``packed`` U8 [..., columns / 2], low half first; ``scales`` FP8 [..., columns / 16].

    Four groups of 16 make a block: their scales without the sign, then weight j and j + 8 of each group in a byte.
    The tensor's own scale is no part of the blocks.
    """
    *leading, columns = expect(packed, "U8", (*([None] * max(len(packed.shape), 2)),)).shape
    columns *= 2
    expect(scales, "F8_E4M3 U8", (*leading, columns // 16))
    if columns % NVFP4.block:
        raise KQuantsError(
            f"{packed.shard.path}: the tensor {shown(packed.name)} has rows of {columns} weights, expected a multiple"
            f" of {NVFP4.block}, as ggml's NVFP4 has them"
        )
    groups = columns // 16

    def rows(lo: int, hi: int) -> NDArray[np.uint8]:
        count = hi - lo
        out = np.empty((count, groups // 4, NVFP4.nbytes), np.uint8)
        out[:, :, :4] = _numbers(scales, 0x7F, scales.rows(lo, hi) & np.uint8(0x7F)).reshape(count, groups // 4, 4)
        out[:, :, 4:] = halved(packed.rows(lo, hi).reshape(count, groups, 8)).reshape(count, groups // 4, 32)
        return out.reshape(count, -1)

    return Source(NVFP4, (*leading, columns), rows, packed)


def _numbers(scales: Stored, nan: int, found: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if (found == nan).any():
        raise KQuantsError(f"{scales.shard.path}: the tensor {shown(scales.name)} holds scales that are no numbers")
    return found


def halved(packed: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Groups of bytes with neighbouring weights in them, as bytes with a weight of each half: uint8[..., n]."""
    half = packed.shape[-1]
    weights = np.stack((packed & 15, packed >> 4), axis=-1).reshape(*packed.shape[:-1], 2 * half)
    found: NDArray[np.uint8] = weights[..., :half] | (weights[..., half:] << 4)
    return found
