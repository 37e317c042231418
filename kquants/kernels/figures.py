# mypy: disable-error-code="untyped-decorator"
"""Sums about groups of weights, in one order on every machine; ``kquants.figures`` makes figures of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import array_in, array_out, inlined, kernel, number
from .lanes import fill, lane, largest_lane, load, lower, maximum, minimum, smallest_lane, upper


@inlined
def _total(v: Any) -> Any:
    """The sum of sixteen lanes, by halves."""
    v = lower(v) + upper(v)
    v = lower(v) + upper(v)
    v = lower(v) + upper(v)
    return np.float64(lane(v, 0)) + np.float64(lane(v, 1))


@kernel((array_in("float32"), array_out("float64")))
def spread(x: Any, out: Any) -> None:
    """Sum, sum of squares, least and most of every group: float64[groups, 4]."""
    columns = x.shape[1]
    whole = columns & -16
    for g in range(x.shape[0]):
        total, squares = fill(16, np.float32(0)), fill(16, np.float32(0))
        low, high = fill(16, x[g, 0]), fill(16, x[g, 0])
        for i in range(0, whole, 16):
            v = load(x, g, i, 16)
            total = total + v
            squares = squares + v * v
            low, high = minimum(v, low), maximum(v, high)
        out[g, 0], out[g, 1] = _total(total), _total(squares)
        out[g, 2], out[g, 3] = np.float64(smallest_lane(low)), np.float64(largest_lane(high))
        for i in range(whole, columns):
            w = np.float64(x[g, i])
            out[g, 0] += w
            out[g, 1] += w * w
            out[g, 2], out[g, 3] = min(out[g, 2], w), max(out[g, 3], w)


@kernel((array_in("float32"), array_in("float32"), array_out("float64")))
def depart(a: Any, b: Any, out: Any) -> None:
    """Sums of a·a, b·b, a·b, squared and largest difference of every group: float64[groups, 5]."""
    columns = a.shape[1]
    whole = columns & -16
    for g in range(a.shape[0]):
        aa, bb, ab = fill(16, np.float32(0)), fill(16, np.float32(0)), fill(16, np.float32(0))
        dd, most = fill(16, np.float32(0)), fill(16, np.float32(0))
        for i in range(0, whole, 16):
            u, v = load(a, g, i, 16), load(b, g, i, 16)
            d = u - v
            aa, bb, ab = aa + u * u, bb + v * v, ab + u * v
            dd, most = dd + d * d, maximum(abs(d), most)
        out[g, 0], out[g, 1], out[g, 2] = _total(aa), _total(bb), _total(ab)
        out[g, 3], out[g, 4] = _total(dd), np.float64(largest_lane(most))
        for i in range(whole, columns):
            p, q = np.float64(a[g, i]), np.float64(b[g, i])
            out[g, 0] += p * p
            out[g, 1] += q * q
            out[g, 2] += p * q
            out[g, 3] += (p - q) * (p - q)
            out[g, 4] = max(out[g, 4], abs(p - q))


@kernel((array_in("float32", 1), number("float32"), array_out("int64", 1)))
def count(x: Any, reach: Any, counts: Any) -> None:
    """Add how many of float32[n] fall into each bin from ``-reach`` to ``reach``; what lies beyond is in the last."""
    last = counts.shape[0] - 1
    scale = np.float32(counts.shape[0]) / (np.float32(2) * reach)
    for i in range(x.shape[0]):
        counts[min(max(np.int64((x[i] + reach) * scale), 0), last)] += 1
