"""What goes wrong while a file is written: killed, interrupted, resumed, a full disk, an input that shrinks."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import gguf_py
from gguf_py import KQuantsError, tensor_type
from kquants import execute as executor
from kquants import journal
from kquants.execute import derive, execute
from kquants.plan import Item
from kquants.quantizer import quantize_model
from kquants.source import Bytes
from tests.command import COMMAND, sha256

from .models import MODELS, TinyModel

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


def test_killed_at_any_moment_there_is_a_whole_file_or_none(tmp_path: Path, large: Path) -> None:
    draw = random.Random(1)
    with gguf_py.open(large) as model:
        plan = quantize_model(model, tmp_path / "out.gguf", "Q8_0")
        execute(plan)
        whole = sha256(tmp_path / "out.gguf")
        (tmp_path / "out.gguf").unlink()
        seen = set()
        for _ in range(100):
            child = os.fork()
            if child == 0:
                execute(plan, threads=1)
                os._exit(0)
            time.sleep(draw.random() * 0.03)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            there = (tmp_path / "out.gguf").exists()
            seen.add(there)
            if there:
                assert sha256(tmp_path / "out.gguf") == whole
                (tmp_path / "out.gguf").unlink()
            for left in tmp_path.iterdir():  # killed between the last byte and the rename, it is whole
                assert left.read_bytes()[:4] != b"GGUF" or sha256(left) == whole
        assert False in seen
        execute(plan)
    assert [p.name for p in tmp_path.iterdir()] == ["out.gguf"], "a later run clears what a killed one left"


class Stopped(Exception):
    """Stands in for the end of the process."""


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


def test_an_input_that_shrinks_is_told(tmp_path: Path) -> None:
    MODELS["llama-untied"].write(tmp_path / "in.gguf")
    with gguf_py.open(tmp_path / "in.gguf") as model:
        plan = quantize_model(model, tmp_path / "out.gguf", "Q4_K_M")
    os.truncate(tmp_path / "in.gguf", 50_000)
    with pytest.raises(KQuantsError, match=r"in\.gguf.* has become shorter"):
        execute(plan)
    assert [p.name for p in tmp_path.iterdir()] == ["in.gguf"]


def test_another_run_that_writes_the_same_is_not_disturbed(tmp_path: Path, large: Path) -> None:
    with gguf_py.open(large) as model:
        plan = quantize_model(model, tmp_path / "out.gguf", "Q8_0")

    def again(item: Item, lo: int, data: Bytes) -> None:
        pass

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
    derive(plan, again)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_read_only_folder(tmp_path: Path, large: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    child = start(large, tmp_path / "locked" / "out.gguf")
    assert child.communicate()[1].count(b"\n") == 1 and child.returncode == 1


def test_what_is_not_a_number_is_named_with_its_place(tmp_path: Path) -> None:
    x = np.zeros((3, 5, 32), np.float32)
    x[2, 1, 7] = np.inf
    gguf_py.write(tmp_path / "in.gguf", [], {"a.weight": (tensor_type("F32"), x.shape, x)})
    with (
        gguf_py.open(tmp_path / "in.gguf") as model,
        pytest.raises(KQuantsError, match=r"'a\.weight'.*\[2, 1, 7\] is inf"),
    ):
        execute(quantize_model(model, tmp_path / "out.gguf", "Q8_0"))


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="this system does not tell a process its peak memory"
)
def test_memory_is_bounded_for_one_tensor_of_eight_gigabytes(tmp_path: Path) -> None:
    """The file is sparse, and what is made of it goes nowhere: the point is how much memory it takes.

    The peak is read where it begins anew with the program; that of ``getrusage`` begins with the parent's.
    """
    rows, columns = 1 << 16, 1 << 16
    info = gguf_py.TensorInfo("token_embd.weight", tensor_type("F16"), (rows, columns))
    layout = gguf_py.lay_out([], [info])
    path = tmp_path / "in.gguf"
    with path.open("wb") as file:
        file.write(layout.header)
        file.truncate(layout.size)
    script = f"""
import re, gguf_py
from kquants.execute import derive
from kquants.quantizer import quantize_model
with gguf_py.open({str(path)!r}) as model:
    derive(quantize_model(model, "x", "Q8_0"), lambda item, lo, data: None, threads=2)
print(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1])
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(run.stdout) * 1024 < 512e6


@pytest.mark.skipif(not hasattr(os, "fdatasync"), reason="this system has no fdatasync")
def test_a_sync_that_fails_in_the_background_fails_the_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(handle: int) -> None:
        raise OSError(errno.EIO, "the disk is broken")

    monkeypatch.setattr(os, "fdatasync", broken)
    monkeypatch.setattr(journal, "_EVERY", 0.01)
    fails = pytest.raises(OSError, match="the disk is broken")
    with (tmp_path / "out").open("wb") as file, fails, journal.keeping([file.fileno()], None, lambda: 0):
        time.sleep(0.2)
