"""The one executor: pieces of tensors through a thread pool, in bounded memory, to files that are whole or not there.

One thread makes a piece (see ``pieces``) and writes it where the plan says; the kernels, the reading and the writing
all release the GIL, so the threads overlap. What is written does not depend on how many there are.
"""

from __future__ import annotations

import itertools
import time
from bisect import bisect_right
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from threading import Lock, Thread
from typing import Protocol

from gguf_py.atomic import replacing, write_all
from gguf_py.errors import KQuantsError

from . import journal, pieces
from .arrays import cores
from .buffers import Buffers
from .pieces import Job, jobs_of, kernels_of, make
from .plan import Item, Plan
from .source import Bytes, Source


class Progress(Protocol):
    """Who is told how far a run is; called from the thread that called ``execute``, about ten times a second."""

    def note(self, text: str) -> None:
        """Something takes its time or is worth knowing."""

    def advance(self, weights: int, total: int, tensor: str) -> None:
        """``weights`` of ``total`` are done; ``tensor`` is in work."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did."""

    seconds: float
    weights: int
    """Weights that were read."""
    read: int
    """Bytes of tensors that were read."""
    written: int
    """Bytes of the files."""
    skipped: int = 0
    """Weights that an interrupted run had done before."""


def execute(
    plan: Plan, *, threads: int | None = None, progress: Progress | None = None, resume: bool = False
) -> Summary:
    """Write the files of a plan; none of them has its name before all are whole.

    ``threads`` defaults to the cores this process may use. With ``resume`` an interrupted run (killed, or stopped by
    Ctrl-C when it was itself asked to resume) goes on where it stopped, if its inputs are what they were.

    Raises KQuantsError when a tensor holds NaN or infinity, naming the first, when an input has become shorter, and
    when an output cannot be written.
    """
    if progress is not None:
        compile_kernels(plan, progress)
    start = time.perf_counter()
    word = journal.digest(plan, pieces.PIECE)
    keep = KeyboardInterrupt if resume else ()
    with ExitStack() as files:
        handles = [
            files.enter_context(replacing(out.path, out.layout.size, word=word and word[:8], keep=keep))
            for out in plan.outputs
        ]
        places = {
            id(item): (handle, offset, out.turned)
            for handle, out in zip(handles, plan.outputs, strict=True)
            for item, offset in zip(out.items, out.layout.offsets, strict=True)
        }

        def write(item: Item, lo: int, data: Bytes) -> None:
            handle, offset, turned = places[id(item)]
            data = data if turned is None else turned(item.info.type, data)
            write_all(handle, data.data, offset + lo // item.info.type.block * item.info.type.nbytes, through=True)

        work = _Work(jobs_of(plan), write)
        skipped = work.skip(journal.finished(handles, word) if resume and word is not None else 0)
        with journal.keeping(handles, word, work.finished):
            _run(work, threads, progress)
        # The headers come last, where the record stands last of all: what an interrupted run leaves is no GGUF file.
        for at, upto in ((journal.SIZE, None), (0, journal.SIZE)):
            for handle, out in zip(handles, plan.outputs, strict=True):
                write_all(handle, out.layout.header[at:upto], at)
    nbytes = sum(job.stored.count * job.stored.row_bytes for job in work.jobs)
    return Summary(time.perf_counter() - start, work.total, nbytes, plan.size, skipped)


def derive(
    plan: Plan,
    take: Callable[[Item, int, Bytes], None],
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> list[Source]:
    """Make every tensor of a plan, piece by piece, and hand the pieces on; returns the sources that were read.

    ``take(item, lo, data)`` gets the bytes of a piece whose first weight is ``lo``; it is called from several threads,
    may see the pieces in any order, and must not keep ``data``. Raises as ``execute`` does, and what ``take`` raises.
    """
    work = _Work(jobs_of(plan), take)
    _run(work, threads, progress)
    return [job.source for job in work.jobs]


def compile_kernels(plan: Plan, progress: Progress) -> None:
    """Compile what the plan needs and no earlier run has compiled, saying so because it takes seconds."""
    from .jit import missing

    todo = missing(kernels_of(jobs_of(plan)))
    if todo:
        progress.note(f"compiling {len(todo)} {'kernels' if len(todo) > 1 else 'kernel'} for this processor, once")
        for kernel in todo:
            kernel.compile()
        if not all(kernel.kept() for kernel in todo):
            progress.note("they cannot be kept, and the next run compiles them again: NUMBA_CACHE_DIR names a folder")


@dataclass
class _Work:
    """The pieces of all jobs, counted through; threads take them in order."""

    jobs: list[Job]
    take: Callable[[Item, int, Bytes], None]
    done: int = 0
    """Weights."""
    current: str = ""
    stop: bool = False
    faults: list[tuple[int, BaseException]] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        pieces = [-(-job.weights // job.step) for job in self.jobs]
        self.ends = list(itertools.accumulate(pieces))
        self.turn = itertools.count()

        self._next = 0
        self._ahead: set[int] = set()

    @property
    def pieces(self) -> int:
        return self.ends[-1] if self.ends else 0

    def skip(self, pieces: int) -> int:
        """Leave out the first pieces, which are done already; returns how many weights they have."""
        self._next = min(pieces, self.pieces)
        self.turn = itertools.count(self._next)
        if 0 < self._next < self.pieces:
            job, lo, _ = self.piece(self._next)
            self.done = lo + sum(j.weights for j in self.jobs[: self.jobs.index(job)])
        elif self._next:
            self.done = self.total
        return self.done

    def finish(self, index: int, weights: int) -> None:
        """A piece is done."""
        with self.lock:
            self.done += weights
            self._ahead.add(index)
            while self._next in self._ahead:
                self._ahead.remove(self._next)
                self._next += 1

    def finished(self) -> int:
        """How many pieces from the first on are done without a gap."""
        return self._next

    @property
    def total(self) -> int:
        return sum(job.weights for job in self.jobs)

    def piece(self, index: int) -> tuple[Job, int, int]:
        """A job and the first and last of the weights to do."""
        at = bisect_right(self.ends, index)
        job = self.jobs[at]
        lo = (index - (self.ends[at - 1] if at else 0)) * job.step
        return job, lo, min(job.weights, lo + job.step)


def _run(work: _Work, threads: int | None, progress: Progress | None) -> None:
    if threads is not None and threads < 1:
        raise KQuantsError(f"{threads} threads were asked for, expected at least 1")
    workers = max(1, min(threads or cores(), work.pieces))
    pool = [Thread(target=_take_turns, args=(work,), name=f"kquants_{i}") for i in range(workers)]
    try:  # from before the first thread begins: whatever interrupts, they stop
        for thread in pool:
            try:
                thread.start()
            except RuntimeError:  # the system gives no more: those that run do all the work
                if thread is pool[0]:
                    raise
                break
        for thread in pool:
            while thread.is_alive():
                thread.join(0.1)
                if progress is not None:
                    progress.advance(work.done, work.total, work.current)
    finally:
        work.stop = True
        for thread in pool:
            if thread.ident is not None:
                thread.join()
    if work.faults:
        raise min(work.faults, key=lambda fault: fault[0])[1]


def _take_turns(work: _Work) -> None:
    """Do pieces until there are none left; a fault ends the run when the pieces before it are done."""
    buffers = Buffers()
    while not work.stop and (index := next(work.turn)) < work.pieces:
        job, lo, hi = work.piece(index)
        work.current = job.items[0].info.name
        try:
            make(job, lo, hi, buffers, work.take)
        except BaseException as fault:
            work.faults.append((index, fault))
            work.stop = True
            return
        work.finish(index, hi - lo)
