"""Protocol Buffers, as much of it as SentencePiece's models need; source: its documentation, "Encoding"."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gguf_py import KQuantsError


def count(data: bytes, number: int, most: int) -> int:
    """How many fields of a number below 16 a message has, short ones at that, ``most`` being enough to know.

    Made for a quarter of a million of them: what is no short field is read over, what is no message ends the count.
    """
    tag, found, at = number << 3 | 2, 0, 0
    try:
        while at < len(data) and found < most:
            if data[at] == tag and data[at + 1] < 128:
                at += 2 + data[at + 1]
                found += 1
                continue
            other, at = varint(data, at)
            if other & 7 == 2:
                size, at = varint(data, at)
                at += size
                found += other == tag
            elif other & 7 == 0:
                _, at = varint(data, at)
            else:
                at += {1: 8, 5: 4}[other & 7]
    except (LookupError, KQuantsError):
        pass
    return found


def fields(data: bytes, path: Path) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a Protocol Buffers message: varints as int, all else as the bytes they lie in."""
    at = 0
    try:
        while at < len(data):
            tag, at = varint(data, at)
            size = {1: 8, 5: 4}.get(tag & 7)
            if tag & 7 == 0:
                value, at = varint(data, at)
                yield tag >> 3, value
                continue
            if tag & 7 == 2:
                size, at = varint(data, at)
            if size is None or at + size > len(data):
                raise IndexError
            yield tag >> 3, data[at : at + size]
            at += size
    except IndexError:
        raise KQuantsError(f"{path}: is not a SentencePiece model") from None


def varint(data: bytes, at: int) -> tuple[int, int]:
    """The whole number at a place of ``data``, and the place behind it; raises IndexError when it does not end."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise IndexError


def as_varint(number: int) -> bytes:
    """A whole number as it is written; a negative one is in two's complement."""
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])
