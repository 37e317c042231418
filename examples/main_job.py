"""The main job, end to end, on the small real model that the repository carries.

``python examples/main_job.py [OUT_DIR]`` runs ``kquants convert`` (checkpoint to F16), ``kquants quantize`` (F16 to
Q4_K_M) and ``kquants inspect`` as a user would, then compares the two files with the SHA-256 of what llama.cpp
v0.5.0 writes. Exit status 0 when both are the same bytes, 1 when not.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.panel import Panel
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "fixtures" / "tiny-speeches-5m"
REFERENCE = ROOT / "fixtures" / "tiny-speeches-5m.REFERENCE.md"


@dataclass(frozen=True)
class Made:
    """A file that one command wrote: its reference's name, and how long the command took."""

    path: Path
    reference: str
    seconds: float


def expected() -> dict[str, str]:
    """SHA-256 of each reference file, by name, from the table in the fixture's page."""
    rows = (line.split("|") for line in REFERENCE.read_text().splitlines() if line.startswith("| `"))
    return {name.strip(" `"): digest.strip(" `") for _, name, _, digest, _ in rows}


def kquants(console: Console, *arguments: str | Path) -> float:
    """Show a command, run it on this terminal, and return its seconds; ends this program when it fails."""
    shown = [os.path.relpath(a) if isinstance(a, Path) else a for a in arguments]
    console.print(f"\n[bold]$ kquants {shlex.join(shown)}[/]", highlight=False, soft_wrap=True)
    start = time.perf_counter()
    done = subprocess.run([Path(sys.executable).with_name("kquants"), *arguments], check=False)
    if done.returncode:
        sys.exit(done.returncode)
    return time.perf_counter() - start


def summary(made: list[Made]) -> tuple[Panel, bool]:
    """What was made, and whether every file is the reference, bit for bit."""
    digests = expected()
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("file", overflow="fold")
    for name in ("size", "seconds"):
        table.add_column(name, justify="right")
    table.add_column("SHA-256", no_wrap=True)
    table.add_column("llama.cpp's bytes")
    same = True
    for file in made:
        digest = hashlib.sha256(file.path.read_bytes()).hexdigest()
        equal = digest == digests[file.reference]
        same = same and equal
        verdict = "[green]yes[/]" if equal else f"[red]no, expected {digests[file.reference][:12]}…[/]"
        size = f"{file.path.stat().st_size / 1e6:.2f} MB"
        name = file.path.stem.removeprefix("tiny-speeches-5m-")
        table.add_row(name, size, f"{file.seconds:.1f}", f"{digest[:12]}…", verdict)
    title = "Same bytes as llama.cpp v0.5.0" if same else "These are not llama.cpp's bytes"
    return Panel(table, title=title, border_style="green" if same else "red", expand=False), same


def main() -> None:
    """Run the three commands and say what came out."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "out").resolve()
    out.mkdir(parents=True, exist_ok=True)
    f16, q4 = out / "tiny-speeches-5m-F16.gguf", out / "tiny-speeches-5m-Q4_K_M.gguf"
    console = Console()
    console.print("A checkpoint of 5 million weights becomes F16, then Q4_K_M.")
    console.print("[dim]The first run after installation compiles the kernels; later runs load them from a cache.[/]")
    made = [Made(f16, "tiny-f16.gguf", kquants(console, "convert", MODEL, "--outtype", "f16", "--outfile", f16))]
    made.append(Made(q4, "tiny-f16.Q4_K_M.gguf", kquants(console, "quantize", f16, q4, "Q4_K_M")))
    kquants(console, "inspect", q4)
    panel, same = summary(made)
    console.print()
    console.print(panel)
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
