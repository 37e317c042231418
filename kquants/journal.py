"""How far a run is, kept in the file it writes, so that it can go on after it was interrupted.

While a file is not whole its header is missing, and a record stands in its place: a mark, the plan's digest, and how
many pieces from the first on are on disk for certain.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Event, Thread

from gguf_py.atomic import write_all

from .plan import Plan

_RECORD = struct.Struct("<8s32sQ")
SIZE = _RECORD.size
"""Bytes of a record at the start of a file."""
_MARK = b"KQUANTS\n"
_EVERY = 0.5
"""Seconds between records, and between syncs: the shorter, the less is left for the sync at the end."""


def digest(plan: Plan, piece: int) -> str | None:
    """What tells a plan from any other: what it writes, and what it reads, by time and size; None when that is unknown.

    The importance matrices count with their values, and the weights of a piece, in which the record counts.
    """
    state = hashlib.sha256(f"{piece}\n{plan.origin}\n".encode())
    known: dict[int, str] = {}
    for out in plan.outputs:
        if len(out.layout.header) < SIZE:
            return None
        state.update(os.fsencode(os.path.realpath(out.path)) + b"\0" + hashlib.sha256(out.layout.header).digest())
        for item in out.items:
            extent = item.source.extent
            if extent is not None:
                if id(extent.file) not in known:
                    known[id(extent.file)] = extent.file.identity()
                state.update(f"{known[id(extent.file)]} {extent.offset} {item.source.type}\n".encode())
            elif plan.origin is None:
                return None
            if item.imatrix is not None:
                state.update(item.imatrix.tobytes())
    return state.hexdigest()


def finished(handles: Sequence[int], word: str) -> int:
    """How many pieces an interrupted run of the same plan has done, by the records in its files."""
    counts = []
    for handle in handles:
        data = os.pread(handle, SIZE, 0)
        mark, found, count = _RECORD.unpack(data) if len(data) == SIZE else (b"", b"", 0)
        counts.append(count if mark == _MARK and found == bytes.fromhex(word) else 0)
    return min(counts, default=0)


@contextmanager
def keeping(handles: Sequence[int], word: str | None, done: Callable[[], int]) -> Iterator[None]:
    """Sync the files again and again while the block runs, so that writing is spread over the run.

    With a digest, a record follows the data it speaks of; ``done`` tells how many pieces are written. Raises the
    OSError of a sync that failed.
    """
    stop = Event()

    def record(count: int) -> None:
        if word is not None:
            for handle in handles:
                write_all(handle, _RECORD.pack(_MARK, bytes.fromhex(word), count), 0)

    def keep() -> None:
        try:
            while not stop.wait(_EVERY):
                count = done()
                for handle in handles:
                    getattr(os, "fdatasync", os.fsync)(handle)
                record(count)
        except OSError as fault:  # told to one sync alone: the last one would know nothing of it
            faults.append(fault)

    faults: list[OSError] = []
    record(done())
    keeper = Thread(target=keep, name="kquants-journal", daemon=True)
    try:
        keeper.start()
        yield
    finally:
        stop.set()
        with suppress(RuntimeError):  # interrupted while it began: it finds that it is to stop
            keeper.join()
    if faults:
        raise faults[0]
