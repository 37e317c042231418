"""Look into files on a web server: the header comes by ranges, the weights stay where they are."""

from __future__ import annotations

import re
import time
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPResponse
from urllib.parse import urlsplit, urlunsplit

from .errors import KQuantsError
from .file import GGUFFile
from .input import Head
from .reader import parse
from .shards import ShardSet, gather

_FIRST = 1 << 20
"""Bytes asked for at first; what a header without a vocabulary needs, and most need no more than a few times that."""
_MOST = 1 << 29
"""Largest header that is fetched."""
_SECONDS = 30.0
"""How long nothing may come."""
_SLOWEST = 1000
"""Bytes a second that a server sends at least, from then on."""


def open_url(url: str) -> ShardSet:
    """Read the header of a file on a web server, or the headers of its set when it is a shard.

    Tensors say what they are and where, but have no data. Raises KQuantsError when the server cannot be reached or has
    no such file, and as ``open`` does.
    """
    try:
        parts = urlsplit(url)
    except ValueError as fault:
        raise KQuantsError(f"{url}: {str(fault).lower()}") from None

    def header(path: str) -> GGUFFile:
        return _header(urlunsplit(parts._replace(path=path)))

    return gather(parts.path, header)


def _header(url: str) -> GGUFFile:
    data, size = _fetch(url, 0, _FIRST)

    def fetch(end: int) -> bytes:
        have = len(head.data)
        piece = b"" if end > _MOST else _fetch(url, have, min(max(end, 2 * have), size, _MOST))[0]
        if have + len(piece) < end:
            raise KQuantsError(f"{url}: the header goes on after {have:,} bytes; is it a GGUF file?")
        return bytes(head.data) + piece

    head = Head(memoryview(data), size, fetch)
    return parse(head, url)


def _fetch(url: str, start: int, end: int) -> tuple[bytes, int]:
    """The bytes of a file from ``start`` to ``end``, or to its end, and the size of the whole file."""
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-{end - 1}", "User-Agent": "kquants"})
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
            whole = _size(url, answer, start)
            # A server that knows no ranges sends the file from its beginning.
            upto = min(end, whole)
            return _read(url, answer, 0 if answer.status == 206 else start, upto - start), whole
    except KQuantsError:
        raise
    except urllib.error.HTTPError as fault:
        raise KQuantsError(f"{url}: the server answers {fault.code} ({fault.reason})") from None
    except (urllib.error.URLError, HTTPException, OSError, ValueError) as fault:
        reason = getattr(fault, "reason", None) or fault
        raise KQuantsError(f"{url}: {str(getattr(reason, 'strerror', None) or reason).strip().lower()}") from None


def _read(url: str, answer: HTTPResponse, skip: int, count: int) -> bytes:
    """``count`` bytes of the answer behind the first ``skip``; raises KQuantsError when they do not come in time."""
    begun, got, kept = time.monotonic(), 0, []
    while got < skip + count:
        piece = answer.read1(min(skip + count - got, 1 << 16))
        seconds = time.monotonic() - begun
        if not piece:
            raise KQuantsError(f"{url}: the server sends {got:,} bytes where {skip + count:,} are expected")
        got += len(piece)
        if seconds > _SECONDS and got < _SLOWEST * seconds:
            raise KQuantsError(f"{url}: the server is too slow: {got:,} bytes in {seconds:.0f} s")
        kept.append(piece[max(0, len(piece) - (got - skip)) :] if got > skip else b"")
    return b"".join(kept)


def _size(url: str, answer: HTTPResponse, start: int) -> int:
    """Size of the whole file, as the answer's headers tell it."""
    if answer.status == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != start:
            raise KQuantsError(f"{url}: the server sends another range than was asked for")
        return int(found[2])
    length = answer.headers.get("Content-Length", "")
    if not length.isdecimal():
        raise KQuantsError(f"{url}: the server does not say how large the file is")
    return int(length)
