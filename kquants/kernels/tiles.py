# mypy: disable-error-code="untyped-decorator"
"""From one tensor type to another, a tile at a time: decoded, looked at and encoded while it is in the core's caches.

The kernels that decode and encode are told by their addresses; a large piece of a tensor costs one call.
"""

from __future__ import annotations

from typing import Any

from ..jit import array_in, array_out, inlined, kernel, number
from .calling import decode_at, encode_at, encode_weighted_at
from .finite import find_not_finite, round_to_half_in

_SOURCE = (number("int64"), array_in("uint8"), number("int64"), number("int64"))
"""The address of what decodes the blocks, the blocks, the weights of each, and whether they are rounded to float16."""
_ROOM = (array_out("float32"),)
"""Where the weights of a tile lie."""


@inlined
def _fill(decode: Any, blocks: Any, block: int, half: int, lo: int, hi: int, room: Any) -> int:
    """Decode weights ``lo`` to ``hi``; the index of the first NaN or infinity among them, or -1."""
    decode_at(decode, blocks, lo // block, (hi - lo) // block, room, block)
    at = round_to_half_in(room, hi - lo) if half else find_not_finite(room, hi - lo)
    return lo + at if at >= 0 else -1


@kernel((*_SOURCE, number("int64"), array_out("uint8"), number("int64"), *_ROOM))
def recode(decode: Any, blocks: Any, block: Any, half: Any, encode: Any, out: Any, out_block: Any, room: Any) -> int:
    """uint8[n, bytes] to uint8[m, bytes of the other type]; the index of the first NaN or infinity on the way, or -1.

    The room for a tile, float32[k, l], holds whole blocks of both types.
    """
    count = blocks.shape[0] * block
    found = -1
    for lo in range(0, count, room.size):
        hi = min(lo + room.size, count)
        bad = _fill(decode, blocks, block, half, lo, hi, room)
        found = bad if found < 0 else found
        encode_at(encode, room, out_block, out, lo // out_block, (hi - lo) // out_block)
    return found


@kernel((*_SOURCE, number("int64"), array_in("float32", 1), array_out("uint8"), *_ROOM))
def recode_weighted(
    decode: Any, blocks: Any, block: Any, half: Any, encode: Any, weights: Any, out: Any, room: Any
) -> int:
    """As ``recode``, by rows of as many columns as have an importance: uint8[rows, row bytes]; the room holds rows."""
    columns = weights.size
    found = -1
    for first in range(0, out.shape[0], room.shape[0]):
        count = min(room.shape[0], out.shape[0] - first)
        bad = _fill(decode, blocks, block, half, first * columns, (first + count) * columns, room)
        found = bad if found < 0 else found
        encode_weighted_at(encode, room, weights, out, first, count)
    return found
