"""``kquants edit``, ``split`` and ``merge`` as commands: what they say, what they leave."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

import gguf_py
from tests.command import done, kquants

FIXTURES = Path(__file__).parents[2] / "fixtures" / "gguf"
MODEL = FIXTURES / "model.gguf"
DIGESTS = json.loads((FIXTURES / "digests.json").read_text())


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    shutil.copy(MODEL, path)
    return path


def test_edit_says_what_it_does_and_does_it(model: Path) -> None:
    before = model.read_bytes()
    options = ["--set", "general.name=Another, longer name"]
    told = done("edit", model, *options, "--dry-run")
    assert told == "~ general.name = A name → Another, longer name\nwould be written anew (1.6 kB)\n"
    assert model.read_bytes() == before
    assert done("edit", model, *options) == told.replace("would be ", "")
    assert _digest(model) == DIGESTS["edit"]["name"]
    assert done("edit", model, *options) == "nothing to change\n"
    told = done("edit", model, "--special-token", "bos", "b")
    assert told == "~ tokenizer.ggml.bos_token_id = 0 → 1\nchanged in place (1 byte)\n"
    with gguf_py.open(model) as file:
        assert file.metadata["tokenizer.ggml.bos_token_id"] == 1
    assert [p.name for p in model.parent.iterdir()] == ["model.gguf"]


def test_edit_into_another_file(model: Path) -> None:
    other = model.with_name("other.gguf")
    told = done("edit", model, "--remove", "general.author", "--remove", "llama.rope.freq_base", "-o", other)
    assert "- general.author = nobody\n" in told and f"written to {other}" in told
    assert _digest(other) == DIGESTS["edit"]["remove"] and _digest(model) == _digest(MODEL)


def test_edit_takes_templates_from_files(model: Path, tmp_path: Path) -> None:
    jinja, config, other = tmp_path / "t.jinja", tmp_path / "tokenizer_config.json", tmp_path / "other.gguf"
    jinja.write_text("{{ messages }}")
    named = [{"name": "default", "template": "A"}, {"name": "tool_use", "template": "B"}]
    config.write_text(json.dumps({"chat_template": named}))
    for path, case in ((jinja, "template"), (config, "templates")):
        done("edit", model, "--chat-template", path, "-o", other)
        assert _digest(other) == DIGESTS["edit"][case]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--set", "x"], "is no KEY=VALUE"),
        (["--set", "x=1"], "say which type"),
        (["--remove", "none"], "no metadata key 'none'"),
        (["--rename", "general.name"], "is no OLD=NEW"),
        (["--chat-template", "none.jinja"], "cannot open none.jinja: no such file"),
        (["--special-token", "bos", "zz"], "no token 'zz'"),
        (["--special-token-by-id", "bos", "x"], "'x' is no number"),
        (["--special-token-by-id", "bos", "99"], "99 is no token"),
        (["--set", "general.alignment:uint32=0"], "above 0"),
        (["--set", "general.alignment:uint32=48"], "48 is no power of two"),
        (["--remove", "general.author", "-o", "no/such/folder"], "there is no folder"),
    ],
)
def test_edit_that_cannot_be_done_changes_nothing(model: Path, options: list[str], says: str) -> None:
    wrong = kquants("edit", model, *options)
    assert wrong.returncode == 1 and says in wrong.stderr and wrong.stderr.count("\n") == 1 and wrong.stdout == ""
    assert _digest(model) == _digest(MODEL) and [p.name for p in model.parent.iterdir()] == ["model.gguf"]


def test_split_and_merge(tmp_path: Path) -> None:
    told = done("split", MODEL, tmp_path / "by-3", "--split-max-tensors", "3", "--dry-run")
    assert "by-3-00001-of-00003.gguf  3 tensors" in told and "would be written: 3 shards, 7 tensors" in told
    assert not list(tmp_path.iterdir())
    assert done("split", MODEL, tmp_path / "by-3", "--split-max-tensors", "3") == told.replace("would be ", "")
    assert {p.name: _digest(p) for p in tmp_path.iterdir()} == DIGESTS["split"]["by-3"]
    wrong = kquants("edit", tmp_path / "by-3-00002-of-00003.gguf", "--set", "general.name=x")
    assert wrong.returncode == 1 and "shard 2 of 3: the metadata of the set is that of" in wrong.stderr
    merged = tmp_path / "merged.gguf"
    done("merge", tmp_path / "by-3-00003-of-00003.gguf", merged)
    assert _digest(merged) == DIGESTS["merge"]["by-3"]
    done("split", MODEL, tmp_path / "e", "--split-max-tensors", "3", "--no-tensor-first-split")
    first = tmp_path / "e-00001-of-00004.gguf"
    assert _digest(first) == DIGESTS["split"]["by-3-first-empty"]["by-3-first-empty-00001-of-00004.gguf"]


def test_split_by_size(tmp_path: Path) -> None:
    done("split", MODEL, tmp_path / "s", "--split-max-size", "0.2K")
    assert len(list(tmp_path.iterdir())) == 3
    done("merge", tmp_path / "s-00001-of-00003.gguf", tmp_path / "m.gguf")
    with gguf_py.open(MODEL) as before, gguf_py.open(tmp_path / "m.gguf") as after:
        assert [t.data.tobytes() for t in before.tensors.values()] == [t.data.tobytes() for t in after.tensors.values()]


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["split", MODEL, "x", "--split-max-size", "much"], 2, "no size such as"),
        (["split", MODEL, "x", "--split-max-size", "0M"], 2, "no size such as"),
        (["split", MODEL, "x", "--split-max-size", "1G", "--split-max-tensors", "1"], 2, "exclude each other"),
        (["split", MODEL, "no/such/x"], 1, "there is no folder"),
        (["split", "none.gguf", "x"], 1, "no such file"),
        (["merge", MODEL, "x.gguf"], 1, "is no shard"),
        (["merge", MODEL, MODEL], 1, "exists already"),
    ],
)
def test_what_split_and_merge_refuse(arguments: list[str | Path], status: int, says: str) -> None:
    wrong = kquants(*arguments)
    assert wrong.returncode == status and says in wrong.stderr and wrong.stdout == ""
