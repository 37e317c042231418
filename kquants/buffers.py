"""Memory that a thread keeps for what it reads and decodes: asking for it anew costs more than what is done with it."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np


class Buffers(threading.local):
    """The calling thread's arrays by name, each as large as the largest that was asked for so far."""

    def __init__(self) -> None:
        """Begin with none."""
        self._kept: dict[str, Any] = {}

    def get(self, name: str, size: int, dtype: type[np.generic]) -> Any:
        """``size`` numbers of ``dtype``, which stay what they are till the same name is asked for again."""
        kept = self._kept.get(name)
        if kept is None or len(kept) < size:
            kept = self._kept[name] = np.empty(size, dtype)
        return kept[:size]
