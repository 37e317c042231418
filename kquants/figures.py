# mypy: disable-error-code="untyped-decorator"
"""Figures about weights: how large they are, and how far those of one tensor lie from another's.

Sums run over groups of 256 weights in float32, in an order that neither threads nor vector widths change, and over
groups in float64. They describe; nothing is encoded from them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from gguf_py import KQuantsError, Tensor

from .arrays import cores
from .codecs import codec
from .jit import array_in, array_out, inlined, kernel, number
from .kernels.lanes import fill, lane, largest_lane, load, lower, maximum, minimum, smallest_lane, upper

GROUP = 256
"""Weights whose error is one figure: the largest block there is."""
CHUNK = 1024 * GROUP
"""Weights that are decoded at a time: with their blocks they stay in the cache."""

Floats = npt.NDArray[np.float32]
Sums = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Spread:
    """How large the weights of a tensor are; mean and rms are NaN when a weight is no finite number."""

    count: int
    mean: float
    rms: float
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Departure:
    """How far weights ``b`` lie from weights ``a``."""

    count: int
    rms: float
    """Root of the mean squared difference."""
    relative: float
    """The same, as a part of the root mean square of ``a``."""
    cosine: float
    largest: float
    """The largest difference."""
    worst: float
    """The relative difference of the group of 256 weights where it is greatest."""
    worst_at: int
    """Index of that group's first weight in the flattened tensor."""


@inlined
def _total(v: Any) -> Any:
    """The sum of sixteen lanes, by halves."""
    v = lower(v) + upper(v)
    v = lower(v) + upper(v)
    v = lower(v) + upper(v)
    return np.float64(lane(v, 0)) + np.float64(lane(v, 1))


@kernel((array_in("float32"), array_out("float64")))
def _spread(x: Any, out: Any) -> None:
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
def _depart(a: Any, b: Any, out: Any) -> None:
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
def _count(x: Any, reach: Any, counts: Any) -> None:
    """Add how many of float32[n] fall into each bin from ``-reach`` to ``reach``; what lies beyond is in the last."""
    last = counts.shape[0] - 1
    scale = np.float32(counts.shape[0]) / (np.float32(2) * reach)
    for i in range(x.shape[0]):
        counts[min(max(np.int64((x[i] + reach) * scale), 0), last)] += 1


def decodes(tensor: Tensor) -> bool:
    """Whether the weights of a tensor can be had as float32 here."""
    try:
        little = tensor.file is None or tensor.file.byteorder == "little"
        return little and hasattr(codec(tensor.type), "decode")
    except KQuantsError:
        return False


def weights(tensor: Tensor, lo: int, hi: int, out: Floats | None = None) -> Floats:
    """Weights ``lo`` to ``hi`` of the flattened tensor as float32; both are multiples of the block, or the end."""
    kind = tensor.type
    data = tensor.data.reshape(-1)[lo // kind.block * kind.nbytes : hi // kind.block * kind.nbytes]
    wide = np.empty(hi - lo, np.float32) if out is None else out[: hi - lo]
    codec(kind).decode(data.reshape(-1, kind.nbytes), wide.reshape(-1, kind.block))
    return wide


def in_chunks(work: Callable[[int, int], Any], count: int, threads: int | None = None) -> list[Any]:
    """``work(lo, hi)`` for every chunk of ``count`` weights, on several threads; the answers in order."""
    starts = range(0, count, CHUNK)
    workers = min(threads or cores(), len(starts))
    each = max(1, len(starts) // (8 * max(1, workers)))  # a task is long enough that handing it out costs nothing

    def task(first: int) -> list[Any]:
        return [work(lo, min(lo + CHUNK, count)) for lo in starts[first : first + each]]

    if workers <= 1:
        return [answer for k in range(0, len(starts), each) for answer in task(k)]
    return [answer for answers in _pool(workers).map(task, range(0, len(starts), each)) for answer in answers]


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    """Kept from one tensor to the next: starting threads costs more than a small tensor."""
    return ThreadPoolExecutor(workers)


def spread_sums(x: Floats) -> Sums:
    """Sum, sum of squares, least and most of each group of a chunk: float64[groups, 4]; NaN makes sums NaN."""
    return _by_group(_spread, 4, x)


def spread_of(table: Sums, count: int) -> Spread:
    """The figures of a tensor from its groups."""
    if not count:
        return Spread(0, 0.0, 0.0, 0.0, 0.0)
    total, squares = (float(column.sum()) for column in table[:, :2].T) if _finite(table) else (math.nan, math.nan)
    return Spread(count, total / count, math.sqrt(squares / count), float(table[:, 2].min()), float(table[:, 3].max()))


def spread(tensor: Tensor, threads: int | None = None) -> Spread:
    """How large the weights of a tensor are."""
    parts = in_chunks(lambda lo, hi: spread_sums(weights(tensor, lo, hi)), tensor.count, threads)
    return spread_of(joined(parts, 4), tensor.count)


def departure_sums(a: Floats, b: Floats) -> Sums:
    """Sums of a·a, b·b, a·b, the squared and the largest difference of each group: float64[groups, 5]."""
    return _by_group(_depart, 5, a, b)


def departure_of(table: Sums, count: int) -> Departure:
    """The figures of two tensors of ``count`` weights from their groups, in order."""
    if not count:
        return Departure(0, 0.0, 0.0, 1.0, 0.0, 0.0, 0)
    aa, bb, ab, dd = (float(column.sum()) for column in table[:, :4].T) if _finite(table) else [math.nan] * 4
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(table[:, 3] > 0, np.sqrt(table[:, 3] / table[:, 0]), 0.0)
    worst = int(np.argmax(np.where(np.isnan(ratios), np.inf, ratios)))
    relative = math.sqrt(dd / aa) if aa > 0 else (0.0 if dd == 0 else math.inf)
    cosine = ab / math.sqrt(aa * bb) if aa > 0 and bb > 0 else float(aa == bb)
    return Departure(
        count, math.sqrt(dd / count), relative, cosine, float(table[:, 4].max()), float(ratios[worst]), worst * GROUP
    )


def departure(a: Tensor, b: Tensor, threads: int | None = None) -> Departure:
    """How far the weights of ``b`` lie from those of ``a``, a tensor of the same shape."""
    parts = in_chunks(lambda lo, hi: departure_sums(weights(a, lo, hi), weights(b, lo, hi)), a.count, threads)
    return departure_of(joined(parts, 5), a.count)


def together(parts: Iterable[Departure]) -> float:
    """The relative difference of several tensors as if they were one; those of zeros alone do not count."""
    squares = [(p.rms**2 * p.count, p.relative) for p in parts if 0 < p.relative < math.inf]
    size = sum(square / relative**2 for square, relative in squares)
    return math.sqrt(sum(square for square, _ in squares) / size) if size else 0.0


def histogram(tensor: Tensor, reach: float, bins: int, sample: int) -> list[int]:
    """Weights a bin from ``-reach`` to ``reach``, of the first ``sample`` weights of every chunk of the tensor."""

    def look(lo: int, hi: int) -> Any:
        counts = np.zeros(bins, np.int64)
        _count(weights(tensor, lo, min(hi, lo + sample)), np.float32(reach), counts)
        return counts

    total: list[int] = sum(in_chunks(look, tensor.count)).tolist()
    return total


def joined(parts: list[Sums], columns: int) -> Sums:
    """The groups of all chunks as one table."""
    return np.concatenate(parts) if parts else np.empty((0, columns), np.float64)


def _by_group(measure: Callable[..., None], columns: int, *chunks: Floats) -> Sums:
    """``measure(*groups, table)`` for the groups of 256 weights, and for the rest of fewer as one more."""
    count = len(chunks[0])
    whole = count // GROUP * GROUP
    table = np.empty((-(-count // GROUP), columns), np.float64)
    if whole:
        measure(*(c[:whole].reshape(-1, GROUP) for c in chunks), table[: whole // GROUP])
    if whole < count:
        measure(*(c[whole:].reshape(1, -1) for c in chunks), table[whole // GROUP :])
    return table


def _finite(table: Sums) -> bool:
    return bool(np.isfinite(table).all())
