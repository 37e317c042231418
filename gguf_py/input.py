"""Bytes of a file, read where and when they are wanted.

Reading, unlike looking at a file that is mapped into memory, can fail in words: a file that shrinks meanwhile, or a
disk that cannot read it, would end the process with a bus error there.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import stat
import struct
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .errors import KQuantsError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class InputFile:
    """A file that is read at offsets, from several threads at once; closed when nobody holds it any more."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open ``path``; raises KQuantsError when that fails."""
        self.path = os.fspath(path)
        self._lock = threading.Lock()
        self._map: mmap.mmap | None = None
        try:
            mode = os.stat(self.path).st_mode  # noqa: PTH116 - of the name as it is: Path("") would be this folder
            if stat.S_ISDIR(mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if not stat.S_ISREG(mode):  # a pipe that nobody writes to would never open
                raise KQuantsError(f"cannot open {self.path}: it is no regular file, which could be read at any place")
            self.handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
        except OSError as fault:
            raise KQuantsError(f"cannot open {self.path}: {(fault.strerror or str(fault)).lower()}") from None
        self.size = os.fstat(self.handle).st_size
        """In bytes, when it was opened."""

    def __del__(self) -> None:
        if hasattr(self, "handle"):
            os.close(self.handle)

    def identity(self) -> str:
        """What tells the file from others and from itself after a change: place, size and time."""
        found = os.fstat(self.handle)
        return f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}"

    def read_into(self, out: NDArray[np.uint8] | memoryview, offset: int) -> None:
        """Fill uint8[n] from ``offset``; raises KQuantsError when the file has become shorter or cannot be read."""
        rest = out if isinstance(out, memoryview) else out.data
        while len(rest):
            try:
                got = self._read(rest, offset)
            except OSError as fault:
                raise self._unreadable(fault) from None
            if got == 0:
                raise self.shrunk(offset + len(rest))
            rest, offset = rest[got:], offset + got

    def expect(self, offset: int, size: int) -> None:
        """Say that these bytes are wanted soon, so that the system fetches them meanwhile, where it can be told."""
        if hasattr(os, "posix_fadvise") and offset < self.size:
            with contextlib.suppress(OSError):  # a file system without it
                os.posix_fadvise(self.handle, offset, size, os.POSIX_FADV_WILLNEED)

    def first(self, count: int) -> bytes:
        """So many bytes from the beginning, in memory that nobody has filled before; raises what ``read_into`` does."""
        pieces, have = [b""], 0
        while have < count:
            try:
                pieces.append(self._piece(count - have, have))
            except OSError as fault:
                raise self._unreadable(fault) from None
            if not pieces[-1]:
                raise self.shrunk(count)
            have += len(pieces[-1])
        return pieces[-1] if len(pieces) == 2 else b"".join(pieces)

    def _read(self, out: memoryview, offset: int) -> int:
        if sys.platform != "win32":
            return os.preadv(self.handle, [out], offset)
        piece = self._piece(len(out), offset)
        out[: len(piece)] = piece
        return len(piece)

    def _piece(self, count: int, offset: int) -> bytes:
        if sys.platform != "win32":
            return os.pread(self.handle, count, offset)
        with self._lock:
            os.lseek(self.handle, offset, os.SEEK_SET)
            return os.read(self.handle, count)

    def _unreadable(self, fault: OSError) -> KQuantsError:
        return KQuantsError(f"cannot read {self.path}: {(fault.strerror or str(fault)).lower()}")

    def mapped(self) -> mmap.mmap:
        """The file in memory, read-only; raises KQuantsError when it has become shorter than it was."""
        with self._lock:
            if self._map is None:
                try:
                    self._map = mmap.mmap(self.handle, self.size, access=mmap.ACCESS_READ)
                except ValueError:  # the length is more than there is
                    raise self.shrunk(self.size) from None
            return self._map

    def shrunk(self, end: int) -> KQuantsError:
        """What to raise when the bytes before ``end`` are not all there any more."""
        size = os.fstat(self.handle).st_size
        return KQuantsError(
            f"{self.path}: the file ends at byte {size:,}, before byte {end:,} that its header speaks of: "
            "it has become shorter while it was read"
        )


class Head:
    """The first bytes of a file; those behind them come when they are wanted."""

    __slots__ = ("_fetch", "data", "size")

    def __init__(self, data: memoryview, size: int | None = None, fetch: Callable[[int], Any] | None = None) -> None:
        """Begin with ``data``, of a file of ``size`` bytes; ``fetch(end)`` gives all bytes before ``end``, or more."""
        self.data, self.size, self._fetch = data, len(data) if size is None else size, fetch

    def want(self, end: int) -> memoryview:
        """The bytes from the first one to ``end`` and maybe more; raises struct.error(end) where there are fewer."""
        if end > len(self.data):
            if end > self.size or self._fetch is None:
                raise struct.error(end)
            self.data = memoryview(self._fetch(end))
        return self.data


def head_of(file: InputFile, first: int = 1 << 16) -> Head:
    """The beginning of a file, each time at least four times as long, so that a long header is read in few steps."""

    def fetch(end: int) -> bytes:  # what is there is read again: keeping it would cost more
        return file.first(min(file.size, max(end, first, 4 * len(head.data))))

    head = Head(memoryview(b""), file.size, fetch)
    return head
