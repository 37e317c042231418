"""What several commands take."""

from __future__ import annotations

import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from kquants_cli import arguments, inspect

from gguf_py import KQuantsError
from tests.command import FIXTURES, kquants


def size(text: str) -> int | None:
    """What a command makes of a size."""
    option = click.Option(["--size"])
    return arguments.size(click.Context(click.Command("test")), option, text)


def test_sizes() -> None:
    given = {"12": 12, "1k": 1000, "700MB": 700_000_000, "2G": 2 * 10**9, "1.5T": 15 * 10**11}
    given |= {"4KiB": 4096, "3 MiB": 3 << 20, "4.5GiB": 4831838208, "2tib": 2 << 40}
    assert {text: size(text) for text in given} == given
    for text in ("", "much", "0M", "-1G", "1X", "G"):
        with pytest.raises(click.BadParameter, match="no size such as"):
            size(text)


def test_texts(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"a\xffb")
    with pytest.raises(KQuantsError, match="no text in UTF-8: byte 1 cannot be read"):
        arguments.read_text(tmp_path / "text")
    with pytest.raises(KQuantsError, match=r"cannot open .*: is a directory"):
        arguments.read_text(tmp_path)


@pytest.mark.parametrize("words", [["inspect", ""], ["quantize", "", "Q4_K_M"], ["split", "x.gguf", ""]])
def test_no_name_is_no_file(words: list[str]) -> None:
    result = kquants(*words)
    assert result.returncode == 2 and "the name of a file is expected" in result.stderr


def test_a_file_that_may_not_be_read_is_no_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    model = FIXTURES / "gguf" / "model.gguf"
    assert CliRunner().invoke(inspect.command, [str(model), "--keys", "nothing"]).exit_code == 0  # root can read it


def test_only_inspect_reads_urls() -> None:
    result = kquants("verify", "https://example.org/model.gguf")
    assert result.returncode == 2 and "https://example.org/model.gguf is a URL, which only inspect" in result.stderr


def test_a_type_is_named_once(tmp_path: Path) -> None:
    (tmp_path / "in.gguf").touch()
    result = kquants("quantize", tmp_path / "in.gguf", tmp_path / "{type}.gguf", "Q4_K_M,q4_k")
    assert result.returncode == 2 and "'Q4_K_M,q4_k' names a type twice" in result.stderr
