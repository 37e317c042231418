"""A run that ends before its end: killed, interrupted, gone on with, disturbed by another."""

from __future__ import annotations

import os
import random
import signal
import statistics
import subprocess
import time
from pathlib import Path

import pytest

import gguf_py
from gguf_py import KQuantsError
from kquants import execute as executor
from kquants import journal
from kquants.execute import execute
from kquants.quantizer import quantize_model
from tests.command import COMMAND, sha256

from .models import TinyModel

LARGE = TinyModel("llama", {f"blk.{i}.ffn_up.weight": (2048, 1024) for i in range(4)})


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of eight million weights, which takes long enough to be interrupted."""
    path = tmp_path_factory.mktemp("large") / "in.gguf"
    LARGE.write(path)
    return path


def start(source: Path, target: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Quantize in a process of its own."""
    command = [COMMAND, "quantize", "--threads", "1", *arguments, source, target, "Q8_0"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_a_hundred_moments_there_is_a_whole_file_or_none(
    tmp_path: Path, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run is killed in a hundredth of its own of the time that a run takes; half of them go on with what is there.

    A run that ends before its kill does not count.
    """
    monkeypatch.setattr(journal, "_EVERY", 0.002)
    draw = random.Random(1)
    target = tmp_path / "out.gguf"
    with gguf_py.open(large) as model:
        plan = quantize_model(model, target, "Q8_0")

        def run(resume: bool, moment: float) -> bool:
            """Whether the run was killed."""
            child = os.fork()
            if child == 0:
                execute(plan, threads=1, resume=resume)
                os._exit(0)
            time.sleep(moment)
            os.kill(child, signal.SIGKILL)
            return os.WIFSIGNALED(os.waitpid(child, 0)[1])

        def whole_run() -> float:
            target.unlink(missing_ok=True)
            begin = time.perf_counter()
            child = os.fork()
            if child == 0:
                execute(plan, threads=1)
                os._exit(0)
            os.waitpid(child, 0)
            return time.perf_counter() - begin

        takes = statistics.median(whole_run() for _ in range(5))
        whole = sha256(target)
        target.unlink()
        kills = tries = 0
        while kills < 100:
            tries += 1
            assert tries < 1000, f"only {kills} of {tries} runs were killed before they ended"
            kills += run(draw.random() < 0.5, takes * (kills + draw.random()) / 100)
            if target.exists():
                assert sha256(target) == whole
                target.unlink()
            for left in tmp_path.iterdir():  # killed between the last byte and the rename, it is whole
                assert left.read_bytes()[:4] != b"GGUF" or sha256(left) == whole
        execute(plan, resume=True)
    assert sha256(target) == whole
    assert [p.name for p in tmp_path.iterdir()] == ["out.gguf"], "a later run clears what a killed one left"


@pytest.mark.parametrize("after", [1, 7, 30])
def test_an_interrupted_run_goes_on(tmp_path: Path, large: Path, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with gguf_py.open(large) as model:
        plan = quantize_model(model, tmp_path / "out.gguf", "Q8_0")
        execute(plan)
        whole = sha256(tmp_path / "out.gguf")
        (tmp_path / "out.gguf").unlink()
        written = 0
        original = executor.write_all

        def write(handle: int, data: memoryview, offset: int) -> None:
            nonlocal written
            written += 1
            if written > after:
                raise KeyboardInterrupt
            original(handle, data, offset)

        monkeypatch.setattr(executor, "write_all", write)
        with pytest.raises(KeyboardInterrupt):
            execute(plan, threads=1, resume=True)
        monkeypatch.undo()
        assert [p.name[:16] for p in tmp_path.iterdir()] == ["out.gguf.partial"]
        summary = execute(plan, threads=2, resume=True)
    assert summary.skipped == after * executor.PIECE
    assert sha256(tmp_path / "out.gguf") == whole
    assert [p.name for p in tmp_path.iterdir()] == ["out.gguf"]


def test_ctrl_c_leaves_nothing(tmp_path: Path, large: Path) -> None:
    for pause in (0.3, 0.6, 0.9):
        child = start(large, tmp_path / "out.gguf")
        time.sleep(pause)
        child.send_signal(signal.SIGINT)
        child.communicate()
        names = {p.name for p in tmp_path.iterdir()}
        assert names <= {"out.gguf"}
        if names:
            gguf_py.open(tmp_path / "out.gguf").close()
            (tmp_path / "out.gguf").unlink()


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
