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
from .buffers import Buffers
from .codecs import codec
from .jit import deferred

GROUP = 256
"""Weights whose error is one figure: the largest block there is."""
CHUNK = 2048 * GROUP
"""Weights that are decoded at a time: with their blocks they stay in the cache, and calling kernels costs little."""

Floats = npt.NDArray[np.float32]
Sums = npt.NDArray[np.float64]
Reader = Callable[[int, int], Floats]

_KERNELS = deferred("kquants.kernels.figures")


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


def decodes(tensor: Tensor) -> bool:
    """Whether the weights of a tensor can be had as float32 here."""
    try:
        little = tensor.file is None or tensor.file.byteorder == "little"
        return little and hasattr(codec(tensor.type), "decode")
    except KQuantsError:
        return False


def blocks(tensor: Tensor, lo: int, hi: int) -> npt.NDArray[np.uint8]:
    """The blocks of weights ``lo`` to ``hi``, uint8[n, bytes of a block], in a buffer of the calling thread.

    Raises KQuantsError when the file has become shorter.
    """
    kind = tensor.type
    first, last = lo // kind.block, hi // kind.block
    found: npt.NDArray[np.uint8] = _kept.get("blocks", (last - first) * kind.nbytes, np.uint8)
    tensor.read_into(found, first * kind.nbytes)
    return found.reshape(-1, kind.nbytes)


def reader(tensor: Tensor, number: int = 0) -> Reader:
    """``read(lo, hi)``: at most CHUNK weights of the flattened tensor as float32; both are multiples of a block.

    They stand in a buffer of the calling thread, till it reads again what has a buffer of that number. Raises
    KQuantsError when the file has become shorter.
    """
    kind, decode = tensor.type, codec(tensor.type).decode

    def read(lo: int, hi: int) -> Floats:
        wide: Floats = _kept.get(f"weights {number}", hi - lo, np.float32)
        decode(blocks(tensor, lo, hi), wide.reshape(-1, kind.block))
        return wide

    return read


_kept = Buffers()


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
    _by_group(_KERNELS.spread, lo, table, x)


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
    _by_group(_KERNELS.depart, lo, table, a, b)


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
    _KERNELS.count(x, np.float32(reach), counts)
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
