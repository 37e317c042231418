"""Slow twins: every codec again, one block at a time, one weight at a time, as plainly as it can be said.

A module a family. Each defines, by type name, ``DECODE`` (uint8[block bytes] -> float32[block]), ``ENCODE``
(float32[block] -> uint8[block bytes]) and ``ENCODE_WEIGHTED`` (float32[columns] twice -> uint8[row bytes]).
Arithmetic is NumPy's float32 scalars, so that every operation rounds where C's ``float`` does.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

DECODE: dict[str, Callable[[Any], Any]] = {}
ENCODE: dict[str, Callable[[Any], Any]] = {}
ENCODE_WEIGHTED: dict[str, Callable[[Any, Any], Any]] = {}

for _found in pkgutil.iter_modules(__path__):
    _module = importlib.import_module(f"{__name__}.{_found.name}")
    for _table in ("DECODE", "ENCODE", "ENCODE_WEIGHTED"):
        globals()[_table].update(getattr(_module, _table, {}))
