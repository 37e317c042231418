"""Importance matrices: what both forms of file say, and every way in which one can be wrong."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gguf_py
from gguf_py import Field, KQuantsError, ValueType
from kquants import imatrix

FIELDS = {
    "imatrix.datasets": Field.of("imatrix.datasets", ["a.txt", "b.txt"]),
    "imatrix.chunk_count": Field.of("imatrix.chunk_count", 7, ValueType.UINT32),
    "imatrix.chunk_size": Field.of("imatrix.chunk_size", 512, ValueType.UINT32),
}


def written(path: Path, tensors: dict[str, list[float]], **changed: Any) -> Path:
    """A file in GGUF form; ``changed`` keys of the metadata by their last word, None for one that is not there."""
    values: dict[str, Any] = {**FIELDS}
    for key, value in changed.items():
        values[f"imatrix.{key}"] = None if value is None else Field.of(f"imatrix.{key}", value)
    fields = [field for field in values.values() if field is not None]
    gguf_py.write(path, fields, {n: ("F32", (len(v),), np.array(v, np.float32)) for n, v in tensors.items()})
    return path


def test_sums_over_counts(tmp_path: Path) -> None:
    """Counts are rounded, halves away from zero; a matrix that was never used counts 1 everywhere."""
    tensors = {"w.in_sum2": [6.0, 9.0, 5.0, 7.0, 3.0, 4.0], "w.counts": [2.5, 0.0, 0.4]}
    found = imatrix.load(written(tmp_path / "m.gguf", tensors))
    assert found.entries["w"].tolist() == [2.0, 3.0, 1.0, 1.0, 1.0, 1.0]
    assert (found.datasets, found.chunks, found.path) == (("a.txt", "b.txt"), 7, str(tmp_path / "m.gguf"))


def test_the_older_form(tmp_path: Path) -> None:
    parts = [struct.pack("<ii", 2, 1), b"w", struct.pack("<iiff", 4, 2, 8, 2)]
    parts += [struct.pack("<i", 1), b"v", struct.pack("<iif", 0, 1, 5)]  # never called: the sums as they are
    (tmp_path / "old").write_bytes(b"".join(parts))
    found = imatrix.load(tmp_path / "old")
    assert {name: values.tolist() for name, values in found.entries.items()} == {"w": [2.0, 0.5], "v": [5.0]}
    assert (found.datasets, found.chunks) == ((), 0)
    (tmp_path / "newer").write_bytes(b"".join([*parts, struct.pack("<ii", 9, 5), b"a.txt"]))
    assert imatrix.load(tmp_path / "newer").datasets == ("a.txt",) and imatrix.load(tmp_path / "newer").chunks == 9


GOOD = {"w.in_sum2": [1.0, 2.0], "w.counts": [1.0]}


@pytest.mark.parametrize(
    ("tensors", "changed", "says"),
    [
        (GOOD, {"datasets": None}, "no importance matrix: it has no metadata key 'imatrix.datasets'"),
        (GOOD, {"chunk_size": None}, "no importance matrix: it has no metadata key 'imatrix.chunk_size'"),
        (GOOD, {"datasets": "a.txt"}, "'imatrix.datasets' cannot be of type STRING"),
        (GOOD, {"datasets": [1]}, "'imatrix.datasets' cannot be of type ARRAY of INT32"),
        (GOOD, {"chunk_count": "7"}, "'imatrix.chunk_count' cannot be of type STRING"),
        ({}, {}, "the importance matrix is empty"),
        ({"w.in_sum2": [1.0]}, {}, "the importance of 'w' needs sums and counts, both F32"),
        ({"w.in_sum2": [1.0, 2.0, 3.0], "w.counts": [1.0, 1.0]}, {}, "'w' has 3 sums for 2 counts"),
        ({"w.in_sum2": [np.inf], "w.counts": [1.0]}, {}, "holds a value that is not finite, for 'w'"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, tensors: Any, changed: dict[str, Any], says: str) -> None:
    with pytest.raises(KQuantsError, match=says):
        imatrix.load(written(tmp_path / "m.gguf", tensors, **changed))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "it ends at byte 0"),
        (b"hello world", "it speaks of 1819043176 entries in 11 bytes"),
        (struct.pack("<ii", 1, 100) + bytes(40), "or it is cut short: it ends at byte 48"),
        (struct.pack("<ii", 1, -1) + bytes(40), "or it is cut short"),
        (struct.pack("<ii", 1, 1) + b"w" + struct.pack("<ii", 1, 0), "the importance of 'w' has 0 values"),
        (struct.pack("<ii", 1, 1) + b"w" + struct.pack("<iif", 1, 2, 1), "or it is cut short"),
        (struct.pack("<ii", 1, 1) + b"w" + struct.pack("<iif", 1, 1, np.nan), "not finite, for 'w'"),
    ],
)
def test_older_files_that_are_wrong(tmp_path: Path, data: bytes, says: str) -> None:
    (tmp_path / "old").write_bytes(data)
    with pytest.raises(KQuantsError, match=says):
        imatrix.load(tmp_path / "old")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(KQuantsError, match="no regular file"):
        imatrix.load(tmp_path / "pipe")


def test_only_some_of_it(tmp_path: Path) -> None:
    tensors = {f"blk.{i}.{n}.{part}": [1.0] for i in (0, 1) for n in ("up", "down") for part in ("in_sum2", "counts")}
    found = imatrix.load(written(tmp_path / "m.gguf", tensors))
    assert list(found.only(["up", "blk.0"], ["blk.1"]).entries) == ["blk.0.down", "blk.0.up"]
    assert list(found.only([], ["up"]).entries) == ["blk.0.down", "blk.1.down"]


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "imatrix.gguf"
    imatrix.save(path, {"b": np.array([2.0, 6.0]), "a": np.array([4.0])}, 4, ["a text", "another"], 2, 512)
    found = imatrix.load(path)
    assert {name: values.tolist() for name, values in found.entries.items()} == {"a": [1.0], "b": [0.5, 1.5]}
    assert (found.datasets, found.chunks) == (("a text", "another"), 2)
    with gguf_py.open(path) as file:
        assert list(file.tensors) == ["a.in_sum2", "a.counts", "b.in_sum2", "b.counts"]
        assert (file.metadata["general.type"], file.metadata["imatrix.chunk_size"]) == ("imatrix", 512)


def test_what_is_not_finite_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(
        KQuantsError, match=r"imatrix\.gguf: not written, for 'w' is multiplied with what is not finite"
    ):
        imatrix.save(tmp_path / "imatrix.gguf", {"w": np.array([1.0, np.nan])}, 1, ["a text"], 1, 512)
    assert not any(tmp_path.iterdir())
