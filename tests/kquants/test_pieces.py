"""Pieces: what is asked for before it is wanted, and which way what is made is written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

import gguf_py
from gguf_py import atomic
from kquants import pieces
from kquants.execute import execute
from kquants.quantizer import quantize_model

from .models import TinyModel

ROWS = TinyModel("llama", {"blk.0.ffn_up.weight": (64, 1024)})


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="this system cannot be told what is wanted soon")
@pytest.mark.parametrize("heeded", [True, False])
def test_the_disk_is_asked_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, heeded: bool) -> None:
    """For each byte of a tensor once, but for those that come first; a file system that will not is no fault."""
    monkeypatch.setattr(pieces, "PIECE", 1 << 13)
    monkeypatch.setattr(pieces, "AHEAD", 1 << 15)
    asked = []

    def advise(_: int, offset: int, size: int, advice: int) -> None:
        assert advice == os.POSIX_FADV_WILLNEED
        asked.append((offset, size))
        if not heeded:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    ROWS.write(tmp_path / "in.gguf")
    monkeypatch.setattr(os, "posix_fadvise", advise)
    with gguf_py.open(tmp_path / "in.gguf") as model:
        execute(quantize_model(model, tmp_path / "out.gguf", "Q8_0"))
        extent = model.tensors["blk.0.ffn_up.weight"]
        first, size = extent.offset, extent.nbytes
    wanted = sorted((o, s) for o, s in asked if first + (1 << 15) <= o < first + size)
    step = (1 << 13) * size // (64 * 1024)
    assert wanted == [(at, step) for at in range(first + (1 << 15), first + size, step)]
    assert all(o < (tmp_path / "in.gguf").stat().st_size for o, _ in asked)


def test_all_whole_pages_of_tensors_are_written_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the system's flag for it, and nothing else is: half a page would be read back before its other half."""
    page = 1 << 12
    wrote = []

    def through(handle: int, parts: list[memoryview], offset: int, flags: int) -> int:
        assert flags == 0x80
        assert offset % page == 0 and len(parts[0]) % page == 0
        wrote.extend(range(offset // page, (offset + len(parts[0])) // page))
        return os.pwrite(handle, parts[0], offset)

    ROWS.write(tmp_path / "in.gguf")
    monkeypatch.setattr(atomic, "_UNCACHED", 0x80)
    monkeypatch.setattr(atomic, "_PAGE", page)
    monkeypatch.setattr(os, "pwritev", through, raising=False)
    with gguf_py.open(tmp_path / "in.gguf") as model:
        execute(quantize_model(model, tmp_path / "out.gguf", "Q8_0"))
    with gguf_py.open(tmp_path / "out.gguf") as made:
        within = [range(-(-t.offset // page), (t.offset + t.nbytes) // page) for t in made.tensors.values()]
    assert sorted(wrote) == sorted(p for pages in within for p in pages) and len(wrote) > 10
