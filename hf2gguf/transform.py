"""What becomes of a tensor between checkpoint and GGUF: lazy, row by row, in bounded memory.

Each operation takes a :class:`Source` and gives another; nothing is read until rows are asked for. None of those here
changes a number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gguf_py import KQuantsError
from kquants.source import Source

from .numbers import Bytes, as_f32

Index = Callable[[NDArray[np.int64]], NDArray[np.int64]]

_PIECE = 8 << 20
"""Bytes of a matrix that a transposition holds at a time."""


def reshape(source: Source, *shape: int) -> Source:
    """The same weights in order under another shape; one dimension may be -1."""
    known = prod(n for n in shape if n != -1)
    total = prod(source.shape)
    if -1 in shape and known:
        shape = tuple(total // known if n == -1 else n for n in shape)
    if prod(shape) != total:
        raise KQuantsError(f"{total} weights of shape {list(source.shape)} do not make the shape {list(shape)}")
    if not shape or not source.shape or shape[-1] == source.shape[-1]:
        return replace(source, shape=tuple(shape), wide=None)
    old, new = source.row_bytes, source.type.row_bytes(shape[-1])

    def rows(lo: int, hi: int) -> Bytes:
        first, last = lo * new // old, -(-hi * new // old)
        flat = source.rows(first, last).reshape(-1)
        return flat[lo * new - first * old : hi * new - first * old].reshape(hi - lo, new)

    return replace(source, shape=tuple(shape), rows=rows, wide=None)


def squeeze(source: Source) -> Source:
    """Without its dimensions of one."""
    return reshape(source, *(n for n in source.shape if n != 1))


def gather(source: Source, shape: Sequence[int], index: Index) -> Source:
    """Rows picked from ``source``: row ``r`` of the result is row ``index(r)``, for arrays of ``r``."""

    def rows(lo: int, hi: int) -> Bytes:
        wanted = index(np.arange(lo, hi, dtype=np.int64))
        if not wanted.size:
            return source.rows(0, 0)
        low, high = int(wanted.min()), int(wanted.max()) + 1
        if high - low == wanted.size and (np.diff(wanted) == 1).all():
            return source.rows(low, high)
        if high - low <= 4 * wanted.size + 64:  # a permutation within heads: read once, pick in memory
            return source.rows(low, high)[wanted - low]
        starts = np.concatenate([[0], np.flatnonzero(np.diff(wanted) != 1) + 1, [wanted.size]])
        return np.concatenate([source.rows(int(wanted[a]), int(wanted[b - 1]) + 1) for a, b in pairwise(starts)])

    return Source(source.type, tuple(shape), rows)


def by_rows(apply: Callable[..., Source]) -> Callable[..., Source]:
    """Let an operation on rows take a vector, each of whose weights is then a row."""

    def applied(source: Source, *arguments: Any) -> Source:
        if len(source.shape) != 1:
            return apply(source, *arguments)
        return reshape(apply(reshape(source, -1, 1), *arguments), -1)

    return applied


@by_rows
def permute(source: Source, heads: int, rotated: int | None = None) -> Source:
    """Rows of a projection whose rotary halves lie apart, pairs brought together in each head.

    A head of ``rotated`` rows (default: all of the head's) holds first and second halves; row 2j + k of the result
    is row k * rotated / 2 + j. The last ``rotated`` rows of a larger head are the rotated ones.
    """
    size = _heads(source, heads)
    rotated = size if rotated is None else rotated
    if rotated % 2:
        raise KQuantsError(f"heads of {rotated} rows have no halves to interleave")

    def index(r: NDArray[np.int64]) -> NDArray[np.int64]:
        head, row = np.divmod(r, size)
        pair, half = np.divmod(row - (size - rotated), 2)
        return head * size + np.where(row < size - rotated, row, size - rotated + half * (rotated // 2) + pair)

    return gather(source, source.shape, index)


@by_rows
def unpermute(source: Source, heads: int, rotated: int | None = None, start: int | None = None) -> Source:
    """The inverse of :func:`permute`: in each head, pairs of the ``rotated`` rows from ``start`` on parted into halves.

    Without ``start`` they are the head's last.
    """
    size = _heads(source, heads)
    rotated = size if rotated is None else rotated
    start = size - rotated if start is None else start

    def index(r: NDArray[np.int64]) -> NDArray[np.int64]:
        head, row = np.divmod(r, size)
        half, pair = np.divmod(row - start, max(rotated // 2, 1))
        inside = (row >= start) & (row < start + rotated)
        return head * size + np.where(inside, start + 2 * pair + half, row)

    return gather(source, source.shape, index)


def _heads(source: Source, heads: int) -> int:
    size, rest = divmod(source.shape[-2], heads) if heads > 0 else (0, 1)
    if rest:
        raise KQuantsError(f"{source.shape[-2]} rows do not make {heads} heads")
    return size


@by_rows
def parted(source: Source, groups: int, sizes: Sequence[int]) -> Source:
    """Rows in ``groups``, each of parts of the given ``sizes``, with the parts of all groups brought together.

    Fused query, key and value interleaved by head become all queries, all keys, all values.
    """
    whole = sum(sizes)
    if groups * whole != source.shape[-2]:
        raise KQuantsError(f"{source.shape[-2]} rows do not make {groups} groups of {list(sizes)}")
    before = np.array([0, *accumulate(sizes)], np.int64)
    widths = np.asarray(sizes, np.int64)

    def index(r: NDArray[np.int64]) -> NDArray[np.int64]:
        part = np.searchsorted(before[1:] * groups, r, side="right")
        group, row = np.divmod(r - before[part] * groups, widths[part])
        there: NDArray[np.int64] = group * whole + before[part] + row
        return there

    return gather(source, source.shape, index)


@by_rows
def rows(source: Source, lo: int, hi: int) -> Source:
    """Rows ``lo`` to ``hi`` of each matrix."""
    *outer, height, width = source.shape
    if not 0 <= lo <= hi <= height:
        raise KQuantsError(f"there are {height} rows, {lo} to {hi} are wanted")
    kept = hi - lo

    def index(r: NDArray[np.int64]) -> NDArray[np.int64]:
        matrix, row = np.divmod(r, max(kept, 1))
        return matrix * height + lo + row

    return gather(source, (*outer, kept, width), index)


def picked(source: Source, *wanted: int) -> Source:
    """The rows of these numbers, in this order."""
    numbers = np.asarray(wanted, np.int64)
    if len(source.shape) != 2 or not all(0 <= n < source.shape[0] for n in wanted):
        raise KQuantsError(f"rows {list(wanted)} are wanted of the shape {list(source.shape)}")
    return gather(source, (len(wanted), source.shape[1]), lambda r: numbers[r])


def regrouped(source: Source, *order: int) -> Source:
    """All rows in as many equal groups as there are numbers, the groups in this order."""
    if sorted(order) != list(range(len(order))) or source.count % len(order):
        raise KQuantsError(f"{source.count} rows in groups of the order {list(order)} are wanted")
    height = source.count // len(order)
    starts = np.asarray(order, np.int64) * height
    return gather(source, source.shape, lambda r: starts[r // height] + r % height)


@by_rows
def strided(source: Source, start: int, step: int) -> Source:
    """Every ``step``-th row of each matrix, from ``start`` on."""
    *outer, height, width = source.shape
    if height % step:
        raise KQuantsError(f"{height} rows are no multiple of {step}")
    kept = height // step

    def index(r: NDArray[np.int64]) -> NDArray[np.int64]:
        matrix, row = np.divmod(r, kept)
        there: NDArray[np.int64] = matrix * height + start + row * step
        return there

    return gather(source, (*outer, kept, width), index)


def half(source: Source, which: int) -> Source:
    """The first (0) or second (1) half of each matrix's rows."""
    height = source.shape[-2] if len(source.shape) > 1 else source.shape[0]
    if height % 2:
        raise KQuantsError(f"{height} rows have no halves")
    picked: Source = rows(source, which * (height // 2), (which + 1) * (height // 2))
    return picked


def columns(source: Source, lo: int, hi: int) -> Source:
    """Columns ``lo`` to ``hi`` of every row."""
    if source.type.quantized or not 0 <= lo <= hi <= source.columns:
        raise KQuantsError(f"there are {source.columns} columns, {lo} to {hi} are wanted")
    size = source.type.nbytes
    shape = (*source.shape[:-1], hi - lo)
    return Source(source.type, shape, lambda a, b: np.ascontiguousarray(source.rows(a, b)[:, lo * size : hi * size]))


def column_half(source: Source, which: int) -> Source:
    """The first (0) or second (1) half of each row."""
    middle = source.columns // 2
    return columns(source, which * middle, (which + 1) * middle)


def column_stride(source: Source, start: int, step: int) -> Source:
    """Every ``step``-th column, from ``start`` on."""
    dtype = _cells(source)
    if source.columns % step:
        raise KQuantsError(f"{source.columns} columns are no multiple of {step}")

    def read(lo: int, hi: int) -> Bytes:
        return np.ascontiguousarray(source.rows(lo, hi).view(dtype)[:, start::step]).view(np.uint8)

    return Source(source.type, (*source.shape[:-1], source.columns // step), read)


def column_parted(source: Source, groups: int, sizes: Sequence[int]) -> Source:
    """What :func:`parted` does to rows, done to the columns of every row."""
    dtype = _cells(source)
    before = [0, *accumulate(sizes)]
    if groups * before[-1] != source.columns:
        raise KQuantsError(f"{source.columns} columns do not make {groups} groups of {list(sizes)}")
    there = np.arange(source.columns).reshape(groups, -1)
    order = np.concatenate([there[:, lo:hi].ravel() for lo, hi in pairwise(before)])

    def read(lo: int, hi: int) -> Bytes:
        return np.ascontiguousarray(source.rows(lo, hi).view(dtype)[:, order]).view(np.uint8)

    return Source(source.type, source.shape, read)


def padded(source: Source, height: int, before: bool = False) -> Source:
    """With zeros behind it, or ``before``: ``height`` rows (or matrices) in all along the first axis, if fewer."""
    lacking = height - source.shape[0]
    if lacking <= 0:
        return source
    empty = Source(
        source.type, (lacking, *source.shape[1:]), lambda lo, hi: np.zeros((hi - lo, source.row_bytes), np.uint8)
    )
    return concat([empty, source] if before else [source, empty])


def repeated(source: Source, times: int) -> Source:
    """A matrix of which every row is the vector ``source``."""
    return Source(source.type, (times, *source.shape), lambda lo, hi: np.repeat(source.rows(0, 1), hi - lo, axis=0))


def transpose(source: Source) -> Source:
    """The last two axes exchanged; reads each matrix in pieces, as often as rows are asked for."""
    *outer, height, width = source.shape
    dtype = _cells(source)
    step = max(1, _PIECE // max(1, source.row_bytes))

    def read(lo: int, hi: int) -> Bytes:
        out = np.empty((hi - lo, height), dtype)
        at = lo
        while at < hi:
            matrix, first = divmod(at, width)
            last = min(width, first + hi - at)
            for top in range(0, height, step):
                bottom = min(height, top + step)
                piece = source.rows(matrix * height + top, matrix * height + bottom).view(dtype)
                out[at - lo : at - lo + last - first, top:bottom] = piece[:, first:last].T
            at += last - first
        return out.view(np.uint8)

    return Source(source.type, (*outer, width, height), read)


def concat(sources: Sequence[Source]) -> Source:
    """Sources one after another along the first axis."""
    sources = [reshape(s, 1) if not s.shape else s for s in sources]
    shapes = {s.shape[1:] for s in sources}
    if len(shapes) > 1:
        raise KQuantsError(f"tensors of shapes {sorted(str(list(s.shape)) for s in sources)} do not join")
    if len(sources[0].shape) == 1:
        joined = concat([reshape(s, -1, 1) for s in sources])
        return reshape(joined, -1)
    sources = _alike(sources)
    ends = list(accumulate(s.count for s in sources))

    def read(lo: int, hi: int) -> Bytes:
        parts = []
        for source, end in zip(sources, ends, strict=True):
            start = end - source.count
            if lo < end and hi > start:
                parts.append(source.rows(max(lo, start) - start, min(hi, end) - start))
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else sources[0].rows(0, 0)

    return Source(sources[0].type, (sum(s.shape[0] for s in sources), *sources[0].shape[1:]), read)


def stack(sources: Sequence[Source]) -> Source:
    """Sources of one shape along a new first axis: the experts of a layer."""
    if len({s.shape for s in sources}) > 1:
        raise KQuantsError(f"tensors of shapes {sorted({str(list(s.shape)) for s in sources})} do not stack")
    return concat([reshape(s, 1, *s.shape) for s in sources])


def _alike(sources: Sequence[Source]) -> list[Source]:
    """One type for all; where they differ, F32."""
    same = {s.type.name for s in sources}
    return list(sources) if len(same) == 1 else [as_f32(s) for s in sources]


def _cells(source: Source) -> np.dtype[Any]:
    if source.type.quantized:
        raise KQuantsError(f"{source.type} weights cannot be taken apart inside a row")
    return np.dtype(f"u{source.type.nbytes}")
