"""A run that ends before its end: killed, interrupted, gone on with, disturbed by another."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gguf_py
from gguf_py import KQuantsError, atomic
from kquants import execute as executor
from kquants import journal, pieces
from kquants.execute import execute
from kquants.plan import Plan
from kquants.quantizer import quantize_model
from tests.command import changed, sha256

from .models import TinyModel

LARGE = TinyModel("llama", {f"blk.{i}.ffn_up.weight": (2048, 1024) for i in range(4)})
SMALL = TinyModel("llama", {f"blk.{i}.ffn_up.weight": (256, 1024) for i in range(4)})


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of eight million weights, which takes long enough to be interrupted."""
    path = tmp_path_factory.mktemp("large") / "in.gguf"
    LARGE.write(path)
    return path


CALLS = ("posix_fallocate", "pwrite", "fdatasync", "fsync", "replace")
"""The calls of ``os`` that change what is on disk."""


def run_until(plan: Plan, call: int, part: float, *, stay: bool, resume: bool, recorded: bool = False) -> bool:
    """Run in a process of its own and kill it at one of its calls; whether it was killed before it ended.

    Of the call, when it is a write, only ``part`` is done before. Told to stay, the thread that makes the call waits
    for the kill while the others go on; else it goes on too, and the kill comes when it comes. With ``recorded`` only
    the writing of pieces counts, one after another, and the kill waits until the records in all files speak of a piece.
    """
    reached, reporting = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            turn = itertools.count(1)
            spoken: set[int] = set()

            def watched(real: Callable[..., Any]) -> Callable[..., Any]:
                def watching(*given: Any) -> Any:
                    piece = real is pwrite and len(given[1]) > journal.SIZE
                    if (piece or not recorded) and next(turn) == call:
                        if piece:  # a few bytes are written or not
                            real(given[0], given[1][: int(part * len(given[1]))], given[2])
                        while recorded and len(spoken) < len(plan.outputs):
                            time.sleep(0.001)
                        os.write(reporting, b"!")
                        time.sleep(60 * stay)
                    done = real(*given)
                    if real is pwrite and not piece and bytes(given[1][-8:]) != bytes(8):  # a count of pieces
                        spoken.add(given[0])
                    return done

                return watching

            pwrite = os.pwrite
            atomic._UNCACHED = 0  # so that all is written by ``os.pwrite``, and a piece at once
            for name in CALLS:
                setattr(os, name, watched(getattr(os, name)))
            execute(plan, threads=1 if recorded else 2, resume=resume)
            status = 0
        finally:
            os._exit(status)
    os.close(reporting)
    if os.read(reached, 1):
        os.kill(child, signal.SIGKILL)
    os.close(reached)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the calls are those that are made on Linux")
def test_killed_at_a_hundred_moments_there_is_a_whole_file_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The moments are spread over the calls that a run makes; half of the runs go on with what is there.

    A run that ends before its kill does not count: where syncs are slow, it makes fewer calls, but never below 38.
    """
    monkeypatch.setattr(journal, "_EVERY", 0.002)
    monkeypatch.setattr(pieces, "PIECE", 1 << 15)
    SMALL.write(tmp_path / "in.gguf")
    folder = tmp_path / "made"
    folder.mkdir()
    target = folder / "out.gguf"
    draw = random.Random(1)
    with gguf_py.open(tmp_path / "in.gguf") as model:
        plan = quantize_model(model, target, "Q8_0")
        execute(plan)
        whole = sha256(target)
        target.unlink()
        kills = 0
        for _ in range(1000):
            kills += run_until(
                plan, draw.randrange(1, 46), draw.random(), stay=draw.random() < 0.5, resume=draw.random() < 0.5
            )
            if target.exists():
                assert sha256(target) == whole
                target.unlink()
            for left in folder.iterdir():  # killed between the last byte and the rename, it is whole
                assert left.read_bytes()[:4] != b"GGUF" or sha256(left) == whole
            if kills == 100:
                break
        assert kills == 100
        execute(plan, resume=True)
    assert sha256(target) == whole
    assert [p.name for p in folder.iterdir()] == ["out.gguf"], "a later run clears what a killed one left"


@pytest.mark.parametrize("after", [1, 3, 7])
def test_an_interrupted_run_goes_on(tmp_path: Path, large: Path, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "_EVERY", 0.001)
    with gguf_py.open(large) as model:
        plan = quantize_model(model, tmp_path / "out.gguf", "Q8_0")
        execute(plan)
        whole = sha256(tmp_path / "out.gguf")
        (tmp_path / "out.gguf").unlink()
        written = 0
        original = executor.write_all

        def write(handle: int, data: memoryview, offset: int, *, through: bool = False) -> None:
            nonlocal written
            written += 1
            if written > after:
                while journal.finished([handle], digest) < after:  # what is not on disk is not counted
                    time.sleep(0.001)
                raise KeyboardInterrupt
            original(handle, data, offset, through=through)

        digest = journal.digest(plan, pieces.PIECE)
        assert digest is not None
        monkeypatch.setattr(executor, "write_all", write)
        with pytest.raises(KeyboardInterrupt):
            execute(plan, threads=1, resume=True)
        monkeypatch.undo()
        assert [p.name[:16] for p in tmp_path.iterdir()] == ["out.gguf.partial"]
        summary = execute(plan, threads=2, resume=True)
    assert summary.skipped == after * pieces.PIECE
    assert sha256(tmp_path / "out.gguf") == whole
    assert [p.name for p in tmp_path.iterdir()] == ["out.gguf"]


ASKED_TO_STOP = """
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's job in the background ignores
pieces.PIECE = 1 << 19
turns, write, written = execute._take_turns, os.pwrite, itertools.count(1)
def watched(work):
    global running
    running = work
    turns(work)
def asking(handle, data, offset):
    if len(data) > journal.SIZE and next(written) == {piece}:
        os.kill(os.getpid(), {number})
        asked = time.monotonic()
        while not running.stop and time.monotonic() < asked + 60:
            time.sleep(0.001)
    return write(handle, data, offset)
execute._take_turns, os.pwrite = watched, asking
"""
"""The signal comes while one of the pieces is written, and the writing ends when it was heard."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("kept", [[], ["--resume"]], ids=["", "resume"])
@pytest.mark.parametrize("piece", [1, 3, 16])
def test_ctrl_c_in_the_middle_of_a_run(
    tmp_path: Path, number: signal.Signals, kept: list[str], piece: int, large: Path
) -> None:
    """The run ends with a line, and leaves what it has made only if it was asked to go on with it later."""
    folder = tmp_path / "made"
    folder.mkdir()
    command = changed(ASKED_TO_STOP.format(number=int(number), piece=piece))
    arguments = ["quantize", *kept, large, folder / "out.gguf", "Q8_0", "--quiet"]
    run = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    assert (run.stdout, run.stderr.strip()) == ("", "kquants: interrupted")
    assert run.returncode == 130
    assert [p.name.rpartition("-")[0] for p in folder.iterdir()] == ["out.gguf.partial"] * len(kept)


def test_another_run_that_writes_the_same_is_not_disturbed(tmp_path: Path, large: Path) -> None:
    with gguf_py.open(large) as model:
        plan = quantize_model(model, tmp_path / "out.gguf", "Q8_0")

    original = executor._take_turns

    def meanwhile(work: executor._Work) -> None:
        with pytest.raises(KQuantsError, match="another run is writing it"):
            execute(plan)
        executor._take_turns = original
        original(work)

    executor._take_turns = meanwhile
    try:
        execute(plan, threads=1)
    finally:
        executor._take_turns = original
    assert [p.name for p in tmp_path.iterdir()] == ["out.gguf"]
