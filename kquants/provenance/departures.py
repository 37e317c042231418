"""What the blocks are that are not what the source gives: other weights, or the same ones otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from gguf_py import Tensor, TensorType
from gguf_py.layout import padded
from gguf_py.shards import ShardSet

from ..buffers import Buffers
from ..plan import Item
from ..recode import decode
from ..source import Source

Bytes = npt.NDArray[np.uint8]
LOOKED_AT = 256
"""Differing blocks of a tensor whose weights are compared."""
FEW = 0.1
"""Part of a tensor's blocks that another arithmetic (fused multiply-add, another summing order) may round otherwise."""
AS_GOOD = 1.05
"""How much farther from the source's weights blocks may lie, on the whole, to be as good an encoding of them."""
STEP = 2.0
"""The same for a single block: more is no other rounding of a step."""
SAME_WEIGHTS = 1.6
"""How much farther all blocks may lie and still encode the same weights, only with another search."""

ANOTHER_ARITHMETIC = "another arithmetic"
OTHERWISE = "the same weights, quantized otherwise"
DAMAGED = "damaged or edited"
OTHER_WEIGHTS = "other weights"


@dataclass(frozen=True, slots=True)
class Departure:
    """A tensor that is not what the source gives, and how."""

    tensor: str
    verdict: str
    blocks: int = 0
    """Blocks with other bytes."""
    of: int = 0
    first_block: int | None = None
    error: float | None = None
    """Relative RMS distance of the differing blocks (at most 256 are looked at) from the source's weights."""
    expected_error: float | None = None
    """The same of the blocks that the source gives."""


def counterpart(file: ShardSet, item: Item) -> Tensor | None:
    """The file's tensor, if it has one of the same type and shape."""
    found = file.tensors.get(item.info.name)
    return found if found is not None and (found.type, found.shape) == (item.info.type, item.info.shape) else None


class Comparison:
    """A tensor of the file beside what is derived: how many blocks differ, and the first of those."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        self.block, self.nbytes = tensor.type.block, tensor.type.nbytes
        self.differ = 0
        self.blocks = tensor.count // tensor.type.block
        self.kept: list[tuple[int, Bytes, Bytes]] = []
        """A block's number, as derived and as it is."""
        self._lock = Lock()

    def take(self, lo: int, data: Bytes) -> None:
        """A derived piece that begins at weight ``lo``."""
        start = lo // self.block
        ours = data.reshape(-1, self.nbytes)
        first = start * self.nbytes
        theirs = _kept.get("theirs", data.size, np.uint8).reshape(-1, self.nbytes)
        self.tensor.read_into(theirs.reshape(-1), first)
        if np.array_equal(ours, theirs):
            return
        (other,) = np.nonzero((ours != theirs).any(axis=1))
        with self._lock:
            self.differ += len(other)
            self.kept += [(start + int(i), ours[i].copy(), theirs[i].copy()) for i in other[:LOOKED_AT]]
            self.kept.sort(key=lambda found: found[0])  # pieces come in any order; what is kept does not depend on it
            del self.kept[LOOKED_AT:]


_kept = Buffers()


def departure(file: ShardSet, item: Item, comparison: Comparison | None) -> Departure | None:
    """How a tensor departs from what is derived, or None; ``comparison`` is None where there was nothing to compare."""
    name = item.info.name
    if comparison is None:
        found = file.tensors.get(name)
        if found is None:
            return Departure(name, "missing")
        return Departure(name, f"{found.type} {list(found.shape)}, expected {item.info.type} {list(item.info.shape)}")
    if not comparison.differ:
        return None
    verdict, error, expected = _verdict(item, comparison)
    verdict = _misplaced(file.tensors[name]) or verdict
    return Departure(name, verdict, comparison.differ, comparison.blocks, comparison.kept[0][0], error, expected)


def _misplaced(tensor: Tensor) -> str | None:
    """What is wrong with a tensor's line in the header, if other bytes than its own were compared because of that."""
    file = tensor.file
    assert file is not None
    table = list(file.tensors.values())
    at = next(i for i, t in enumerate(table) if t.name == tensor.name)

    def end(t: Tensor) -> int:
        return t.offset + padded(t.nbytes, file.alignment)

    begins = end(table[at - 1]) if at else file.data_offset
    ends = table[at + 1].offset if at + 1 < len(table) else file.size
    if tensor.offset != begins:
        return f"said to begin at byte {tensor.offset:,}, expected byte {begins:,}"
    if end(tensor) != ends:
        return f"said to be {tensor.type} {list(tensor.shape)}, which ends at byte {end(tensor):,}, expected {ends:,}"
    return None


def _verdict(item: Item, found: Comparison) -> tuple[str, float | None, float | None]:
    """What the differing blocks are, and how far they and the derived ones lie from the source, as a part of it."""
    kind = item.info.type
    places = [index for index, _, _ in found.kept]
    with np.errstate(all="ignore"):
        weights = _weights(item.source, places, kind.block)
        ours, theirs = (_decoded(np.stack([blocks[i] for blocks in found.kept]), kind) for i in (1, 2))
        far, near, size = (
            np.square(x, dtype=np.float64).sum(axis=1) for x in (theirs - weights, ours - weights, weights)
        )
        error, expected = (float(np.sqrt(x.sum() / size.sum())) for x in (far, near))
        farthest = float(np.sqrt((far / near).max())) if near.all() else np.inf
        whole = float(np.sqrt(far.sum() / near.sum())) if near.any() else np.inf
    part = found.differ / found.blocks
    if part <= FEW and whole <= AS_GOOD and farthest <= STEP:
        verdict = ANOTHER_ARITHMETIC
    elif part <= FEW:
        verdict = DAMAGED
    elif whole <= SAME_WEIGHTS:
        verdict = OTHERWISE
    else:
        verdict = OTHER_WEIGHTS
    return verdict, error if np.isfinite(error) else None, expected if np.isfinite(expected) else None


def _weights(source: Source, blocks: Any, size: int) -> Any:
    """The source's weights of some blocks of ``size``: float32[blocks, size]."""
    out = np.empty((len(blocks), size), np.float32)
    for row, block in zip(out, blocks, strict=True):
        line, column = divmod(int(block) * size, source.columns)
        whole = np.empty(source.columns, np.float32)
        decode(np.ascontiguousarray(source.rows(line, line + 1)).reshape(-1), source.type, whole)
        row[:] = whole[column : column + size]
    return out


def _decoded(blocks: Bytes, kind: TensorType) -> Any:
    out = np.empty((len(blocks), kind.block), np.float32)
    decode(np.ascontiguousarray(blocks).reshape(-1), kind, out.reshape(-1))
    return out
