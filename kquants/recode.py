"""From one tensor type to another: decode to float32, encode from there; the same type is a copy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gguf_py.errors import KQuantsError
from gguf_py.types import TensorType

from .codecs import codec

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


def decode(blocks: Bytes, kind: TensorType, out: Floats) -> None:
    """Decode uint8[n bytes] to float32[m weights], both flat."""
    codec(kind).decode(blocks.reshape(-1, kind.nbytes), out.reshape(-1, kind.block))


def encode(x: Floats, kind: TensorType, out: Bytes) -> None:
    """Encode float32[m weights] to uint8[n bytes], both flat."""
    encoder(kind, weighted=False)(x.reshape(-1, kind.block), out.reshape(-1, kind.nbytes))


def encoder(kind: TensorType, *, weighted: bool) -> Callable[..., None]:
    """The kernel that encodes, with an importance matrix or without; raises KQuantsError when there is none.

    Where the type takes no importance matrix, that of the plain encoder is returned: look at ``takes_weights``.
    """
    module = codec(kind)
    name = "encode_weighted" if weighted and takes_weights(kind) else "encode"
    found: Callable[..., None] | None = getattr(module, name, None)
    if found is not None:
        return found
    if takes_weights(kind):
        raise KQuantsError(f"encoding as {kind.name} needs an importance matrix, none was given")
    raise KQuantsError(f"tensor type {kind.name} cannot be encoded, only decoded")


def takes_weights(kind: TensorType) -> bool:
    """Whether an importance matrix changes how the type is encoded."""
    return hasattr(codec(kind), "encode_weighted")


def convert_rows(rows: Bytes, source: TensorType, target: TensorType) -> Bytes:
    """Rows uint8[n, bytes a row] of one type as rows of another, new memory unless the types are the same.

    Rounds through float32. Raises KQuantsError when ``target`` cannot be encoded or the rows do not fill its blocks.
    """
    if source == target:
        return rows
    columns = rows.shape[-1] // source.nbytes * source.block
    out = np.empty((len(rows), target.row_bytes(columns)), np.uint8)
    x = np.ascontiguousarray(rows)
    if source.name != "F32":
        floats = np.empty(prod((len(rows), columns)), np.float32)
        decode(x.reshape(-1), source, floats)
    else:
        floats = aligned(x.reshape(-1)).view(np.float32)
    if target.name == "F32":
        return floats.view(np.uint8).reshape(out.shape)
    encode(floats, target, out.reshape(-1))
    return out


def aligned(data: Bytes) -> Bytes:
    """The bytes, copied if they do not begin where a float32 may."""
    return data if data.ctypes.data % 4 == 0 else data.copy()


def kernels(pairs: Iterable[tuple[TensorType, TensorType, bool]]) -> list[Any]:
    """What converting (source, target, weighted) runs, so that it can be compiled before the work begins."""
    found: list[Any] = []
    for source, target, weighted in pairs:
        if target == source:  # the rows as they are
            continue
        if source.name != "F32":
            found.append(codec(source).kernel("decode"))
        if target.name != "F32":
            name = "encode_weighted" if weighted and takes_weights(target) else "encode"
            found.append(codec(target).kernel(name))
    return [kernel for kernel in dict.fromkeys(found) if kernel is not None]
