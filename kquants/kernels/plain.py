"""Types that store one number a weight, as NumPy knows them: nothing to compile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def decoder(dtype: str) -> Callable[[Any, Any], None]:
    """``decode`` for a NumPy dtype: each number becomes the nearest float32, which may be infinite."""

    def decode(blocks: Any, out: Any) -> None:
        with np.errstate(over="ignore", invalid="ignore"):
            out[...] = blocks.view(dtype)

    return decode


def encoder(dtype: str) -> Callable[[Any, Any], None]:
    """``encode`` for a NumPy dtype that holds every float32."""

    def encode(x: Any, out: Any) -> None:
        out.view(dtype)[...] = x

    return encode
