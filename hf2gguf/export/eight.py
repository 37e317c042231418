"""Weights that were published as FP8 and stand in a file as Q8_0: FP8 again, of which Q8_0 makes the same blocks.

A block's scale tells its largest weight, since FP8 has four significant bits and F16 eleven; with that known, the FP8
number nearest to each weight is the one it was, or one that rounds to the same. Not all Q8_0 was FP8: the first
rows are tried.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from gguf_py import TensorType, tensor_type
from kquants.finite import scales_are_finite
from kquants.recode import convert_rows
from kquants.source import Source

Q8_0, F32 = tensor_type("Q8_0"), tensor_type("F32")
NUMBER, EXPONENT = TensorType(-1, "F8_E4M3", 1, 1), TensorType(-1, "F8_E8M0", 1, 1)
"""What safetensors calls them; GGUF has no such types."""
SIDE = 128
"""Rows and columns that share a power of two."""
_LARGEST = 448.0
_BIAS = 127


def eight_bits(source: Source) -> Source | None:
    """The weights as FP8, whose ``origin`` is the source of their scales; None if they never were."""
    if source.type != Q8_0 or len(source.shape) != 2:
        return None
    if not _finite(source):
        return None
    numbers, exponents = _band(source, 0)
    wide = numbers.view(ml_dtypes.float8_e4m3fn).astype(np.float32) * _spread(exponents, numbers.shape)
    rows = np.ascontiguousarray(wide).view(np.uint8)
    if not np.array_equal(convert_rows(rows, F32, Q8_0), source.rows(0, len(numbers))):
        return None

    def weights(lo: int, hi: int) -> NDArray[np.uint8]:
        first, last = lo // SIDE, -(-hi // SIDE)
        found = [_band(source, band)[0] for band in range(first, last)] or [np.empty((0, source.columns), np.uint8)]
        return np.concatenate(found)[lo - first * SIDE : hi - first * SIDE]

    def scales(lo: int, hi: int) -> NDArray[np.uint8]:
        return np.stack([_band(source, band)[1] for band in range(lo, hi)])

    beside = Source(EXPONENT, tuple(-(-n // SIDE) for n in source.shape), scales)
    return Source(NUMBER, source.shape, weights, origin=beside)


def _finite(source: Source) -> bool:
    """Whether all weights are numbers, which FP8's way back is for."""
    pieces = (source.rows(lo, min(source.count, lo + SIDE)) for lo in range(0, source.count, SIDE))
    return all(scales_are_finite(piece.reshape(-1, Q8_0.nbytes), Q8_0.name) for piece in pieces)


def _band(source: Source, band: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Rows of one row of scales: uint8[rows, columns] of numbers, and uint8[scales] of exponents."""
    lo, hi = band * SIDE, min(source.count, (band + 1) * SIDE)
    blocks = source.rows(lo, hi).reshape(hi - lo, -1, Q8_0.nbytes)
    scale = np.ascontiguousarray(blocks[..., :2]).view(np.float16).astype(np.float32)
    parts, power = np.frexp(127 * scale)
    most: Any = np.ldexp(np.rint(parts * 16) / 16, power)
    weights = (blocks[..., 2:].view(np.int8) * (most / 127)).astype(np.float32).reshape(hi - lo, -1)
    across = -(-source.columns // SIDE)
    each = SIDE // Q8_0.block
    tops = np.zeros((hi - lo, across * each), np.float32)
    tops[:, : most.shape[1]] = most[..., 0]
    parts, power = np.frexp(tops.reshape(hi - lo, across, each).max(axis=(0, 2)) / _LARGEST)
    exponents = np.clip(np.where(parts == 0.5, power - 1, power) + _BIAS, 0, 254).astype(np.uint8)
    numbers = (weights / _spread(exponents, weights.shape)).astype(ml_dtypes.float8_e4m3fn)
    return numbers.view(np.uint8), exponents


def _spread(exponents: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The power of two of each column."""
    powers = np.ldexp(np.float32(1), exponents.astype(np.int32) - _BIAS)
    return np.repeat(powers, SIDE)[: shape[-1]].astype(np.float32)
