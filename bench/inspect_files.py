"""Time ``kquants inspect`` beside ``gguf-dump`` of the Python package ``gguf``, whole processes, in turn.

    python -m bench.inspect_files [FILE ...]

Without files, the largest vocabularies that ``python -m tests.files fetch`` brought. ``pip install gguf`` brings
gguf-dump. The table has medians of the rounds; of the largest, with half a million merges, gguf-dump takes minutes.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.files import real_files

ROUNDS = 3


def _seconds(tool: str, path: Path) -> float:
    command = Path(sys.executable).with_name(tool)
    begin = time.perf_counter()
    arguments = ["inspect", path] if tool == "kquants" else [path]
    subprocess.run([command, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begin


def main() -> None:
    """Time each file and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    given = parser.parse_args().files
    if not Path(sys.executable).with_name("gguf-dump").exists():
        parser.error("gguf-dump is not beside this Python: pip install gguf")
    files = given or [p for p in real_files() if p.name in ("ggml-vocab-qwen35.gguf", "ggml-vocab-gemma-4.gguf")]
    table = Table("file", "MB", "kquants inspect, s", "gguf-dump, s", "ratio")
    for path in files:
        rounds = [(_seconds("kquants", path), _seconds("gguf-dump", path)) for _ in range(ROUNDS)]
        ours, theirs = (statistics.median(column) for column in zip(*rounds, strict=True))
        table.add_row(
            path.name, f"{path.stat().st_size / 1e6:.1f}", f"{ours:.3f}", f"{theirs:.2f}", f"{theirs / ours:.0f}"
        )
    Console().print(table)


if __name__ == "__main__":
    main()
