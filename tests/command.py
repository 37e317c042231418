"""The ``kquants`` command as a user runs it: a process, its output, its exit status."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FIXTURES = ROOT / "fixtures"
TINY = FIXTURES / "tiny-speeches-5m"
COMMAND = Path(sys.executable).with_name("kquants")


def kquants(*arguments: str | Path, before: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command with its output in pipes; ``before`` runs in the child, to set limits."""
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200"}
    command = [COMMAND, *arguments]
    return subprocess.run(
        command, capture_output=True, encoding="utf-8", env=environment, preexec_fn=before, check=False
    )


def done(*arguments: str | Path) -> str:
    """Run the command, which must succeed; its standard output."""
    result = kquants(*arguments)
    assert result.returncode == 0, f"kquants {arguments} ended with {result.returncode}:\n{result.stderr}"
    return result.stdout


CHANGED = """
import errno, itertools, os, signal, sys, time
from gguf_py import atomic
from kquants import execute, journal, pieces
from kquants_cli import progress
from kquants_cli.main import program
atomic._UNCACHED = 0
{change}
sys.argv[0] = "kquants"
program()
"""
"""The command where something of it or of the system is changed first; all that it writes, ``os.pwrite`` writes."""


def changed(change: str) -> list[str | Path]:
    """The command after ``change``: what stands in front of its arguments."""
    return [sys.executable, "-c", CHANGED.format(change=change)]


def on_a_terminal(*arguments: str | Path, columns: int = 80, command: Sequence[str | Path] = (COMMAND,)) -> str:
    """What the command, which must succeed, writes to a terminal; where none can be had, the test is skipped."""
    pty = pytest.importorskip("pty", reason="this system has no pseudo terminals")
    try:
        ours, its = pty.openpty()
    except OSError as fault:
        pytest.skip(f"no pseudo terminal can be had here: {fault}")
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns)}
    run = subprocess.Popen([*command, *arguments], stdout=its, stderr=its, stdin=its, env=environment)
    os.close(its)
    said = b""
    try:
        while part := os.read(ours, 1 << 16):
            said += part
    except OSError:  # Linux says so when the other side is closed
        pass
    os.close(ours)
    assert run.wait() == 0, said
    return said.decode().replace("\r\n", "\n")


def sha256(path: Path) -> str:
    """A file's digest."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def reference_digests() -> dict[str, str]:
    """SHA-256 of what llama.cpp v0.5.0 writes from tiny-speeches-5m, by name: ``tiny-f16``, ``tiny-f16.Q4_K_M``, …"""
    page = (FIXTURES / "tiny-speeches-5m.REFERENCE.md").read_text("utf-8")
    rows = (line.split("|") for line in page.splitlines() if line.startswith("| `"))
    return {name.strip(" `").removesuffix(".gguf"): digest.strip(" `") for _, name, _, digest, _ in rows}
