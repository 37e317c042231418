"""A piece of a tensor: read, decoded to float32, looked at for what is not a number, and encoded.

A piece is small enough for a core's caches and large enough that calling kernels for it costs little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gguf_py.errors import KQuantsError

from .buffers import Buffers
from .plan import Item, Plan
from .source import Bytes, Floats, Source

PIECE = 1 << 19
"""Weights of a piece; a multiple of every block. A row that is longer is a piece of its own where it cannot be cut."""


@dataclass(frozen=True, slots=True)
class Job:
    """One source, read once for all the tensors made of it, ``step`` weights at a time."""

    source: Source
    items: tuple[Item, ...]

    @property
    def rounded(self) -> bool:
        """Whether the source rounds another one to F16, which is done here then, where the weights are in cache."""
        return self.source.wide is not None and self.source.type.name == "F16"

    @property
    def stored(self) -> Source:
        """What is read."""
        wide = self.source.wide
        return wide if wide is not None and self.rounded else self.source

    @property
    def step(self) -> int:
        """Weights of a piece: whole rows unless the bytes can be read anywhere and no encoder looks at rows."""
        if self.stored.extent is not None and all(item.imatrix is None for item in self.items):
            return PIECE
        columns = max(1, self.source.columns)
        return max(1, PIECE // columns) * columns

    @property
    def weights(self) -> int:
        return self.source.count * self.source.columns


def jobs_of(plan: Plan) -> list[Job]:
    """What there is to do for a plan, in the order of its tensors."""
    shared: dict[int, list[Item]] = {}
    for out in plan.outputs:
        for item in out.items:
            shared.setdefault(id(item.source), []).append(item)
    return [Job(items[0].source, tuple(items)) for items in shared.values()]


def kernels_of(jobs: Iterable[Job]) -> list[Any]:
    """The kernels that jobs run, so that they can be compiled before the work begins."""
    from .recode import kernels

    jobs = list(jobs)
    pairs = {(job.stored.type, item.info.type, item.imatrix is not None) for job in jobs for item in job.items}
    return [*kernels(sorted(pairs, key=str)), *dict.fromkeys(map(_check, jobs))]


def _check(job: Job) -> Any:
    """The kernel that finds the first weight that is not finite."""
    from .finite import EXPONENTS, first_not_finite, first_not_finite_half, round_to_half

    if job.rounded:
        return round_to_half
    return first_not_finite_half if job.stored.type.name in EXPONENTS else first_not_finite


def make(job: Job, lo: int, hi: int, buffers: Buffers, take: Callable[[Item, int, Bytes], None]) -> None:
    """Make weights ``lo`` to ``hi`` of every tensor of a job and hand each to ``take(item, lo, data)``.

    What is handed on stands in ``buffers`` and is gone after that. Raises KQuantsError when a weight is not finite, and
    when the input has become shorter.
    """
    raw = _read(job.stored, lo, hi, buffers)
    floats = _decode(job, raw, lo, hi, buffers)
    for item in job.items:
        kind = item.info.type
        if floats is None or (kind == job.source.type and not job.rounded):
            data: Bytes = raw
        elif kind.name == "F32":
            data = floats.view(np.uint8)
        else:
            data = buffers.get("out", (hi - lo) // kind.block * kind.nbytes, np.uint8)
            _encode(item, lo, floats, data)
        take(item, lo, data)


def _read(source: Source, lo: int, hi: int, buffers: Buffers) -> Bytes:
    kind = source.type
    if source.extent is None:
        rows = source.rows(lo // source.columns, hi // source.columns)
        return np.ascontiguousarray(rows).reshape(-1)
    raw: Bytes = buffers.get("raw", (hi - lo) // kind.block * kind.nbytes, np.uint8)
    source.extent.file.read_into(raw, source.extent.offset + lo // kind.block * kind.nbytes)
    return raw


_INTEGERS = ("I8", "I16", "I32", "I64")


def _decode(job: Job, raw: Bytes, lo: int, hi: int, buffers: Buffers) -> Floats | None:
    """The weights as float32, every one of them finite; None when they were only looked at, to be copied."""
    from .finite import EXPONENTS, first_not_finite, first_not_finite_half, round_to_half
    from .recode import aligned, decode

    kind = job.stored.type
    copied = not job.rounded and all(item.info.type == kind for item in job.items)
    if copied and kind.name in _INTEGERS:
        return None
    at = -1
    early = kind.name in EXPONENTS and not job.rounded  # half as many bytes to look at as when they are decoded
    if early:
        at = int(first_not_finite_half(raw.reshape(1, -1), EXPONENTS[kind.name]))
        if copied and at < 0:
            return None
    floats: Floats
    if kind.name == "F32" and not job.rounded:
        floats = aligned(raw).view(np.float32)
    else:
        floats = buffers.get("floats", hi - lo, np.float32)
        decode(raw, kind, floats)
    if job.rounded:
        at = int(round_to_half(floats.reshape(1, -1)))
    elif not early:
        at = int(first_not_finite(floats.reshape(1, -1)))
    if at >= 0:
        name, shape = job.items[0].info.name, job.source.shape
        place = ", ".join(str(i) for i in np.unravel_index(lo + at, shape or (1,)))
        raise KQuantsError(f"tensor {name!r}: the weight at [{place}] is {floats[at]}, expected a finite number")
    return floats


def _encode(item: Item, lo: int, floats: Floats, out: Bytes) -> None:
    from .recode import encode, encoder, takes_weights

    kind, columns = item.info.type, item.info.columns
    if item.imatrix is None or not takes_weights(kind):
        encode(floats, kind, out)
        return
    kernel: Callable[..., None] = encoder(kind, weighted=True)
    rows, blocks = floats.reshape(-1, columns), out.reshape(-1, kind.row_bytes(columns))
    first = lo // columns
    high = item.info.shape[-2] if len(item.info.shape) > 1 else 1
    while len(rows):  # an importance matrix belongs to one matrix (expert) of the tensor
        matrix, within = divmod(first, high)
        part = min(len(rows), high - within)
        weights = item.imatrix[matrix % len(item.imatrix)]
        kernel(rows[:part], weights, blocks[:part])
        rows, blocks, first = rows[part:], blocks[part:], first + part
