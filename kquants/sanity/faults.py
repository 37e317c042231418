"""What a check says: its faults, one at a time, or why it does not apply."""

from __future__ import annotations

from collections.abc import Generator

from gguf_py import GGUFFile, ShardSet, Tensor

ENOUGH = 5
"""Faults of one kind that are told; the rest are counted."""

Faults = Generator[str, None, str]
"""What a check yields, a fault at a time; it returns what to say when there is none."""


class NotApplicable(Exception):
    """The file has nothing for this check to look at; the message says what is missing."""


def tensors_of(file: GGUFFile | ShardSet) -> list[Tensor]:
    """The tensors in order; raises NotApplicable when there are none."""
    if not file.tensors:
        raise NotApplicable("the file has no tensors")
    return list(file.tensors.values())


def counted(count: int, noun: str) -> str:
    """``1 tensor``, ``1,200 tensors``."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
