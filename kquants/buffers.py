"""Memory that a thread keeps for what it reads and decodes: asking for it anew costs more than what is done with it."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

LINE = 64
"""Bytes of a cache line, at which every array begins. Copying to or from a file is four times slower on some processors
where the two places, counted within a page, are a few bytes apart; tensors begin at multiples of 32."""


class Buffers(threading.local):
    """The calling thread's arrays by name, each as large as the largest that was asked for so far."""

    def __init__(self) -> None:
        """Begin with none."""
        self._kept: dict[str, NDArray[np.uint8]] = {}

    def get(self, name: str, size: int, dtype: type[np.generic]) -> Any:
        """``size`` numbers of ``dtype``, which stay what they are till the same name is asked for again."""
        nbytes = size * np.dtype(dtype).itemsize
        kept = self._kept.get(name)
        if kept is None or len(kept) < nbytes:
            room = np.empty(nbytes + LINE, np.uint8)
            kept = self._kept[name] = room[-room.ctypes.data % LINE :]
        return kept[:nbytes].view(dtype)
