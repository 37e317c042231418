"""Shard sets: llama-gguf-split's names and bytes, and every way in which a set can be wrong."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import gguf_py
from gguf_py import Field, KQuantsError, TensorInfo, ValueType, shards, tensor_type

FIXTURES = Path(__file__).parents[2] / "fixtures" / "gguf"
MODEL = FIXTURES / "model.gguf"
DIGESTS: dict[str, Any] = json.loads((FIXTURES / "digests.json").read_text())
CASES: dict[str, dict[str, Any]] = {
    "by-3": {"max_tensors": 3},
    "by-1": {"max_tensors": 1},
    "by-3-first-empty": {"max_tensors": 3, "empty_first": True},
    "one": {"max_tensors": 128},
}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _split(folder: Path, **how: Any) -> list[Path]:
    with gguf_py.open_shards(MODEL) as model:
        return shards.split(model, folder / "m", shards.plan_split(model, **how))


@pytest.mark.parametrize("case", CASES)
def test_split_and_merge_are_llama_gguf_splits(case: str, tmp_path: Path) -> None:
    with gguf_py.open(MODEL) as model:
        paths = shards.split(model, tmp_path / case, shards.plan_split(model, **CASES[case]))
    assert {p.name: _digest(p) for p in paths} == DIGESTS["split"][case]
    for path in paths:
        with gguf_py.open_shards(path) as whole:
            shards.merge(whole, tmp_path / "merged.gguf")
        assert _digest(tmp_path / "merged.gguf") == DIGESTS["merge"][case]


def test_any_shard_opens_the_set(tmp_path: Path) -> None:
    paths = _split(tmp_path, max_tensors=3)
    with gguf_py.open(MODEL) as whole:
        for path in paths:
            with gguf_py.open_shards(path) as found:
                assert [f.path for f in found.files] == paths
                assert found.metadata["general.name"] == "A name"
                assert list(found.tensors) == list(whole.tensors)
                for name, tensor in found.tensors.items():
                    assert tensor.data.tobytes() == whole.tensors[name].data.tobytes()
                assert found.size == sum(p.stat().st_size for p in paths)


def test_a_file_alone_is_a_set_of_one() -> None:
    with gguf_py.open_shards(MODEL) as found:
        assert len(found.files) == 1 and len(found.tensors) == 7
        with pytest.raises(KQuantsError, match="no shard"):
            shards.plan_merge(found)


def test_sets_that_are_wrong(tmp_path: Path) -> None:
    first, second, third = _split(tmp_path, max_tensors=3)
    renamed = tmp_path / "renamed.gguf"
    shutil.copy(second, renamed)
    with pytest.raises(KQuantsError, match="shard 2 of 3, but its name"):
        gguf_py.open_shards(renamed)
    kept = second.read_bytes()
    second.unlink()
    with pytest.raises(KQuantsError, match=r"m-00002-of-00003\.gguf: no such file"):
        gguf_py.open_shards(third)
    shutil.copy(third, second)
    with pytest.raises(KQuantsError, match="says it is shard 3 of 3, 2 of 3 is expected"):
        gguf_py.open_shards(first)
    _rewritten(third, second, {shards.NUMBER: Field.of(shards.NUMBER, 1, ValueType.UINT16)})
    with pytest.raises(KQuantsError, match="is in another shard, too"):
        gguf_py.open_shards(first)
    second.write_bytes(kept)
    _rewritten(first, first, {shards.TENSORS: Field.of(shards.TENSORS, 8)})
    with pytest.raises(KQuantsError, match="said to have 8 tensors, its 3 shards have 7"):
        gguf_py.open_shards(third)
    _rewritten(second, second, {shards.COUNT: Field.of(shards.COUNT, "many")})
    with pytest.raises(KQuantsError, match=r"'split\.count': a number is expected"):
        gguf_py.open_shards(second)


def _rewritten(source: Path, target: Path, changed: dict[str, Field]) -> None:
    with gguf_py.open(source) as file:
        gguf_py.rewrite(file, target, [changed.get(f.key, f) for f in file.fields.values()])


def test_shards_keep_an_alignment_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "aligned.gguf"
    data = {f"t{i}": ("I8", (7,), np.full(7, i, np.int8)) for i in range(3)}
    gguf_py.write(path, [Field.of("general.alignment", 128, ValueType.UINT32)], data)
    with gguf_py.open(path) as file:
        paths = shards.split(file, tmp_path / "s", shards.plan_split(file, max_tensors=1))
    with gguf_py.open_shards(paths[1]) as found:
        assert [f.alignment for f in found.files] == [128] * 3
        assert [int(t.data[0]) for t in found.tensors.values()] == [0, 1, 2]
    gguf_py.write(path, [Field.of("general.alignment", 32, ValueType.UINT32)], data)
    with gguf_py.open(path) as file:  # as any reader assumes: llama-gguf-split says it in the first shard alone
        stated = [b"general.alignment" in layout.header for layout in shards.plan_split(file, max_tensors=1)]
    assert stated == [True, False, False]


def test_groups_by_size() -> None:
    infos = [TensorInfo(str(i), tensor_type("I8"), (n,)) for i, n in enumerate([10, 64, 33, 200, 1])]
    sizes = [[t.name for t in part] for part in shards.group(infos, max_size=100)]
    assert sizes == [["0", "1"], ["2"], ["3"], ["4"]]  # 3 is larger than a shard may be and gets its own
    assert [len(part) for part in shards.group(infos, max_size=96)] == [2, 1, 1, 1]  # exactly as many is not too many
    assert [len(part) for part in shards.group(infos, max_size=95)] == [1, 1, 1, 1, 1]
    with pytest.raises(KQuantsError, match="'0' has 32 bytes, a shard may have 31"):
        shards.group(infos, max_size=31)


def test_a_set_has_no_more_shards_than_its_keys_count() -> None:
    many = {f"t{i}": TensorInfo(f"t{i}", tensor_type("I8"), (1,)) for i in range(0x10000)}
    model: Any = SimpleNamespace(tensors=many, fields={}, alignment=32, byteorder="little")
    with pytest.raises(KQuantsError, match="65536 shards are more"):
        shards.plan_split(model, max_tensors=1)


def test_a_split_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def fails(*given: Any) -> None:
        calls.append(given)
        if len(calls) == 5:
            raise OSError("no more")

    monkeypatch.setattr(gguf_py.copying, "copy_range", fails)
    with pytest.raises(OSError, match="no more"):
        _split(tmp_path, max_tensors=3)
    assert list(tmp_path.iterdir()) == []
