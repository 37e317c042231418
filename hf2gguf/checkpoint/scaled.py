"""Weights of eight bits (or two) times a scale: FP8 and INT8, a scale a tensor, a row or a block; BitNet.

Arithmetic: float32(weight) * float32(scale), as upstream computes it (``conversion/base.py``, v0.5.0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np

from gguf_py.errors import KQuantsError
from kquants.source import Source

from .folder import shown
from .plain import Floats, computed, expect, floats, scales_of
from .stored import DTYPES, Stored

EIGHT_BITS = "F8_E4M3 F8_E5M2 I8"
SCALES = "F32 F16 BF16 F64 F8_E8M0"


def scaled(
    weight: Stored, scale: Stored, block: Sequence[int] = (), zero: Stored | None = None, type_name: str = "F32"
) -> Source:
    """``(weight - zero) * scale``, where a scale serves the whole tensor, a row, or a block of it.

    The scale's axes are the weight's first ones; along each it has one value, or one for every block. ``block`` gives
    the blocks' sizes along the scale's last axes, 1 where it says nothing. Difference and product are rounded to the
    type.
    """
    steps = _steps(weight, scale, block)
    if zero is not None:
        expect(zero, "I8", scale.shape)

    def rows(lo: int, hi: int) -> Floats:
        values = floats(weight.values(lo, hi))
        if zero is not None:
            values = floats((values - _spread(zero, weight, steps, lo, hi)).astype(DTYPES[type_name]))
        return values * _spread(scale, weight, steps, lo, hi)

    return computed(weight.shape, rows, weight, type_name)


def ranked(weight: Stored, scale: Stored, block: Sequence[int]) -> Source:
    """The same of a matrix that was cut into 8 or 4 pieces of rows before its blocks were: each begins blocks anew."""
    fit = len(weight.shape) == len(scale.shape) == 2 and all(type(size) is int and size > 0 for size in block)
    height = weight.shape[0] if fit else 1
    for ranks in (8, 4):
        rows, lines = height // ranks, -(-(height // ranks) // block[0]) if fit else 1
        if height % ranks == 0 and scale.shape[0] == ranks * lines:
            break
    else:
        return scaled(weight, scale, block)
    cuts = [(_cut(weight, k * rows, rows), _cut(scale, k * lines, lines)) for k in range(ranks)]
    pieces = [scaled(piece, its_scale, block) for piece, its_scale in cuts]

    def read(lo: int, hi: int) -> Floats:
        parts = [
            pieces[k].rows(max(lo - k * rows, 0), min(hi - k * rows, rows)) for k in range(lo // rows, -(-hi // rows))
        ]
        return np.concatenate(parts).view(np.float32)

    return computed(weight.shape, read, weight)


def _cut(stored: Stored, first: int, count: int) -> Stored:
    """Rows of a matrix."""
    at = stored.offset + first * stored.columns * stored.kind.itemsize
    return replace(stored, offset=at, shape=(count, stored.columns))


def _steps(weight: Stored, scale: Stored, block: Sequence[int]) -> list[int]:
    """How many weights one scale serves along each axis of the weight; raises KQuantsError where they do not fit."""
    rank = len(scale.shape)
    before = [1] * (rank - len(block))
    blocks = (before + list(block))[-rank:] if rank else []
    sizes = [*scale.shape, *([1] * (len(weight.shape) - rank))]
    steps = [size if n == 1 else blocks[axis] for axis, (size, n) in enumerate(zip(weight.shape, sizes, strict=False))]
    fits = len(sizes) == len(weight.shape) and scale.strides is None and all(type(step) is int for step in steps)
    if (
        weight.dtype not in EIGHT_BITS.split()
        or scale.dtype not in SCALES.split()
        or not fits
        or any(step < 1 or n != -(-size // step) for size, n, step in zip(weight.shape, sizes, steps, strict=True))
    ):
        raise KQuantsError(
            f"{scale.shard.path}: the scale {shown(scale.name)} is {scale.dtype} {list(scale.shape)}, which does not"
            f" fit the weight, {weight.dtype} {list(weight.shape)}" + (f" in blocks of {list(block)}" if block else "")
        )
    return steps


def _spread(scale: Stored, weight: Stored, steps: list[int], lo: int, hi: int) -> Floats:
    """The scales of rows ``lo`` to ``hi``, [hi - lo, columns] or [hi - lo, 1]; reads no more of them than needed."""
    rank = len(weight.shape)
    sizes = [*scale.shape, *([1] * (rank - len(scale.shape)))]
    columns = sizes[-1] if rank else 1
    row = np.zeros(hi - lo, np.int64)
    if rank > 1:
        leading = np.unravel_index(np.arange(lo, hi), weight.shape[:-1])
        for index, step, n in zip(leading, steps, sizes, strict=False):
            row = row * n + index // step
    first, last = int(row.min(initial=1 << 48)), int(row.max(initial=-1)) + 1
    lines = scale.reshaped(prod(scale.shape) // columns, columns)
    found = scales_of(scale, lines.values(min(first, last), last))[row - first]
    return found if columns == 1 else np.repeat(found, steps[-1], axis=1)[:, : weight.columns]


def bitnet(weight: Stored, scale: Stored) -> Source:
    """BitNet: weights of -1, 0, 1, four in a byte, a quarter of the rows in each pair of bits; divided by the scale."""
    expect(weight, "U8", (None, None))
    if prod(scale.shape) != 1:
        raise KQuantsError(
            f"{scale.shard.path}: the scale {shown(scale.name)} has {prod(scale.shape)} values, expected 1"
        )
    quarter, columns = weight.shape

    def rows(lo: int, hi: int) -> Floats:
        out = np.empty((hi - lo, columns), np.float32)
        divisor = scales_of(scale, scale.whole()).reshape(())
        for plane in range(lo // quarter, -(-hi // quarter)):
            first, last = max(lo, plane * quarter), min(hi, (plane + 1) * quarter)
            packed = weight.values(first - plane * quarter, last - plane * quarter).view(np.uint8)
            out[first - lo : last - lo] = (((packed >> (2 * plane)) & 3).astype(np.float32) - np.float32(1)) / divisor
        return out

    return computed((4 * quarter, columns), rows, weight)
