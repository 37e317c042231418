"""Reading: upstream's files, the way back, and that no file can do harm."""

from __future__ import annotations

import os
import struct
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import gguf_py
from gguf_py import Field, KQuantsError, TensorInfo, ValueType, lay_out, tensor_type
from gguf_py.input import Head
from gguf_py.reader import parse
from tests.files import real_files

FIXTURES = Path(__file__).parents[2] / "fixtures" / "gguf"
SMALL = [FIXTURES / name for name in ("all-types.gguf", "all-types-big.gguf", "model.gguf")]
_LIMITS = {"uint8": 255, "int8": -128, "uint16": 65535, "int16": -32768, "uint32": 2**32 - 1, "int32": -(2**31)}


@pytest.mark.parametrize("name", ["all-types.gguf", "all-types-big.gguf"])
def test_every_type_of_value(name: str) -> None:
    with gguf_py.open(FIXTURES / name) as file:
        assert (file.version, file.alignment) == (3, 64)
        assert file.byteorder == ("big" if "big" in name else "little")
        found = file.metadata
        for kind, value in {**_LIMITS, "uint64": 2**64 - 1, "int64": -(2**63), "float64": 0.1, "bool": True}.items():
            assert found[f"one.{kind}"] == value and type(found[f"one.{kind}"]) is type(value)
            assert list(found[f"many.{kind}"]) == [value, value]
            assert file.fields[f"one.{kind}"].type is file.fields[f"many.{kind}"].item is ValueType[kind.upper()]
        assert found["one.float32"] == float(np.float32(0.1))
        assert found["one.string"] == "Grüße, 世界 🦙" and list(found["many.string"]) == ["Grüße, 世界 🦙"] * 2
        assert found["one.empty"] == ""
        assert [list(a) for a in found["nested.int32"]] == [[1, 2], [3], [4, 5, 6]]
        assert [list(a) for a in found["nested.string"]] == [["a", "bb"], ["ccc"]]
        assert [[list(b) for b in a] for a in found["nested.deep"]] == [[[1.0], [2.0, 3.0]], [[4.0]]]


@pytest.mark.parametrize("name", ["all-types.gguf", "all-types-big.gguf"])
def test_tensors(name: str) -> None:
    random = np.random.default_rng(7)
    with gguf_py.open(FIXTURES / name) as file:
        tensors = file.tensors
        assert list(tensors)[:4] == ["f32", "f16", "i32", "f64"]
        np.testing.assert_array_equal(tensors["f32"].to_numpy(), random.standard_normal((3, 5), np.float32))
        half = random.standard_normal((2, 3, 7), np.float32).astype(np.float16)
        np.testing.assert_array_equal(tensors["f16"].to_numpy(), half.astype(np.float32))
        np.testing.assert_array_equal(tensors["i32"].to_numpy(), np.arange(9, dtype=np.float32))
        assert tensors["f16"].shape == (2, 3, 7) and tensors["f16"].data.shape == (2, 3, 14)
        assert all(t.offset % 64 == 0 for t in tensors.values())
        assert not tensors["f32"].data.flags.writeable
        assert tensors["f32"].type == "F32" != tensors["f16"].type and "I32" in {t.type for t in tensors.values()}


@pytest.mark.parametrize("path", [*SMALL, *real_files()], ids=lambda p: p.name)
def test_a_file_written_back_is_the_same_file(path: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.gguf"
    with gguf_py.open(path) as file:
        gguf_py.rewrite(file, again)
        assert again.read_bytes() == path.read_bytes()
        # And once more from decoded values alone, nothing of the file's bytes at hand.
        fields = [Field.of(f.key, f.value, f.type, f.item) for f in file.fields.values()]
        layout = lay_out(
            fields,
            [t.info for t in file.tensors.values()],
            byteorder=file.byteorder,
            version=file.version,
            pad=file.data_offset % file.alignment == 0,
        )
        assert layout.header == path.read_bytes()[: file.data_offset]
        assert layout.offsets == tuple(t.offset for t in file.tensors.values())
    again.unlink()


def test_views_outlive_the_file() -> None:
    with gguf_py.open(SMALL[2]) as file:
        tensor = file.tensors["blk.0.weight"]
        data, tokens = tensor.data, file.metadata["tokenizer.ggml.tokens"]
        before = data.tobytes()
    assert data.tobytes() == before and list(tokens) == ["a", "b", "c", "ü"]
    with pytest.raises(KQuantsError, match="closed"):
        tensor.data  # noqa: B018


def test_order_gaps_and_trailing_bytes_are_kept(tmp_path: Path) -> None:
    kind = tensor_type("I8")
    infos = [TensorInfo("second", kind, (4,)), TensorInfo("first", kind, (4,))]
    layout = lay_out([], infos, offsets=[64, 0])
    path = tmp_path / "odd.gguf"
    path.write_bytes(layout.header + b"abcd" + b"\x01" * 60 + b"efgh" + b"trailing")
    with gguf_py.open(path) as file:
        assert [t.data.tobytes() for t in file.tensors.values()] == [b"efgh", b"abcd"]
        gguf_py.rewrite(file, tmp_path / "again.gguf")
    assert (tmp_path / "again.gguf").read_bytes() == path.read_bytes()


def test_a_header_is_enough_and_wants_no_more_than_it_needs() -> None:
    """Bytes come as late as they can: what was parsed of the beginning is not parsed again, and nothing is lost."""
    whole = SMALL[0].read_bytes()
    with gguf_py.open(SMALL[0]) as file:
        end, expected = file.data_offset, list(file.fields.values())
    wanted: list[int] = []

    def fetch(upto: int) -> bytes:
        wanted.append(upto)
        return whole[:upto]

    file = parse(Head(memoryview(b""), len(whole), fetch), "f")
    assert wanted == sorted(set(wanted)) and wanted[0] == 4 and wanted[-1] == end
    assert (list(file.fields.values()), len(file.tensors), bytes(file.header)) == (expected, 5, whole[:end])
    assert len(parse(Head(memoryview(whole)[:end], len(whole)), "f").tensors) == 5


# --- files that lie -------------------------------------------------------------------------------------------------


def _string(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def _file(tensors: int, fields: int, body: bytes = b"", version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, fields) + body


def _nest(depth: int) -> bytes:
    return struct.pack("<I", 9) + b"".join(struct.pack("<IQ", 9, 1) for _ in range(depth)) + struct.pack("<IQ", 0, 0)


_INFO = _string("t") + struct.pack("<IQIQ", 1, 32, 0, 0)
_LIES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not a GGUF file"),
    "other": (b"\x7fELF" + bytes(60), "not a GGUF file"),
    "short": (b"GGUF\x03", "ends in the header"),
    "version": (_file(0, 0, version=4), "version 4 is not supported"),
    "version 1": (_file(0, 0, version=1), "version 1 is not supported"),
    "tensors": (_file(2**63, 0), "too many"),
    "fields": (_file(0, 2**60), "too many"),
    "key": (_file(0, 1, struct.pack("<Q", 2**62) + bytes(20)), "ends in metadata key 1 of 1"),
    "empty key": (_file(0, 1, _string("") + struct.pack("<IB", 0, 1)), "is empty"),
    "twice": (_file(0, 2, 2 * (_string("k") + struct.pack("<IB", 0, 1))), r"'k' \(2 of 2, behind 'k'\) comes twice"),
    "type": (_file(0, 1, _string("k") + struct.pack("<II", 13, 1)), "13 is not a valid metadata type"),
    "item": (_file(0, 1, _string("k") + struct.pack("<IIQ", 9, 99, 0)), "99 is not a valid metadata type"),
    "array": (_file(0, 1, _string("k") + struct.pack("<IIQ", 9, 4, 2**61)), "ends in metadata key 'k'"),
    "array wraps": (_file(0, 1, _string("k") + struct.pack("<IIQ", 9, 10, 2**61) + bytes(99)), "ends in metadata"),
    "strings": (_file(0, 1, _string("k") + struct.pack("<IIQ", 9, 8, 2**40) + bytes(99)), "ends in metadata key 'k'"),
    "string": (_file(0, 1, _string("k") + struct.pack("<IQ", 8, 2**63) + bytes(99)), "ends in metadata key 'k'"),
    "string wraps": (_file(0, 1, _string("k") + struct.pack("<IIQQ", 9, 8, 1, 2**64 - 8) + bytes(9)), "ends in meta"),
    "nested": (_file(0, 1, _string("k") + _nest(40)), "nest deeper"),
    "arrays": (_file(0, 1, _string("k") + struct.pack("<IIQ", 9, 9, 2**50) + bytes(99)), "ends in metadata key 'k'"),
    "alignment 0": (_file(0, 1, _string("general.alignment") + struct.pack("<II", 4, 0)), "above 0"),
    "alignment": (_file(0, 1, _string("general.alignment") + struct.pack("<IQ", 10, 32)), "a UINT32 above 0"),
    "axes": (_file(1, 0, _string("t") + struct.pack("<I", 2**31) + bytes(99)), "axes, at most 4"),
    "kind": (_file(1, 0, _string("t") + struct.pack("<IQIQ", 1, 32, 31, 0)), "of type 31, which does not exist"),
    "row": (_file(1, 0, _string("t") + struct.pack("<IQIQ", 1, 33, 8, 0)), "do not fill whole Q8_0 blocks"),
    "size": (_file(1, 0, _string("t") + struct.pack("<IQQIQ", 2, 2**40, 2**40, 0, 0)), "which no file can hold"),
    "nothing": (_file(1, 0, _string("t") + struct.pack("<IQQIQ", 2, 0, 2**63, 0, 0)), "which no file can hold"),
    "offset": (_file(1, 0, _string("t") + struct.pack("<IQIQ", 1, 32, 0, 2**63) + bytes(200)), "where no file reaches"),
    "beyond": (_file(1, 0, _INFO + bytes(100)), "the file has"),
    "tensor twice": (_file(2, 0, _INFO + _INFO + bytes(300)), r"'t' \(2 of 2, behind 't'\) comes twice"),
}


@pytest.mark.parametrize("name", _LIES)
def test_lies_are_told_in_one_sentence(name: str, tmp_path: Path) -> None:
    data, says = _LIES[name]
    path = tmp_path / "lie.gguf"
    path.write_bytes(data)
    tracemalloc.start()
    with pytest.raises(KQuantsError, match=says) as told:
        gguf_py.open(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20
    assert str(path) in str(told.value) and "\n" not in str(told.value)


def test_what_is_no_file_at_all(tmp_path: Path) -> None:
    with pytest.raises(KQuantsError, match=f"^cannot open {tmp_path}/none.gguf: no such file or directory$"):
        gguf_py.open(tmp_path / "none.gguf")
    with pytest.raises(KQuantsError, match="is a directory"):
        gguf_py.open(tmp_path)
    with pytest.raises(KQuantsError, match="no such file"):
        gguf_py.open("")
    os.mkfifo(tmp_path / "pipe.gguf")  # nobody writes to it: to open it would take for ever
    with pytest.raises(KQuantsError, match="it is no regular file"):
        gguf_py.open(tmp_path / "pipe.gguf")


def _look_at_everything(file: gguf_py.GGUFFile) -> None:
    for field in file.fields.values():
        _walk(field.value)
        assert field.payload("little")
    for tensor in file.tensors.values():
        assert tensor.offset + tensor.nbytes <= file.size
    layout = gguf_py.lay_out(file.fields.values(), [t.info for t in file.tensors.values()], byteorder=file.byteorder)
    assert layout.size >= len(layout.header)


def _walk(value: Any) -> None:
    if isinstance(value, (list, gguf_py.Strings)):
        for part in value:
            _walk(part)


def _mutations() -> Iterator[st.SearchStrategy[tuple[int, bytes]]]:
    yield st.tuples(st.integers(0, 2300), st.binary(min_size=1, max_size=9))
    numbers = st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1])
    yield st.tuples(st.integers(0, 2300), numbers.map(lambda n: struct.pack("<Q", n)))


@settings(max_examples=400)
@given(st.sampled_from(SMALL), st.lists(st.one_of(*_mutations()), min_size=1, max_size=4), st.integers(0, 2400))
@example(SMALL[0], [], 500)
def test_damaged_files_are_read_or_refused(path: Path, changes: list[tuple[int, bytes]], end: int) -> None:
    data = bytearray(path.read_bytes())
    for at, new in changes:
        data[at : at + len(new)] = new[: max(0, len(data) - at)]
    data = data[: end or None]
    try:
        file = parse(Head(memoryview(bytes(data))), "damaged")
        _look_at_everything(file)
    except KQuantsError as refused:
        assert "\n" not in str(refused).replace("\\n", "")


# --- whatever can be written can be read ------------------------------------------------------------------------------

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_NUMBERS = {
    ValueType.UINT8: st.integers(0, 2**8 - 1),
    ValueType.INT8: st.integers(-(2**7), 2**7 - 1),
    ValueType.UINT16: st.integers(0, 2**16 - 1),
    ValueType.INT16: st.integers(-(2**15), 2**15 - 1),
    ValueType.UINT32: st.integers(0, 2**32 - 1),
    ValueType.INT32: st.integers(-(2**31), 2**31 - 1),
    ValueType.FLOAT32: st.floats(width=32),
    ValueType.BOOL: st.booleans(),
    ValueType.STRING: _TEXT,
    ValueType.UINT64: st.integers(0, 2**64 - 1),
    ValueType.INT64: st.integers(-(2**63), 2**63 - 1),
    ValueType.FLOAT64: st.floats(),
}


@st.composite
def _field(draw: st.DrawFn, key: str) -> Field:
    kind = draw(st.sampled_from(sorted(_NUMBERS)))
    values = _NUMBERS[kind]
    if draw(st.booleans()):
        return Field.of(key, draw(values), kind)
    if draw(st.booleans()):
        return Field.of(key, draw(st.lists(values, max_size=5)), item=kind)
    lists = st.lists(st.lists(st.integers(-9, 9), min_size=1, max_size=3), min_size=1, max_size=3)
    return Field.of(key, draw(lists))


@st.composite
def _files(draw: st.DrawFn) -> tuple[list[Field], list[TensorInfo], int]:
    keys = draw(st.lists(_TEXT.filter(bool), max_size=5, unique=True))
    fields = [draw(_field(key)) for key in keys if key != "general.alignment"]
    alignment = draw(st.sampled_from([1, 8, 24, 32, 64, 4096]))
    if alignment != 32:
        fields.insert(draw(st.integers(0, len(fields))), Field.of("general.alignment", alignment, ValueType.UINT32))
    infos = []
    for name in draw(st.lists(_TEXT, max_size=4, unique=True)):
        kind = tensor_type(draw(st.sampled_from(["F32", "F16", "I8", "Q8_0", "Q4_K"])))
        shape = draw(st.lists(st.integers(0, 3), max_size=3))
        infos.append(TensorInfo(name, kind, (*shape, kind.block * draw(st.integers(0, 2)))))
    return fields, infos, alignment


@settings(max_examples=150)
@given(_files(), st.sampled_from(["little", "big"]), st.sampled_from([2, 3]), st.randoms(use_true_random=False))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    made: tuple[list[Field], list[TensorInfo], int],
    byteorder: Any,
    version: int,
    random: Any,
) -> None:
    fields, infos, alignment = made
    data = {i.name: (i.type, i.shape, np.frombuffer(random.randbytes(i.nbytes), np.uint8)) for i in infos}
    path = tmp_path_factory.getbasetemp() / "made.gguf"
    gguf_py.write(path, fields, data, byteorder=byteorder, version=version)
    with gguf_py.open(path) as file:
        assert (file.alignment, file.byteorder, file.version) == (alignment, byteorder, version)
        assert list(file.fields.values()) == fields
        for field in fields:
            assert file.fields[field.key].payload("little") == field.payload("little")
        assert [t.info for t in file.tensors.values()] == infos
        for info in infos:
            tensor = file.tensors[info.name]
            assert tensor.offset % alignment == 0
            assert tensor.data.tobytes() == data[info.name][2].tobytes()
        assert file.size % alignment == 0
        gguf_py.rewrite(file, path.with_name("again.gguf"))
    assert path.with_name("again.gguf").read_bytes() == path.read_bytes()


def test_a_notebook_shows_a_file_and_obeys_nothing_in_it(tmp_path: Path) -> None:
    path = tmp_path / "f.gguf"
    evil = "<script>alert(1)</script>"
    gguf_py.write(path, [Field.of(evil, f"{evil}\udcff")], {evil: ("I8", (2, 3), np.zeros(6, np.int8))})
    with gguf_py.open(path) as file, gguf_py.open_shards(path) as files:
        for shown in (file._repr_html_(), files._repr_html_()):
            assert file.metadata._repr_html_() in shown and shown.encode()
            assert "<script" not in shown and "&lt;script&gt;" in shown
            assert "1 metadata keys" in shown and "<td>2 × 3</td>" in shown and "<td>I8</td>" in shown
        assert repr(file).startswith("<GGUF v3 little-endian") and "1 tensors" in repr(files)
