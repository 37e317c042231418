"""Importance matrices: how much each column of a tensor matters, measured by running a model over a text.

Two forms of file: GGUF, with the sums of squares and the counts of each tensor, and the older binary form, which is
only read. Source of the facts: ``imatrix-loader.cpp``, ``imatrix.cpp`` and ``quantize.cpp`` of llama.cpp v0.5.0.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

import gguf_py
from gguf_py import Field, GGUFFile, ValueType
from gguf_py.errors import KQuantsError
from gguf_py.input import InputFile, head_of
from gguf_py.layout import MAGIC

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Imatrix:
    """Importance by tensor name: float32, columns of all the tensor's matrices one behind the other."""

    path: str
    entries: Mapping[str, Floats]
    datasets: tuple[str, ...] = ()
    """The texts it was measured on."""
    chunks: int = 0
    """How many pieces of text."""

    def only(self, include: Sequence[str], exclude: Sequence[str]) -> Imatrix:
        """Without the entries whose name holds a text of ``exclude``, and only those that hold one of ``include``."""
        kept = {
            name: values
            for name, values in self.entries.items()
            if not any(part in name for part in exclude) and (not include or any(part in name for part in include))
        }
        return replace(self, entries=kept)


def load(path: str | os.PathLike[str]) -> Imatrix:
    """Read a file of either form; raises KQuantsError when it is neither or holds what is not a finite number."""
    name, head = os.fspath(path), head_of(InputFile(path))
    in_gguf = head.want(min(4, head.size))[:4] == MAGIC
    loaded = _from_gguf(name) if in_gguf else _from_binary(name, head.want(head.size))
    for tensor, values in loaded.entries.items():
        if not np.isfinite(values).all():
            raise KQuantsError(f"{name}: the importance matrix holds a value that is not finite, for {tensor!r}")
    return loaded


def save(
    path: str | os.PathLike[str],
    sums: Mapping[str, NDArray[np.floating]],
    rows: int,
    datasets: Sequence[str],
    chunks: int,
    chunk_size: int,
) -> None:
    """Write a GGUF file of the sums of squares, a number a column, of ``rows`` rows each, by tensor name.

    ``chunks`` pieces of ``datasets`` had ``chunk_size`` tokens each. Raises KQuantsError for sums that are not finite,
    and as ``gguf_py.write`` does. Source: ``llama-imatrix``.
    """
    fields = [
        Field.of("general.type", "imatrix"),
        Field.of("imatrix.datasets", list(datasets), item=ValueType.STRING),
        Field.of("imatrix.chunk_count", chunks, ValueType.UINT32),
        Field.of("imatrix.chunk_size", chunk_size, ValueType.UINT32),
    ]
    tensors: dict[str, tuple[str, tuple[int, ...], Floats]] = {}
    for name in sorted(sums):
        values = np.asarray(sums[name], np.float32)
        if not np.isfinite(values).all():
            raise KQuantsError(f"{os.fspath(path)}: not written, for {name!r} is multiplied with what is not finite")
        tensors[f"{name}.in_sum2"] = ("F32", values.shape, values)
        tensors[f"{name}.counts"] = ("F32", (1,), np.array([rows], np.float32))
    gguf_py.write(path, fields, tensors)


def _from_gguf(name: str) -> Imatrix:
    with gguf_py.open(name) as file:
        datasets, chunks, _ = (_field(file, f"imatrix.{key}") for key in ("datasets", "chunk_count", "chunk_size"))
        if datasets.item is not ValueType.STRING or type(chunks.value) is not int:
            wrong = chunks if datasets.item is ValueType.STRING else datasets
            raise KQuantsError(f"{name}: the metadata key {wrong.key!r} cannot be of type {wrong.type_name}")
        entries: dict[str, Floats] = {}
        names = dict.fromkeys(n.removesuffix(".in_sum2").removesuffix(".counts") for n in file.tensors)
        for tensor in sorted(names):
            parts = [file.tensors.get(tensor + suffix) for suffix in (".in_sum2", ".counts")]
            if parts == [None, None]:
                continue
            sums, counts = parts
            if sums is None or counts is None or {sums.type.name, counts.type.name} != {"F32"}:
                raise KQuantsError(f"{name}: the importance of {tensor!r} needs sums and counts, both F32")
            entries[tensor] = _mean(sums.to_numpy(), counts.to_numpy(), f"{name}: the importance of {tensor!r}")
        if not entries:
            raise KQuantsError(f"{name}: the importance matrix is empty")
        return Imatrix(name, entries, tuple(datasets.value), chunks.value)


def _field(file: GGUFFile, key: str) -> Field:
    field = file.fields.get(key)
    if field is None:
        raise KQuantsError(f"{file.path} is no importance matrix: it has no metadata key {key!r}")
    return field


def _mean(sums: Floats, counts: Floats, what: str) -> Floats:
    """Sums over counts, a count for each matrix; 1 for a matrix (an expert) that was never used."""
    if not counts.size or sums.size % counts.size:
        raise KQuantsError(f"{what} has {sums.size} sums for {counts.size} counts")
    # C's lround: halves away from zero.
    count = counts.reshape(-1, 1).astype(np.float64)
    whole = np.trunc(count + np.copysign(0.5, count)).astype(np.float32)
    table = sums.reshape(counts.size, -1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(whole > 0, table / whole, np.float32(1))
    return mean.astype(np.float32).reshape(-1)


def _from_binary(name: str, data: memoryview) -> Imatrix:
    at = 0

    def take(size: int) -> memoryview:
        nonlocal at
        if not 0 <= size <= len(data) - at:
            raise KQuantsError(f"{name} is no importance matrix, or it is cut short: it ends at byte {len(data):,}")
        at += size
        return data[at - size : at]

    def number() -> int:
        return int(struct.unpack("<i", take(4))[0])

    entries: dict[str, Floats] = {}
    count = number()
    if not 1 <= count <= len(data) // 12:
        raise KQuantsError(f"{name} is no importance matrix: it speaks of {count} entries in {len(data):,} bytes")
    for _ in range(count):
        tensor = bytes(take(number())).split(b"\0")[0].decode("utf-8", "surrogateescape")
        calls, size = number(), number()
        if size < 1:
            raise KQuantsError(f"{name}: the importance of {tensor!r} has {size} values")
        sums = np.frombuffer(take(4 * size), "<f4")
        entries[tensor] = (sums / np.float32(calls) if calls > 0 else sums).astype(np.float32)
    chunks = 0
    datasets: tuple[str, ...] = ()
    if at < len(data):
        chunks = number()
        length = number() if at < len(data) else 0
        if length > 0:
            datasets = (bytes(take(length)).split(b"\0")[0].decode("utf-8", "replace"),)
    return Imatrix(name, entries, datasets, chunks)
