"""What a long run says while it goes: a bar on a terminal, plain lines in a pipe, nothing when it is to be quiet."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

import gguf_py
from gguf_py import Field
from tests.command import changed, on_a_terminal
from tests.kquants.models import sparse

STEP_BY_STEP = """
progress._EVERY, pieces.PIECE = 1e-9, 1 << 19
seen, write, written = {0}, os.pwrite, itertools.count()
def watched(kind):
    advance = kind.advance
    def advancing(self, weights, total, tensor):
        advance(self, weights, total, tensor)
        if kind is progress._OnTerminal:
            self._bar.refresh()
        seen.add(weights)
    kind.advance = advancing
def waiting(handle, data, offset):
    if len(data) > journal.SIZE:
        piece, asked = next(written), time.monotonic()
        while len(seen) <= piece:
            time.sleep(0.001)
            if time.monotonic() > asked + 100:  # of a piece that nobody will speak of
                os._exit(9)
    return write(handle, data, offset)
watched(progress._OnTerminal), watched(progress._Lines)
os.pwrite = waiting
"""
"""Nothing is written before it was told what was written before, so that a fast machine tells it, too."""
PIECES = (1 << 8, 1 << 14)
"""A matrix of eight pieces."""


@pytest.mark.parametrize("columns", [80, 60])
def test_a_bar_with_rate_and_time_left_on_a_terminal(tmp_path: Path, columns: int) -> None:
    sparse(tmp_path / "in.gguf", PIECES)
    arguments = ("quantize", "--threads", "1", tmp_path / "in.gguf", tmp_path / "out.gguf", "Q4_0")
    said = on_a_terminal(*arguments, columns=columns, command=changed(STEP_BY_STEP))
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said)
    assert re.search(r"token_embd\.weight .*━.* \d+% [\d,]+ M weights/s \d:\d\d:\d\d", shown)
    assert said.rfind("\x1b[?25h") > said.rfind("\x1b[?25l") >= 0, "the cursor is there again"
    assert "4,194,304 weights" in shown.splitlines()[-1]


def test_silence(tmp_path: Path) -> None:
    sparse(tmp_path / "in.gguf", (8, 256))
    assert on_a_terminal("quantize", "--quiet", tmp_path / "in.gguf", tmp_path / "out.gguf", "Q4_0") == ""


def test_plain_lines_in_a_pipe(tmp_path: Path) -> None:
    sparse(tmp_path / "in.gguf", PIECES)
    command = [
        *changed(STEP_BY_STEP),
        "quantize",
        "--threads",
        "1",
        tmp_path / "in.gguf",
        tmp_path / "out.gguf",
        "Q4_0",
    ]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "\x1b" not in run.stdout and not run.stderr
    assert re.search(r"^ *\d+%  token_embd\.weight  [\d,]+ M weights/s, \d+ s left$", run.stdout, re.MULTILINE)


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
