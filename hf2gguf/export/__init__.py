"""A Hugging Face checkpoint back from a GGUF file: safetensors, configuration, model card, tokenizer.

A page of ``architectures`` says how metadata is computed of a configuration and what becomes of each tensor. Nobody
writes the way back down: the page is read backwards.

1. ``origin`` takes the pages of the file's architecture in turn, and model classes that they tell apart.
2. ``solve`` looks for a configuration: of each expression that misses its value (``goal``), ``back`` proposes changes,
   node by node (``loops``, ``functions``); each is tried forward, and what brings more keys right is kept.
3. ``names`` looks up which pattern made each tensor (``patterns``); ``undo`` runs its operations on the numbers of rows
   to see where those went, and takes arithmetic back (``inverses``); ``blocks`` keeps MXFP4 as
   it is, ``eight`` makes FP8 of Q8_0.
4. ``tokenizer`` writes the files that the page's scheme reads: ``pieces``, ``libraries``, ``lists``, ``ranked``.

What comes out is converted again and compared with the file, so that it is known, not hoped, whether it is exact.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from gguf_py import GGUFFile, KQuantsError, tensor_type
from gguf_py.input import Head
from gguf_py.reader import parse
from gguf_py.shards import COUNT
from kquants.buffers import Buffers
from kquants.compare import HeaderChange, KeyChange, header_changes, key_changes
from kquants.execute import derive
from kquants.plan import Plan
from kquants.source import Source

from .. import checkpoint as checkpoints
from ..convert import prepare
from ..files import Shape, plan
from ..general import CARD, SAMPLING
from ..numbers import constant
from ..outtype import OUTTYPES
from . import blocks, tokenizer
from .change import CARD_TEXT, POOLING, TOKENIZER, WEIGHTS
from .origin import Given, find, pages
from .vocabulary import read

_STEP = 8 << 20
"""Bytes of a tensor that are written at a time."""
_FILE_TYPE = "general.file_type"


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, and what converting it again gives otherwise; nothing, if the way back is exact."""

    model_class: str
    tensors: int
    rounded: bool
    """Whether the file is quantized, so that its weights were rounded to F16 and are not compared."""
    keys: tuple[KeyChange, ...]
    header: tuple[HeaderChange, ...]
    older: bool
    """Whether an older converter wrote the file, so that today's says more than it does."""
    departing: str | None
    """The first tensor with other bytes."""

    @property
    def exact(self) -> bool:
        """Whether converting gives the file back, byte for byte."""
        return not (self.rounded or self.keys or self.header or self.departing)


def export(file: GGUFFile, folder: Path, progress: Callable[[int], None] = lambda _: None) -> Exported:
    """Write the checkpoint that ``file`` may have come from into ``folder``, which must not be there or be empty.

    ``progress`` is told bytes as they are written. Raises KQuantsError when the architecture has no page, when a
    tensor or the vocabulary cannot be taken back, and when the folder cannot be written; then nothing is left.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise KQuantsError(f"{folder} is there already and is not an empty folder")
    if not folder.absolute().parent.is_dir():
        raise KQuantsError(f"cannot write {folder}: there is no folder {folder.parent}")
    if COUNT in file.fields:
        raise KQuantsError(f"{file.path} is a shard: merge the set first, then export the whole")
    try:
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.partial-", dir=folder.absolute().parent) as scratch:
            # The folder's name counts when it is converted: the checkpoint gets its own at once.
            made = Path(scratch) / folder.name
            made.mkdir()
            found = _write(file, made, progress)
            if folder.exists():
                folder.rmdir()
            made.rename(folder)
    except OSError as fault:
        raise KQuantsError(f"cannot write {folder}: {(fault.strerror or str(fault)).lower()}") from None
    return found


def _write(file: GGUFFile, folder: Path, progress: Callable[[int], None]) -> Exported:
    pages(file)
    sources, rounded = blocks.sources(file)
    given = Given(file, read(file), sources, exact=not (rounded or _older(file)))
    origin, shards = find(given)
    settings = tokenizer.write(file, given.vocabulary, folder, origin.scheme)
    config = dict(origin.config)
    if (added := config.pop(TOKENIZER, None)) is not None:
        _dump(folder / "tokenizer_config.json", settings | added)
    if (pooling := config.pop(POOLING, None)) is not None:
        _write_pooling(folder, pooling)
    for name, numbers in config.pop(WEIGHTS, {}).items():
        if isinstance(numbers, list):  # and not only that there is such a tensor
            whole = all(isinstance(number, int) for number in numbers)
            shards[-1][name] = constant(numbers, tensor_type("I64" if whole else "F32"))
    _write_card(file, folder, config.pop(CARD_TEXT, ""), origin.scheme)
    shards = [blocks.packed(file, shard) for shard in shards]
    _dump(folder / "config.json", config)
    tokenizer.write_beside(file, given.vocabulary, folder, config, origin.scheme)
    if shards:
        _write_shards(folder, shards, progress)
    return _again(file, folder, origin.model_class, "f16" if rounded else _outtype(file), rounded)


def _older(file: GGUFFile) -> bool:
    """Whether an older converter wrote the file, without what every conversion says today."""
    return not {"general.type", "general.quantization_version"} <= file.metadata.keys()


def _outtype(file: GGUFFile) -> str:
    """The output type of which the file was made; where its type is that of blocks, the other matrices tell."""
    outtypes = {number: name for name, number in OUTTYPES.items()}
    stated = file.metadata.get(_FILE_TYPE, 1)
    said = outtypes.get(stated) if isinstance(stated, int) else None
    matrices = {t.type.name.lower() for t in file.tensors.values() if len(t.shape) > 1}
    return said or next((name for name in ("bf16", "f16", "f32") if name in matrices), "f16")


def _write_pooling(folder: Path, pooling: int) -> None:
    """How sentence-transformers' modules pool."""
    flags = {1: "pooling_mode_mean_tokens", 2: "pooling_mode_cls_token", 3: "pooling_mode_lasttoken"}
    (folder / "1_Pooling").mkdir()
    _dump(folder / "1_Pooling" / "config.json", {flags[pooling]: True} if pooling in flags else {})
    module = {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}
    (folder / "modules.json").write_text(json.dumps([module], indent=2) + "\n", encoding="utf-8")


def _write_card(file: GGUFFile, folder: Path, body: str, scheme: str) -> None:
    """``README.md`` and ``generation_config.json``: what ``general.*`` says."""
    metadata = {key: _plain(value) for key, value in file.metadata.items() if key.startswith("general.")}
    said = {spellings[0]: metadata.get(f"general.{key}") for key, spellings in CARD.items()}
    for name, key in (("tags", "general.tags"), ("language", "general.languages")):
        found = metadata.get(key)
        said[name] = found if found is None or isinstance(found, list) else [found]
    for name, kind in (("base_models", "base_model"), ("datasets", "dataset")):
        count = metadata.get(f"general.{kind}.count")
        if isinstance(count, int):
            said[name] = [_under(metadata, f"general.{kind}.{i}.") for i in range(min(count, 1000))]
    matter = yaml.safe_dump({k: v for k, v in said.items() if v is not None}, sort_keys=False, allow_unicode=True)
    (folder / "README.md").write_text(f"---\n{matter}---\n" + (f"\n{body}\n" if body else ""), encoding="utf-8")
    sampling = {name: metadata.get(f"general.sampling.{key}") for key, name in SAMPLING.items()}
    if scheme == "hunyuan" and (turn := file.metadata.get("tokenizer.ggml.eot_token_id")) is not None:
        sampling["eos_token_id"] = [turn, file.metadata.get("tokenizer.ggml.eos_token_id")]
    if any(value is not None for value in sampling.values()):
        _dump(folder / "generation_config.json", {k: v for k, v in sampling.items() if v is not None})


def _plain(value: Any) -> Any:
    """A value as YAML and JSON have it."""
    if isinstance(value, str) or not isinstance(value, (Sequence, np.ndarray)):
        return value
    return value.tolist() if isinstance(value, np.ndarray) else [_plain(item) for item in value]


def _under(metadata: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {key.removeprefix(prefix): value for key, value in metadata.items() if key.startswith(prefix)}


def _dump(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False, default=_plain) + "\n", encoding="utf-8")


# ------------------------------------------------------------------------------------------------------------ tensors


def _write_shards(folder: Path, shards: list[dict[str, Source]], progress: Callable[[int], None]) -> None:
    needed = sum(s.count * s.row_bytes for shard in shards for s in shard.values())
    if shutil.disk_usage(folder).free < needed:
        raise KQuantsError(f"cannot write {folder.name}: the disk is full ({needed:,} bytes are needed)")
    if len(shards) == 1:
        _write_safetensors(folder / "model.safetensors", shards[0], progress)
        return
    places: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        _write_safetensors(folder / file, shard, progress)
        places |= dict.fromkeys(shard, file)
    _dump(folder / "model.safetensors.index.json", {"metadata": {"total_size": needed}, "weight_map": places})


def _write_safetensors(path: Path, tensors: Mapping[str, Source], progress: Callable[[int], None]) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, source in tensors.items():
        end = offset + source.count * source.row_bytes
        header[name] = {"dtype": source.type.name, "shape": source.shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for source in tensors.values():
            step = max(1, _STEP // max(1, source.row_bytes))
            for lo in range(0, source.count, step):
                progress(file.write(source.rows(lo, min(source.count, lo + step)).tobytes()))


# -------------------------------------------------------------------------------------------------- converting it again


def _again(file: GGUFFile, folder: Path, model_class: str, outtype: str, rounded: bool) -> Exported:
    with checkpoints.open(folder) as opened, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they name a folder that is about to have another name
        try:
            made = prepare(opened, outtype, vocab_only=not file.tensors)
            planned = plan(made, Path(file.path), Shape(vocab_only=not file.tensors))
        except KQuantsError as fault:
            said = str(fault).replace(str(folder), folder.name)
            raise KQuantsError(f"{file.path}: what was made of it does not convert: {said}") from fault
        (out,) = planned.outputs
        keys: Sequence[KeyChange] = ()
        header: Sequence[HeaderChange] = ()
        if rounded or file.header != out.layout.header:
            expected = parse(Head(memoryview(out.layout.header), out.layout.size), file.path)
            keys = [c for c in key_changes(file.fields, expected.fields) if not (rounded and c.key == _FILE_TYPE)]
            header = [] if rounded else header_changes(file, expected)
        same = not (rounded or keys or header)
        departing = _departing(file, planned) if same else None
    return Exported(model_class, len(made.tensors), rounded, tuple(keys), tuple(header), _older(file), departing)


def _departing(file: GGUFFile, planned: Plan) -> str | None:
    """The first tensor, in the file's order, that converting gives other bytes."""
    wrong: set[str] = set()
    buffers = Buffers()

    def take(item: Any, lo: int, data: Any) -> None:
        tensor = file.tensors[item.info.name]
        if tensor.type == item.info.type:
            there = buffers.get("there", data.size, np.uint8)
            tensor.read_into(there, lo // tensor.type.block * tensor.type.nbytes)
            if np.array_equal(there, data.reshape(-1)):
                return
        wrong.add(tensor.name)

    derive(planned, take)
    return next((name for name in file.tensors if name in wrong), None)
