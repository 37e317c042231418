"""The safetensors header: a length, a JSON object, then the numbers. Every bound is checked before one is used.

Source of the format: the safetensors documentation (huggingface/safetensors, README, "Format").
"""

from __future__ import annotations

from math import prod
from typing import Any

from gguf_py.errors import KQuantsError

from .folder import Shard, instead, parse_json, shown
from .stored import DTYPES, Stored

MAX_HEADER = 100_000_000
"""Bytes of the longest header that the format allows."""

MAX_DIMS = 16
MAX_ELEMENTS = 1 << 48


def tensors(shard: Shard) -> dict[str, Stored]:
    """The tensors of a safetensors file, sorted by name; raises KQuantsError for a header that does not hold."""
    path = shard.path
    if shard.size < 8:
        raise KQuantsError(f"{path}: has {shard.size} bytes, too few for a safetensors file{instead(path)}")
    length = int.from_bytes(shard.read(0, 8).tobytes(), "little")
    if length > min(shard.size - 8, MAX_HEADER):
        raise KQuantsError(
            f"{path}: is not a safetensors file{other}"
            if (other := instead(path))
            else f"{path}: says its header has {length} bytes, but the file has {shard.size}"
            " (it is cut short or not a safetensors file)"
        )
    header = parse_json(shard.read(8, length).tobytes(), path, strict_keys=True)
    if not isinstance(header, dict):
        raise KQuantsError(f"{path}: its header is a JSON {type(header).__name__}, expected an object")
    said = header.pop("__metadata__", None)
    if isinstance(said, dict):
        shard.metadata.update({key: value for key, value in said.items() if isinstance(value, str)})
    data = 8 + length
    found = {name: _entry(shard, name, entry, data) for name, entry in sorted(header.items())}
    _no_overlap(found, data, shard)
    return found


def _entry(shard: Shard, name: str, entry: Any, data: int) -> Stored:
    where = f"{shard.path}: the tensor {shown(name)}"
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        raise KQuantsError(f"{where} lacks dtype, shape or data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise KQuantsError(f"{where} has dtype {shown(dtype)}, expected one of {', '.join(DTYPES)}")
    if not _naturals(shape) or len(shape) > MAX_DIMS or prod(shape) > MAX_ELEMENTS:
        raise KQuantsError(f"{where} has shape {shown(shape)}, expected a short list of sizes")
    if not _naturals(offsets) or len(offsets) != 2:
        raise KQuantsError(f"{where} has data_offsets {shown(offsets)}, expected a begin and an end")
    begin, end = offsets
    stored = Stored(name, dtype, tuple(shape), shard, data + begin)
    if end - begin != stored.nbytes:
        raise KQuantsError(f"{where} lies in {end - begin} bytes, but {dtype} {shown(shape)} takes {stored.nbytes}")
    if data + end > shard.size:
        raise KQuantsError(f"{where} ends at byte {data + end}, but the file has {shard.size} (it is cut short)")
    return stored


def _naturals(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) is int and n >= 0 for n in value)


def _no_overlap(found: dict[str, Stored], data: int, shard: Shard) -> None:
    """The format wants every byte of the data to belong to exactly one tensor."""
    end, before = data, "the header"
    for stored in sorted(found.values(), key=lambda s: (s.offset, s.nbytes)):
        if stored.offset != end:
            how = "overlaps" if stored.offset < end else "leaves a hole after"
            raise KQuantsError(f"{shard.path}: the tensor {shown(stored.name)} {how} {shown(before)}")
        end, before = stored.offset + stored.nbytes, stored.name
    if end != shard.size:
        raise KQuantsError(f"{shard.path}: has {shard.size - end} bytes that belong to no tensor")
