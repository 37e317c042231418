"""A checkpoint as a GGUF model: typed metadata and named, lazy tensors, each with the type it is to be written in.

Nothing is written here; ``kquants.plan`` makes files of what :func:`prepare` gives.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gguf_py import Field, KQuantsError, TensorType
from kquants.source import Source

from . import checkpoint as checkpoints
from . import config as configs
from . import definition as definitions
from . import general, tokenizer, views
from .check import agree
from .checkpoint import Checkpoint
from .checkpoint.stored import Stored
from .definition import Definition
from .expression import Scope, evaluate
from .factors import map_all, wide
from .fields import Fields
from .names import ModelName, file_name
from .outtype import OUTTYPES, target_type
from .tensors import evaluated, kept

QUANTIZATION_VERSION = 2
"""What ggml calls the layout of its blocks today."""


@dataclass(frozen=True)
class Converted:
    """A GGUF model before it is written: metadata in order; tensors by name with source and target type, in order."""

    model_class: str
    architecture: str
    outtype: str
    name: ModelName
    fields: tuple[Field, ...]
    tensors: Mapping[str, tuple[Source, TensorType]]
    origin: str
    """What tells the checkpoint's weights, and what is made of them, from any others."""

    def file_name(self, vocab_only: bool = False, file_type: str | None = None) -> str:
        """The file name upstream would give; ``file_type`` is what the tensors are quantized to on the way, if so."""
        if vocab_only:
            return file_name(replace(self.name, size_label=None), None, "vocab") + ".gguf"
        return file_name(self.name, file_type or self.outtype) + ".gguf"


def prepare(
    source: Checkpoint | str | os.PathLike[str],
    outtype: str = "auto",
    *,
    name: str | None = None,
    overrides: Path | None = None,
    vocab_only: bool = False,
    definition: Definition | None = None,
) -> Converted:
    """What upstream's converter would write from a checkpoint.

    ``outtype`` is ``auto`` or one of ``OUTTYPES``; ``name`` replaces the model's name, ``overrides`` is a JSON file of
    ``general.*`` keys; ``definition`` replaces the page found by the model's class. Raises KQuantsError for whatever
    is missing, unknown or does not fit.
    """
    opened = source if isinstance(source, Checkpoint) else checkpoints.open(source)
    try:
        return _prepared(opened, outtype, name, overrides, vocab_only, definition)
    except KQuantsError as fault:
        if any(str(place) in str(fault) for place in (opened.dir, overrides) if place is not None):
            raise
        raise KQuantsError(f"{opened.dir}: {fault}") from fault


def _prepared(
    opened: Checkpoint,
    outtype: str,
    name: str | None,
    overrides: Path | None,
    vocab_only: bool,
    definition: Definition | None,
) -> Converted:
    raw = opened.config
    class_ = configs.model_class(raw, opened.dir)
    page = definition or definitions.find(class_, opened.dir)
    held = _held(opened, vocab_only)
    chosen = _auto(held, page) if outtype == "auto" else outtype.lower()
    if chosen not in OUTTYPES:
        raise KQuantsError(f"{outtype!r} is no output type, expected auto or one of {', '.join(OUTTYPES)}")
    scope = configs.scope(
        raw,
        page,
        model_class=class_,
        file_type=_file_type(None if vocab_only else opened.tensors.kept, chosen),
        tokenizer_config=opened.json("tokenizer_config.json") or {},
        files=[p.name for p in opened.dir.iterdir()],
        generation_config=general.generation(opened),
        pooling=views.pooling(opened),
        vocab_only=vocab_only,
        weights=views.Weights(opened) if held else {},
        zero_rows=views.ZeroRows(opened) if held else {},
        shapes={name: list(stored.shape) for name, stored in held.items()},
        json=views.Documents(opened),
        bundled=views.Bundled(opened),
        folder=opened.dir.name,
        card=views.card(opened),
    )
    _whole(scope, opened)
    if page.architecture.startswith("="):  # one class, more than one architecture
        page = replace(page, architecture=str(evaluate(page.architecture[1:], scope)))
    page = replace(page, types={n: t for n, of in page.types.items() for t in evaluated([of], scope)})
    tensors = {} if vocab_only else _typed(map_all(opened.tensors, page, scope, opened.dir), chosen, page, opened)
    shapes = {key: source.shape for key, (source, _) in tensors.items()}
    if not shapes and not vocab_only:
        raise KQuantsError(f"{opened.dir}: holds no tensor of a model")
    counts = weigh(shapes)
    said = general.gather(opened, counts, overrides=overrides, name=name, name_or_path=_text(raw.get("_name_or_path")))
    wide_names = [] if vocab_only or opened.tensors.kept != "NVFP4" else wide(opened.tensors, page, scope, opened.dir)
    fields = _fields(page, scope, said, opened, wide_names)
    agree(opened.dir, fields, shapes, scope["block_count"])
    return Converted(
        class_, page.architecture, chosen, said.name, tuple(fields), tensors, f"{page} {opened.identity()}"
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _file_type(kept: str | None, outtype: str) -> int:
    """The number for ``general.file_type``; weights that stay in blocks make it their type's."""
    blocks = {"MXFP4": 38, "NVFP4": 39}
    return blocks[kept] if kept and outtype in ("f32", "f16", "bf16") else OUTTYPES[outtype]


def _whole(scope: Scope, opened: Checkpoint) -> None:
    layers = scope.get("block_count")
    if layers is None:
        raise KQuantsError(
            f"{opened.dir}: config.json does not say how many layers there are, expected num_hidden_layers"
            " (or block_count, derived by an architecture's page)"
        )
    if not isinstance(layers, int) or not 0 <= layers <= 4096:
        raise KQuantsError(f"{opened.dir}: config.json gives {layers!r} as the number of layers")


def _held(opened: Checkpoint, vocab_only: bool) -> Mapping[str, Stored]:
    """The tensors as they are stored; none where there are none and only the vocabulary is wanted."""
    try:
        return opened.stored
    except KQuantsError:
        if vocab_only:
            return {}
        raise


def _auto(held: Mapping[str, Stored], page: Definition) -> str:
    """BF16 or F16, whichever the first matrix is stored in that is either; F16 when none is."""
    for name, _ in kept(held, page):
        stored = held[name]
        if len(stored.shape) >= 2 and stored.dtype in ("BF16", "F16"):
            return stored.dtype.lower()
    return "f16"


def _typed(
    found: Iterator[tuple[str, Source]], outtype: str, page: Definition, opened: Checkpoint
) -> dict[str, tuple[Source, TensorType]]:
    tensors: dict[str, tuple[Source, TensorType]] = {}
    for name, source in found:
        if name in tensors:
            raise KQuantsError(f"{opened.dir}: two tensors of the checkpoint make {name!r}")
        stored = getattr(source.origin, "dtype", None)
        kept = source.type.quantized
        wanted = source.type if kept else target_type(name, source.shape, outtype, page.types, stored)
        tensors[name] = source, wanted
    return tensors


def weigh(shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, int, int, int]:
    """Weights in all, outside experts, in one expert (of every layer together), and how many experts there are."""
    total = shared = expert = summed = merged = 0
    for name, shape in shapes.items():
        if name.endswith(".lora_b"):  # upstream gives up where adapters lie inside, and so does a size label
            return 0, 0, 0, 0
        size = 1
        for n in shape:
            size *= n
        total += size
        if "_exps." in name and len(shape) >= 3:
            experts = shape[-2 if ".bias" in name else -3]
            expert += size // experts
            summed, merged = summed + experts, merged + 1
        else:
            shared += size
    return total, shared, expert, summed // merged if merged else 0


def _fields(
    page: Definition, scope: Scope, said: general.General, opened: Checkpoint, wide_names: Sequence[str]
) -> Fields:
    fields = Fields(page.architecture)
    fields.set("general.architecture", page.architecture)
    _set(fields, page.early.items(), scope, opened.dir)
    fields.set("general.type", "model")
    said.write(fields)
    _set(fields, page.metadata, scope, opened.dir)
    fields.set("general.quantization_version", QUANTIZATION_VERSION)
    if wide_names:
        fields.set("general.tensor_extra.name", wide_names)
        fields.set("general.tensor_extra.prec_a4", [False] * len(wide_names))
    _set(fields, page.before.items(), scope, opened.dir)
    size = page.vocabulary.get("size")
    known = scope if size is None else scope.over(vocab_size=evaluate(size, scope))
    fields.add(tokenizer.fields(opened, known, str(page.vocabulary.get("scheme")), page.architecture).values())
    _set(fields, page.after.items(), scope, opened.dir)
    return fields


def _set(fields: Fields, expressions: Iterable[tuple[str, str]], scope: Scope, where: Path) -> None:
    for key, text in expressions:
        try:
            value = evaluate(text, scope)
        except KQuantsError as fault:
            raise KQuantsError(f"{where}: {key}: {fault}") from fault
        fields.set(key, value)
