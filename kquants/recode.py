"""From one tensor type to another: decode to float32, encode from there; the same type is a copy.

Both are done a tile at a time (see ``kernels.tiles``), so that the float32 weights between never reach main memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gguf_py.errors import KQuantsError
from gguf_py.types import TensorType

from .buffers import Buffers
from .codecs import codec
from .jit import Kernel, deferred

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


def recode(
    blocks: Bytes,
    source: TensorType,
    out: Bytes,
    target: TensorType,
    weights: Floats | None = None,
    *,
    half: bool = False,
) -> int:
    """Decode uint8[n bytes], round to float16 if ``half``, and encode to uint8[m bytes], both flat.

    ``weights`` is the importance of each column, float32[columns], of a type that takes one; the weights are whole
    rows then. Returns the index of the first weight that is NaN or infinite, or -1; such weights are encoded too, to
    whatever comes of them. Raises KQuantsError when ``target`` cannot be encoded.
    """
    encode = encoder(target, weighted=weights is not None)
    decoder = codec(source).decode
    given = (blocks.reshape(-1, source.nbytes), source.block)
    if not (isinstance(decoder, Kernel) and isinstance(encode, Kernel)):  # NumPy decodes, or tables are wanted
        floats = _room.get("floats", len(given[0]) * source.block, np.float32)
        decode(blocks, source, floats)
        if not isinstance(encode, Kernel):
            return _encode_whole(floats, out, target, weights, half)
        decoder, given = codec("F32").decode, (floats.view(np.uint8).reshape(-1, 4), 1)
    told = (decoder.address, *given, half, encode.address)
    if weights is None:
        room = _room.get("tile", TILE, np.float32).reshape(1, TILE)
        return int(_tiles.recode(*told, out.reshape(-1, target.nbytes), target.block, room))
    columns = len(weights)
    rows = _rows_of_a_tile(columns, target.block)
    room = _room.get("tile", rows * columns, np.float32).reshape(rows, columns)
    return int(_tiles.recode_weighted(*told, weights, out.reshape(-1, target.row_bytes(columns)), room))


TILE = 1 << 13
"""Weights that are decoded and then encoded: as float32 they stay in the caches that are the core's own."""

_room = Buffers()
_tiles = deferred("kquants.kernels.tiles")


def _rows_of_a_tile(columns: int, block: int) -> int:
    """So few that they stay in the second-level cache, so many that few lanes have no block."""
    rows = max(1, 8 * TILE // columns)
    turn = 32 // gcd(32, columns // block)
    return rows - rows % turn if rows > turn else rows


def _encode_whole(x: Floats, out: Bytes, kind: TensorType, weights: Floats | None, half: bool) -> int:
    from .finite import first_not_finite, round_to_half

    at = int((round_to_half if half else first_not_finite)(x.reshape(1, -1)))
    if weights is None:
        encode(x, kind, out)
    else:
        columns = len(weights)
        encoder(kind, weighted=True)(x.reshape(-1, columns), weights, out.reshape(-1, kind.row_bytes(columns)))
    return at


def convert_rows(rows: Bytes, source: TensorType, target: TensorType) -> Bytes:
    """Rows uint8[n, bytes a row] of one type as rows of another, new memory unless the types are the same.

    Rounds through float32. Raises KQuantsError when ``target`` cannot be encoded or the rows do not fill its blocks.
    """
    if source == target:
        return rows
    columns = rows.shape[-1] // source.nbytes * source.block
    out = np.empty((len(rows), target.row_bytes(columns)), np.uint8)
    recode(np.ascontiguousarray(rows).reshape(-1), source, out.reshape(-1), target)
    return out


def kernels(pairs: Iterable[tuple[TensorType, TensorType, bool]]) -> list[Any]:
    """What converting (source, target, weighted) runs, so that it can be compiled before the work begins."""
    found: list[Any] = []
    for source, target, weighted in pairs:
        name = "encode_weighted" if weighted and takes_weights(target) else "encode"
        found += [codec(source).kernel("decode") or codec("F32").decode, codec(target).kernel(name)]
        if isinstance(getattr(codec(target), name, None), Kernel):
            found.append(_tiles.recode if name == "encode" else _tiles.recode_weighted)
    return [kernel for kernel in dict.fromkeys(found) if kernel is not None]
