"""Time ``kquants quantize`` on models of 10 million weights and more.

``python -m bench.scaling DIR [TYPE] [MILLIONS ...] [--rounds N]`` writes the models, one at a time, into DIR. They are
F16, 16 tensors of normal weights each; what a weight costs should not depend on how many there are. The table has
medians of the seconds, of the nanoseconds a weight with and without the time that starting takes (that of a model of
4,096 weights), and of processor time; and the peak resident memory.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import gguf_py
from gguf_py.values import Field

from .whole_model import Run, kquants

TENSORS, COLUMNS, ROUNDS = 16, 2048, 3


def model(path: Path, weights: int) -> int:
    """Write a model of about so many weights; returns how many it has."""
    rows = max(1, round(weights / TENSORS / COLUMNS))
    columns = COLUMNS if rows > 1 else 256
    draw = np.random.default_rng(2026).standard_normal((min(rows, 4096), columns), dtype=np.float32) * np.float32(0.02)
    x = np.resize(draw.astype(np.float16), (rows, columns))
    names = [f"blk.{i}.ffn_gate.weight" for i in range(TENSORS)]
    fields = [Field.of("general.architecture", "llama"), Field.of("llama.block_count", TENSORS)]
    gguf_py.write(path, fields, dict.fromkeys(names, ("F16", x.shape, x)))
    return TENSORS * x.size


def main() -> None:
    """Write each model, quantize it, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("type", nargs="?", default="Q4_K_M")
    parser.add_argument("millions", nargs="*", type=float, default=[10, 100, 1000, 4000])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    shown = Table(title=f"F16 to {given.type}, median of {given.rounds}")
    for name in ("weights", "seconds", "ns a weight", "without start", "CPU ns a weight", "peak MB"):
        shown.add_column(name, justify="right")
    start = 0.0
    with tempfile.TemporaryDirectory(dir=given.folder) as scratch:
        source, target = Path(scratch, "in.gguf"), Path(scratch, "out.gguf")
        for size in (4096, *(round(m * 1e6) for m in given.millions)):
            # In a process of its own: a child's peak memory counts from what its parent ever had.
            with ProcessPoolExecutor(1, get_context("spawn")) as writer:
                count = writer.submit(model, source, size).result()
            runs: list[Run] = [kquants("quantize", source, target, given.type)() for _ in range(given.rounds)]
            seconds = statistics.median(run.seconds for run in runs)
            cpu = statistics.median(run.cpu for run in runs)
            start = start or seconds
            each = [f"{s / count * 1e9:.2f}" if size > 4096 else "" for s in (seconds, seconds - start, cpu)]
            shown.add_row(f"{count:,}", f"{seconds:.2f}", *each, f"{max(run.peak for run in runs) / 1e6:.0f}")
    Console(width=110).print(shown)


if __name__ == "__main__":
    main()
