# mypy: disable-error-code="untyped-decorator"
"""Figures about weights: how large they are, and how far those of one tensor lie from another's.

Sums run over groups of 256 weights in float32, in an order that neither threads nor vector widths change, and over
groups in float64. They describe; nothing is encoded from them.
"""

from __future__ import annotations

import math
import threading
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
Reader = Callable[[int, int], Floats]


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
    size: float
    """Root mean square of ``a``."""
    relative: float
    """The first as a part of the second."""
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


def reader(tensor: Tensor, buffer: int = 0) -> Reader:
    """``read(lo, hi)``: at most CHUNK weights of the flattened tensor as float32; both are multiples of a block.

    They stand in a buffer of the calling thread, till it reads again what has a buffer of that number.
    """
    kind = tensor.type
    blocks, decode = tensor.data.reshape(-1, kind.nbytes), codec(kind).decode

    def read(lo: int, hi: int) -> Floats:
        wide = _scratch.buffers[buffer][: hi - lo]
        decode(blocks[lo // kind.block : hi // kind.block], wide.reshape(-1, kind.block))
        return wide

    return read


class _Scratch(threading.local):
    """Each thread's buffers: memory that is asked for anew costs more than what is done with it."""

    def __init__(self) -> None:
        self.buffers = [np.empty(CHUNK, np.float32) for _ in range(2)]


_scratch = _Scratch()


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


def spread_table(count: int) -> Sums:
    """Room for what ``spread_sums`` says of each group of a tensor."""
    return np.empty((-(-count // GROUP), 4), np.float64)


def spread_sums(x: Floats, lo: int, table: Sums) -> None:
    """Put sum, sum of squares, least and most of each group of weights ``lo`` and on; NaN makes sums NaN."""
    _by_group(_spread, lo, table, x)


def spread_of(table: Sums, count: int) -> Spread:
    """The figures of a tensor from its groups."""
    if not count:
        return Spread(0, 0.0, 0.0, 0.0, 0.0)
    total, squares = (float(column.sum()) for column in table[:, :2].T) if _finite(table) else (math.nan, math.nan)
    return Spread(count, total / count, math.sqrt(squares / count), float(table[:, 2].min()), float(table[:, 3].max()))


def spread(tensor: Tensor, threads: int | None = None) -> Spread:
    """How large the weights of a tensor are."""
    read, table = reader(tensor), spread_table(tensor.count)
    in_chunks(lambda lo, hi: spread_sums(read(lo, hi), lo, table), tensor.count, threads)
    return spread_of(table, tensor.count)


def departure_table(count: int) -> Sums:
    """Room for what ``departure_sums`` says of each group of a tensor."""
    return np.empty((-(-count // GROUP), 5), np.float64)


def departure_sums(a: Floats, b: Floats, lo: int, table: Sums) -> None:
    """Put sums of a·a, b·b, a·b, the squared and the largest difference of each group of weights ``lo`` and on."""
    _by_group(_depart, lo, table, a, b)


def departure_of(table: Sums, count: int) -> Departure:
    """The figures of two tensors of ``count`` weights from their groups."""
    if not count:
        return Departure(0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0)
    aa, bb, ab, dd = (float(column.sum()) for column in table[:, :4].T) if _finite(table) else [math.nan] * 4
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(table[:, 3] > 0, np.sqrt(table[:, 3] / table[:, 0]), 0.0)
    worst = int(np.argmax(np.where(np.isnan(ratios), np.inf, ratios)))
    cosine = ab / math.sqrt(aa * bb) if aa > 0 and bb > 0 else float(aa == bb)
    rms, size, largest = math.sqrt(dd / count), math.sqrt(aa / count), float(table[:, 4].max())
    return Departure(count, rms, size, _part(dd, aa), cosine, largest, float(ratios[worst]), worst * GROUP)


def _part(difference: float, size: float) -> float:
    """The relative difference, from sums of squares."""
    return math.sqrt(difference / size) if size > 0 else (0.0 if difference == 0 else math.inf)


def departure(a: Tensor, b: Tensor, threads: int | None = None) -> Departure:
    """How far the weights of ``b`` lie from those of ``a``, a tensor of the same shape."""
    left, right, table = reader(a), reader(b, 1), departure_table(a.count)
    in_chunks(lambda lo, hi: departure_sums(left(lo, hi), right(lo, hi), lo, table), a.count, threads)
    return departure_of(table, a.count)


def together(parts: Iterable[Departure]) -> float:
    """The relative difference of several tensors as if they were one."""
    parts = list(parts)
    return _part(sum(p.rms**2 * p.count for p in parts), sum(p.size**2 * p.count for p in parts))


def histogram(x: Floats, reach: float, bins: int) -> list[int]:
    """How many of float32[n] fall into each bin from ``-reach`` to ``reach``; what lies beyond is in the last ones."""
    counts = np.zeros(bins, np.int64)
    _count(x, np.float32(reach), counts)
    found: list[int] = counts.tolist()
    return found


def _by_group(measure: Callable[..., None], lo: int, table: Sums, *chunks: Floats) -> None:
    """``measure(*groups, table)`` for the groups of 256 weights, and for the rest of fewer as one more."""
    count, at = len(chunks[0]), lo // GROUP
    whole = count // GROUP
    if whole:
        measure(*(c[: whole * GROUP].reshape(-1, GROUP) for c in chunks), table[at : at + whole])
    if whole * GROUP < count:
        measure(*(c[whole * GROUP :].reshape(1, -1) for c in chunks), table[at + whole : at + whole + 1])


def _finite(table: Sums) -> bool:
    return bool(np.isfinite(table).all())
