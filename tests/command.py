"""The ``kquants`` command as a user runs it: a process, its output, its exit status."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
TINY = FIXTURES / "tiny-speeches-5m"
COMMAND = Path(sys.executable).with_name("kquants")


def kquants(*arguments: str | Path, before: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command with its output in pipes; ``before`` runs in the child, to set limits."""
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200"}
    return subprocess.run(
        [COMMAND, *arguments], capture_output=True, text=True, check=False, env=environment, preexec_fn=before
    )


def done(*arguments: str | Path) -> str:
    """Run the command, which must succeed; its standard output."""
    result = kquants(*arguments)
    assert result.returncode == 0, f"kquants {arguments} ended with {result.returncode}:\n{result.stderr}"
    return result.stdout


def sha256(path: Path) -> str:
    """A file's digest."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def reference_digests() -> dict[str, str]:
    """SHA-256 of what llama.cpp v0.5.0 writes from tiny-speeches-5m, by name: ``tiny-f16``, ``tiny-f16.Q4_K_M``, …"""
    page = (FIXTURES / "tiny-speeches-5m.REFERENCE.md").read_text()
    rows = (line.split("|") for line in page.splitlines() if line.startswith("| `"))
    return {name.strip(" `").removesuffix(".gguf"): digest.strip(" `") for _, name, _, digest, _ in rows}
