# mypy: disable-error-code="untyped-decorator"
"""Sums about groups of weights, in one order on every machine; ``kquants.figures`` makes figures of them.

A few groups are decoded at a time, by the kernel whose address is given: they stay in the first-level cache, and a
large piece of a tensor costs one call.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import array_in, array_out, inlined, kernel, number
from .calling import decode_at
from .lanes import fill, lane, largest_lane, load, lower, maximum, minimum, smallest_lane, upper, workspace

_GROUP = 256
_AT_A_TIME = 16


@inlined
def _total(v: Any) -> Any:
    """The sum of sixteen lanes, by halves."""
    v = lower(v) + upper(v)
    v = lower(v) + upper(v)
    v = lower(v) + upper(v)
    return np.float64(lane(v, 0)) + np.float64(lane(v, 1))


@inlined
def _spread(x: Any, row: int, columns: int, out: Any, g: int) -> None:
    whole = columns & -16
    total, squares = fill(16, np.float32(0)), fill(16, np.float32(0))
    low, high = fill(16, x[row, 0]), fill(16, x[row, 0])
    for i in range(0, whole, 16):
        v = load(x, row, i, 16)
        total = total + v
        squares = squares + v * v
        low, high = minimum(v, low), maximum(v, high)
    out[0, g], out[1, g] = _total(total), _total(squares)
    out[2, g], out[3, g] = np.float64(smallest_lane(low)), np.float64(largest_lane(high))
    for i in range(whole, columns):
        w = np.float64(x[row, i])
        out[0, g] += w
        out[1, g] += w * w
        out[2, g], out[3, g] = min(out[2, g], w), max(out[3, g], w)


_STORED = (number("int64"), array_in("uint8"), number("int64"))
"""The address of what decodes some blocks, the blocks, and the weights of each."""
_TABLE = (array_out("float64"), number("int64"))
"""The figures of all groups, figure by figure, and the first group to fill in."""


@kernel(_STORED + _TABLE)
def spread(decode: Any, blocks: Any, block: Any, out: Any, at: Any) -> None:
    """Sum, sum of squares, least and most of every 256 weights, the last of which may be fewer."""
    room = workspace(_AT_A_TIME, _GROUP, np.float32)
    count = blocks.shape[0] * block
    for lo in range(0, count, _AT_A_TIME * _GROUP):
        hi = min(lo + _AT_A_TIME * _GROUP, count)
        decode_at(decode, blocks, lo // block, (hi - lo) // block, room, block)
        for i in range(lo, hi, _GROUP):
            _spread(room, (i - lo) // _GROUP, min(_GROUP, hi - i), out, at + i // _GROUP)


@inlined
def _depart(a: Any, b: Any, row: int, columns: int, out: Any, g: int) -> None:
    whole = columns & -16
    aa, bb, ab = fill(16, np.float32(0)), fill(16, np.float32(0)), fill(16, np.float32(0))
    dd, most = fill(16, np.float32(0)), fill(16, np.float32(0))
    for i in range(0, whole, 16):
        u, v = load(a, row, i, 16), load(b, row, i, 16)
        d = u - v
        aa, bb, ab = aa + u * u, bb + v * v, ab + u * v
        dd, most = dd + d * d, maximum(abs(d), most)
    out[0, g], out[1, g], out[2, g] = _total(aa), _total(bb), _total(ab)
    out[3, g], out[4, g] = _total(dd), np.float64(largest_lane(most))
    for i in range(whole, columns):
        p, q = np.float64(a[row, i]), np.float64(b[row, i])
        out[0, g] += p * p
        out[1, g] += q * q
        out[2, g] += p * q
        out[3, g] += (p - q) * (p - q)
        out[4, g] = max(out[4, g], abs(p - q))


@kernel(_STORED * 2 + _TABLE)
def depart(decode: Any, blocks: Any, block: Any, decode_b: Any, blocks_b: Any, block_b: Any, out: Any, at: Any) -> None:
    """Sums of a·a, b·b, a·b, squared and largest difference of every 256 weights, the last of which may be fewer."""
    a, b = workspace(_AT_A_TIME, _GROUP, np.float32), workspace(_AT_A_TIME, _GROUP, np.float32)
    count = blocks.shape[0] * block
    for lo in range(0, count, _AT_A_TIME * _GROUP):
        hi = min(lo + _AT_A_TIME * _GROUP, count)
        decode_at(decode, blocks, lo // block, (hi - lo) // block, a, block)
        decode_at(decode_b, blocks_b, lo // block_b, (hi - lo) // block_b, b, block_b)
        for i in range(lo, hi, _GROUP):
            _depart(a, b, (i - lo) // _GROUP, min(_GROUP, hi - i), out, at + i // _GROUP)


@kernel((array_in("float32", 1), number("float32"), array_out("int64", 1)))
def count(x: Any, reach: Any, counts: Any) -> None:
    """Add how many of float32[n] fall into each bin from ``-reach`` to ``reach``; what lies beyond is in the last."""
    last = counts.shape[0] - 1
    scale = np.float32(counts.shape[0]) / (np.float32(2) * reach)
    for i in range(x.shape[0]):
        counts[min(max(np.int64((x[i] + reach) * scale), 0), last)] += 1
