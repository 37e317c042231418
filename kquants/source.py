"""Where a tensor's bytes come from: the one value that readers hand to plans."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gguf_py.types import TensorType

Rows = Callable[[int, int], "NDArray[np.uint8]"]


@dataclass(frozen=True, slots=True)
class Source:
    """A tensor that is read by rows, when they are needed and no sooner.

    ``shape`` is in NumPy order. ``rows(lo, hi)`` gives rows ``lo`` to ``hi`` of the flattened leading axes as
    uint8 of shape (hi - lo, row bytes); it may be called from several threads at once, raises KQuantsError when the
    bytes are not there, and may reuse nothing it returned before.
    """

    type: TensorType
    shape: tuple[int, ...]
    rows: Rows
    origin: Any = None
    """What a reader may want to know about where the bytes lie, or None."""

    @property
    def columns(self) -> int:
        """Weights in a row; 1 for a scalar."""
        return self.shape[-1] if self.shape else 1

    @property
    def count(self) -> int:
        """How many rows there are; 1 for a vector or a scalar."""
        return prod(self.shape[:-1])

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return self.type.row_bytes(self.columns)
