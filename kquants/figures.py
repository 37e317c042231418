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
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gguf_py import KQuantsError, Tensor

from .arrays import cores
from .buffers import Buffers
from .codecs import codec
from .jit import Kernel, deferred

GROUP = 256
"""Weights whose error is one figure: the largest block there is."""
CHUNK = 8192 * GROUP
"""Weights that are read at a time: their blocks stay in the cache, and calling kernels costs little."""

Floats = npt.NDArray[np.float32]
Sums = npt.NDArray[np.float64]

Bytes = npt.NDArray[np.uint8]
Reader = Callable[[int, int], "Piece"]

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


def blocks(tensor: Tensor, lo: int, hi: int, number: int = 0) -> Bytes:
    """The blocks of weights ``lo`` to ``hi``, uint8[n, bytes of a block].

    They stand in a buffer of the calling thread, till it reads again what has a buffer of that number. Raises
    KQuantsError when the file has become shorter.
    """
    kind = tensor.type
    first, last = lo // kind.block, hi // kind.block
    found: Bytes = _kept.get(f"blocks {number}", (last - first) * kind.nbytes, np.uint8)
    tensor.read_into(found, first * kind.nbytes)
    return found.reshape(-1, kind.nbytes)


class Piece(NamedTuple):
    """Some weights of a tensor, with the kernel that decodes them."""

    decode: Kernel
    blocks: Bytes
    block: int
    """Weights a block."""

    @property
    def told(self) -> tuple[int, Bytes, int]:
        """What a kernel is told that decodes them itself."""
        return self.decode.address, self.blocks, self.block

    def weights(self) -> Floats:
        """All of them as float32."""
        wide = np.empty((len(self.blocks), self.block), np.float32)
        self.decode(self.blocks, wide)
        return wide.reshape(-1)

    def sample(self, count: int) -> Piece:
        """About ``count`` of the weights, groups of 256 from all over the piece, or all of few."""
        each = GROUP // self.block
        groups = len(self.blocks) // each
        step = groups * GROUP // count | 1  # odd: else they would be of the same columns in every row
        if step == 1:
            return self
        chosen = np.ascontiguousarray(self.blocks[: groups * each].reshape(groups, -1)[::step])
        return Piece(self.decode, chosen.reshape(-1, self.blocks.shape[1]), self.block)


def reader(tensor: Tensor, number: int = 0) -> Reader:
    """``read(lo, hi)``: at most CHUNK weights of the flattened tensor; both are multiples of a block.

    They stand where ``blocks`` puts them, which raises what may be raised.
    """
    kind, decode = tensor.type, codec(tensor.type).decode
    if isinstance(decode, Kernel):
        return lambda lo, hi: Piece(decode, blocks(tensor, lo, hi, number), kind.block)

    def decoded(lo: int, hi: int) -> Piece:  # by NumPy, or by a kernel that wants tables
        wide: Floats = _kept.get(f"weights {number}", hi - lo, np.float32)
        decode(blocks(tensor, lo, hi, number), wide.reshape(-1, kind.block))
        return Piece(codec("F32").decode, wide.view(np.uint8).reshape(-1, 4), 1)

    return decoded


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
    """Room for what ``spread_sums`` says of the groups of a tensor, figure by figure."""
    return np.empty((4, -(-count // GROUP)), np.float64)


def spread_sums(x: Piece, lo: int, table: Sums) -> None:
    """Put sum, sum of squares, least and most of each group of weights ``lo`` and on; NaN makes sums NaN."""
    _KERNELS.spread(*x.told, table, lo // GROUP)


def spread_of(table: Sums, count: int) -> Spread:
    """The figures of a tensor from its groups."""
    if not count:
        return Spread(0, 0.0, 0.0, 0.0, 0.0)
    total, squares = _sums(table[:2])
    return Spread(count, total / count, math.sqrt(squares / count), float(table[2].min()), float(table[3].max()))


def spread(tensor: Tensor, threads: int | None = None) -> Spread:
    """How large the weights of a tensor are."""
    read, table = reader(tensor), spread_table(tensor.count)
    in_chunks(lambda lo, hi: spread_sums(read(lo, hi), lo, table), tensor.count, threads)
    return spread_of(table, tensor.count)


def departure_table(count: int) -> Sums:
    """Room for what ``departure_sums`` says of the groups of a tensor, figure by figure."""
    return np.empty((5, -(-count // GROUP)), np.float64)


def departure_sums(a: Piece, b: Piece, lo: int, table: Sums) -> None:
    """Put sums of a·a, b·b, a·b, the squared and the largest difference of each group of weights ``lo`` and on."""
    _KERNELS.depart(*a.told, *b.told, table, lo // GROUP)


def departure_of(table: Sums, count: int) -> Departure:
    """The figures of two tensors of ``count`` weights from their groups."""
    if not count:
        return Departure(0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0)
    aa, bb, ab, dd = _sums(table[:4])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(table[3] > 0, np.sqrt(table[3] / table[0]), 0.0)
    worst = int(np.argmax(np.where(np.isnan(ratios), np.inf, ratios)))
    cosine = ab / math.sqrt(aa * bb) if aa > 0 and bb > 0 else float(aa == bb)
    rms, size, largest = math.sqrt(dd / count), math.sqrt(aa / count), float(table[4].max())
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


def _sums(table: Sums) -> list[float]:
    """The sums over all groups; NaN, all of them, when one is no finite number."""
    with np.errstate(over="ignore", invalid="ignore"):
        sums = [float(row.sum()) for row in table]
    return sums if all(map(math.isfinite, sums)) else [math.nan] * len(sums)
