"""Weights of a few bits packed into 32-bit words: GPTQ, AWQ, compressed-tensors.

All three are ``(code - zero) * scale`` in float32; they differ in the axis that is packed, in the order of the codes
in a word and in where the zero comes from. Sources: AutoGPTQ, AutoAWQ and compressed-tensors, their packing functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np
from numpy.typing import NDArray

from gguf_py.errors import KQuantsError
from kquants.source import Source

from .folder import shown
from .plain import Floats, computed, expect, floats
from .stored import Stored

Codes = NDArray[np.int32]

AWQ_PLACE = (0, 4, 1, 5, 2, 6, 3, 7)
"""The nibble in which AWQ puts each of eight neighbouring columns."""


@lru_cache(maxsize=16)
def _stripe(stored: Stored, first: int, last: int) -> NDArray[np.generic]:
    return stored.block(0, stored.shape[0], first, last)


def _columns(stored: Stored, lo: int, hi: int) -> NDArray[np.generic]:
    """Columns ``lo`` to ``hi`` of a matrix, read in stripes of 2 MB that neighbouring pieces of work share."""
    wide = max(64, (2 << 20) // max(1, stored.shape[0] * stored.kind.itemsize))
    firsts = range(lo - lo % wide, hi, wide)
    stripes = [_stripe(stored, first, min(first + wide, stored.columns)) for first in firsts]
    found = stripes[0] if len(stripes) == 1 else np.concatenate(stripes, axis=1)
    return np.ascontiguousarray(found[:, lo - firsts[0] : hi - firsts[0]])


def unpack(words: NDArray[np.generic], bits: int, first: int, last: int) -> Codes:
    """Codes ``first`` to ``last`` of a stream of ``bits`` bits each, along the last axis of 32-bit words, low first."""
    at = np.arange(first, last) * bits
    word, shift = at >> 5, (at & 31).astype(np.uint32)
    stream = words.view(np.uint32)
    found = stream[..., word] >> shift
    if 32 % bits:  # codes of 3 bits may begin in one word and end in the next
        following = stream[..., np.minimum(word + 1, stream.shape[-1] - 1)]
        found = found | np.where(shift > 32 - bits, following << ((32 - shift) & np.uint32(31)), np.uint32(0))
    return (found & np.uint32((1 << bits) - 1)).astype(np.int32)


@dataclass(frozen=True)
class Quantized:
    """The tensors of one quantized weight, under the names GPTQ and AWQ give them."""

    qweight: Stored
    qzeros: Stored
    scales: Stored
    g_idx: Stored | None = None


def gptq(parts: Quantized, bits: int, zero_offset: int) -> Source:
    """GPTQ: codes packed down the columns, so that a row of the weight is a column of ``qweight``.

    ``zero_offset`` is 1 where stored zeros are one too small (the first format), else 0. ``g_idx`` gives each column
    its group (act-order); without it groups follow one another.
    """
    if bits not in (2, 3, 4, 8):
        raise KQuantsError(f"{parts.qweight.shard.path}: GPTQ of {bits} bits, expected 2, 3, 4 or 8")
    words, out = expect(parts.qweight, "I32 U32", (None, None)).shape
    columns = words * 32 // bits
    groups = expect(parts.scales, "F16 BF16 F32", (None, out)).shape[0]
    expect(parts.qzeros, "I32 U32", (groups, -(-out * bits // 32)))
    if parts.g_idx is not None:
        expect(parts.g_idx, "I32", (columns,))

    def rows(lo: int, hi: int) -> Floats:
        codes = unpack(np.ascontiguousarray(_columns(parts.qweight, lo, hi).T), bits, 0, columns)
        low, high = lo * bits // 32, -(-hi * bits // 32)
        packed = _columns(parts.qzeros, low, high)
        start = lo - low * 32 // bits
        zeros = unpack(packed, bits, start, start + hi - lo) if not low * 32 % bits else _zeros3(parts, groups, lo, hi)
        scales = floats(_columns(parts.scales, lo, hi))
        group = _groups(parts, columns, groups)
        offset = (zeros + zero_offset).T
        return scales.T.take(group, axis=1) * (codes - offset.take(group, axis=1)).astype(np.float32)

    return computed((out, columns), rows, parts.qweight)


def _zeros3(parts: Quantized, groups: int, lo: int, hi: int) -> Codes:
    """Zeros of 3 bits where the reading would begin inside a code: read from the row's beginning."""
    packed = _columns(parts.qzeros, 0, -(-hi * 3 // 32))
    return unpack(packed, 3, lo, hi)


def _groups(parts: Quantized, columns: int, groups: int) -> NDArray[np.int64]:
    if parts.g_idx is None:
        return np.arange(columns) // max(-(-columns // groups), 1)
    index = parts.g_idx.whole().astype(np.int64)
    if len(index) and not 0 <= int(index.min()) <= int(index.max()) < groups:
        raise KQuantsError(
            f"{parts.g_idx.shard.path}: the tensor {shown(parts.g_idx.name)} names groups beyond the {groups} there are"
        )
    return index


def awq(parts: Quantized, bits: int) -> Source:
    """AWQ: codes packed across the columns of the transposed weight, eight in a word in the order AWQ_PLACE gives."""
    if bits != 4:
        raise KQuantsError(f"{parts.qweight.shard.path}: AWQ of {bits} bits, expected 4")
    columns, words = expect(parts.qweight, "I32 U32", (None, None)).shape
    groups = expect(parts.scales, "F16 BF16 F32", (None, 8 * words)).shape[0]
    expect(parts.qzeros, "I32 U32", (groups, words))
    place = 4 * np.array(AWQ_PLACE, np.uint32)

    def nibbles(stored: Stored, lo: int, hi: int) -> Codes:
        packed = _columns(stored, lo // 8, -(-hi // 8)).view(np.uint32)
        codes = ((packed[:, :, None] >> place) & np.uint32(15)).reshape(len(packed), -1)
        return codes[:, lo % 8 : lo % 8 + hi - lo].astype(np.int32)

    def rows(lo: int, hi: int) -> Floats:
        group = np.arange(columns) // max(-(-columns // groups), 1)
        zeros, scales = nibbles(parts.qzeros, lo, hi), floats(_columns(parts.scales, lo, hi))
        return ((nibbles(parts.qweight, lo, hi) - zeros[group]).astype(np.float32) * scales[group]).T

    return computed((8 * words, columns), rows, parts.qweight)


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
    zeros are stored, which are packed down the columns.
    """
    where = parts.packed.shard.path
    if bits not in (2, 4, 8):
        raise KQuantsError(f"{where}: compressed-tensors of {bits} bits, expected 2, 4 or 8")
    shape = tuple(int(n) for n in expect(parts.shape, "I64 I32", (2,)).whole())
    per_word = 32 // bits
    words = -(-shape[1] // per_word)
    expect(parts.packed, "I32", (shape[0], words))
    scale = parts.scale if len(parts.scale.shape) == 2 else parts.scale.reshaped(prod(parts.scale.shape), 1)
    groups = scale.shape[1]
    size = group_size if group_size and group_size > 0 else shape[1]
    if groups != -(-shape[1] // max(size, 1)):
        raise KQuantsError(f"{where}: {shown(scale.name)} has {groups} groups a row of {shape[1]}, each of {size}")
    expect(scale, "F16 BF16 F32", (shape[0] if scale.shape[0] != 1 else 1, groups))
    if parts.zero is not None:
        expect(parts.zero, "I32", (-(-shape[0] // per_word), groups))
    if parts.g_idx is not None:
        expect(parts.g_idx, "I32", (shape[1],))

    def rows(lo: int, hi: int) -> Floats:
        codes = unpack(parts.packed.values(lo, hi), bits, 0, shape[1])
        scales = floats(scale.values(lo, hi) if scale.shape[0] != 1 else scale.values(0, 1))
        group = np.arange(shape[1]) // size
        if parts.g_idx is not None:
            group = _groups(Quantized(parts.packed, parts.packed, parts.scale, parts.g_idx), shape[1], groups)
        offset = np.full((1, groups), 1 << (bits - 1), np.int32)
        if parts.zero is not None:
            low, high = lo // per_word, -(-hi // per_word)
            packed = np.ascontiguousarray(parts.zero.values(low, high).T)
            start = lo - low * per_word
            offset = unpack(packed, bits, start, start + hi - lo).T
        return (codes - offset[:, group]).astype(np.float32) * scales[:, group]

    return computed((shape[0], shape[1]), rows, parts.packed)
