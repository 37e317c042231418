"""Safetensors checkpoints: what they hold, in what order, and every lie a header or an index can tell."""

from __future__ import annotations

import json
import os
import struct
import threading
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from gguf_py import KQuantsError
from hf2gguf import checkpoint
from hf2gguf.checkpoint import safetensors
from hf2gguf.checkpoint.folder import Shard

from .samples import Arrays, save

TINY = Path(__file__).resolve().parents[3] / "fixtures" / "tiny-speeches-5m"


def test_every_row_of_the_real_model() -> None:
    expected = load_file(TINY / "model.safetensors")
    with checkpoint.open(TINY) as c:
        assert list(c.tensors) == sorted(expected)
        for name, source in c.tensors.items():
            assert (source.type.name, source.shape) == ("BF16", expected[name].shape)
            pieces = [source.rows(lo, min(lo + 7, source.count)) for lo in range(0, source.count, 7)]
            assert np.concatenate(pieces).tobytes() == expected[name].tobytes()


def test_number_types(tmp_path: Path) -> None:
    values = np.array([[-2, 0, 1], [3, 5, 7]])
    kinds = ["<f8", "<f4", "<f2", ml_dtypes.bfloat16, "<i8", "<i4", "<i2", "i1"]
    names = ["F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8"]
    others = ["u1", "<u2", "<u4", "<u8", "?", ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2]
    arrays = {str(np.dtype(kind)): abs(values).astype(kind) for kind in [*kinds, *others]}
    save(tmp_path / "model.safetensors", arrays)
    with checkpoint.open(tmp_path) as c:
        for kind, name in zip(kinds, names, strict=True):
            source = c.tensors[str(np.dtype(kind))]
            assert source.type.name == name
            assert source.rows(0, 2).tobytes() == abs(values).astype(kind).tobytes()
        for kind in others:
            source = c.tensors[str(np.dtype(kind))]
            assert source.type.name == "F32"
            assert source.rows(1, 2).tobytes() == abs(values[1]).astype(kind).astype(np.float32).tobytes()


def test_all_values_of_eight_bits(tmp_path: Path) -> None:
    bits = np.arange(256, dtype=np.uint8)
    kinds = (ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2, ml_dtypes.float8_e8m0fnu)
    save(tmp_path / "model.safetensors", {kind.__name__: bits.view(kind) for kind in kinds})
    with checkpoint.open(tmp_path) as c:
        for kind in kinds:
            found = c.tensors[kind.__name__].rows(0, 1).view(np.float32)[0]
            np.testing.assert_array_equal(found, bits.view(kind).astype(np.float32))


def _sharded(folder: Path, *, index: bool = True) -> Path:
    parts = {"model-00002-of-00002.safetensors": ["b", "z"], "model-00001-of-00002.safetensors": ["y", "c"]}
    for part, names in parts.items():
        save(folder / part, {name: np.full((2, 3), ord(name), np.float32) for name in names})
    if index:
        weight_map = {name: part for part, names in parts.items() for name in names}
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return folder


@pytest.mark.parametrize("index", [True, False])
def test_shards_in_upstreams_order(index: bool, tmp_path: Path) -> None:
    with checkpoint.open(_sharded(tmp_path, index=index)) as c:
        assert list(c.tensors) == ["c", "y", "b", "z"]
        assert all((c.tensors[n].rows(0, 2).view(np.float32) == ord(n)).all() for n in c.tensors)


@pytest.mark.parametrize("index", [True, False])
def test_a_missing_shard_is_named(index: bool, tmp_path: Path) -> None:
    _sharded(tmp_path, index=index)
    (tmp_path / "model-00001-of-00002.safetensors").unlink()
    with checkpoint.open(tmp_path) as c, pytest.raises(KQuantsError, match=r"00001-of-00002\.safetensors: is missing"):
        list(c.tensors)


@pytest.mark.parametrize(
    ("weight_map", "says"),
    [
        ({"a": "../../etc/passwd"}, "plain file name"),
        ({"a": "/etc/passwd"}, "plain file name"),
        ({"a": "..\\x"}, "plain file name"),
        ({"a": ".."}, "plain file name"),
        ({"a": ""}, "plain file name"),
        ({"a": "x\0y"}, "plain file name"),
        ({"a": 3}, "weight_map"),
        ([], "weight_map"),
        ({"c": "model-00001-of-00002.safetensors"}, "does not name"),
        ({"nothing": "model-00001-of-00002.safetensors"}, "lacks the tensor"),
    ],
)
def test_an_index_that_lies(weight_map: Any, says: str, tmp_path: Path) -> None:
    _sharded(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    with checkpoint.open(tmp_path) as c, pytest.raises(KQuantsError, match=says):
        list(c.tensors)


def test_a_tensor_in_two_shards(tmp_path: Path) -> None:
    for i in (1, 2):
        save(tmp_path / f"model-0000{i}-of-00002.safetensors", {"a": np.ones(3, np.float32)})
    with checkpoint.open(tmp_path) as c, pytest.raises(KQuantsError, match="holds 'a'"):
        list(c.tensors)


def test_links(tmp_path: Path) -> None:
    secret = tmp_path / "elsewhere.safetensors"
    save(secret, {"a": np.ones(3, np.float32)})
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").symlink_to(secret)
    with checkpoint.open(folder) as c, pytest.raises(KQuantsError, match="link that leaves"):
        list(c.tensors)


def test_a_local_hub_cache_links_to_its_blobs(tmp_path: Path) -> None:
    snapshot, blobs = tmp_path / "snapshots" / "abc", tmp_path / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    save(blobs / "123", {"a": np.ones(3, np.float32)})
    (snapshot / "model.safetensors").symlink_to("../../blobs/123")
    with checkpoint.open(snapshot) as c:
        assert list(c.tensors) == ["a"]
    (snapshot / "1_Pooling").mkdir()
    (snapshot / "1_Pooling" / "config.json").symlink_to("../../../blobs/123")
    with checkpoint.open(snapshot / "1_Pooling") as c:
        assert c.path("config.json") is not None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.safetensors")
    with checkpoint.open(tmp_path) as c, pytest.raises(KQuantsError, match="not a regular file"):
        list(c.tensors)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "{", '{"a": 1' + "0" * 5000 + "}", "[]", "\ud800".encode("utf-8", "surrogatepass")]
)
def test_json_that_is_none(text: str | bytes, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with checkpoint.open(tmp_path) as c, pytest.raises(KQuantsError, match=r"config\.json"):
        c.config  # noqa: B018


def test_a_config_too_large_to_be_one(tmp_path: Path) -> None:
    with (tmp_path / "config.json").open("wb") as f:
        f.truncate(1 << 40)
    with checkpoint.open(tmp_path) as c, pytest.raises(KQuantsError, match="at most"):
        c.config  # noqa: B018


def test_folders_without_anything(tmp_path: Path) -> None:
    with pytest.raises(KQuantsError, match="there is no such folder"):
        checkpoint.open(tmp_path / "none")
    with checkpoint.open(tmp_path) as c:
        with pytest.raises(KQuantsError, match=r"no config\.json"):
            c.config  # noqa: B018
        with pytest.raises(KQuantsError, match="no weights"):
            list(c.tensors)


def _file(path: Path, header: Any, data: bytes = b"", length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def _entry(**change: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]} | change


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ({"a": _entry(data_offsets=[0, 23])}, "lies in 23 bytes"),
        ({"a": _entry(data_offsets=[24, 0])}, "lies in -24 bytes"),
        ({"a": _entry(data_offsets=[-24, 0])}, "data_offsets"),
        ({"a": _entry(data_offsets=[0, 24.0])}, "data_offsets"),
        ({"a": _entry(data_offsets=[0, True])}, "data_offsets"),
        ({"a": _entry(data_offsets=[8, 32])}, "cut short"),
        ({"a": _entry(data_offsets=[2**63, 2**63 + 24])}, "cut short"),
        ({"a": _entry(shape=[2**40, 2**40])}, "shape"),
        ({"a": _entry(shape=[-2, -3])}, "shape"),
        ({"a": _entry(shape=[0] * 10_000)}, "shape"),
        ({"a": _entry(shape="23")}, "shape"),
        ({"a": _entry(dtype="F33")}, "dtype"),
        ({"a": _entry(dtype=["F32"])}, "dtype"),
        ({"a": {}}, "lacks"),
        ({"a": 3}, "lacks"),
        ({"a": _entry(), "b": _entry()}, "overlaps"),
        ({"a": _entry(), "b": _entry(shape=[1], data_offsets=[20, 24])}, "overlaps"),
        ({"a": _entry(shape=[1], data_offsets=[20, 24])}, "hole"),
        ({"a": _entry(shape=[5], data_offsets=[0, 20])}, "belong to no tensor"),
        ({}, "belong to no tensor"),
        ([], "expected an object"),
        (b'{"a": ' + json.dumps(_entry()).encode() + b', "a": ' + json.dumps(_entry()).encode() + b"}", "twice"),
        (b"not json", "JSON"),
        (b"", "JSON"),
    ],
)
def test_headers_that_lie(header: Any, says: str, tmp_path: Path) -> None:
    shard = Shard(_file(tmp_path / "x.safetensors", header, bytes(24)))
    with pytest.raises(KQuantsError, match=says):
        safetensors.tensors(shard)
    shard.close()


@pytest.mark.parametrize("length", [2**64 - 1, 2**63, 10**8, 100, 0])
def test_header_lengths_that_lie(length: int, tmp_path: Path) -> None:
    shard = Shard(_file(tmp_path / "x.safetensors", {"a": _entry()}, bytes(24), length))
    with pytest.raises(KQuantsError):
        safetensors.tensors(shard)
    shard.close()


def test_a_name_is_shown_and_not_obeyed(tmp_path: Path) -> None:
    shard = Shard(_file(tmp_path / "x.safetensors", {"\x1b[31m\n" + "a" * 5000: 3}))
    with pytest.raises(KQuantsError) as fault:
        safetensors.tensors(shard)
    assert str(fault.value).isprintable() and len(str(fault.value)) < 400
    shard.close()


@given(st.data())
@settings(max_examples=200)
def test_any_bytes_give_tensors_or_one_sentence(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    whole = bytearray(save(tmp_path_factory.mktemp("s") / "a", _two()).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("s") / "b"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    shard = Shard(path)
    try:
        for stored in safetensors.tensors(shard).values():
            assert stored.whole().shape == stored.shape
    except KQuantsError as fault:
        assert "\n" not in str(fault)
    finally:
        shard.close()


def _two() -> Arrays:
    return {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.arange(5, dtype=np.int8)}


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    path = save(tmp_path / "model.safetensors", {"a": np.ones((64, 64), np.float32)})
    with checkpoint.open(tmp_path) as c:
        source = c.tensors["a"]
        os.truncate(path, path.stat().st_size // 2)
        with pytest.raises(KQuantsError, match="become shorter"):
            source.rows(0, 64)


def test_many_threads_read_at_once(tmp_path: Path) -> None:
    values = np.arange(512 * 64, dtype=np.float32).reshape(512, 64)
    save(tmp_path / "model.safetensors", {"a": values})
    wrong: list[int] = []
    with checkpoint.open(tmp_path) as c:
        source = c.tensors["a"]

        def read(first: int) -> None:
            mine = range(first, 512, 8)
            wrong.extend(lo for lo in mine if source.rows(lo, lo + 1).tobytes() != values[lo].tobytes())

        threads = [threading.Thread(target=read, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong
