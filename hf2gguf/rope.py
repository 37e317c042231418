"""Rope frequency factors that a checkpoint's configuration implies and a GGUF file spells out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gguf_py import KQuantsError

from .power import power


def llama3_factors(rope: Mapping[str, Any], dimensions: int, wide: bool = False) -> list[float] | None:
    """Llama 3.1's factor for each pair of rotated dimensions; None when the rope is of another type.

    Slow waves are stretched by ``factor``, fast ones are left alone, those between are blended: in F32, as upstream,
    which for one model goes on from the frequencies in F64 (``wide``).
    """
    if str(rope.get("rope_type", "")).lower() != "llama3":
        return None
    number: Any = np.float64 if wide else np.float32
    one = number(1)
    factor = number(rope.get("factor", 8.0))
    low, high = rope.get("low_freq_factor", 1.0), rope.get("high_freq_factor", 4.0)
    context = rope.get("original_max_position_embeddings", 8192)
    exponents = np.arange(0, dimensions, 2, dtype=np.float32) / np.float32(dimensions)
    frequencies = np.float32(1) / power(rope.get("rope_theta", 10000.0), exponents)

    def over(dividend: float, divisor: NDArray[Any]) -> NDArray[Any]:
        # PyTorch divides a number by a tensor in two steps.
        found: NDArray[Any] = number(dividend) / divisor if wide else one / divisor * number(dividend)
        return found

    if not high or not low or high == low:
        raise KQuantsError(f"config.json has a llama3 rope with the frequency factors {low} and {high}")
    waves = over(2 * math.pi, frequencies.astype(number))
    smooth = (over(context, waves) - number(low)) / number(high - low)
    blended = one / ((one - smooth) / factor + smooth)
    factors = np.where(waves < context / high, one, np.where(waves > context / low, factor, blended))
    return [float(f) for f in factors]
