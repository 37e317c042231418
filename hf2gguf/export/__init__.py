"""A Hugging Face checkpoint back from a GGUF file: safetensors, configuration, model card, tokenizer.

The pages of the architectures are read backwards. What comes out is converted again and compared with the file, so
that it is known, not hoped, whether the way back is exact.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gguf_py import GGUFFile, KQuantsError, tensor_type
from gguf_py.reader import parse
from gguf_py.shards import COUNT
from kquants.compare import HeaderChange, KeyChange, header_changes, key_changes
from kquants.execute import derive
from kquants.source import Source, converted, of_tensors

from .. import checkpoint as checkpoints
from .. import config as configs
from .. import definition as definitions
from ..convert import Converted, prepare
from ..definition import Definition
from ..files import Shape, plan
from ..general import CARD, SAMPLING
from ..outtype import OUTTYPES
from ..rope import llama3_factors
from . import names, tokenizer

_STEP = 8 << 20
"""Bytes of a tensor that are written at a time."""
_FACTORS = (8.0, 32.0, 16.0, 4.0, 2.0)
"""Stretches of the rope that Llama 3 models were published with."""


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
    page = _page(file)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.partial-", dir=folder.absolute().parent) as scratch:
        # The folder's name counts when it is converted: the checkpoint gets its own at once.
        made = Path(scratch) / folder.name
        made.mkdir()
        try:
            found = _write(file, page, made, progress)
            if folder.exists():
                folder.rmdir()
            made.rename(folder)
        except OSError as fault:
            raise KQuantsError(f"cannot write {folder}: {(fault.strerror or str(fault)).lower()}") from None
    return found


def _page(file: GGUFFile) -> Definition:
    architecture = file.metadata.get("general.architecture")
    pages = [definitions.load(path) for path in dict.fromkeys(definitions.classes().values())]
    fitting = [page for page in pages if page.architecture == architecture and page.classes]
    named = [page for page in fitting if page.name == architecture]
    if not fitting:
        known = ", ".join(sorted({page.architecture for page in pages}))
        raise KQuantsError(f"{file.path}: no page tells the way back from architecture {architecture!r}, only {known}")
    return (named or fitting)[0]


def _write(file: GGUFFile, page: Definition, folder: Path, progress: Callable[[int], None]) -> Exported:
    rounded = any(t.type.quantized for t in file.tensors.values())
    settings = tokenizer.write(file, folder)
    _dump(folder / "tokenizer_config.json", settings)
    _write_card(file, folder)
    configurations = list(_configurations(file, page, rounded))
    config = configurations[0]
    sources = of_tensors(dict(file.tensors))
    f16 = tensor_type("F16")
    plain = {name: converted(s, f16) if s.type.quantized else s for name, s in sources.items()}
    scope = configs.scope(
        config, page, model_class=config["architectures"][0], file_type=1, tokenizer_config=settings, files=[]
    )
    _write_shards(folder, names.tensors(page, scope, plain), progress)
    outtypes = {number: name for name, number in OUTTYPES.items()}
    outtype = "f16" if rounded else outtypes.get(file.metadata.get("general.file_type", 1), "f16")
    best: tuple[int, Exported, dict[str, Any]] | None = None
    for config in configurations:
        _dump(folder / "config.json", config)
        found = _again(file, folder, config["architectures"][0], outtype, rounded)
        wrong = len(found.keys) + len(found.header)
        if best is None or wrong < best[0]:
            best = wrong, found, config
        if not wrong:
            break
    assert best is not None
    _dump(folder / "config.json", best[2])
    return best[1]


# ------------------------------------------------------------------------------------------------------ configuration


def _configurations(file: GGUFFile, page: Definition, rounded: bool) -> Iterator[dict[str, Any]]:
    """Configurations that the metadata may have come from: they differ in the model's class and type."""
    metadata = file.metadata
    said = names.configuration(page, metadata)
    for kind, number in tokenizer.ids(file).items():
        said[f"{kind}_token_id"] = number
    scaling = names.rope_scaling(metadata, page.architecture) or _llama3(file)
    if scaling is not None:
        said["rope_scaling"] = scaling
    said.setdefault("vocab_size", file.fields["tokenizer.ggml.tokens"].count)
    said["tie_word_embeddings"] = "output.weight" not in file.tensors
    dtypes = {t.type.name for t in file.tensors.values() if len(t.shape) > 1}
    said["torch_dtype"] = "float32" if dtypes == {"F32"} else "bfloat16" if dtypes == {"BF16"} else "float16"
    kinds = [kind for kind in page.defaults if kind != "any"] or [page.name]
    experts = f"{page.architecture}.expert_count" in metadata
    kinds.sort(key=lambda kind: (("x" in kind or "moe" in kind) != experts, kind != page.architecture))
    for kind in kinds:
        own = [c for c in page.classes if c.lower().startswith(kind.replace("_", "")) and c.endswith("ForCausalLM")]
        yield {"architectures": [(own or list(page.classes))[0]], "model_type": kind, **said}


def _llama3(file: GGUFFile) -> dict[str, Any] | None:
    """Llama 3's scaling of the rope, recognized by the factors that the file spells out."""
    factors = file.tensors.get("rope_freqs.weight")
    if factors is None:
        return None
    spelled = factors.to_numpy().reshape(-1).tolist()
    theta = file.metadata.get(f"{file.metadata['general.architecture']}.rope.freq_base", 10000.0)
    for factor in _FACTORS:
        said = {
            "rope_type": "llama3",
            "factor": factor,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        }
        if llama3_factors({**said, "rope_theta": theta}, 2 * len(spelled)) == spelled:
            return said
    raise KQuantsError(f"{file.path}: the factors in rope_freqs.weight are none that a known scaling of the rope gives")


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
        made = prepare(opened, outtype)
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
