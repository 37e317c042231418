"""AWQ: four bits, ``(code - zero) * scale``, in its kernels' layouts. Source: AutoAWQ 0.2.9, ``modules/linear``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gguf_py.errors import KQuantsError
from kquants.source import Source

from .bits import Codes, columns, fields
from .folder import shown
from .packed import SCALES, Quantized, grouped
from .plain import Floats, computed, expect, scales_of
from .stored import Stored

WORDS = "I32 U32"

PLACE = (0, 4, 1, 5, 2, 6, 3, 7)
"""The nibble in which ``gemm`` puts each of eight neighbouring columns."""


def gemm(parts: Quantized, size: int) -> Source:
    """Codes packed across the columns of the transposed weight, eight in a word in the order PLACE gives."""
    wide, words = expect(parts.qweight, WORDS, (None, None)).shape
    groups = expect(parts.scales, SCALES, (None, 8 * words)).shape[0]
    expect(parts.qzeros, WORDS, (groups, words))
    place = 4 * np.array(PLACE, np.uint32)

    def nibbles(stored: Stored, lo: int, hi: int) -> Codes:
        packed = columns(stored, lo // 8, -(-hi // 8)).view(np.uint32)
        codes = ((packed[:, :, None] >> place) & np.uint32(15)).reshape(len(packed), -1)
        return codes[:, lo % 8 : lo % 8 + hi - lo].astype(np.int32)

    def rows(lo: int, hi: int) -> Floats:
        group = grouped(None, wide, groups)
        zeros, scales = nibbles(parts.qzeros, lo, hi), scales_of(parts.scales, columns(parts.scales, lo, hi))
        return ((nibbles(parts.qweight, lo, hi) - zeros[group]).astype(np.float32) * scales[group]).T

    return computed((8 * words, wide), rows, parts.qweight)


def gemv(parts: Quantized, size: int) -> Source:
    """Codes, zeros and scales along the rows, in order; zeros and scales padded."""
    out, words = expect(parts.qweight, WORDS, (None, None)).shape
    group, groups = _groups(parts, 8 * words, size)
    padded = expect(parts.qzeros, WORDS, (out, None)).shape[1]
    expect(parts.scales, SCALES, (out, 8 * padded))
    _enough(parts, 8 * padded, groups)

    def rows(lo: int, hi: int) -> Floats:
        zeros, scales = fields(parts.qzeros.values(lo, hi), 4), scales_of(parts.scales, parts.scales.values(lo, hi))
        codes = fields(parts.qweight.values(lo, hi), 4)
        return (codes - zeros[:, group]).astype(np.float32) * scales[:, group]

    return computed((out, 8 * words), rows, parts.qweight)


def _shuffled() -> NDArray[np.int64]:
    """Where ``gemv_fast`` puts each of 32 neighbouring columns."""
    pairs = np.arange(32).reshape(4, 4, 2).transpose(1, 0, 2).reshape(4, 4, 2)
    return np.argsort(pairs.transpose(0, 2, 1).reshape(-1))


def gemv_fast(parts: Quantized, size: int) -> Source:
    """Four rows by 64 columns in 64 words of 16 bits, columns shuffled in each 32; ``qzeros`` holds ``-zero * scale``.

    The kernel works in float16; here the product is exact and the sum is rounded to float32.
    """
    quarter, wide = expect(parts.qweight, "I16 U16", (None, None)).shape
    group, groups = _groups(parts, wide, size)
    padded = expect(parts.scales, SCALES, (None, 4 * quarter)).shape[0]
    expect(parts.qzeros, SCALES, (padded, 4 * quarter))
    _enough(parts, padded, groups)
    if wide % 64:
        raise KQuantsError(f"{parts.qweight.shard.path}: {shown(parts.qweight.name)} is {wide} wide, expected 64s")
    place, nibble = _shuffled(), 4 * np.arange(4, dtype=np.uint16)

    def rows(lo: int, hi: int) -> Floats:
        low, high = lo // 4, -(-hi // 4)
        packed = parts.qweight.values(low, high).view(np.uint16)
        codes = ((packed[..., None] >> nibble) & np.uint16(15)).reshape(high - low, wide // 64, 4, 2, 32)
        codes = codes[..., place].transpose(0, 2, 1, 3, 4).reshape(-1, wide)[lo - 4 * low : hi - 4 * low]
        scales, zeros = (scales_of(s, columns(s, lo, hi)).T for s in (parts.scales, parts.qzeros))
        return codes.astype(np.float32) * scales[:, group] + zeros[:, group]

    return computed((4 * quarter, wide), rows, parts.qweight)


def _tiled() -> NDArray[np.int64]:
    """Where Marlin puts each of the 1024 codes of 16 columns by 64 rows."""
    thread, block, row, tile = np.arange(32), np.arange(2), np.array([0, 1, 8, 9]), np.arange(4)
    column = 2 * (thread[:, None, None, None] % 4) + row
    at = 16 * column + thread[:, None, None, None] // 4 + 8 * block[:, None]
    order = (at + 256 * tile[:, None, None]).reshape(-1, 8)  # [thread, tile, block, row]
    return np.argsort(order[:, [0, 2, 4, 6, 1, 3, 5, 7]].reshape(-1))


def marlin(weight: Stored, scale: Stored) -> Source:
    """Marlin's tiles of 16 columns by 64 rows, whose codes and scales are shuffled for tensor cores; the zero is 8.

    ``weight`` I32 [columns / 16, 2 * rows]; ``scale`` F16 [groups, rows]. Source: IST-DASLab/marlin, ``pack``.
    """
    high, words = expect(weight, WORDS, (None, None)).shape
    wide, out = 16 * high, words // 2
    groups = expect(scale, "F16", (None, out)).shape[0]
    if out % 64:
        raise KQuantsError(f"{weight.shard.path}: {shown(weight.name)} has {out} rows, expected a multiple of 64")
    place = _tiled()
    if groups > 1:
        shuffle = np.arange(64).reshape(8, 8).T.reshape(-1)
    else:
        shuffle = (np.array([0, 1, 8, 9, 16, 17, 24, 25]) + 2 * np.arange(4)[:, None]).reshape(-1)
    there = np.argsort(shuffle)

    def rows(lo: int, hi: int) -> Floats:
        low, top = lo - lo % 64, -(-hi // 64) * 64
        codes = fields(columns(weight, 2 * low, 2 * top), 4).reshape(high, -1, 1024)[..., place]
        # [16 columns, 64 rows, 4 tiles of 16 rows, column, row]
        codes = (
            codes.reshape(high, -1, 4, 16, 16).transpose(1, 2, 4, 0, 3).reshape(top - low, wide)[lo - low : hi - low]
        )
        scales = scales_of(scale, columns(scale, low, top)).reshape(groups, -1, len(there))[..., there]
        scales = scales.reshape(groups, -1)[:, lo - low : hi - low].T
        return (codes - 8).astype(np.float32) * scales[:, grouped(None, wide, groups)]

    return computed((out, wide), rows, weight)


def _groups(parts: Quantized, wide: int, size: int) -> tuple[NDArray[np.int64], int]:
    size = wide if size == -1 else size
    if type(size) is not int or size < 1 or wide % size:
        raise KQuantsError(f"{parts.qweight.shard.path}: AWQ with groups of {size!r} in rows of {wide}")
    return np.arange(wide) // size, wide // size


def _enough(parts: Quantized, padded: int, groups: int) -> None:
    if padded < groups:
        raise KQuantsError(
            f"{parts.scales.shard.path}: {shown(parts.scales.name)} has {padded} groups a row, expected {groups}"
        )


LAYOUTS: dict[str, Callable[[Quantized, int], Source]] = {"gemm": gemm, "gemv": gemv, "gemv_fast": gemv_fast}
"""Layouts by the name ``version`` gives them; ``marlin`` has no zeros."""
