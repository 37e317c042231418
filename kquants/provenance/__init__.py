"""Was this model made from that one? Every tensor is derived again and compared, byte by byte.

The encoders are deterministic, so a quantized file can be checked against its source instead of trusted: the recipe
(file type and options) is read off the file, or given, and what the quantizer would write is compared with what there
is.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

from gguf_py import GGUFFile, KQuantsError, TensorInfo
from gguf_py.input import Head
from gguf_py.layout import Layout, lay_out
from gguf_py.reader import parse
from gguf_py.shards import COUNT, ShardSet, deal, shard_fields

from ..compare import HeaderChange, KeyChange, header_changes, key_changes
from ..execute import Progress, compile_kernels, derive
from ..imatrix import Imatrix
from ..plan import Item, Plan
from ..sanity.faults import NotApplicable
from ..sanity.places import wrong_padding, wrong_places
from .departures import Bytes, Comparison, Departure, counterpart, departure
from .inference import infer
from .recipe import Recipe, planned

Packing = Literal["as quantized", "split", "merged"]


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
    comparisons = {t.name: Comparison(t) for item in items if (t := counterpart(model, item)) is not None}

    def take(item: Item, lo: int, data: Bytes) -> None:
        comparisons[item.info.name].take(lo, data)

    derived = Plan(
        tuple(replace(o, items=tuple(i for i in o.items if i.info.name in comparisons)) for o in plan.outputs)
    )
    if progress is not None:
        compile_kernels(derived, progress)
    derive(derived, take, threads=threads, progress=progress)
    departures = [d for item in items if (d := departure(model, item, comparisons.get(item.info.name))) is not None]
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
