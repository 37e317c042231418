"""What goes wrong around a run: a full disk, a read-only folder, an input that shrinks, weights that are no numbers."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from threading import Event

import numpy as np
import pytest

import gguf_py
from gguf_py import KQuantsError, tensor_type
from kquants import journal
from kquants.execute import execute
from kquants.quantizer import quantize_model
from kquants.recode import convert_rows
from tests.command import changed, kquants

from .models import MODELS, TinyModel, sparse

LARGE = TinyModel("llama", {f"blk.{i}.ffn_up.weight": (2048, 1024) for i in range(4)})


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of eight million weights: 8 pieces."""
    path = tmp_path_factory.mktemp("large") / "in.gguf"
    LARGE.write(path)
    return path


def said_in_one_line(run: subprocess.CompletedProcess[str], *words: str) -> None:
    """The run failed with one line that holds these words."""
    assert run.returncode == 1, run.stdout + run.stderr
    assert len(run.stderr.splitlines()) == 1, run.stderr
    for word in words:
        assert word in run.stderr


def run_changed(change: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command after ``change``."""
    return subprocess.run([*changed(change), *arguments], capture_output=True, text=True, check=False)


FULL = """
real, calls = os.{name}, 0
def full(*given):
    global calls
    calls += {counts}
    if calls >= {which}:
        raise OSError(errno.ENOSPC, "No space left on device")
    return real(*given)
os.{name} = full
"""
"""From some call on, the disk is full."""

SYNCED_BEFORE_WRITTEN = """
journal._EVERY, write = 0, os.pwrite
def waiting(handle, data, offset):
    while calls < {which} and len(data) > journal.SIZE:
        time.sleep(0.001)
    return write(handle, data, offset)
os.pwrite = waiting
"""
"""No piece is written before that call, which another thread makes."""

NO_ROOM_AHEAD = """
def cannot(*given):
    raise OSError(errno.EOPNOTSUPP, "Operation not supported")
os.posix_fallocate = cannot
"""
"""A file system that cannot reserve."""


@pytest.mark.skipif(sys.platform != "linux", reason="the calls are those that are made on Linux")
@pytest.mark.parametrize(
    ("name", "which", "counts"),
    [
        ("posix_fallocate", 1, "1"),
        ("posix_fallocate", 2, "1"),
        ("ftruncate", 2, "1"),
        ("pwrite", 1, "1"),
        ("pwrite", 4, "1"),
        ("pwrite", 15, "1"),
        pytest.param("pwrite", 2, "bytes(given[1][:4]) == b'GGUF'", id="pwrite of the second header"),
        ("fdatasync", 2, "1"),
        ("fsync", 1, "1"),
    ],
)
def test_a_disk_that_is_full_at_some_call(tmp_path: Path, large: Path, name: str, which: int, counts: str) -> None:
    for kind in ("Q8_0", "Q4_0"):
        (tmp_path / f"{kind}.gguf").write_bytes(b"what was there before")
    change = FULL.format(name=name, which=which, counts=counts)
    change += {"ftruncate": NO_ROOM_AHEAD, "fdatasync": SYNCED_BEFORE_WRITTEN.format(which=which)}.get(name, "")
    run = run_changed(change, "quantize", "--threads", "2", large, tmp_path / "{type}.gguf", "Q8_0,Q4_0")
    said_in_one_line(run, "the disk is full", ".gguf")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["Q4_0.gguf", "Q8_0.gguf"]
    assert {p.read_bytes() for p in tmp_path.iterdir()} == {b"what was there before"}


@pytest.mark.parametrize("before", ["", NO_ROOM_AHEAD], ids=["told at once", "told while writing"])
def test_a_file_system_that_is_full(tmp_path: Path, large: Path, before: str) -> None:
    """A file system of a megabyte, which only the run and its children see."""
    inside = f"mount -t tmpfs -o size=1m none {tmp_path} && "
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-m", "sh", "-c", inside + "true"]).returncode:
        pytest.skip("mounting a small file system is not permitted here")
    script = inside + '"$@"; status=$?; ls -A "$0"; exit $status'
    command = [*changed(before), "quantize", large, tmp_path / "out.gguf", "Q8_0"]
    run = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, tmp_path, *command], capture_output=True, text=True, check=False
    )
    said_in_one_line(run, "the disk is full", "out.gguf")
    assert "out.gguf" not in run.stdout


def without_privilege() -> None:
    """Take from root what lets it write where permissions forbid it; for others nothing changes."""
    if os.geteuid() == 0 and sys.platform == "linux":
        drop_from_bounding_set, override_permissions = 24, 1
        ctypes.CDLL(None).prctl(drop_from_bounding_set, override_permissions, 0, 0, 0)


def test_a_read_only_folder(tmp_path: Path, large: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    (folder / "out.gguf").write_bytes(b"what was there before")
    folder.chmod(0o500)
    if (
        subprocess.run(["touch", folder / "new"], stderr=subprocess.DEVNULL, preexec_fn=without_privilege).returncode
        == 0
    ):
        pytest.skip("no folder is read-only for this user, or on this file system")
    for name in ("new.gguf", "out.gguf"):
        run = kquants("quantize", large, folder / name, "Q8_0", before=without_privilege)
        said_in_one_line(run, name, "permission denied")
    assert [(p.name, p.read_bytes()) for p in folder.iterdir()] == [("out.gguf", b"what was there before")]
    folder.chmod(0o700)


SHRINKING = """
real, calls = os.preadv, 0
def shrinking(*given):
    global calls
    calls += 1
    if calls == 5:
        os.truncate(sys.argv[-3], 3_000_000)
    return real(*given)
os.preadv = shrinking
"""
"""The input is cut short while it is read."""


def test_an_input_that_shrinks_while_it_is_read(tmp_path: Path, large: Path) -> None:
    source = shutil.copy(large, tmp_path / "in.gguf")
    run = run_changed(SHRINKING, "quantize", source, tmp_path / "out.gguf", "Q8_0")
    said_in_one_line(run, "in.gguf", "3,000,000", "has become shorter")
    assert [p.name for p in tmp_path.iterdir()] == ["in.gguf"]


def test_an_input_that_shrank_after_it_was_planned(tmp_path: Path) -> None:
    MODELS["llama-untied"].write(tmp_path / "in.gguf")
    with gguf_py.open(tmp_path / "in.gguf") as model:
        plan = quantize_model(model, tmp_path / "out.gguf", "Q4_K_M")
    os.truncate(tmp_path / "in.gguf", 50_000)
    with pytest.raises(KQuantsError, match=r"in\.gguf.* has become shorter"):
        execute(plan)
    assert [p.name for p in tmp_path.iterdir()] == ["in.gguf"]


@pytest.mark.parametrize("source", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("target", ["Q8_0", "COPY"])
@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_what_is_not_a_number_is_named_with_its_place(tmp_path: Path, source: str, target: str, bad: float) -> None:
    x = np.zeros((3, 5, 32), np.float32)
    x[2, 1, 7] = bad
    rows = convert_rows(x.reshape(15, 32).view(np.uint8), tensor_type("F32"), tensor_type(source))
    gguf_py.write(tmp_path / "in.gguf", [], {"a.weight": (tensor_type(source), x.shape, rows)})
    with (
        gguf_py.open(tmp_path / "in.gguf") as model,
        pytest.raises(KQuantsError, match=rf"'a\.weight'.*\[2, 1, 7\] is {bad}"),
    ):
        execute(quantize_model(model, tmp_path / "out.gguf", target))
    assert not (tmp_path / "out.gguf").exists()


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="this system does not tell a process its peak memory"
)
def test_memory_is_bounded_for_one_tensor_of_eight_gigabytes() -> None:
    """The file is sparse, and what is made of it goes nowhere: the point is how much memory it takes.

    It lies in a file system that keeps nothing of holes that are read, where there is one. The peak is read where it
    begins anew with the program; that of ``getrusage`` begins with the parent's.
    """
    script = """
import re, sys, gguf_py
from kquants.execute import derive
from kquants.quantizer import quantize_model
from kquants.recode import convert_rows
with gguf_py.open(sys.argv[1]) as model:
    derive(quantize_model(model, "x", "Q8_0"), lambda item, lo, data: None, threads=2)
print(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1])
"""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        path = Path(folder, "in.gguf")
        sparse(path, (1 << 16, 1 << 16))
        assert path.stat().st_size > 8 << 30
        run = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    assert int(run.stdout) * 1024 < 512e6


FEW = """
import threading
real, room = threading.Thread.start, {room}
def start(thread):
    global room
    room -= 1
    if room < 0:
        raise RuntimeError("can't start new thread")
    real(thread)
threading.Thread.start = start
"""


def test_fewer_threads_than_were_asked_for_make_the_same_file(tmp_path: Path, large: Path) -> None:
    whole, few = tmp_path / "whole.gguf", tmp_path / "few.gguf"
    kquants("quantize", large, whole, "Q8_0")
    run = run_changed(FEW.format(room=2), "quantize", large, few, "Q8_0", "--threads", "4", "--quiet")
    assert run.returncode == 0, run.stderr
    assert few.read_bytes() == whole.read_bytes()


def test_no_thread_at_all(tmp_path: Path, large: Path) -> None:
    run = run_changed(FEW.format(room=0), "quantize", large, tmp_path / "out.gguf", "Q8_0", "--quiet")
    said_in_one_line(run, "the system lets no more threads start")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(os, "fdatasync"), reason="this system has no fdatasync")
def test_a_sync_that_fails_in_the_background_fails_the_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = Event()

    def broken(handle: int) -> None:
        asked.set()
        raise OSError(errno.EIO, "the disk is broken")

    monkeypatch.setattr(os, "fdatasync", broken)
    monkeypatch.setattr(journal, "_EVERY", 0.01)
    fails = pytest.raises(OSError, match="the disk is broken")
    with (tmp_path / "out").open("wb") as file, fails, journal.keeping([file.fileno()], None, lambda: 0):
        assert asked.wait(60)
