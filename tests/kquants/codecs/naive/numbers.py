"""Number formats and roundings that the twins share."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable

import numpy as np

F = np.float32


def f32(values: Iterable[np.float32]) -> np.ndarray:
    """A float32 array."""
    return np.array(list(values), np.float32)


def half_bits(value: np.float32) -> bytes:
    """Two bytes of F16, rounded to nearest even; a NaN keeps its sign alone."""
    if math.isnan(value):
        return struct.pack("<H", 0xFE00 if math.copysign(1, value) < 0 else 0x7E00)
    with np.errstate(over="ignore"):
        return bytes(F(value).astype("<f2").tobytes())


def half(data: bytes | np.ndarray) -> np.float32:
    """The value of two bytes of F16."""
    return F(np.frombuffer(bytes(data), "<f2")[0])


def away(value: np.float32) -> int | None:
    """The nearest integer, halves away from zero; None for what no integer can be."""
    if not math.isfinite(value):
        return None
    return int(math.copysign(math.floor(abs(float(value)) + 0.5), value))


def nearest(value: np.float32) -> int:
    """The nearest integer as the addition of 1.5 * 2**23 leaves it in the low bits, halves to even.

    Beyond 2**22 the bits no longer hold the integer; what they hold is what counts.
    """
    with np.errstate(all="ignore"):
        bits = int((F(value) + F(12582912.0)).view(np.uint32))
    return (bits & 0x7FFFFF) - 0x400000


def clamp(value: int, low: int, high: int) -> int:
    """``value`` within ``low`` .. ``high``."""
    return max(low, min(high, value))


def signed_peak(x: np.ndarray) -> np.float32:
    """The value farthest from zero, the first of equals; 0 for zeros."""
    peak = F(0)
    for value in x:
        if abs(value) > abs(peak):
            peak = value
    return peak


def inverse(d: np.float32) -> np.float32:
    """1/d, and 0 for 0; infinite for a subnormal too small."""
    with np.errstate(over="ignore"):
        return F(1) / d if d else F(0)
