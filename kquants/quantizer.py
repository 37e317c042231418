"""From a GGUF model to the plan of a quantized one, with the metadata, order and types that llama-quantize gives it.

Source of the facts: ``llama_model_quantize`` and llama-quantize of llama.cpp v0.5.0.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from gguf_py.errors import KQuantsError
from gguf_py.file import GGUFFile
from gguf_py.layout import TensorInfo, lay_out
from gguf_py.shards import COUNT, NUMBER, TENSORS, ShardSet, as_ggml, shard_path
from gguf_py.strings import Strings, to_bytes
from gguf_py.types import TensorType, ValueType
from gguf_py.values import Field

from .filetypes import ALIASES, COPY, FILE_TYPES, GUESSED, FileType, file_type
from .imatrix import Imatrix
from .plan import Item, Output, Plan, of_tensors
from .rules import Choice, Model, Wishes, choose, in_order
from .source import Floats, Source

QUANTIZATION_VERSION = 2
"""What ggml calls the layout of its blocks today."""

_WANTS_IMATRIX = frozenset("IQ1_S IQ1_M IQ2_XXS IQ2_XS IQ2_S IQ3_XXS".split())
"""Types that are garbage without an importance matrix, so that upstream refuses."""
_NEEDS_IMATRIX = frozenset("IQ1_S IQ1_M IQ2_XXS IQ2_XS".split())
"""Types that cannot be encoded without one."""
_UNMEASURED = "--imatrix is needed, which kquants imatrix measures on a text"
_INTEGERS = frozenset("I8 I16 I32 I64".split())


@dataclass(frozen=True, slots=True)
class Options:
    """Everything that may be asked for besides the file type."""

    wishes: Wishes = field(default_factory=Wishes)
    imatrix: Imatrix | None = None
    overrides: tuple[Field, ...] = ()
    """Metadata that takes the place of the model's, for the rules and in the file."""
    prune_layers: tuple[int, ...] = ()
    allow_requantize: bool = False
    keep_split: bool = False
    imatrix_later: bool = False
    """For a dry run: do not insist on an importance matrix, say in a note that one will be needed."""


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A tensor on its way: as it is in the model, under the name it will have."""

    original: str
    info: TensorInfo
    source: Source
    shard: int = 0


def quantize_model(
    model: GGUFFile | ShardSet, path: str | Path, kind: str | FileType, options: Options | None = None
) -> Plan:
    """The plan that turns a model into ``kind`` (a file type, or ``COPY``) at ``path``.

    With ``keep_split``, ``path`` stands for the shards ``PATH-00001-of-0000N.gguf``. Raises KQuantsError when an
    option does not fit the model.
    """
    return quantize_models(model, [(path, kind)], options)


def quantize_models(
    model: GGUFFile | ShardSet, wanted: Iterable[tuple[str | Path, str | FileType]], options: Options | None = None
) -> Plan:
    """One plan for several files from one reading of the model."""
    options = options or Options()
    files = list(model.files) if isinstance(model, ShardSet) else [model]
    shard_of = {id(file): i for i, file in enumerate(files)}
    sources = of_tensors(dict(model.tensors))
    tensors = [
        _Tensor(name, as_ggml(t), sources[name], shard_of.get(id(t.file), 0)) for name, t in model.tensors.items()
    ]
    outputs: list[Output] = []
    notes: list[str] = []
    for path, kind in wanted:
        made, said = _outputs(path, list(model.fields.values()), tensors, kind, options)
        outputs += made
        notes += said
    return Plan(tuple(outputs), tuple(dict.fromkeys(notes)))


def quantized(
    path: str | Path,
    fields: Iterable[Field],
    sources: Mapping[str, Source],
    kind: str | FileType,
    options: Options | None = None,
    arrange: Arrange | None = None,
) -> Plan:
    """The plan for a model that is not in a file yet: its metadata, and its tensors as a file would hold them.

    ``arrange`` makes the files of the path, the metadata and the tensors; one file by default.
    """
    tensors = [_Tensor(n, as_ggml(TensorInfo(n, s.type, s.shape)), s) for n, s in sources.items()]
    outputs, notes = _outputs(path, list(fields), tensors, kind, options or Options(), arrange)
    return Plan(tuple(outputs), tuple(notes))


Arrange = Callable[[Path, Sequence[Field], Sequence[Item]], list[Output]]


def _outputs(
    path: str | Path,
    fields: Sequence[Field],
    tensors: Sequence[_Tensor],
    kind: str | FileType,
    options: Options,
    arrange: Arrange | None = None,
) -> tuple[list[Output], list[str]]:
    copy = isinstance(kind, str) and kind.upper() == COPY
    file_type_ = None if copy else kind if isinstance(kind, FileType) else file_type(kind)
    left, layers = _pruned(sorted(tensors, key=lambda t: in_order(t.original)), options.prune_layers)
    if options.keep_split:
        left.sort(key=lambda t: (t.shard, t.source.extent.offset if t.source.extent else 0))
    metadata = {f.key: f.value for f in (*fields, *options.overrides) if f.type is not ValueType.ARRAY or f.count}
    model = Model.of(metadata, (t.original for t in tensors))
    wishes = replace(options.wishes, imatrix=options.imatrix is not None)
    infos = [t.info for t in left]
    if file_type_ is None:
        choices = [Choice(t.info.type, COPY) for t in left]
        number = _stated_or_guessed(metadata, tensors)
    else:
        choices = choose(infos, file_type_, model, wishes)
        number = file_type_.id
    notes: list[str] = []
    items = [
        _item(tensor, choice, file_type_, model, options, notes) for tensor, choice in zip(left, choices, strict=True)
    ]
    fallbacks = sum(choice.fallback for choice in choices)
    if fallbacks:
        notes.append(f"{fallbacks} of {len(items)} tensors have rows that need another type")
    for pattern, _ in wishes.tensor_types:
        if not any(pattern.search(info.name) for info in infos):
            notes.append(f"no tensor has {pattern.pattern!r} in its name")
    written = _metadata(fields, number, options, layers, model)
    if arrange is not None:
        return arrange(Path(path), list(written.values()), items), notes
    return _files(Path(path), written, items, [t.shard for t in left], options.keep_split), notes


def _item(
    tensor: _Tensor, choice: Choice, kind: FileType | None, model: Model, options: Options, notes: list[str]
) -> Item:
    name, old, new = tensor.info.name, tensor.source.type, choice.type
    if old == new:
        return Item(tensor.info, tensor.source, None, choice.rule)
    if old.name in _INTEGERS:
        return Item(tensor.info, tensor.source, None, f"kept: {old.name} holds numbers, not weights")
    if old.quantized and not options.allow_requantize:
        raise KQuantsError(
            f"tensor {name!r} is quantized already, as {old.name}: quantize from F16, BF16 or F32, "
            "or say --allow-requantize and lose more"
        )
    importance = _importance(tensor, options.imatrix)
    wanted = kind is not None and _wants_imatrix(name, new, kind)
    if importance is None and (wanted or new.name in _NEEDS_IMATRIX):
        if not options.imatrix_later:
            raise KQuantsError(
                f"tensor {name!r} would be garbage as {new.name} without an importance matrix: "
                + (_UNMEASURED if options.imatrix is None else f"{options.imatrix.path} has none for it")
            )
        notes.append("an importance matrix (--imatrix) will be needed")
    info = replace(tensor.info, type=new)
    return Item(info, tensor.source, importance, choice.rule)


def _wants_imatrix(name: str, kind: TensorType, file_type_: FileType) -> bool:
    if name in ("token_embd.weight", "per_layer_token_embd.weight", "output.weight"):
        return False
    return kind.name in _WANTS_IMATRIX or (kind.name == "Q2_K" and file_type_.name == "Q2_K_S")


def _importance(tensor: _Tensor, imatrix: Imatrix | None) -> Floats | None:
    values = None if imatrix is None else imatrix.entries.get(tensor.original)
    if imatrix is None or values is None:
        return None
    shape = tensor.info.shape
    matrices = shape[-3] if len(shape) > 2 else 1
    if values.size == matrices * tensor.info.columns:
        return np.ascontiguousarray(values, np.float32).reshape(matrices, tensor.info.columns)
    if tensor.info.name in ("token_embd.weight", "per_layer_token_embd.weight"):
        return None  # measured where it is the output, with other columns: upstream goes on without
    raise KQuantsError(
        f"{imatrix.path}: the importance of {tensor.original!r} has {values.size} values, expected "
        f"{matrices * tensor.info.columns}: the matrix was made from another model"
    )


def _pruned(tensors: Sequence[_Tensor], layers: Sequence[int]) -> tuple[list[_Tensor], int | None]:
    """The tensors without some layers, the others renumbered, and how many layers are left (None: untouched)."""
    if not layers:
        return list(tensors), None
    first, left = min(layers), 0
    renamed: dict[int, int | None] = {}
    remaining: list[_Tensor] = []
    for tensor in tensors:
        found = re.search(r"blk\.(\d+)\.", tensor.original)
        if found is None:
            remaining.append(tensor)
            continue
        layer = int(found[1])
        if layer not in renamed:
            renamed[layer] = None if layer in layers else layer if layer < first else left
            left += renamed[layer] is not None
        new = renamed[layer]
        if new is not None:
            name = tensor.original[: found.start(1)] + str(new) + tensor.original[found.end(1) :]
            remaining.append(replace(tensor, info=replace(tensor.info, name=name)))
    absent = sorted(set(layers) - set(renamed))
    if absent:
        raise KQuantsError(f"there is no layer {absent[0]} to prune: the model has layers 0 to {max(renamed)}")
    return remaining, left


def _stated_or_guessed(metadata: Mapping[str, object], tensors: Sequence[_Tensor]) -> int:
    """What a copy says of its file type: what the model says, else the type of most tensors, marked as guessed."""
    stated = metadata.get("general.file_type")
    if isinstance(stated, int):
        return stated
    seen: Counter[str] = Counter()
    most = "F32"
    for tensor in sorted(tensors, key=lambda t: in_order(t.original)):
        seen[tensor.info.type.name] += 1
        if seen[tensor.info.type.name] > seen[most] or len(seen) == 1:
            most = tensor.info.type.name
    name = ALIASES.get(most, most)
    return GUESSED | (FILE_TYPES[name].id if name in FILE_TYPES and name not in ("IQ1_M",) else 0)


def _metadata(
    fields: Iterable[Field], number: int, options: Options, layers: int | None, model: Model
) -> dict[str, Field]:
    """The model's metadata, then what quantizing says; what is said anew goes to the end, as upstream's does."""
    made = {f.key: _cut(f) for f in fields}

    def put(new: Field) -> None:
        made.pop(new.key, None)
        made[new.key] = new

    put(Field.of("general.quantization_version", QUANTIZATION_VERSION, ValueType.UINT32))
    put(Field.of("general.file_type", number, ValueType.UINT32))
    for key in (NUMBER, COUNT, TENSORS):
        made.pop(key, None)
    for override in options.overrides:
        put(override)
    if options.imatrix is not None:
        for said in _imatrix_fields(options.imatrix):
            put(said)
    if layers is not None:
        put(Field.of(f"{model.architecture}.block_count", layers, ValueType.UINT32))
    return made


def _cut(field: Field) -> Field:
    """The field with its texts cut at the first NUL, where upstream's C strings end."""
    if field.type is ValueType.STRING and "\0" in field.value:
        return Field.of(field.key, field.value.split("\0")[0], ValueType.STRING)
    if field.item is ValueType.STRING and _has_nul(field.value):
        return Field.of(field.key, [text.split("\0")[0] for text in field.value], item=ValueType.STRING)
    return field


def _has_nul(texts: Sequence[str]) -> bool:
    return texts.has_nul() if isinstance(texts, Strings) else any("\0" in text for text in texts)


def _imatrix_fields(imatrix: Imatrix) -> list[Field]:
    """What the file says of its importance matrix, texts cut to 127 bytes as upstream cuts them."""
    made = [Field.of("quantize.imatrix.file", os.fsencode(imatrix.path)[:127], ValueType.STRING)]
    if imatrix.datasets:
        made.append(Field.of("quantize.imatrix.dataset", to_bytes(imatrix.datasets[0])[:127], ValueType.STRING))
    made.append(Field.of("quantize.imatrix.entries_count", len(imatrix.entries), ValueType.UINT32))
    if imatrix.chunks > 0:
        made.append(Field.of("quantize.imatrix.chunks_count", imatrix.chunks, ValueType.UINT32))
    return made


def _files(
    path: Path, fields: Mapping[str, Field], items: Sequence[Item], shards: Sequence[int], keep_split: bool
) -> list[Output]:
    count = max(shards, default=0) + 1 if keep_split else 1
    outputs = []
    for shard in range(count):
        own = dict(fields) if shard == 0 else {}
        if count > 1:
            own[NUMBER] = Field.of(NUMBER, shard, ValueType.UINT16)
            own[COUNT] = Field.of(COUNT, count, ValueType.UINT16)
            own[TENSORS] = Field.of(TENSORS, len(items), ValueType.INT32)
            if "general.alignment" in fields:  # a shard that does not say it would be read with 32
                own["general.alignment"] = fields["general.alignment"]
        part = tuple(item for item, of in zip(items, shards, strict=True) if not keep_split or of == shard)
        layout = lay_out(own.values(), [item.info for item in part])
        outputs.append(Output(shard_path(path, shard, count) if keep_split else path, layout, part))
    return outputs
