"""Time every block codec beside ggml's C and the Python package ``gguf``, one thread each, in turn.

    python -m bench.codecs [TYPE ...]

Figures are million weights a second of processor time, medians of the rounds; ``x C`` and ``x gguf`` are ratios, above
1 where kquants is faster. ``copy`` says how near the bytes that were read and written come to NumPy copying an array of
the same weights as float32: 1 is as fast as a copy. Encoders that take an importance matrix are also timed with one.
"""

from __future__ import annotations

import functools
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import gguf
import numpy as np

import kquants
from gguf_py.types import TENSOR_TYPES, TensorType
from kquants.codecs import codec
from tests.reference import Ggml, ggml_library

ROUNDS = 7
COLUMNS = 4096
WEIGHTS = 1 << 20
SLOW = ("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S")
"""Types that take ggml a second a million weights and more: they get fewer."""
NOT_IN_C = ("F32", "F64", "I8", "I16", "I32", "I64")
"""Types of which ggml has no conversion to time; nor has the package ``gguf`` more than a view of F32."""

Job = Callable[[], Any] | None


def in_turn(*jobs: Job) -> list[float | None]:
    """Median seconds of each job, run in turn; each is repeated within a round until it takes 10 ms."""
    present = [job for job in jobs if job is not None]
    repeats = [max(1, min(100, round(0.01 / max(1e-6, _seconds(job, 2))))) for job in present]
    rounds = [[_seconds(job, n) for job, n in zip(present, repeats, strict=True)] for _ in range(ROUNDS)]
    medians = iter([statistics.median(column) for column in zip(*rounds, strict=True)])
    return [None if job is None else next(medians) for job in jobs]


def _seconds(job: Callable[[], Any], repeats: int) -> float:
    begin = time.thread_time()
    for _ in range(repeats):
        job()
    return (time.thread_time() - begin) / repeats


def gguf_job(work: Callable[..., Any], data: np.ndarray[Any, Any], kind: TensorType) -> Job:
    """What the package ``gguf`` does for this type, if it does it."""

    def job() -> Any:
        return work(data, gguf.GGMLQuantizationType(kind.id))

    try:
        job()
    except (NotImplementedError, ValueError, KeyError):
        return None
    return job


def show(label: str, weights: int, moved: int, copy: float, ours: float, c: float | None, numpy: float | None) -> None:
    """One line: our speed, theirs, the ratios and the bytes moved against a copy."""
    speed = [f"{weights / t / 1e6:9.1f}" if t else f"{'':9}" for t in (ours, c, numpy)]
    ratio = [f"{t / ours:7.1f}" if t else f"{'':7}" for t in (c, numpy)]
    print(f"{label:20}{speed[0]}{speed[1]}{ratio[0]}{speed[2]}{ratio[1]}{moved / ours / copy:8.2f}", flush=True)


def main(names: list[str]) -> None:
    """Time the named types, or all, and print a table."""
    library = ggml_library()
    ggml = Ggml(library) if library else None
    rng = np.random.default_rng(0)
    x = rng.standard_normal((WEIGHTS // COLUMNS, COLUMNS), np.float32) * np.float32(0.02)
    importance = rng.lognormal(0, 2, COLUMNS).astype(np.float32)
    target = np.empty_like(x)
    (seconds,) = in_turn(lambda: np.copyto(target, x))
    copy = 2 * x.nbytes / (seconds or 1)
    print(f"one thread, {WEIGHTS / 1e6:.1f} million weights, normal; a copy moves {copy / 1e9:.1f} GB/s\n")
    print(f"{'':20}{'kquants':>9}{'C':>9}{'x C':>7}{'gguf':>9}{'x gguf':>7}{'copy':>8}")
    for kind in TENSOR_TYPES.values():
        if names and kind.name not in names:
            continue
        part = x[: len(x) // 8] if kind.name in SLOW else x
        _time(kind, codec(kind), ggml, part, importance, copy)


def _time(kind: TensorType, module: Any, ggml: Ggml | None, x: Any, importance: Any, copy: float) -> None:
    count, name = x.size, kind.name
    row = (len(x), kind.row_bytes(COLUMNS))
    by_block = x.reshape(-1, kind.block)
    out = np.empty(row, np.uint8)
    again = np.empty(row, np.uint8)
    flat = out.reshape(-1, kind.nbytes)
    moved = x.nbytes + out.nbytes
    in_c = name not in NOT_IN_C
    for label, encode, weights in (
        ("encode", getattr(module, "encode", None), None),
        ("encode, imatrix", getattr(module, "encode_weighted", None), importance),
    ):
        if encode is None:
            continue
        given = (by_block, flat) if weights is None else (x, weights, out)
        ours = functools.partial(encode, *given)
        theirs: Job = functools.partial(ggml.quantize, x, name, weights, again) if ggml and in_c else None
        numpy = gguf_job(gguf.quants.quantize, x, kind) if weights is None and name != "F32" else None
        mine, c, slow = in_turn(ours, theirs, numpy)
        show(f"{name} {label}", count, moved, copy, mine or 1, c, slow)
    blocks = _blocks(name, x, importance, out)
    if blocks is None or not hasattr(module, "decode"):
        return
    back = np.empty_like(x).reshape(-1, kind.block)
    ours = functools.partial(module.decode, blocks.reshape(-1, kind.nbytes), back)
    theirs = functools.partial(ggml.dequantize, blocks, name, np.empty_like(x)) if ggml and in_c else None
    numpy = gguf_job(gguf.quants.dequantize, blocks, kind) if name != "F32" else None
    mine, c, slow = in_turn(ours, None if name == "Q8_1" else theirs, numpy)
    show(f"{name} decode", count, moved, copy, mine or 1, c, slow)


def _blocks(name: str, x: Any, importance: Any, out: Any) -> Any:
    try:
        return kquants.quantize(x, name, importance)
    except kquants.KQuantsError:  # numbers that are not encoded, only read
        return np.zeros_like(out)


if __name__ == "__main__":
    main([name.upper() for name in sys.argv[1:]])
