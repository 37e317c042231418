"""Writing: the bytes of ggml's own writer, and files that are there whole or not at all."""

from __future__ import annotations

import errno
import itertools
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gguf_py
from gguf_py import Field, KQuantsError, TensorInfo, ValueType, atomic, lay_out, tensor_type
from gguf_py.atomic import copy_range, replacing, write_all
from gguf_py.shards import as_ggml
from tests.reference import Ggml

from .cgguf import write_header

_ITEMS = {
    ValueType.UINT8: "u1",
    ValueType.INT8: "i1",
    ValueType.UINT16: "u2",
    ValueType.INT16: "i2",
    ValueType.UINT32: "u4",
    ValueType.INT32: "i4",
    ValueType.FLOAT32: "f4",
    ValueType.UINT64: "u8",
    ValueType.INT64: "i8",
    ValueType.FLOAT64: "f8",
}
_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@st.composite
def _value(draw: st.DrawFn, key: str) -> tuple[str, ValueType, ValueType | None, object]:
    kind = draw(st.sampled_from([*_ITEMS, ValueType.BOOL, ValueType.STRING]))
    array = draw(st.booleans())
    if kind is ValueType.STRING:
        return (
            (key, ValueType.ARRAY, kind, draw(st.lists(_TEXT, max_size=4))) if array else (key, kind, None, draw(_TEXT))
        )
    if kind is ValueType.BOOL:
        return key, kind, None, draw(st.booleans())
    dtype = np.dtype(_ITEMS[kind])
    raw = draw(st.binary(min_size=dtype.itemsize, max_size=5 * dtype.itemsize))
    numbers = np.frombuffer(raw[: len(raw) // dtype.itemsize * dtype.itemsize], dtype)
    if dtype.kind == "f":
        numbers = np.nan_to_num(numbers)
    return (key, ValueType.ARRAY, kind, numbers) if array else (key, kind, None, numbers[0].item())


@st.composite
def _infos(draw: st.DrawFn) -> list[TensorInfo]:
    names = draw(st.lists(st.text("abc.0", min_size=1, max_size=9), max_size=4, unique=True))
    kinds = [tensor_type(draw(st.sampled_from(["F32", "F16", "BF16", "I64", "Q8_0", "Q4_K", "IQ1_M"]))) for _ in names]
    shapes = [(*draw(st.lists(st.integers(1, 3), max_size=3)), k.block * draw(st.integers(1, 3))) for k in kinds]
    return [TensorInfo(*parts) for parts in zip(names, kinds, shapes, strict=True)]


@settings(max_examples=120)
@given(st.lists(_TEXT.filter(bool), max_size=5, unique=True).flatmap(lambda k: st.tuples(*map(_value, k))), _infos())
def test_headers_are_ggmls(ggml: Ggml, tmp_path: Path, values: tuple[object, ...], infos: list[TensorInfo]) -> None:
    path = tmp_path / "theirs.gguf"
    write_header(ggml, path, list(values), infos)  # type: ignore[arg-type]
    fields = [Field.of(key, value, kind, item) for key, kind, item, value in values]  # type: ignore[misc]
    layout = lay_out(fields, [as_ggml(i) for i in infos])
    assert layout.header == path.read_bytes()


@pytest.mark.parametrize(
    ("infos", "says"),
    [
        ([("t", "Q4_K", (2, 255))], "do not fill whole Q4_K blocks of 256"),
        ([("t", "Q8_0", ())], "do not fill whole"),
        ([("t", "F32", (1, 1, 1, 1, 1))], "5 axes"),
        ([("t", "F32", (-1,))], "no file can hold"),
        ([("t", "F32", (2**62,))], "no file can hold"),
        ([("t", "F64", (2**59,)), ("u", "F64", (2**59,))], "is larger than any file can be"),
        ([("t", "F32", (1,)), ("t", "F16", (1,))], "'t' comes twice"),
        ([("\ud800", "F32", (1,))], "no text"),
    ],
)
def test_tensors_that_cannot_be(infos: list[tuple[str, str, tuple[int, ...]]], says: str) -> None:
    with pytest.raises(KQuantsError, match=says):
        lay_out([], [TensorInfo(name, tensor_type(kind), shape) for name, kind, shape in infos])


def test_alignment_is_what_the_fields_say() -> None:
    info = TensorInfo("t", tensor_type("I8"), (65,))
    key = Field.of("general.alignment", 64, ValueType.UINT32)
    assert lay_out([], [info, TensorInfo("u", *_i8())]).size % 32 == 0
    layout = lay_out([key], [info, TensorInfo("u", *_i8())], alignment=64)
    assert [o % 64 for o in layout.offsets] == [0, 0] and layout.offsets[1] - layout.offsets[0] == 128
    with pytest.raises(KQuantsError, match="an alignment of 64 is asked for"):
        lay_out([], [info], alignment=64)
    with pytest.raises(KQuantsError, match="a UINT32 above 0"):
        lay_out([Field.of("general.alignment", 64)], [info])
    with pytest.raises(KQuantsError, match="a UINT32 above 0 is expected, found UINT32 0"):
        lay_out([Field.of("general.alignment", 0, ValueType.UINT32)], [info])


def _i8() -> tuple[gguf_py.TensorType, tuple[int, ...]]:
    return tensor_type("I8"), (1,)


def test_keys_that_come_twice() -> None:
    with pytest.raises(KQuantsError, match="metadata key 'a' comes twice"):
        lay_out([Field.of("a", 1), Field.of("b", 2), Field.of("a", 3)], [])


def test_write_refuses_other_bytes_than_the_shape_needs(tmp_path: Path) -> None:
    path = tmp_path / "f.gguf"
    with pytest.raises(KQuantsError, match="'t' has 4 bytes, a F32 tensor of shape \\(2,\\) has 8"):
        gguf_py.write(path, [], {"t": ("F32", (2,), np.zeros(1, np.float32))})
    assert list(tmp_path.iterdir()) == []


# --- whole or not at all ----------------------------------------------------------------------------------------------


def test_the_name_comes_with_the_last_byte(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")
    with replacing(path, 6) as handle:
        write_all(handle, b"new", 3)
        write_all(handle, b"the", 0)
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"thenew" and list(tmp_path.iterdir()) == [path]


def test_a_system_that_takes_a_few_bytes_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda handle, data, offset: pwrite(handle, data[:3], offset))
    with replacing(tmp_path / "f") as handle:
        write_all(handle, b"0123456789", 2)
    assert (tmp_path / "f").read_bytes() == b"\0\x000123456789"


@pytest.mark.parametrize("known", [True, False])
def test_what_goes_through_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool) -> None:
    """Pieces that share pages, written by several threads in no order; where the flag is known and where it is not."""

    def refuse(*_: object) -> int:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    if not known:
        monkeypatch.setattr(atomic, "_UNCACHED", 0x80)
        monkeypatch.setattr(os, "pwritev", refuse, raising=False)
    data = np.random.default_rng(0).bytes(3_000_000)
    cuts = [0, *range(32, len(data), 30_011), len(data)]
    spans = list(itertools.pairwise(cuts))
    with replacing(tmp_path / "f", len(data)) as handle, ThreadPoolExecutor(4) as threads:
        for done in [
            threads.submit(write_all, handle, memoryview(data)[lo:hi], lo, through=True)
            for lo, hi in spans[::2] + spans[1::2]
        ]:
            done.result()
    assert (tmp_path / "f").read_bytes() == data


@pytest.mark.parametrize(
    ("release", "asked"),
    [("6.16.0-rc1", True), ("7.0", True), ("6.15.11-generic", False), ("5.19.0", False), ("unknown", False)],
)
def test_only_systems_known_to_do_it_well_are_asked(monkeypatch: pytest.MonkeyPatch, release: str, asked: bool) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "RWF_SYNC", 4, raising=False)
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release=release), raising=False)
    assert bool(atomic._uncached()) == asked


def test_two_runs_may_write_one_file(tmp_path: Path) -> None:
    """Each beside it under a name of its own; the one that ends last has the last word."""
    path = tmp_path / "f"
    with replacing(path, 5) as slow:
        with replacing(path, 5) as fast:
            write_all(fast, b"first", 0)
        assert path.read_bytes() == b"first"
        write_all(slow, b"other", 0)
    assert path.read_bytes() == b"other" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("before", [None, b"old"])
def test_a_failure_leaves_what_was_there(tmp_path: Path, before: bytes | None) -> None:
    path = tmp_path / "f"
    if before is not None:
        path.write_bytes(before)
    with pytest.raises(ZeroDivisionError), replacing(path, 6) as handle:
        write_all(handle, b"new", 0)
        1 / 0  # noqa: B018
    assert list(tmp_path.iterdir()) == ([path] if before else [])
    assert before is None or path.read_bytes() == before


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with (
        pytest.raises(KQuantsError, match="the disk is full \\(1,000 bytes are needed\\)"),
        replacing(tmp_path / "f", 1000),
    ):
        raise AssertionError("nothing is to be written")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("in_kernel", [True, False])
def test_a_source_that_has_become_shorter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_kernel: bool) -> None:
    if not in_kernel:
        monkeypatch.delattr(os, "copy_file_range", raising=False)
    (tmp_path / "short").write_bytes(bytes(100))

    def copy(size: int, name: str) -> None:
        with (tmp_path / "short").open("rb") as source, replacing(tmp_path / name, size) as handle:
            copy_range(source.fileno(), 36, handle, 0, size, "tensor 't'")

    copy(64, "copy")
    with pytest.raises(KQuantsError, match="the input ends in tensor 't'"):
        copy(65, "none")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["copy", "short"]


def test_what_cannot_be_replaced(tmp_path: Path) -> None:
    for path, says in [
        (tmp_path / "no" / "f", "there is no folder"),
        (tmp_path, "not a file"),
        ("/dev/null", "not a file"),
        ("-", "cannot write -: .* to no pipe"),
    ]:
        with pytest.raises(KQuantsError, match=says), replacing(path):
            pass


def test_a_link_keeps_pointing(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    with replacing(link) as handle:
        write_all(handle, b"new", 0)
    assert link.is_symlink() and target.read_bytes() == b"new"


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="needs paths of what is open")
def test_a_pipe_is_no_file() -> None:
    out, into = os.pipe()
    with pytest.raises(KQuantsError, match="not a file"), replacing(f"/dev/fd/{into}"):
        pass
    os.close(out)
    os.close(into)
