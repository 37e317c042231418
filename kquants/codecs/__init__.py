"""One module a tensor type, each with the layout of its block, how it decodes and how it encodes.

A module's kernels, any of which may be missing where the format has no use for it:

``decode(blocks: uint8[n, block bytes], out: float32[n, block])``
``encode(x: float32[n, block], out: uint8[n, block bytes])``
``encode_weighted(x: float32[rows, columns], weights: float32[columns], out: uint8[rows, row bytes])``

Importing one imports Numba; calling a kernel for the first time compiles it or loads it from disk.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from gguf_py.errors import KQuantsError
from gguf_py.types import TensorType, tensor_type


def codec(key: str | int | TensorType) -> ModuleType:
    """The module of a tensor type; raises KQuantsError for a type that is unknown or has none."""
    kind = tensor_type(key)
    try:
        return importlib.import_module(f".{kind.name.lower()}", __name__)
    except ModuleNotFoundError as absent:
        if absent.name != f"{__name__}.{kind.name.lower()}":
            raise
        raise KQuantsError(f"tensor type {kind.name} can be neither decoded nor encoded") from None
