"""One module a tensor type, each with the layout of its block, how it decodes and how it encodes.

A module's kernels, any of which may be missing where the format has no use for it:

``decode(blocks: uint8[n, block bytes], out: float32[n, block])``
``encode(x: float32[n, block], out: uint8[n, block bytes])``
``encode_weighted(x: float32[rows, columns], weights: float32[columns], out: uint8[rows, row bytes])``

Importing one imports Numba; ``codec`` does so only where something has to be compiled, on the first call of a kernel.
"""

from __future__ import annotations

from functools import cache

from gguf_py.errors import KQuantsError
from gguf_py.types import TensorType, tensor_type

from ..jit import Deferred, deferred


def codec(key: str | int | TensorType) -> Deferred:
    """The kernels of a tensor type; raises KQuantsError for a type that is unknown or has none."""
    return _codec(tensor_type(key).name)


@cache
def _codec(name: str) -> Deferred:
    try:
        return deferred(f"{__name__}.{name.lower()}")
    except ModuleNotFoundError:
        raise KQuantsError(f"tensor type {name} can be neither decoded nor encoded") from None
