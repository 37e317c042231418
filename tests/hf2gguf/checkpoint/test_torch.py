"""PyTorch's files without PyTorch: pickles are written here by hand, so that they can also be hostile."""

from __future__ import annotations

import json
import pickle
import shutil
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gguf_py import KQuantsError
from hf2gguf import checkpoint
from hf2gguf.checkpoint import torch
from hf2gguf.checkpoint.folder import Shard
from hf2gguf.checkpoint.stored import DTYPES

KINDS = {
    "<f4": "FloatStorage",
    "<f2": "HalfStorage",
    "<V2": "BFloat16Storage",
    "<i8": "LongStorage",
    "|u1": "ByteStorage",
    "|b1": "BoolStorage",
}


def text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value) if abs(value) < 1 << 31 else b"\x8a\x08" + struct.pack("<q", value)


def many(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def name(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def tensor(kind: str, key: str, count: int, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0) -> bytes:
    storage = b"(" + text("storage") + name("torch", kind) + text(key) + text("cpu") + number(count) + b"tQ"
    hooks = name("collections", "OrderedDict") + b")R"
    arguments = storage + number(offset) + many(shape) + many(strides) + b"\x89" + hooks
    return name("torch._utils", "_rebuild_tensor_v2") + b"(" + arguments + b"tR"


def described(entries: dict[str, bytes]) -> bytes:
    return b"\x80\x02}(" + b"".join(text(key) + value for key, value in entries.items()) + b"u."


def archive(path: Path, described: bytes, data: dict[str, NDArray[Any]], **more: Any) -> Path:
    with zipfile.ZipFile(path, "w", **more) as made:
        made.writestr("archive/data.pkl", described)
        made.writestr("archive/version", "3\n")
        made.writestr("archive/byteorder", "little")
        for key, array in data.items():
            made.writestr(f"archive/data/{key}", array.tobytes())
    return path


def read(path: Path) -> dict[str, Any]:
    shard = Shard(path)
    try:
        return {key: stored.whole() for key, stored in torch.tensors(shard).items()}
    finally:
        shard.close()


def plain(array: NDArray[Any], key: str = "0") -> bytes:
    strides = tuple(n // array.itemsize for n in array.strides)
    return tensor(KINDS[array.dtype.str], key, array.size, array.shape, strides)


def test_tensors_in_the_files_order(tmp_path: Path) -> None:
    arrays = {
        "z": np.arange(6, dtype=np.float32).reshape(2, 3),
        "a": np.arange(4, dtype=np.float16),
        "m": np.array(7, np.int64),
        "b": np.array([True, False]),
    }
    entries = {key: plain(array, key) for key, array in arrays.items()}
    found = read(archive(tmp_path / "pytorch_model.bin", described(entries), arrays))
    assert list(found) == list(arrays)
    assert all(found[key].tobytes() == array.tobytes() for key, array in arrays.items())
    with checkpoint.open(tmp_path) as c:
        assert [source.type.name for source in c.tensors.values()] == ["F32", "F16", "I64", "F32"]


def test_shards_with_an_index(tmp_path: Path) -> None:
    array = np.arange(3, dtype=np.float32)
    names = {"pytorch_model-00002-of-00002.bin": ["y", "a"], "pytorch_model-00001-of-00002.bin": ["z", "b"]}
    for file, keys in names.items():
        archive(tmp_path / file, described({key: plain(array) for key in keys}), {"0": array})
    weight_map = {key: file for file, keys in names.items() for key in keys}
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    with checkpoint.open(tmp_path) as c:
        assert list(c.tensors) == ["z", "b", "y", "a"]


def test_views(tmp_path: Path) -> None:
    base = np.arange(24, dtype=np.float32)
    wanted = {
        "transposed": base.reshape(4, 6).T,
        "inside": base.reshape(4, 6)[1:3, 2:5],
        "turned": base.reshape(2, 3, 4).transpose(2, 0, 1),
        "skipping": base[::2],
        "same": base.reshape(4, 6),
    }
    entries = {}
    for key, view in wanted.items():
        strides = tuple(n // 4 for n in view.strides)
        entries[key] = tensor("FloatStorage", "0", 24, view.shape, strides, int(view.reshape(-1)[0]))
    path = archive(tmp_path / "x.pt", described(entries), {"0": base})
    shard = Shard(path)
    for key, stored in torch.tensors(shard).items():
        assert stored.whole().tolist() == wanted[key].tolist()
        if len(stored.shape) > 1:
            flat = wanted[key].reshape(-1, stored.shape[-1])
            for lo in range(len(flat)):
                assert stored.values(lo, lo + 1).tolist() == flat[lo : lo + 1].tolist()
            assert stored.block(0, len(flat), 1, 3).tolist() == flat[:, 1:3].tolist()
    shard.close()


SAVED = Path(__file__).parent / "saved"


@pytest.mark.parametrize("name", ["protocol2.bin", "protocol4.bin"])
def test_what_pytorch_saves(name: str, tmp_path: Path) -> None:
    """Every number type, views, a scalar, nothing and a parameter, saved by PyTorch 2.13 (``make_saved.py``)."""
    shutil.copyfile(SAVED / name, tmp_path / "pytorch_model.bin")
    base = np.arange(24).reshape(4, 6)
    views = {"t": base.T, "view": base[1:3], "scalar": np.array(3.5), "empty": np.zeros((0, 3)), "param": base}
    views |= {"col": base[:, 2], "step": base[::2], "bool": base > 3}
    views["float8_e4m3fn"] = base.astype(np.float32).astype(DTYPES["F8_E4M3"]).astype(np.float64)
    with checkpoint.open(tmp_path) as c:
        assert len(c.tensors) == 19
        for key, source in c.tensors.items():
            raw = source.rows(0, source.count).tobytes()
            found = np.frombuffer(raw, DTYPES[source.type.name]).reshape(source.shape)
            assert np.array_equal(found.astype(np.float64), views.get(key, base)), key


@pytest.mark.parametrize("name", ["consolidated.00.pth", "model.pt"])
def test_state_and_training_that_pytorch_saves(name: str, tmp_path: Path) -> None:
    shutil.copyfile(SAVED / name, tmp_path / name)
    with checkpoint.open(tmp_path) as c:
        assert {key: source.shape for key, source in c.tensors.items()} == {"weight": (4, 6), "bias": (4,)}


def test_a_wrapped_dict_and_its_state(tmp_path: Path) -> None:
    array = np.arange(3, dtype=np.float32)
    ordered = (
        name("collections", "OrderedDict") + b")R(" + text("w") + plain(array) + b"u}" + text("_metadata") + b"Nsb"
    )
    described_ = b"\x80\x02}(" + text("step") + number(3) + text("state_dict") + ordered + b"u."
    assert read(archive(tmp_path / "x.pt", described_, {"0": array}))["w"].tolist() == [0, 1, 2]


class Boom:
    """What a hostile pickle does."""

    def __reduce__(self) -> Any:
        return (Path.touch, (Path("boom"),))


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_is_executed(protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = archive(tmp_path / "x.pt", pickle.dumps({"a": Boom()}, protocol), {})
    with pytest.raises(KQuantsError, match=r"nothing was run"):
        read(path)
    assert not Path("boom").exists()


@pytest.mark.parametrize(
    "attack",
    [
        name("os", "system") + b"(" + text("true") + b"tR",
        name("builtins", "eval") + text("1") + b"\x85R",
        name("torch", "load") + b")R",
        name("torch", "FloatStorage") + b")R",
        name("torch._utils", "_rebuild_tensor_v2") + b")\x81",
        text("os") + text("system") + b"\x93",
        b"\x82\x01",
        b"(" + text("storage") + b"i__main__\nx\n",
        name("collections", "OrderedDict") + b"]" + number(1) + b"a\x85R",
    ],
)
def test_names_and_opcodes_that_are_no_part_of_a_tensor(attack: bytes, tmp_path: Path) -> None:
    with pytest.raises(KQuantsError, match="nothing was run"):
        read(archive(tmp_path / "x.pt", described({"a": attack}), {}))


@pytest.mark.parametrize(
    "wrong",
    [
        tensor("FloatStorage", "0", 6, (2, 4), (4, 1)),
        tensor("FloatStorage", "0", 6, (2, 3), (3, 1), 1),
        tensor("FloatStorage", "0", 6, (2, 3), (3, -1)),
        tensor("FloatStorage", "0", 6, (2, 3), (3,)),
        tensor("FloatStorage", "0", 6, (1 << 40, 1 << 40), (0, 0)),
        tensor("FloatStorage", "0", 6, (1 << 30,), (0,)),
        tensor("FloatStorage", "0", 6, (2, -3), (3, 1)),
        tensor("FloatStorage", "none", 6, (2, 3), (3, 1)),
        tensor("FloatStorage", "../data.pkl", 6, (2, 3), (3, 1)),
    ],
)
def test_tensors_that_lie(wrong: bytes, tmp_path: Path) -> None:
    with pytest.raises(KQuantsError):
        read(archive(tmp_path / "x.pt", described({"a": wrong}), {"0": np.zeros(6, np.float32)}))


def test_compressed_entries_are_refused(tmp_path: Path) -> None:
    zeros = np.zeros(1 << 20, np.float32)
    path = archive(tmp_path / "x.pt", described({"a": plain(zeros)}), {"0": zeros}, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(KQuantsError, match="compressed"):
        read(path)


@pytest.mark.parametrize("content", [b"", b"PK", b"\x80\x02}.", b"PK\5\6" + bytes(18), bytes(1000)])
def test_files_that_are_no_archive(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(content)
    with pytest.raises(KQuantsError):
        read(path)


@pytest.mark.parametrize(
    "broken", [b"", b".", b"\x80\x02}", b"0.", b"(.", b"t.", b"\x80\x02}(u", b"X\xff\xff\xff\xff", b"h\x07."]
)
def test_pickles_that_are_broken(broken: bytes, tmp_path: Path) -> None:
    with pytest.raises(KQuantsError):
        read(archive(tmp_path / "x.pt", broken, {}))


def test_a_nest_of_tuples_does_not_hurt(tmp_path: Path) -> None:
    deep = b")" + b"\x85" * 200_000
    with pytest.raises(KQuantsError):
        read(archive(tmp_path / "x.pt", b"\x80\x02}(" + deep + number(1) + b"u.", {}))
    assert read(archive(tmp_path / "y.pt", described({"a": deep}), {})) == {}


@given(st.data())
@settings(max_examples=200)
def test_any_change_gives_tensors_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    path = archive(tmp_path_factory.mktemp("t") / "x.pt", described({"a": plain(array)}), {"0": array})
    whole = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        read(path)
    except KQuantsError as fault:
        assert "\n" not in str(fault)
