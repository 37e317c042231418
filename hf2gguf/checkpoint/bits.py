"""Codes of a few bits in a stream of 32-bit words, and columns of a matrix read in stripes."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .stored import Stored

Codes = NDArray[np.int32]

_PLANES: dict[int, tuple[tuple[int, int], ...]] = {
    3: ((2, 0), (1, 2)),
    5: ((4, 0), (1, 4)),
    6: ((4, 0), (2, 4)),
    7: ((4, 0), (2, 4), (1, 6)),
}
"""For a number of bits, the widths of the planes that make up a code and where each begins in it."""


@lru_cache(maxsize=16)
def _stripe(stored: Stored, first: int, last: int) -> NDArray[np.generic]:
    return stored.block(0, stored.shape[0], first, last)


def columns(stored: Stored, lo: int, hi: int) -> NDArray[np.generic]:
    """Columns ``lo`` to ``hi`` of a matrix, read in stripes of 2 MB that neighbouring pieces of work share."""
    wide = max(64, (2 << 20) // max(1, stored.shape[0] * stored.kind.itemsize))
    firsts = range(lo - lo % wide, hi, wide)
    stripes = [_stripe(stored, first, min(first + wide, stored.columns)) for first in firsts]
    found = stripes[0] if len(stripes) == 1 else np.concatenate(stripes, axis=1)
    return np.ascontiguousarray(found[:, lo - firsts[0] : hi - firsts[0]])


def fields(words: NDArray[np.generic], bits: int) -> Codes:
    """The codes of a stream whose words hold whole codes, low first; bits above them are left: [..., codes]."""
    shifts = np.arange(0, 33 - bits, bits, dtype=np.uint32)
    found = (words.view(np.uint32)[..., None] >> shifts) & np.uint32((1 << bits) - 1)
    return found.reshape(*words.shape[:-1], -1).view(np.int32)


def unpack(words: NDArray[np.generic], bits: int, first: int, last: int) -> Codes:
    """Codes ``first`` to ``last`` of a stream of ``bits`` bits each, along the last axis of 32-bit words, low first."""
    if 32 % bits == 0:
        per_word = 32 // bits
        low = first // per_word
        return fields(words[..., low : -(-last // per_word)], bits)[..., first - low * per_word : last - low * per_word]
    at = np.arange(first, last) * bits
    word, shift = at >> 5, (at & 31).astype(np.uint32)
    stream = words.view(np.uint32)
    # A code may begin in one word and end in the next.
    following = stream[..., np.minimum(word + 1, stream.shape[-1] - 1)]
    found = stream[..., word] >> shift
    found = found | np.where(shift > 32 - bits, following << ((32 - shift) & np.uint32(31)), np.uint32(0))
    return (found & np.uint32((1 << bits) - 1)).astype(np.int32)


def unpack_planes(words: NDArray[np.generic], bits: int, first: int, last: int) -> Codes:
    """Codes ``first`` to ``last``, 32 of which lie in ``bits`` words: all their lowest bits, then all the next ones."""
    low = first // 32
    some = words[..., low * bits : -(-last // 32) * bits]
    some = some.reshape(*words.shape[:-1], -1, bits)
    found: Codes = np.zeros((), np.int32)
    row = 0
    for width, offset in _PLANES[bits]:
        found = found | (fields(np.ascontiguousarray(some[..., row : row + width]), width) << offset)
        row += width
    return found.reshape(*words.shape[:-1], -1)[..., first - 32 * low : last - 32 * low]
