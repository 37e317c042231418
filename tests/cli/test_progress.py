"""What a long run says while it goes: a bar on a terminal, plain lines in a pipe, nothing when it is to be quiet."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from kquants_cli import progress
from kquants_cli.main import kquants as command

import gguf_py
from gguf_py import Field
from tests.command import COMMAND
from tests.kquants.models import sparse

pty = pytest.importorskip("pty", reason="this system has no pseudo terminals")


def on_a_terminal(*arguments: str | Path, columns: int = 80) -> str:
    """What the command, which must succeed, writes to a terminal."""
    ours, its = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns)}
    run = subprocess.Popen([COMMAND, *arguments], stdout=its, stderr=its, stdin=its, env=environment)
    os.close(its)
    said = b""
    try:
        while part := os.read(ours, 1 << 16):
            said += part
    except OSError:  # Linux says so when the other side is closed
        pass
    os.close(ours)
    assert run.wait() == 0, said
    return said.decode()


@pytest.mark.parametrize("columns", [80, 60])
def test_a_bar_with_rate_and_time_left_on_a_terminal(tmp_path: Path, columns: int) -> None:
    sparse(tmp_path / "in.gguf", (1 << 13, 1 << 14))
    arguments = ("quantize", "--threads", "1", tmp_path / "in.gguf", tmp_path / "out.gguf", "Q4_0")
    said = on_a_terminal(*arguments, columns=columns)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said)
    assert re.search(r"token_embd\.weight .*━.* \d+% [\d,]+ M weights/s \d:\d\d:\d\d", shown)
    assert said.rfind("\x1b[?25h") > said.rfind("\x1b[?25l") >= 0, "the cursor is there again"
    assert "134,217,728 weights" in shown.splitlines()[-1]


def test_silence(tmp_path: Path) -> None:
    sparse(tmp_path / "in.gguf", (8, 256))
    assert on_a_terminal("quantize", "--quiet", tmp_path / "in.gguf", tmp_path / "out.gguf", "Q4_0") == ""


def test_plain_lines_in_a_pipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    sparse(tmp_path / "in.gguf", (1 << 13, 1 << 14))
    monkeypatch.setattr(progress, "_EVERY", 0.01)
    arguments = ["quantize", "--threads", "1", str(tmp_path / "in.gguf"), str(tmp_path / "out.gguf"), "Q4_0"]
    command.main(arguments, standalone_mode=False)
    said, fault = capfd.readouterr()
    assert "\x1b" not in said and not fault
    assert re.search(r"^ *\d+%  token_embd\.weight  [\d,]+ M weights/s, \d+ s left$", said, re.MULTILINE)


def test_no_name_is_obeyed(tmp_path: Path) -> None:
    """Control characters, and bytes that are no text: on a terminal and in JSON, spelled."""
    weights = np.zeros((2, 256), np.float16)
    fields = [Field.of("general.architecture", "\x1b]0;title\x07"), Field.of("k\udcff\u202e", "\x9b31m")]
    source, made = tmp_path / "in.gguf", tmp_path / "out.gguf"
    gguf_py.write(source, fields, {"blk.0.\x1b]0;title\x07\udcff.weight": ("F16", weights.shape, weights)})
    said = on_a_terminal("quantize", source, made, "Q4_0")
    said += on_a_terminal("verify", made, "--source", source) + on_a_terminal("verify", made, "--json")
    assert said.count(r"blk.0.\x1b]0;title\x07\udcff.weight") >= 2
    assert not re.search("[\x07\x9b\u202e]|\x1b]", said)
