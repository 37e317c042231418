"""A piece of a tensor: read, looked at for what is not a number, and encoded (see ``recode``).

A piece is small enough for a processor's cache and large enough that calling kernels for it costs little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gguf_py.errors import KQuantsError
from gguf_py.types import tensor_type

from .buffers import Buffers
from .plan import Item, Plan
from .source import Bytes, Source

PIECE = 1 << 20
"""Weights of a piece; a multiple of every block. A row that is longer is a piece of its own where it cannot be cut."""
AHEAD = 1 << 24
"""Bytes before which the disk is asked for what comes next, so that threads need not wait for it."""


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
    from .finite import kernels as finders
    from .recode import kernels

    pairs, copied = set(), set()
    for job in jobs:
        for item in job.items:
            if _copied(job, item):
                copied.add(job.stored.type)
            else:
                pairs.add((job.stored.type, item.info.type, item.imatrix is not None))
    return [*kernels(sorted(pairs, key=str)), *finders(sorted(copied, key=str))]


def _copied(job: Job, item: Item) -> bool:
    return item.info.type == job.source.type and not job.rounded


def make(job: Job, lo: int, hi: int, buffers: Buffers, take: Callable[[Item, int, Bytes], None]) -> None:
    """Make weights ``lo`` to ``hi`` of every tensor of a job and hand each to ``take(item, lo, data)``.

    What is handed on stands in ``buffers`` and is gone after that. Raises KQuantsError when a weight is not finite, and
    when the input has become shorter.
    """
    from .finite import first_weight_not_finite

    raw = _read(job.stored, lo, hi, buffers)
    for item in job.items:
        kind = item.info.type
        if _copied(job, item):
            data, at = raw, first_weight_not_finite(raw.reshape(-1, kind.nbytes), kind)
        else:
            data = buffers.get("out", (hi - lo) // kind.block * kind.nbytes, np.uint8)
            at = _recode(job, item, lo, raw, data)
        if at >= 0:
            place = ", ".join(str(i) for i in np.unravel_index(lo + at, job.source.shape or (1,)))
            found = _weight(job, raw, at)
            raise KQuantsError(
                f"tensor {item.info.name!r}: the weight at [{place}] is {found}, expected a finite number"
            )
        take(item, lo, data)


def _read(source: Source, lo: int, hi: int, buffers: Buffers) -> Bytes:
    kind = source.type
    if source.extent is None:
        rows = source.rows(lo // source.columns, hi // source.columns)
        return np.ascontiguousarray(rows).reshape(-1)
    raw: Bytes = buffers.get("raw", (hi - lo) // kind.block * kind.nbytes, np.uint8)
    at = source.extent.offset + lo // kind.block * kind.nbytes
    source.extent.file.expect(at + AHEAD, len(raw))
    source.extent.file.read_into(raw, at)
    return raw


def _recode(job: Job, item: Item, lo: int, raw: Bytes, out: Bytes) -> int:
    """Encode a piece for an item; the index of the first weight that is not finite, or -1."""
    from .recode import recode, takes_weights

    source, target, columns = job.stored.type, item.info.type, item.info.columns
    if item.imatrix is None or not takes_weights(target):
        return recode(raw, source, out, target, half=job.rounded)
    rows, blocks = raw.reshape(-1, source.row_bytes(columns)), out.reshape(-1, target.row_bytes(columns))
    first = lo // columns
    high = item.info.shape[-2] if len(item.info.shape) > 1 else 1
    done = 0
    while done < len(rows):  # an importance matrix belongs to one matrix (expert) of the tensor
        matrix, within = divmod(first + done, high)
        part = slice(done, done + high - within)
        weights = item.imatrix[matrix % len(item.imatrix)]
        at = recode(rows[part].reshape(-1), source, blocks[part].reshape(-1), target, weights, half=job.rounded)
        if at >= 0:
            return done * columns + at
        done = part.stop
    return -1


def _weight(job: Job, raw: Bytes, at: int) -> np.float32:
    """One of the weights of a piece."""
    from .recode import convert_rows

    kind = job.stored.type
    blocks = raw.reshape(-1, kind.nbytes)[at // kind.block :][:1]
    for step in ("F16", "F32") if job.rounded else ("F32",):
        blocks, kind = convert_rows(blocks, kind, tensor_type(step)), tensor_type(step)
    weight: np.float32 = blocks.view(np.float32)[0, at % job.stored.type.block]
    return weight
