"""Was this model made from that one? Every tensor is derived again and compared, byte by byte.

The encoders are deterministic, so a quantized file can be checked against its source instead of trusted: the recipe
(file type and options) is read off the file, or given, and what the quantizer would write is compared with what there
is.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from gguf_py import GGUFFile, KQuantsError, Tensor, TensorInfo, TensorType
from gguf_py.input import Head
from gguf_py.layout import Layout, lay_out, padded
from gguf_py.reader import parse
from gguf_py.shards import COUNT, ShardSet, deal, shard_fields

from .buffers import Buffers
from .compare import HeaderChange, KeyChange, header_changes, key_changes
from .execute import Progress, compile_kernels, derive
from .imatrix import Imatrix
from .plan import Item, Plan
from .recipe import Recipe, infer, planned
from .recode import decode
from .sanity.faults import NotApplicable
from .sanity.places import wrong_padding, wrong_places
from .source import Source

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

Packing = Literal["as quantized", "split", "merged"]
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


@dataclass(frozen=True, slots=True)
class Proof:
    """What came of deriving a file again."""

    recipe: Recipe
    tensors: int
    departures: tuple[Departure, ...]
    """In the file's order."""
    keys: tuple[KeyChange, ...]
    """Metadata: what the source gives before, what the file has after."""
    header: tuple[HeaderChange, ...]
    """What else the header says otherwise: version, byte order, alignment, order."""
    padding: str | None = None
    """Bytes that belong to no tensor and are not what they should be, or None."""
    packing: Packing = "as quantized"
    """What was done to the quantized model afterwards."""

    @property
    def holds(self) -> bool:
        """Whether the file is, byte for byte, what quantizing the source gives."""
        return not (self.departures or self.keys or self.header or self.padding)


def prove(
    model: ShardSet,
    source: ShardSet,
    imatrix: Imatrix | None = None,
    recipe: Recipe | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Proof:
    """Derive every tensor of ``model`` from ``source`` and compare; without ``recipe``, it is read off the model.

    Raises KQuantsError when the model says that it was made with an importance matrix and none is given (or the other
    way round), or when the source cannot be quantized so.
    """
    if not set(model.tensors) & set(source.tensors):
        raise KQuantsError(f"{source.path} has none of the tensors of {model.path}: it is another model")
    matrix = _matching(model, imatrix)
    recipe = recipe or infer(model, source, matrix)
    plan = planned(model, source, recipe, matrix)
    items = [item for out in plan.outputs for item in out.items]
    comparisons = {t.name: _Comparison(t) for item in items if (t := _counterpart(model, item)) is not None}

    def take(item: Item, lo: int, data: Bytes) -> None:
        comparisons[item.info.name].take(lo, data)

    derived = Plan(
        tuple(replace(o, items=tuple(i for i in o.items if i.info.name in comparisons)) for o in plan.outputs)
    )
    if progress is not None:
        compile_kernels(derived, progress)
    derive(derived, take, threads=threads, progress=progress)
    departures = [d for item in items if (d := _departure(model, item, comparisons.get(item.info.name))) is not None]
    planned_names = {item.info.name for item in items}
    departures += [Departure(n, "the source has no such tensor") for n in model.tensors if n not in planned_names]
    packing, layouts = _layouts(model, plan, recipe)
    keys: list[KeyChange] = []
    header: list[HeaderChange] = []
    padding: list[str] = []
    for number, (file, layout) in enumerate(zip(model.files, layouts, strict=True), 1):
        expected = parse(Head(memoryview(layout.header), layout.size), file.path)
        shard = f"shard {number}: " if len(layouts) > 1 else ""
        keys += key_changes(expected.fields, file.fields)
        header += [replace(change, what=shard + change.what) for change in header_changes(expected, file)]
        if len(expected.tensors) != len(file.tensors):
            counts = (f"{len(f.tensors):,}" for f in (expected, file))
            header.append(HeaderChange(f"{shard}number of tensors", *counts))
        # What the header says otherwise is told by now; how it is written counts where it says the same.
        said = bool(keys or header or any(not d.blocks for d in departures))
        padding += [shard + wrong for wrong in [_padding(file, None if said else layout.header)] if wrong]
    told = next(iter(padding), None)
    return Proof(recipe, len(items), tuple(departures), tuple(keys), tuple(header), told, packing)


def _layouts(model: ShardSet, plan: Plan, recipe: Recipe) -> tuple[Packing, list[Layout]]:
    """How the quantized model came into the files that there are, and what each should be."""
    outs = plan.outputs
    if recipe.keep_split and len(outs) == len(model.files):
        return "as quantized", [out.layout for out in outs]
    fields = parse(Head(memoryview(outs[0].layout.header), plan.size), model.path).fields.values()
    infos = [item.info for out in outs for item in out.items]
    if len(model.files) > 1:
        return "split", deal(list(fields), _dealt(model, infos), alignment=outs[0].layout.alignment)
    if COUNT in model.fields:  # merging leaves the keys of the set, with a count of 0
        return "merged", [lay_out(shard_fields(fields, 0, 0, len(infos)), infos)]
    return "as quantized", [outs[0].layout]


def _dealt(model: ShardSet, infos: Sequence[TensorInfo]) -> list[list[TensorInfo]]:
    """The tensors as the shards have them; one that none has goes with the one before it."""
    place = {name: i for i, file in enumerate(model.files) for name in file.tensors}
    groups: list[list[TensorInfo]] = [[] for _ in model.files]
    at = 0
    for info in infos:
        at = place.get(info.name, at)
        groups[at].append(info)
    return groups


def _matching(file: ShardSet, imatrix: Imatrix | None) -> Imatrix | None:
    """The matrix under the name that the file has for it: where it lay does not matter."""
    stated = file.metadata.get("quantize.imatrix.file")
    if stated is not None and imatrix is None:
        raise KQuantsError(
            f"{file.path} says that it was made with the importance matrix {str(stated)!r}: it is needed, as --imatrix"
        )
    if stated is None and imatrix is not None:
        raise KQuantsError(f"{file.path} does not say that it was made with an importance matrix, but one was given")
    return imatrix if imatrix is None else replace(imatrix, path=str(stated))


# ------------------------------------------------------------------------------------------------- comparing the bytes


def _counterpart(file: ShardSet, item: Item) -> Tensor | None:
    """The file's tensor, if it has one of the same type and shape."""
    found = file.tensors.get(item.info.name)
    return found if found is not None and (found.type, found.shape) == (item.info.type, item.info.shape) else None


class _Comparison:
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


def _departure(file: ShardSet, item: Item, comparison: _Comparison | None) -> Departure | None:
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


def _verdict(item: Item, found: _Comparison) -> tuple[str, float | None, float | None]:
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


def _padding(file: GGUFFile, header: bytes | None) -> str | None:
    """Where the file's bytes are others although what they mean is the same, in words: the padding, the header."""
    with suppress(NotApplicable):
        found = next(wrong_padding(file), None) or next(wrong_places(file), None)
        if found is not None:
            return found
    if header is None:
        return None
    written = bytes(file.header[: len(header)])
    if written == header:
        return None
    byte = next((i for i, pair in enumerate(zip(written, header, strict=False)) if pair[0] != pair[1]), len(written))
    return f"the header is written in another way from byte {byte:,} on"
