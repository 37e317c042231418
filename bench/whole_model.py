"""Time whole-model ``kquants convert`` and ``kquants quantize`` beside llama.cpp, in turn, on the same threads.

``python -m bench.synthetic DIR`` makes the checkpoint; then, from the repository's root:

    python -m bench.whole_model DIR --converter .../convert_hf_to_gguf.py --converter-python .../bin/python

The quantizer of llama.cpp is the prebuilt library (``python -m tests.reference fetch``, or KQUANTS_REFERENCE). Its
converter is a script of its source distribution and needs a Python with PyTorch; without ``--converter`` those
rows are left out. Every round runs each program once, alternating; the table has medians, ratios, peak resident
memory of the process, and whether the two files are the same bytes. "copy" is reading the input and writing as
many bytes as the output has, synced, in one thread (``bench.plain_copy``). The input is read once before
each of them, so that the system has it in memory for all alike.

kquants is charged for its whole process, from start to the renamed and synced file; llama.cpp's quantizer only for
the call, its converter for its process.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import gguf_py
from gguf_py import Field, ValueType

from . import synthetic

ROOT = Path(__file__).resolve().parent.parent
Command = list[str | Path]
CONVERTED = ("f32", "f16", "bf16", "q8_0", "tq1_0", "tq2_0")
"""What a converter writes by itself, by rules of its own: not what the quantizer makes of its F16 file."""
TYPES = "Q4_K_M,Q5_K_M,Q2_K,Q3_K_M,Q6_K,Q8_0,Q4_0"


@dataclass(frozen=True)
class Run:
    """One process: wall seconds, peak resident bytes, and seconds of all cores together."""

    seconds: float
    peak: int
    cpu: float = 0.0


@dataclass
class Job:
    """The same work by two programs: what it is called, their commands, the files they write, and their runs."""

    name: str
    ours: Callable[[], Run]
    peer: Callable[[], Run] | None
    files: tuple[Path, Path]
    source: Path | None = None
    """The file that a plain copy is to read, if it makes sense to compare with one."""
    copies: list[Run] = field(default_factory=list)
    runs: tuple[list[Run], list[Run]] = field(default_factory=lambda: ([], []))


def run(command: Command, *, timed_inside: bool = False) -> Run:
    """Run a command; with ``timed_inside`` the seconds are the last line it prints."""
    os.sync()  # what an earlier run wrote must not be paid for by this one
    start = time.perf_counter()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen([str(part) for part in command], cwd=ROOT, stdout=out, stderr=err)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            err.seek(0)
            sys.exit(f"{' '.join(map(str, command))} failed:\n{err.read().decode(errors='replace')[-2000:]}")
        if timed_inside:
            out.seek(0)
            seconds = float(out.read().split()[-1])
    return Run(seconds, usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime)


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    state = hashlib.sha256()
    for chunk in chunks(path):
        state.update(chunk)
    return state.hexdigest()


def chunks(path: Path) -> Iterator[bytes]:
    """The bytes of a file, a megabyte at a time."""
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            yield chunk


def kquants(*arguments: str | Path) -> Callable[[], Run]:
    """Run the ``kquants`` command of this Python's environment."""
    return lambda: run([Path(sys.executable).with_name("kquants"), *arguments])


def jobs(checkpoint: Path, scratch: Path, given: argparse.Namespace) -> list[Job]:
    """The jobs in order; every quantization starts from the F16 file that ours converts first."""
    f16 = scratch / "ours-f16.gguf"
    threads = str(given.threads)

    def converted(name: str, outtype: str) -> Job:
        ours, theirs = scratch / f"ours-{outtype}.gguf", scratch / f"peer-{outtype}.gguf"
        script: Command = [
            given.converter_python,
            given.converter,
            checkpoint,
            "--outtype",
            outtype,
            "--outfile",
            theirs,
        ]
        return Job(
            name,
            kquants("convert", checkpoint, "--outtype", outtype, "--outfile", ours, "--threads", threads),
            (lambda: run(script)) if given.converter else None,
            (ours, theirs),
            checkpoint / "model.safetensors",
        )

    def quantized(kind: str, *importance: Path) -> Job:
        name = f"{kind}-imatrix.gguf" if importance else f"{kind}.gguf"
        ours, theirs = scratch / f"ours-{name}", scratch / f"peer-{name}"
        module: Command = [sys.executable, "-m", "bench.llama_quantize", f16, theirs, kind, threads, *importance]
        options: Command = ["--imatrix", *importance] if importance else []
        return Job(
            f"F16 to {kind}" + ", imatrix" * len(importance),
            kquants("quantize", f16, ours, kind, "--threads", threads, *options),
            lambda: run(module, timed_inside=True),
            (ours, theirs),
            f16,
        )

    def one_pass(kind: str) -> Job:
        ours = scratch / f"one-pass-{kind}.gguf"
        peer: Command = [
            given.converter_python,
            given.converter,
            checkpoint,
            "--outtype",
            "f16",
            "--outfile",
            scratch / "two",
        ]
        module: Command = [
            sys.executable,
            "-m",
            "bench.llama_quantize",
            scratch / "two",
            scratch / f"peer-{kind}.gguf",
            kind,
        ]

        def both() -> Run:
            first, second = run(peer), run([*module, threads], timed_inside=True)
            return Run(first.seconds + second.seconds, max(first.peak, second.peak))

        return Job(
            f"checkpoint to {kind}, one pass",
            kquants("convert", checkpoint, "--outtype", kind.lower(), "--outfile", ours, "--threads", threads),
            both if given.converter else None,
            (ours, scratch / f"peer-{kind}.gguf"),
        )

    kinds = given.types.split(",")
    matrix = scratch / "imatrix.gguf"
    importance(matrix)
    weighted = [quantized(kind, matrix) for kind in given.imatrix_types.split(",") if kind]
    both = [one_pass(kind) for kind in kinds if kind.lower() not in CONVERTED][:1]
    return [converted("checkpoint to F16", "f16"), *map(quantized, kinds), *weighted, *both]


def importance(path: Path) -> None:
    """An importance matrix for the matrices of the synthetic model, as ``llama-imatrix`` would measure one."""
    tensors: dict[str, tuple[str, tuple[int, ...], np.ndarray]] = {}
    names = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    for name in [f"blk.{i}.{part}.weight" for i in range(22) for part in names] + ["output.weight"]:
        columns = synthetic.INNER if "ffn_down" in name else synthetic.HIDDEN
        sums = np.random.default_rng(zlib.crc32(name.encode())).lognormal(0, 1, (1, columns)).astype(np.float32)
        tensors[f"{name}.in_sum2"] = ("F32", sums.shape, sums)
        tensors[f"{name}.counts"] = ("F32", (1, 1), np.ones((1, 1), np.float32))
    fields = [
        Field.of("general.type", "imatrix"),
        Field.of("imatrix.datasets", ["drawn at random"]),
        Field.of("imatrix.chunk_count", 1, ValueType.UINT32),
        Field.of("imatrix.chunk_size", 512, ValueType.UINT32),
    ]
    gguf_py.write(path, fields, tensors)


def plain_copy(source: Path, target: Path, size: int) -> Run:
    """Read a file and write so many bytes."""
    return run([sys.executable, "-m", "bench.plain_copy", source, target, str(size)], timed_inside=True)


def table(done: Sequence[Job], threads: int, rounds: int) -> Table:
    """Medians, ratios and peak memory of every job."""
    shown = Table(title=f"{platform.machine()}, {threads} threads, median of {rounds}")
    shown.add_column("work")
    for name in ("llama.cpp s", "kquants s", "times", "copy s", "llama.cpp MB", "kquants MB", "same bytes"):
        shown.add_column(name, justify="right")
    for job in done:
        ours, peer = (statistics.median(r.seconds for r in runs) if runs else None for runs in job.runs)
        peaks = [f"{max(r.peak for r in runs) / 1e6:.0f}" if runs else "" for runs in job.runs]
        same = "" if peer is None else "yes" if digest(job.files[0]) == digest(job.files[1]) else "NO"
        seconds = ["" if s is None else f"{s:.2f}" for s in (peer, ours)]
        ratio = f"{peer / ours:.1f}" if peer is not None and ours is not None else ""
        copy = f"{statistics.median(r.seconds for r in job.copies):.2f}" if job.copies else ""
        shown.add_row(job.name, *seconds, ratio, copy, peaks[1], peaks[0], same)
    return shown


def main() -> None:
    """Parse, run the rounds, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="folder made by bench/synthetic.py")
    parser.add_argument("--converter", type=Path, help="llama.cpp's convert_hf_to_gguf.py")
    parser.add_argument("--converter-python", type=Path, default=sys.executable, help="a Python with PyTorch to run it")
    parser.add_argument(
        "--types",
        default=TYPES,
        help=f"file types, one also in one pass (default: {TYPES})",
    )
    parser.add_argument("--imatrix-types", default="Q4_K_M,Q2_K", help="file types with an importance matrix")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scratch", type=Path, help="where the files go (default: beside the checkpoint)")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # leave no gigabytes behind
    checkpoint = given.checkpoint.resolve()
    scratch = Path(tempfile.mkdtemp(prefix="kquants-bench-", dir=given.scratch or checkpoint.parent))
    console = Console(stderr=True)
    try:
        todo = jobs(checkpoint, scratch, given)
        for number in range(given.rounds):
            for job in todo:
                for program, runs in zip((job.ours, job.peer), job.runs, strict=True):
                    if program:
                        deque(chunks(job.source) if job.source else (), maxlen=0)
                        runs.append(program())
                        who, last = "kquants" if runs is job.runs[0] else "llama.cpp", runs[-1]
                        console.print(
                            f"round {number + 1}: {job.name}: {who} {last.seconds:.2f} s ({last.cpu:.2f} s of cores)"
                        )
                if job.source is not None:
                    job.copies.append(plain_copy(job.source, scratch / "copy", job.files[0].stat().st_size))
        Console(width=110).print(table(todo, given.threads, given.rounds))
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
