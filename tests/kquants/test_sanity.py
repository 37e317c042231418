"""Each check of a file, shown the fault it is there for, and real files, in which it must find none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gguf_py
from gguf_py import Field, TensorInfo, ValueType, lay_out, shards, tensor_type
from kquants.sanity import check_file
from tests.files import real_files

Fields = dict[str, Any]
Infos = dict[str, tuple[str, tuple[int, ...]]]

FIELDS: Fields = {
    "general.architecture": "llama",
    "general.quantization_version": 2,
    "llama.block_count": 2,
    "llama.embedding_length": 64,
    "llama.feed_forward_length": 96,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.tokens": ["a", "b", "ab", "<s>"],
    "tokenizer.ggml.token_type": np.array([1, 1, 1, 3], np.int32),
    "tokenizer.ggml.merges": ["a b"],
    "tokenizer.ggml.bos_token_id": np.uint32(3),
}
TENSORS: Infos = {
    "token_embd.weight": ("F32", (4, 64)),
    "output_norm.weight": ("F32", (64,)),
    **{f"blk.{i}.attn_q.weight": ("Q8_0", (64, 64)) for i in (0, 1)},
    **{f"blk.{i}.attn_k.weight": ("F16", (32, 64)) for i in (0, 1)},
    **{f"blk.{i}.ffn_down.weight": ("Q4_0", (64, 96)) for i in (0, 1)},
}


def write(path: Path, fields: Fields = FIELDS, tensors: Infos = TENSORS) -> Path:
    """A file of zeros that passes every check, unless its parts are replaced."""
    made = {
        name: (kind, shape, np.zeros(TensorInfo(name, tensor_type(kind), shape).nbytes, np.uint8))
        for name, (kind, shape) in tensors.items()
    }
    gguf_py.write(path, [Field.of(k, v) for k, v in fields.items()], made)
    return path


def failures(path: Path) -> dict[str, str]:
    return {c.name: c.detail for c in check_file(path) if c.outcome == "failed"}


def test_a_sound_file_passes(tmp_path: Path) -> None:
    checks = check_file(write(tmp_path / "f"))
    assert {c.name for c in checks if c.outcome != "passed"} == {"shards"}


@pytest.mark.parametrize(
    ("check", "said", "change"),
    [
        ("metadata", "None", {"general.architecture": None}),
        ("metadata", "quantization_version", {"general.quantization_version": None}),
        ("layers", "block_count is 3", {"llama.block_count": 3}),
        ("shapes", "'blk.0.attn_q.weight' has 64 rows, metadata says 128", {"llama.attention.key_length": 32}),
        ("shapes", "'token_embd.weight' has 64 columns, metadata says 32", {"llama.embedding_length": 32}),
        ("shapes", "'blk.1.ffn_down.weight' has 96 columns, metadata says 97", {"llama.feed_forward_length": 97}),
        ("shapes", "'blk.0.attn_k.weight' has 32 rows, metadata says 64", {"llama.attention.head_count_kv": 4}),
        ("shapes", "'token_embd.weight' has 4 rows, metadata says 5", {"tokenizer.ggml.tokens": [*"abc", "ab", "<s>"]}),
        ("tokenizer", "token_type has 3 items", {"tokenizer.ggml.token_type": np.ones(3, np.int32)}),
        ("tokenizer", "come twice", {"tokenizer.ggml.tokens": ["a", "b", "ab", "a"]}),
        ("tokenizer", "merge 1 ('b a')", {"tokenizer.ggml.merges": ["a b", "b a"]}),
        ("tokenizer", "not every byte", {"tokenizer.ggml.model": "llama"}),
        ("token ids", "eos_token_id is 4", {"tokenizer.ggml.eos_token_id": np.uint32(4)}),
        ("header", "is shard 3 of 2", {"split.no": np.uint16(2), "split.count": np.uint16(2)}),
        ("shards", "is 9, there are 8", {"split.count": np.uint16(0), "split.tensors.count": np.int32(9)}),
    ],
)
def test_metadata_faults(tmp_path: Path, check: str, said: str, change: Fields) -> None:
    fields = {k: v for k, v in {**FIELDS, **change}.items() if v is not None}
    found = failures(write(tmp_path / "f", fields))
    assert said in found[check], found


def test_a_gate_beside_each_query_is_no_fault(tmp_path: Path) -> None:
    """As in Qwen3-Next: twice the rows that metadata speaks of."""
    fields = {"llama.attention.key_length": 8, "llama.attention.value_length": 16, "llama.attention.head_count_kv": 4}
    assert failures(write(tmp_path / "f", {**FIELDS, **fields})) == {}


def test_bytes_behind_a_header_without_tensors(tmp_path: Path) -> None:
    path = write(tmp_path / "f", tensors={})
    assert not failures(path)
    with path.open("ab") as more:
        more.write(b"x")
    assert failures(path) == {"offsets": "1 bytes follow the header, which names no tensors"}


def test_a_layer_that_is_missing(tmp_path: Path) -> None:
    found = failures(write(tmp_path / "f", tensors={k: v for k, v in TENSORS.items() if "blk.1" not in k}))
    assert list(found) == ["layers"] and "1 layers (odd: 1)" in found["layers"]


def test_a_set_is_checked_as_one(tmp_path: Path) -> None:
    path = write(tmp_path / "f.gguf")
    with gguf_py.open(path) as file:
        first, second = shards.split(file, tmp_path / "s", shards.plan_split(file, max_tensors=5))
    for shard in (first, second):
        checks = {c.name: c for c in check_file(shard)}
        assert {c.outcome for c in checks.values()} == {"passed"} and "2 shards" in checks["shards"].detail
    with second.open("ab") as more:
        more.write(bytes(32))
    assert failures(first)["offsets"].startswith(f"{second.name}: 32 bytes follow")
    second.unlink()
    assert "s-00002-of-00002.gguf" in failures(first)["header"]


def test_a_name_too_long_for_ggml(tmp_path: Path) -> None:
    assert list(failures(write(tmp_path / "f", tensors={**TENSORS, "x" * 64: ("F32", (8,))}))) == ["tensor names"]


def shifted(path: Path, name: str, by: int) -> None:
    """Rewrite the header so that one tensor begins elsewhere."""
    with gguf_py.open(path) as file:
        at, origin, old = 0, file.data_offset, file.tensors[name].offset
        header = bytes(path.read_bytes()[:origin])
    at = header.index(name.encode()) + len(name.encode()) + 4 + 8 * 2 + 4
    assert int.from_bytes(header[at : at + 8], "little") == old - origin
    with path.open("r+b") as raw:
        raw.seek(at)
        raw.write((old - origin + by).to_bytes(8, "little"))


@pytest.mark.parametrize(("by", "names"), [(-32, {"overlaps", "offsets"}), (8, {"alignment", "overlaps", "offsets"})])
def test_a_tensor_that_lies_elsewhere(tmp_path: Path, by: int, names: set[str]) -> None:
    path = write(tmp_path / "f")
    shifted(path, "blk.1.attn_q.weight", by)
    found = failures(path)
    assert set(found) == names
    assert all("blk.1.attn_q.weight" in detail for detail in found.values())


def test_bytes_behind_the_last_tensor(tmp_path: Path) -> None:
    path = write(tmp_path / "f")
    with path.open("ab") as file:
        file.write(bytes(100))
    assert list(failures(path)) == ["offsets"]


def test_padding_that_is_not_zero(tmp_path: Path) -> None:
    path = write(tmp_path / "f", tensors={"odd": ("F32", (3,)), "next": ("F32", (8,))})
    with gguf_py.open(path) as file:
        at = file.tensors["odd"].offset + 12
    with path.open("r+b") as raw:
        raw.seek(at)
        raw.write(b"\x01")
    assert "'odd'" in failures(path)["padding"]


@pytest.mark.parametrize(
    ("name", "byte", "value", "place"),
    [
        ("blk.1.attn_q.weight", 34 * 3, np.float16(np.inf), "[1, 32]"),  # Q8_0: a scale
        ("blk.0.ffn_down.weight", 18 * 4, np.float16(np.nan), "[1, 32]"),  # Q4_0: a scale
        ("blk.1.attn_k.weight", 2 * 70, np.float16(np.nan), "[1, 6]"),  # F16: a weight
        ("output_norm.weight", 4 * 9, np.float32(-np.inf), "[9]"),
    ],
)
def test_what_is_not_finite_is_named(tmp_path: Path, name: str, byte: int, value: Any, place: str) -> None:
    path = write(tmp_path / "f")
    ones = b"\x11" * 4096  # zero quants times an infinite scale would be NaN as well; this makes it infinity
    with gguf_py.open(path) as file:
        start = file.tensors[name].offset
    with path.open("r+b") as raw:
        raw.seek(start + byte)
        raw.write(value.tobytes() + ones[: 32 if name.startswith("blk.1.attn_q") else 0])
    found = failures(path)
    assert list(found) == ["finite weights"]
    assert repr(name) in found["finite weights"] and place in found["finite weights"]


def test_a_truncated_file_fails_by_its_header(tmp_path: Path) -> None:
    path = write(tmp_path / "f")
    path.write_bytes(path.read_bytes()[:-64])
    (only,) = check_file(path)
    assert (only.name, only.outcome) == ("header", "failed") and "blk.1.ffn_down.weight" in only.detail


def test_real_files_pass() -> None:
    files = real_files()
    if not files:
        pytest.skip("needs `python -m tests.files fetch`")
    for path in files:
        assert [c for c in check_file(path) if c.outcome == "failed"] == [], path


def test_value_types_are_looked_at(tmp_path: Path) -> None:
    """A wrong type is a fault, no crash."""
    fields = [Field.of("general.architecture", 7), Field.of("tokenizer.ggml.tokens", [1, 2], ValueType.ARRAY)]
    layout = lay_out(fields, [])
    (tmp_path / "f").write_bytes(layout.header)
    assert "metadata" in failures(tmp_path / "f")
