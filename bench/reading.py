"""Time what reads a whole model: ``python -m bench.reading FILE.gguf SOURCE.gguf [--rounds N]``.

``report`` and ``verify``, alone and against the source, and beside them quantizing SOURCE to FILE's type again, which
is what ``verify --source`` does and compares: seconds of the whole process and of its threads together, its peak
memory, and the megabytes of model that it went through in a second, those of SOURCE counted where it is read. FILE is
a quantization of SOURCE without an importance matrix.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

import gguf_py
from kquants.filetypes import file_type

from .whole_model import Run, kquants


def main() -> None:
    """Run everything in turn and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("source", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    file, source = given.file.resolve(), given.source.resolve()
    alone, both = file.stat().st_size, file.stat().st_size + source.stat().st_size
    with tempfile.TemporaryDirectory() as scratch:
        page, again = Path(scratch) / "page.html", Path(scratch) / "again.gguf"
        with gguf_py.open(file) as opened:
            kind = file_type(opened.metadata["general.file_type"]).name
        jobs = {
            "report": (kquants("report", file, "-o", page), alone),
            "report --source": (kquants("report", file, "--source", source, "-o", page), both),
            "verify": (kquants("verify", file), alone),
            "verify --source": (kquants("verify", file, "--source", source), both),
            "quantize": (kquants("quantize", source, again, kind), both - alone),
        }
        runs: dict[str, list[Run]] = {name: [] for name in jobs}
        for _ in range(given.rounds):
            for name, (job, _) in jobs.items():
                runs[name].append(job())
        pages = page.stat().st_size
    shown = Table(title=f"{file.name}, median of {given.rounds}; the page has {pages / 1e6:.2f} MB")
    for column in ("command", "s", "CPU s", "MB of model/s", "peak MB"):
        shown.add_column(column, justify="left" if column == "command" else "right")
    for name, (_, size) in jobs.items():
        seconds = statistics.median(run.seconds for run in runs[name])
        cpu = statistics.median(run.cpu for run in runs[name])
        peak = max(run.peak for run in runs[name])
        shown.add_row(name, f"{seconds:.2f}", f"{cpu:.2f}", f"{size / 1e6 / seconds:,.0f}", f"{peak / 1e6:,.0f}")
    Console(width=100).print(shown)


if __name__ == "__main__":
    main()
