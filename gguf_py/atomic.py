"""Output that is there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from .errors import KQuantsError

_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "no more of the disk may be used, by quota",
    errno.EFBIG: "the file is larger than the file system or a limit allows",
}
_MOST = 1 << 30
_PIECE = 1 << 20
_PAGE = mmap.PAGESIZE
_PART = 1 << 19
"""Bytes that are written at a time: for two megabytes the system may look for a huge page, which can cost more than the
copying does."""


@contextlib.contextmanager
def replacing(
    path: str | os.PathLike[str],
    size: int | None = None,
    *,
    word: str | None = None,
    keep: type[BaseException] | tuple[type[BaseException], ...] = (),
) -> Iterator[int]:
    """Give a file descriptor, for reading and writing, whose file gets the name ``path`` when the block ends well.

    Until then the bytes lie beside it, under a name that ends in ``.partial-`` and a random word; when the block
    raises, that file is removed and whatever ``path`` was before stays. A file that is replaced hands on its
    permissions. With ``size`` the room is reserved first, so that a disk that cannot hold the file is told at once.
    With a ``word`` of the caller's in place of the random one, what an earlier run left under it is opened as it is,
    for the caller to go on with; ``keep`` names the exceptions after which the file stays there.

    Raises KQuantsError when the folder is missing or not writable, when ``path`` is something other than a file, and
    when the disk is full.
    """
    # A link keeps pointing where it pointed, at the new contents.
    final = Path(os.path.realpath(path))
    check_target(path)
    partial = final.with_name(f"{final.name[:200]}.partial-{word or os.urandom(4).hex()}")
    ours = True  # from before it is there: whatever interrupts, it does not stay
    try:
        try:
            handle = _open_partial(partial, word is None)
        except OSError as fault:
            ours = False
            busy = isinstance(fault, BlockingIOError)
            why = "another run is writing it" if busy else (fault.strerror or str(fault)).lower()
            raise KQuantsError(f"cannot write {os.fspath(path)}: {why}") from None
        try:
            if final.exists() and hasattr(os, "fchmod"):
                os.fchmod(handle, stat.S_IMODE(final.stat().st_mode))
            if size is not None:
                _reserve(handle, size)
            yield handle
            os.fsync(handle)
        finally:
            os.close(handle)
        partial.replace(final)
        ours = False
        _sync_folder(final.parent)
    except OSError as fault:
        if fault.errno not in _FULL:
            raise
        needed = f" ({size:,} bytes are needed)" if size is not None else ""
        raise KQuantsError(f"cannot write {os.fspath(path)}: {_FULL[fault.errno]}{needed}") from None
    except keep:
        ours = False
        raise
    finally:
        if ours:
            partial.unlink(missing_ok=True)


def _open_partial(partial: Path, new: bool) -> int:
    """Open the file beside the final one, locked where that is possible; raises BlockingIOError when another has it."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | (os.O_EXCL if new else 0)
    while True:
        handle = os.open(partial, flags, 0o666)
        try:
            _lock(handle)
            if os.path.samestat(os.fstat(handle), partial.stat()):
                return handle
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # whoever had it has finished and given it its name: make another


def _lock(handle: int) -> None:
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return  # a file system without locks


def write_all(handle: int, data: bytes | memoryview, offset: int, *, through: bool = False) -> None:
    """Write all bytes at an offset of the file, however few the system takes at a time; safe from several threads.

    What goes ``through`` sets off to the disk at once and leaves no copy in the system's memory, where the system can
    do that: a large file neither waits for its sync at the end nor pushes out of memory what others read. Only whole
    pages do: one that is written in two parts would have to be read back from the disk for the second.
    """
    rest = memoryview(data).cast("B")
    through = through and bool(_UNCACHED)
    while len(rest):
        size = min(len(rest), _PART)
        if through:
            before = -offset % _PAGE  # what belongs to the page of the bytes before
            size = min(size, before) if before else size - size % _PAGE or size
        whole = through and size % _PAGE == 0
        done = (_write_through if whole else os.pwrite)(handle, rest[:size], offset)
        rest, offset = rest[done:], offset + done


def _uncached() -> int:
    """The flag that Linux has for this, asked for from 6.16 on: where it was new it had faults. Else 0."""
    if sys.platform != "linux" or not hasattr(os, "RWF_SYNC"):
        return 0
    release = re.match(r"(\d+)\.(\d+)", os.uname().release)
    settled = release is not None and (int(release[1]), int(release[2])) >= (6, 16)
    return getattr(os, "RWF_DONTCACHE", 0x80) if settled else 0


_UNCACHED = _uncached()


def _write_through(handle: int, data: memoryview, offset: int) -> int:
    with contextlib.suppress(OSError):  # a file system without it; another fault comes again
        return os.pwritev(handle, [data], offset, _UNCACHED)
    return os.pwrite(handle, data, offset)


def copy_range(source: int, offset: int, handle: int, at: int, size: int, what: str) -> None:
    """Copy bytes from one file descriptor to another, in the kernel where it can.

    File systems that share blocks between files do not even copy. Raises KQuantsError, naming ``what``, when the
    source has become shorter.
    """
    in_kernel = hasattr(os, "copy_file_range")
    while size:
        done = 0
        if in_kernel:
            try:
                done = os.copy_file_range(source, handle, min(size, _MOST), offset, at)
            except OSError:
                in_kernel = False  # two file systems, or one that cannot: read and write, which says what else is wrong
        if not in_kernel:
            piece = os.pread(source, min(size, _PIECE), offset)
            write_all(handle, piece, at, through=True)
            done = len(piece)
        if done == 0:
            raise KQuantsError(f"the input ends in {what}: it has become shorter while it was read")
        offset, at, size = offset + done, at + done, size - done


def check_target(path: str | os.PathLike[str]) -> None:
    """Raise KQuantsError when no file can have this name: its folder is missing, or it is something else already."""
    final = Path(os.path.realpath(path))
    if os.fspath(path) == "-":
        raise KQuantsError("cannot write -: output goes to a file, which is written at any place, and to no pipe")
    try:
        mode = Path(path).stat().st_mode  # not of the real path: that of a pipe, behind /dev/stdout, is none
    except FileNotFoundError:
        if not final.parent.is_dir():
            raise KQuantsError(f"cannot write {os.fspath(path)}: there is no folder {final.parent}") from None
        return
    except OSError as fault:
        raise KQuantsError(f"cannot write {os.fspath(path)}: {(fault.strerror or str(fault)).lower()}") from None
    if not stat.S_ISREG(mode):
        raise KQuantsError(f"cannot write {os.fspath(path)}: it exists and is not a file")


def _reserve(handle: int, size: int) -> None:
    if size and hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(handle, 0, size)
        except OSError as fault:
            if fault.errno in _FULL:
                raise
            os.ftruncate(handle, size)  # a file system that cannot reserve: find out while writing
    else:
        os.ftruncate(handle, size)


def _sync_folder(folder: Path) -> None:
    """Make the new name last; file systems and systems that cannot sync a folder need not."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
