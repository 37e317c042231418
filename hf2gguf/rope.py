"""Rope frequency factors that a checkpoint's configuration implies and a GGUF file spells out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from .power import power


def llama3_factors(rope: Mapping[str, Any], dimensions: int) -> list[float] | None:
    """Llama 3.1's factor for each pair of rotated dimensions; None when the rope is of another type.

    Slow waves are stretched by ``factor``, fast ones are left alone, those between are blended. In F32, as upstream.
    """
    if str(rope.get("rope_type", "")).lower() != "llama3":
        return None
    one = np.float32(1)
    factor = np.float32(rope.get("factor", 8.0))
    low, high = rope.get("low_freq_factor", 1.0), rope.get("high_freq_factor", 4.0)
    context = rope.get("original_max_position_embeddings", 8192)
    exponents = np.arange(0, dimensions, 2, dtype=np.float32) / np.float32(dimensions)
    frequencies = one / power(rope.get("rope_theta", 10000.0), exponents)
    waves = one / frequencies * np.float32(2 * math.pi)  # PyTorch divides a number by a tensor in two steps
    smooth = (one / waves * np.float32(context) - np.float32(low)) / np.float32(high - low)
    blended = one / ((one - smooth) / factor + smooth)
    factors = np.where(waves < context / high, one, np.where(waves > context / low, factor, blended))
    return [float(f) for f in factors]
