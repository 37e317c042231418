"""PyTorch's zip files, read without PyTorch and without running what their pickle asks for.

A file is a zip archive, uncompressed: ``NAME/data.pkl`` describes tensors, ``NAME/data/KEY`` are their numbers.
Source of the format: PyTorch 2.x, ``torch/serialization.py``.
"""

from __future__ import annotations

import zipfile
from math import prod
from typing import Any

from gguf_py.errors import KQuantsError

from .folder import Shard, instead, shown
from .pickled import Tensor, load
from .safetensors import MAX_DIMS, MAX_ELEMENTS
from .stored import DTYPES, Stored

MAX_PICKLE = 256 << 20
"""Bytes of the longest pickle read: it holds names and shapes, no numbers."""


def tensors(shard: Shard) -> dict[str, Stored]:
    """The tensors of a PyTorch file, in its order; raises KQuantsError for anything but a dict of tensors."""
    path = shard.path
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {info.filename: info for info in archive.infolist()}
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as fault:
        other = instead(path) or f" ({fault}); save it again with PyTorch"
        raise KQuantsError(f"{path}: is not a PyTorch file in zip form{other}") from None
    described = [name for name in entries if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(described) != 1:
        raise KQuantsError(f"{path}: holds {len(described)} files data.pkl, expected one")
    root = described[0].removesuffix("data.pkl")
    order = entries.get(f"{root}byteorder")
    if order is not None and shard.read(*_place(shard, order, 16)).tobytes() != b"little":
        raise KQuantsError(f"{path}: holds big-endian numbers, expected little-endian")
    found = load(shard.read(*_place(shard, entries[described[0]], MAX_PICKLE)).tobytes(), path)
    return {name: _stored(name, tensor, shard, root, entries) for name, tensor in _tensors_of(found, shard).items()}


def _place(shard: Shard, info: zipfile.ZipInfo, limit: int) -> tuple[int, int]:
    """Where an entry's bytes lie: offset and length, checked against the file; raises KQuantsError if compressed."""
    where = f"{shard.path}: the entry {shown(info.filename)}"
    if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
        raise KQuantsError(f"{where} is compressed, expected it stored as PyTorch stores it")
    if info.file_size > limit:
        raise KQuantsError(f"{where} has {info.file_size} bytes, expected at most {limit}")
    local = shard.read(info.header_offset, 30).tobytes()
    if local[:4] != b"PK\3\4":
        raise KQuantsError(f"{where} has no local header")
    start = info.header_offset + 30 + int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
    if start + info.file_size > shard.size:
        raise KQuantsError(f"{where} ends after the file's {shard.size} bytes")
    return start, info.file_size


def _tensors_of(found: Any, shard: Shard) -> dict[str, Tensor]:
    for wrapper in ("state_dict", "model_state_dict", "model", "module"):
        if isinstance(found, dict) and isinstance(found.get(wrapper), dict):
            found = found[wrapper]
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise KQuantsError(f"{shard.path}: holds no dict of tensors by name")
    return {name: value for name, value in found.items() if isinstance(value, Tensor)}


def _stored(name: str, tensor: Tensor, shard: Shard, root: str, entries: dict[str, zipfile.ZipInfo]) -> Stored:
    where = f"{shard.path}: the tensor {shown(name)}"
    info = entries.get(f"{root}data/{tensor.storage.key}")
    if info is None:
        raise KQuantsError(f"{where} lies in the storage {shown(tensor.storage.key)}, which is not there")
    start, length = _place(shard, info, shard.size)
    size = DTYPES[tensor.dtype].itemsize
    count = length // size
    numbers = (tensor.offset, *tensor.shape, *tensor.strides)
    if not all(type(n) is int and 0 <= n <= MAX_ELEMENTS for n in numbers) or len(tensor.shape) != len(tensor.strides):
        raise KQuantsError(f"{where} has shape {shown(tensor.shape)} and strides {shown(tensor.strides)}")
    elements = prod(tensor.shape)
    last = sum((n - 1) * stride for n, stride in zip(tensor.shape, tensor.strides, strict=True))
    if len(tensor.shape) > MAX_DIMS or elements > MAX_ELEMENTS or (elements and tensor.offset + last >= count):
        raise KQuantsError(f"{where} reaches beyond its storage of {count} elements")
    if elements > count:
        raise KQuantsError(f"{where} repeats elements of its storage, expected each once")
    plain = _contiguous(tensor.shape, tensor.strides)
    return Stored(
        name, tensor.dtype, tensor.shape, shard, start + tensor.offset * size, None if plain else tensor.strides
    )


def _contiguous(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    expected = 1
    for n, stride in zip(reversed(shape), reversed(strides), strict=True):
        if n != 1 and stride != expected:
            return False
        expected *= n
    return True
