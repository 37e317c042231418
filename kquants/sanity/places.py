"""Where the tensors of a file lie, and what lies between them."""

from __future__ import annotations

import itertools

import numpy as np

from gguf_py import GGUFFile
from gguf_py.strings import quoted

from .faults import Faults, tensors_of

LONGEST_NAME = 63
"""Bytes of a tensor's name that ggml has room for."""
PIECE = 1 << 20
"""Bytes between tensors that are looked at at a time."""


def alignment(file: GGUFFile) -> Faults:
    """Tensors that do not begin where the file's alignment says."""
    if file.alignment & (file.alignment - 1):
        yield f"the alignment is {file.alignment}, expected a power of two"
    for t in tensors_of(file):
        if (t.offset - file.data_offset) % file.alignment:
            yield f"tensor {quoted(t.name)} begins at byte {t.offset:,}, which is not aligned to {file.alignment}"
    return f"every tensor begins at a multiple of {file.alignment} bytes"


def overlaps(file: GGUFFile) -> Faults:
    """Tensors that begin inside another."""
    placed = sorted(tensors_of(file), key=lambda t: t.offset)
    for a, b in itertools.pairwise(placed):
        if a.offset + a.nbytes > b.offset:
            yield f"tensor {quoted(b.name)} begins at byte {b.offset:,}, inside {quoted(a.name)}"
    return "no two tensors share a byte"


def wrong_places(file: GGUFFile) -> Faults:
    """What llama.cpp demands: each tensor right behind the one before it in the table."""
    expected = file.data_offset
    if not file.tensors and file.size > expected:
        yield f"{file.size - expected:,} bytes follow the header, which names no tensors"
    for t in tensors_of(file):
        if t.offset != expected:
            yield f"tensor {quoted(t.name)} begins at byte {t.offset:,}, the one before it ends at {expected:,}"
        expected = t.offset + t.nbytes + -t.nbytes % file.alignment
    if file.size > expected:
        yield f"{file.size - expected:,} bytes follow the last tensor"
    return "the tensors follow one another, and the file ends behind the last"


def wrong_padding(file: GGUFFile) -> Faults:
    """What lies between tensors and is not zero."""
    placed = sorted(tensors_of(file), key=lambda t: t.offset)
    ends = [t.offset for t in placed[1:]] + [file.size]
    for t, end in zip(placed, ends, strict=True):
        if not _zero(file, t.offset + t.nbytes, end):
            yield f"the padding behind tensor {quoted(t.name)} is not zero"
    return "all bytes between tensors are zero"


def _zero(file: GGUFFile, lo: int, hi: int) -> bool:
    """Whether the bytes from ``lo`` to ``hi`` are all zero."""
    assert file.input is not None
    for at in range(lo, hi, PIECE):
        piece = np.empty(min(PIECE, hi - at), np.uint8)
        file.input.read_into(piece, at)
        if piece.any():
            return False
    return True


def names(file: GGUFFile) -> Faults:
    """Names that are empty or longer than ggml has room for."""
    for name in (t.name for t in tensors_of(file)):
        if not name or len(name.encode("utf-8", "surrogateescape")) > LONGEST_NAME:
            yield f"the tensor name {quoted(name)} has not 1 to {LONGEST_NAME} bytes"
    return f"every tensor has a name of at most {LONGEST_NAME} bytes"
