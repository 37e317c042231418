"""The checkpoint's folder and its files: nothing outside it is opened, nothing is read that is not there."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gguf_py.errors import KQuantsError
from gguf_py.input import InputFile

MAX_JSON = 32 << 20
"""Bytes of JSON read by default: twice the largest index published so far."""

MAX_CONFIG = 16 << 20
"""Bytes of a config: what it takes in memory can be twenty times as much."""


def shown(name: object) -> str:
    """A name from a file, quoted for a message: control characters escaped, no longer than a line."""
    text = ascii(str(name)) if not str(name).isprintable() else repr(str(name))
    return text if len(text) <= 120 else text[:100] + "…" + text[-1]


def inside(folder: Path, name: str) -> Path:
    """The path of the file ``name`` in ``folder``.

    A link is followed only to the folder itself or, in a local Hugging Face cache, where ``snapshots/REVISION``
    holds links, to the ``blobs`` beside it. Raises KQuantsError for a name that leads anywhere else.
    """
    if not 0 < len(name) < 256 or name in (".", "..") or any(c in name for c in "/\\\0") or Path(name).is_absolute():
        raise KQuantsError(f"{folder}: names the file {shown(name)}, expected a plain file name in that folder")
    path = folder / name
    try:
        home, real = folder.resolve(), path.resolve()
    except (OSError, RuntimeError):  # links in a circle, or a name that is too long
        raise KQuantsError(f"{path}: cannot be followed to a file") from None
    allowed = [home]
    allowed += [place.parent / "blobs" for place in list(home.parents)[:3] if place.name == "snapshots"]
    if not any(real.is_relative_to(place) for place in allowed):
        raise KQuantsError(f"{path}: is a link that leaves the folder, expected a file in it; copy the file there")
    if path.is_symlink() and not real.exists():
        raise KQuantsError(f"{path}: is a link to a file that is not there, as after a download that did not end")
    return path


def regular(path: Path) -> os.stat_result:
    """The status of a regular file; raises KQuantsError for a folder, a pipe, a device or nothing at all."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise KQuantsError(f"{path}: there is no such file") from None
    if not stat.S_ISREG(status.st_mode):
        raise KQuantsError(f"{path}: is not a regular file")
    return status


def instead(path: Path) -> str:
    """What a file is that does not hold what its name promises, to end a message with; empty where nobody knows."""
    with path.open("rb") as file:
        start = file.read(64)
    if not start:
        return "; it is empty"
    if start.startswith(b"version https://git-lfs"):
        return "; it is a pointer of Git LFS, git lfs pull brings the file"
    return "; it is a web page" if start.lstrip().lower().startswith((b"<!doctype", b"<html")) else ""


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The dict of a JSON object; raises ValueError when a key stands in it twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {shown(twice)} stands twice")
    return found


def parse_json(text: bytes, path: Path, *, strict_keys: bool = False) -> Any:
    """The value of a JSON text; every way it can be wrong becomes a KQuantsError naming ``path``."""
    try:
        encoding = "utf-8" if strict_keys else "utf-8-sig"  # a mark that editors put in front
        return json.loads(text.decode(encoding), object_pairs_hook=unique if strict_keys else None)
    except RecursionError:
        raise KQuantsError(f"{path}: nests too deep to be JSON of a checkpoint") from None
    except UnicodeDecodeError:
        raise KQuantsError(f"{path}: is not valid JSON: it is no text in UTF-8") from None
    except ValueError as fault:
        raise KQuantsError(f"{path}: is not valid JSON{instead(path) or f': {fault}'}") from None


def read_text(path: Path, limit: int = MAX_JSON) -> bytes:
    """The bytes of a regular file of at most ``limit`` bytes."""
    size = regular(path).st_size
    if size > limit:
        raise KQuantsError(f"{path}: has {size} bytes, expected at most {limit}")
    return path.read_bytes()


def read_json(path: Path, limit: int = MAX_JSON) -> dict[str, Any]:
    """The object in a JSON file of at most ``limit`` bytes; raises KQuantsError when it is anything else."""
    value = parse_json(read_text(path, limit), path)
    if not isinstance(value, dict):
        raise KQuantsError(f"{path}: holds a {type(value).__name__}, expected a JSON object")
    return value


class Shard:
    """One open file of weights, read at given places by any number of threads at once."""

    def __init__(self, path: Path) -> None:
        regular(path)
        self.path = path
        self._file: InputFile | None = InputFile(path)
        self.size = self._file.size
        self.metadata: dict[str, str] = {}
        """What a safetensors file says of itself."""

    def read(self, offset: int, count: int) -> NDArray[np.uint8]:
        """``count`` bytes from ``offset``; raises KQuantsError when the file has fewer, or is closed."""
        if offset < 0 or count < 0 or offset + count > self.size:
            raise KQuantsError(f"{self.path}: has {self.size} bytes, expected bytes {offset} to {offset + count}")
        if self._file is None:
            raise KQuantsError(f"{self.path}: is closed")
        out = np.empty(count, np.uint8)
        self._file.read_into(out, offset)
        return out

    def identity(self) -> str:
        """What tells the file from others and from itself after a change."""
        return "" if self._file is None else self._file.identity()

    def close(self) -> None:
        """Close the file; reading from it afterwards fails."""
        self._file = None
