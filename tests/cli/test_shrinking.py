"""A file that is cut short while a command reads it: one sentence, no bus error, nothing half written."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from kquants_cli.main import kquants

import gguf_py
from gguf_py import KQuantsError, shards
from tests.command import TINY

COMMANDS = {
    "verify": ("verify", "q4.gguf"),
    "verify --source": ("verify", "q4.gguf", "--source", "f16.gguf"),
    "report": ("report", "q4.gguf", "-o", "page.html"),
    "report --source": ("report", "q4.gguf", "--source", "f16.gguf", "-o", "page.html"),
    "diff": ("diff", "f16.gguf", "other.gguf"),
    "diff of two types": ("diff", "q4.gguf", "f16.gguf"),
    "dequantize": ("dequantize", "q4.gguf", "out.gguf", "--quiet"),
    "quantize": ("quantize", "f16.gguf", "out.gguf", "Q8_0", "--quiet"),
    "export": ("export", "f16.gguf", "checkpoint", "--quiet"),
    "split": ("split", "f16.gguf", "part", "--split-max-tensors", "20"),
    "merge": ("merge", "shard-00001-of-00002.gguf", "out.gguf"),
    "edit": ("edit", "f16.gguf", "--set", "general.name=another, longer name" + "!" * 99),
    "imatrix": ("imatrix", "f16.gguf", "out.gguf", "--file", "text.txt", "--ctx", "16"),
    "perplexity": ("perplexity", "f16.gguf", "--file", "text.txt", "--ctx", "16"),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small model as F16, twice, as Q4_K_M, and in shards."""
    folder = tmp_path_factory.mktemp("shrinking")
    convert = ["convert", str(TINY), "--quiet", "--outfile"]
    for name, kind in (("f16", "f16"), ("q4", "q4_k_m")):
        CliRunner().invoke(kquants, [*convert, str(folder / f"{name}.gguf"), "--outtype", kind], catch_exceptions=False)
    with gguf_py.open(folder / "f16.gguf") as model:
        shards.split(model, folder / "shard", shards.plan_split(model, max_tensors=20))
    shutil.copy(folder / "f16.gguf", folder / "other.gguf")
    (folder / "text.txt").write_text("To be, or not to be: that is the question. " * 20)
    return folder


@pytest.fixture
def scratch(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files, to be cut, in the folder that commands run in."""
    monkeypatch.chdir(tmp_path)
    for file in files.iterdir():
        shutil.copy(file, tmp_path)
    return tmp_path


def cut_when_weights_are_read(victim: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut a file in half before anybody reads a tensor, of this file or another; its header was read by then."""
    with gguf_py.open(victim) as file:
        weights = file.data_offset
    half = victim.stat().st_size // 2
    preadv, copy_file_range = os.preadv, os.copy_file_range

    def reading(handle: int, buffers: Any, offset: int) -> int:
        if offset >= weights:
            os.truncate(victim, half)
        return preadv(handle, buffers, offset)

    def copying(source: int, target: int, count: int, offset: int, *more: Any) -> int:
        os.truncate(victim, half)
        return copy_file_range(source, target, count, offset, *more)

    monkeypatch.setattr(os, "preadv", reading)
    monkeypatch.setattr(os, "copy_file_range", copying)


@pytest.mark.parametrize("name", COMMANDS)
def test_one_sentence_says_it(name: str, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = COMMANDS[name]
    before = {p.name for p in scratch.iterdir()}
    cut_when_weights_are_read(scratch / arguments[1], monkeypatch)
    run = CliRunner().invoke(kquants, arguments)
    told = run.stderr if name.startswith("diff") else str(run.exception)  # diff ends by itself, with 2
    assert run.exit_code == (2 if name.startswith("diff") else 1)
    assert isinstance(run.exception, SystemExit if name.startswith("diff") else KQuantsError)
    assert "become shorter while it was read" in told and arguments[1] in told and len(told.splitlines()) == 1
    assert {p.name for p in scratch.iterdir()} == before


def test_values_of_the_header_are_there_whatever_happens(scratch: Path) -> None:
    """What was read when the file was opened is decoded later, from memory."""
    with gguf_py.open(scratch / "f16.gguf") as whole:
        expected = {key: repr(value) for key, value in whole.metadata.items()}
    with gguf_py.open(scratch / "f16.gguf") as file:
        os.truncate(scratch / "f16.gguf", 100)
        assert {key: repr(value) for key, value in file.metadata.items()} == expected
        assert list(file.metadata["tokenizer.ggml.tokens"])[-1]
        tensor = file.tensors["token_embd.weight"]
        for look in (tensor.to_numpy, lambda: tensor.data):
            with pytest.raises(KQuantsError, match=r"f16\.gguf: .* become shorter"):
                look()


def test_a_header_that_shrinks_while_it_is_read(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pread = os.pread

    def reading(handle: int, count: int, offset: int) -> bytes:
        os.truncate(scratch / "f16.gguf", 500)
        return pread(handle, count, offset)

    monkeypatch.setattr(os, "pread", reading)
    with pytest.raises(KQuantsError, match=r"^f16\.gguf: the file ends at byte 500, .* become shorter"):
        gguf_py.open("f16.gguf")


def test_a_disk_that_cannot_read(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def reading(handle: int, buffers: Any, offset: int) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with gguf_py.open("f16.gguf") as file:
        monkeypatch.setattr(os, "preadv", reading)
        monkeypatch.setattr(os, "pread", reading)
        with pytest.raises(KQuantsError, match=r"^cannot read f16\.gguf: input/output error$"):
            gguf_py.open("f16.gguf")
        with pytest.raises(KQuantsError, match=r"^cannot read f16\.gguf: input/output error$"):
            file.tensors["token_embd.weight"].to_numpy()
