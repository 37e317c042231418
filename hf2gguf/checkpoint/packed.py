"""Weights of a few bits packed into 32-bit words: GPTQ and compressed-tensors.

Both are ``(code - zero) * scale`` in float32; they differ in the axis that is packed and in where the zero comes from.
Sources: AutoGPTQ, GPTQModel and compressed-tensors, their packing functions.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from gguf_py.errors import KQuantsError
from kquants.source import Source

from .bits import columns, fields, unpack, unpack_planes
from .folder import shown
from .plain import Floats, computed, expect, scales_of
from .stored import Stored

SCALES = "F16 BF16 F32"


@dataclass(frozen=True)
class Quantized:
    """The tensors of one quantized weight, under the names GPTQ and AWQ give them."""

    qweight: Stored
    qzeros: Stored
    scales: Stored
    g_idx: Stored | None = None


def gptq(parts: Quantized, bits: int, *, zero_offset: int, planes: Collection[int] = ()) -> Source:
    """GPTQ: codes packed down the columns, so that a row of the weight is a column of ``qweight``.

    ``zero_offset`` is 1 where stored zeros are one too small (the first format), else 0. ``g_idx`` gives each column
    its group (act-order); without it groups follow one another. ``planes`` are the numbers of bits whose
    codes lie in planes.
    """
    if bits not in range(2, 9):
        raise KQuantsError(f"{parts.qweight.shard.path}: GPTQ of {bits} bits, expected 2 to 8")
    words, out = expect(parts.qweight, "I32 U32", (None, None)).shape
    wide = words * 32 // bits
    groups = expect(parts.scales, SCALES, (None, out)).shape[0]
    width = expect(parts.qzeros, "I32 U32", (groups, -(-out * bits // 32))).shape[1]
    if parts.g_idx is not None:
        expect(parts.g_idx, "I32 I64", (wide,))
    read = unpack_planes if bits in planes else unpack
    if read is unpack_planes and (words % bits or width % bits):
        raise KQuantsError(
            f"{parts.qweight.shard.path}: {shown(parts.qweight.name)} has {words} words a column, expected a multiple"
            f" of {bits}"
        )

    def rows(lo: int, hi: int) -> Floats:
        codes = read(np.ascontiguousarray(columns(parts.qweight, lo, hi).T), bits, 0, wide)
        low = lo // 32  # 32 codes fill whole words, whatever the bits
        packed = columns(parts.qzeros, low * bits, min(-(-hi // 32) * bits, width))
        zeros = read(packed, bits, lo - 32 * low, hi - 32 * low) + zero_offset
        scales = scales_of(parts.scales, columns(parts.scales, lo, hi))
        group = grouped(parts.g_idx, wide, groups)
        return scales.T.take(group, axis=1) * (codes - zeros.T.take(group, axis=1)).astype(np.float32)

    return computed((out, wide), rows, parts.qweight)


def grouped(g_idx: Stored | None, wide: int, groups: int) -> NDArray[np.int64]:
    """The group of each column, int64[wide]; raises KQuantsError for one that is not there."""
    if g_idx is None:
        return np.arange(wide) // max(-(-wide // groups), 1)
    index = g_idx.whole().astype(np.int64)
    if len(index) and not 0 <= int(index.min()) <= int(index.max()) < groups:
        raise KQuantsError(
            f"{g_idx.shard.path}: the tensor {shown(g_idx.name)} names groups beyond the {groups} there are"
        )
    return index


@dataclass(frozen=True)
class Compressed:
    """The tensors of one weight packed by compressed-tensors."""

    packed: Stored
    scale: Stored
    shape: Stored
    zero: Stored | None = None
    g_idx: Stored | None = None


def compressed(parts: Compressed, bits: int, group_size: int | None) -> Source:
    """compressed-tensors' ``pack-quantized``: codes along the rows, each row padded to whole words.

    Without ``group_size`` a scale serves a row, or all of them. Codes are symmetric about ``2 ** (bits - 1)`` unless
    zeros are stored: packed down the columns, or as signed bytes around that middle. Codes that do not divide a word
    lie one after the other or, written by versions before 0.13, whole in a word with bits left over.
    """
    where = parts.packed.shard.path
    if type(bits) is not int or not 1 <= bits <= 8:
        raise KQuantsError(f"{where}: compressed-tensors of {bits} bits, expected 1 to 8")
    shape = tuple(int(n) for n in expect(parts.shape, "I64 I32", (2,)).whole())
    per_word, middle = 32 // bits, 1 << (bits - 1)
    words = expect(parts.packed, "I32", (shape[0], None)).shape[1]
    dense = words == -(-shape[1] * bits // 32)
    if not dense and words != -(-shape[1] // per_word):
        raise KQuantsError(f"{where}: {shown(parts.packed.name)} has {words} words a row of {shape[1]} x {bits} bits")
    scale = parts.scale if len(parts.scale.shape) == 2 else parts.scale.reshaped(prod(parts.scale.shape), 1)
    groups = scale.shape[1]
    size = group_size if group_size and group_size > 0 else shape[1]
    if groups != -(-shape[1] // max(size, 1)):
        raise KQuantsError(f"{where}: {shown(scale.name)} has {groups} groups a row of {shape[1]}, each of {size}")
    expect(scale, SCALES, (shape[0] if scale.shape[0] != 1 else 1, groups))
    if parts.zero is not None and parts.zero.dtype == "I8":
        expect(parts.zero, "I8", (shape[0], groups))
    elif parts.zero is not None:
        high = -(-shape[0] * bits // 32) if dense else -(-shape[0] // per_word)
        expect(parts.zero, "I32", (high, groups))
    if parts.g_idx is not None:
        expect(parts.g_idx, "I32 I64", (shape[1],))

    def zeros(lo: int, hi: int) -> NDArray[np.int32]:
        if parts.zero is None:
            return np.full((1, groups), middle, np.int32)
        if parts.zero.dtype == "I8":
            return parts.zero.values(lo, hi).astype(np.int32) + middle
        step = bits if dense else 1  # words that end where a code ends
        many = 32 if dense else per_word
        low = lo // many
        packed = parts.zero.values(low * step, min(-(-hi // many) * step, parts.zero.shape[0]))
        line = np.ascontiguousarray(packed.T)
        start = lo - low * many
        found = unpack(line, bits, start, start + hi - lo) if dense else fields(line, bits)[:, start : start + hi - lo]
        return found.T

    def rows(lo: int, hi: int) -> Floats:
        words = parts.packed.values(lo, hi)
        codes = unpack(words, bits, 0, shape[1]) if dense else fields(words, bits)[:, : shape[1]]
        scales = scales_of(scale, scale.values(lo, hi) if scale.shape[0] != 1 else scale.values(0, 1))
        group = np.arange(shape[1]) // size if parts.g_idx is None else grouped(parts.g_idx, shape[1], groups)
        return (codes - zeros(lo, hi)[:, group]).astype(np.float32) * scales[:, group]

    return computed((shape[0], shape[1]), rows, parts.packed)
