"""A Hugging Face checkpoint back from a GGUF file: safetensors, configuration, model card, tokenizer.

The pages of the architectures are read backwards. What comes out is converted again and compared with the file, so
that it is known, not hoped, whether the way back is exact.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from gguf_py import GGUFFile, KQuantsError, tensor_type
from gguf_py.reader import parse
from gguf_py.shards import COUNT
from kquants.compare import HeaderChange, KeyChange, header_changes, key_changes
from kquants.execute import derive
from kquants.source import Source, converted, of_tensors

from .. import checkpoint as checkpoints
from .. import definition as definitions
from ..convert import Converted, prepare
from ..definition import Definition
from ..files import Shape, plan
from ..general import CARD, SAMPLING
from ..outtype import OUTTYPES
from . import names, tokenizer
from .solve import POOLING, TOKENIZER, Fact, Problem, Score, solve
from .undo import Lacking

_STEP = 8 << 20
"""Bytes of a tensor that are written at a time."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, and what converting it again gives otherwise; nothing, if the way back is exact."""

    model_class: str
    tensors: int
    rounded: bool
    """Whether the file is quantized, so that its weights were rounded to F16 and are not compared."""
    keys: tuple[KeyChange, ...]
    header: tuple[HeaderChange, ...]
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
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.partial-", dir=folder.absolute().parent) as scratch:
        # The folder's name counts when it is converted: the checkpoint gets its own at once.
        made = Path(scratch) / folder.name
        made.mkdir()
        try:
            found = _write(file, made, progress)
            if folder.exists():
                folder.rmdir()
            made.rename(folder)
        except OSError as fault:
            raise KQuantsError(f"cannot write {folder}: {(fault.strerror or str(fault)).lower()}") from None
    return found


@dataclass(frozen=True)
class _Origin:
    """A checkpoint that the file may have come from: the page, the model's class and the whole configuration."""

    page: Definition
    model_class: str
    config: dict[str, Any]
    score: Score


def _write(file: GGUFFile, folder: Path, progress: Callable[[int], None]) -> Exported:
    rounded = any(t.type.quantized for t in file.tensors.values())
    f16 = tensor_type("F16")
    sources = {n: converted(s, f16) if s.type.quantized else s for n, s in of_tensors(dict(file.tensors)).items()}
    origin, shards = _found(file, sources)
    settings = tokenizer.write(file, folder, str(origin.page.vocabulary["scheme"]))
    config = dict(origin.config)
    if (added := config.pop(TOKENIZER, None)) is not None:
        _dump(folder / "tokenizer_config.json", settings | added)
    if (pooling := config.pop(POOLING, None)) is not None:
        _write_pooling(folder, pooling)
    _dump(folder / "config.json", config)
    _write_card(file, folder)
    if shards:
        _write_shards(folder, shards, progress)
    outtypes = {number: name for name, number in OUTTYPES.items()}
    outtype = "f16" if rounded else outtypes.get(file.metadata.get("general.file_type", 1), "f16")
    return _again(file, folder, origin.model_class, outtype, rounded)


# --------------------------------------------------------------------------------------------------------- the origin


def _found(file: GGUFFile, sources: Mapping[str, Source]) -> tuple[_Origin, list[dict[str, Source]]]:
    """The origin whose configuration comes nearest, of those that know every tensor; and its tensors by shard."""
    fault: KQuantsError | None = None
    origins: list[_Origin] = []
    for origin in _origins(file, sources):
        origins.append(origin)
        if not origin.score.broken + origin.score.wrong + origin.score.moved:
            break
    for origin in sorted(origins, key=lambda o: o.score):
        try:
            return _with_tensors(file, origin, sources)
        except KQuantsError as other:
            fault = fault or other
    for origin in _origins(file, sources, {o.page.name for o in origins}):
        try:
            return _with_tensors(file, origin, sources)
        except KQuantsError:
            continue
    assert fault is not None
    raise KQuantsError(f"{file.path}: {fault}") from fault


def _with_tensors(
    file: GGUFFile, origin: _Origin, sources: Mapping[str, Source]
) -> tuple[_Origin, list[dict[str, Source]]]:
    """The origin, with sizes in its configuration that only the tensors tell, and its tensors by shard."""
    for _ in range(8):
        problem = Problem(origin.page, file.fields, origin.model_class, more=_seen(file, origin.page))
        try:
            return origin, names.tensors(origin.page, problem.scope(origin.config), sources)
        except Lacking as lacking:
            origin = replace(origin, config={**origin.config, **lacking.keys})
    raise KQuantsError(f"the page of {origin.page.name} asks for too many sizes")


def _origins(file: GGUFFile, sources: Mapping[str, Source], but: Collection[str] = ()) -> Iterator[_Origin]:
    for page in _pages(file):
        if page.name in but:
            continue
        known = {key: _weights(sources.get(key)) for key in page.generate}
        size = str(page.vocabulary.get("size", "vocab_size"))
        facts = [Fact(page.generate[key], weights) for key, weights in known.items()]
        facts += [Fact(page.architecture[1:], _architecture(file))] if page.architecture.startswith("=") else []
        facts += [Fact(size, _tokens(file))] if _tokens(file) else []
        facts += names.facts(page, sources)
        page = replace(page, architecture=_architecture(file))
        for kind, model_class in _classes(page, file):
            problem = Problem(page, file.fields, model_class, tuple(facts), _seen(file, page))
            base = _base(file, str(page.vocabulary["scheme"]))
            config, score = solve(problem, {"architectures": [model_class], "model_type": kind, **base})
            yield _Origin(page, model_class, config, score)


def _architecture(file: GGUFFile) -> str:
    return str(file.metadata.get("general.architecture"))


def _pages(file: GGUFFile) -> list[Definition]:
    """The pages of the file's architecture that make vocabularies like its own, the one of its name first."""
    architecture = _architecture(file)
    pages = [definitions.load(path) for path in dict.fromkeys(definitions.classes().values())]
    known = {page.name: re.findall(r"'([^']+)'", page.architecture[1:]) or [page.architecture] for page in pages}
    fitting = [page for page in pages if architecture in known[page.name]]
    if not fitting:
        every = ", ".join(sorted({name for names in known.values() for name in names}))
        raise KQuantsError(f"{file.path}: no page tells the way back from architecture {architecture!r}, only {every}")
    there = [page for page in fitting if tokenizer.fits(str(page.vocabulary["scheme"]), file)] or fitting
    tokenizer.settings(file, str(there[0].vocabulary["scheme"]))
    return sorted(there, key=lambda page: (page.architecture.startswith("="), page.name != architecture))


def _classes(page: Definition, file: GGUFFile) -> Iterator[tuple[str, str]]:
    """Model types and classes that the page's expressions tell apart, the likely ones first."""
    texts = " ".join([text for _, text in page.metadata] + list(page.derived.values()))
    kinds = [kind for kind in page.defaults if kind != "any"]
    kinds += [kind for kind in re.findall(r"get\('model_type'\) == '(\w+)'", texts) if kind not in kinds]
    experts = f"{_architecture(file)}.expert_count" in file.metadata
    kinds.sort(key=lambda kind: (("x" in kind or "moe" in kind) != experts, kind != page.architecture))
    for kind in kinds or [page.name]:
        plain = kind.removesuffix("_text").replace("_", "").replace("-", "")
        own = [c for c in page.classes if c.lower().startswith(plain) and c.endswith("ForCausalLM")]
        first = (own or list(page.classes))[0]
        others = [c for c in page.classes if c != first] if "model_class" in texts else []
        for model_class in [first, *others]:
            yield kind, model_class


def _seen(file: GGUFFile, page: Definition) -> dict[str, Any]:
    """What expressions see besides the configuration."""
    return {"tokenizer_config": tokenizer.settings(file, str(page.vocabulary["scheme"]))}


def _weights(source: Source | None) -> list[float] | None:
    if source is None:
        return None
    spelled: list[float] = source.rows(0, source.count).view(np.float32).reshape(-1).tolist()
    return spelled


def _tokens(file: GGUFFile) -> int:
    tokens = file.fields.get("tokenizer.ggml.tokens")
    return (tokens.count or 0) if tokens is not None else 0


def _base(file: GGUFFile, scheme: str) -> dict[str, Any]:
    """What a configuration says besides what its page asks for."""
    said: dict[str, Any] = {f"{kind}_token_id": number for kind, number in tokenizer.wanted(file, scheme).items()}
    types = file.metadata.get("tokenizer.ggml.token_type_count")
    said |= {} if types is None else {"type_vocab_size": types}
    said |= {"vocab_size": _tokens(file)} if _tokens(file) else {}
    said["tie_word_embeddings"] = "output.weight" not in file.tensors
    dtypes = {t.type.name for t in file.tensors.values() if len(t.shape) > 1}
    said["torch_dtype"] = "float32" if dtypes == {"F32"} else "bfloat16" if dtypes == {"BF16"} else "float16"
    return said


def _write_pooling(folder: Path, pooling: int) -> None:
    """How sentence-transformers' modules pool."""
    flags = {1: "pooling_mode_mean_tokens", 2: "pooling_mode_cls_token", 3: "pooling_mode_lasttoken"}
    (folder / "1_Pooling").mkdir()
    _dump(folder / "1_Pooling" / "config.json", {flags[pooling]: True} if pooling in flags else {})
    module = {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}
    (folder / "modules.json").write_text(json.dumps([module], indent=2) + "\n", encoding="utf-8")


def _write_card(file: GGUFFile, folder: Path) -> None:
    """``README.md`` and ``generation_config.json``: what ``general.*`` says."""
    metadata = file.metadata
    said = {spellings[0]: metadata.get(f"general.{key}") for key, spellings in CARD.items()}
    for name, key in (("tags", "general.tags"), ("language", "general.languages")):
        said[name] = None if metadata.get(key) is None else list(metadata[key])
    for name, kind in (("base_models", "base_model"), ("datasets", "dataset")):
        count = metadata.get(f"general.{kind}.count")
        if isinstance(count, int):
            said[name] = [_under(metadata, f"general.{kind}.{i}.") for i in range(min(count, 1000))]
    matter = yaml.safe_dump({k: v for k, v in said.items() if v is not None}, sort_keys=False, allow_unicode=True)
    (folder / "README.md").write_text(f"---\n{matter}---\n", encoding="utf-8")
    sampling = {name: metadata.get(f"general.sampling.{key}") for key, name in SAMPLING.items()}
    if any(value is not None for value in sampling.values()):
        _dump(folder / "generation_config.json", {k: v for k, v in sampling.items() if v is not None})


def _under(metadata: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {key.removeprefix(prefix): value for key, value in metadata.items() if key.startswith(prefix)}


def _dump(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


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
    with checkpoints.open(folder) as opened:
        made = prepare(opened, outtype, vocab_only=not file.tensors)
        (out,) = plan(made, Path(file.path), Shape()).outputs
        expected = parse(memoryview(out.layout.header), out.layout.size, file.path)
        keys = [c for c in key_changes(file.fields, expected.fields) if not (rounded and c.key == "general.file_type")]
        header = [] if rounded else header_changes(file, expected)
        same = not (rounded or keys or header)
        return Exported(
            model_class,
            len(made.tensors),
            rounded,
            tuple(keys),
            tuple(header),
            _departing(file, made) if same else None,
        )


def _departing(file: GGUFFile, made: Converted) -> str | None:
    """The first tensor, in the file's order, that converting gives other bytes."""
    wrong: set[str] = set()

    def take(item: Any, lo: int, data: Any) -> None:
        tensor = file.tensors[item.info.name]
        start = lo // tensor.type.block * tensor.type.nbytes
        if tensor.type != item.info.type or (tensor.data.reshape(-1)[start : start + data.size] != data).any():
            wrong.add(tensor.name)

    derive(plan(made, Path(file.path), Shape()), take)
    return next((name for name in file.tensors if name in wrong), None)
