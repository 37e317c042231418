"""A Hugging Face checkpoint on disk: its configuration and its tensors, lazy, checked, decoded when they are read.

Nothing of a checkpoint is executed, nothing outside its folder is opened, and no tensor is read before its rows are
asked for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from copy import deepcopy
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from gguf_py.errors import KQuantsError
from kquants.source import Source

from . import meta, published, safetensors, torch, weights
from .encodings import decoded, fitting
from .folder import MAX_CONFIG, Shard, inside, read_json, shown
from .parts import Decoded, Factors, Lazy
from .plain import plain
from .settings import quantization
from .stored import Stored

__all__ = ["MISTRAL", "MISTRAL_MOE", "Checkpoint", "DecodedTensors", "Source", "Stored", "open"]


MISTRAL, MISTRAL_MOE = "MistralFormat", "MistralMoeFormat"
"""The classes of models in Mistral's own form, which names none."""


class Checkpoint(AbstractContextManager["Checkpoint"]):
    """An open checkpoint; close it, or use it in ``with``. Made by :func:`open`."""

    def __init__(self, folder: Path) -> None:
        self.dir = folder
        self._shards: list[Shard] = []

    def path(self, name: str) -> Path | None:
        """The file ``name`` of the folder, or None when there is none; raises KQuantsError if it leads elsewhere."""
        path = inside(self.dir, name)
        return path if path.is_file() else None

    def json(self, name: str, limit: int = MAX_CONFIG) -> dict[str, Any] | None:
        """The JSON object in the file ``name`` of at most ``limit`` bytes, or None when there is no such file.

        Beside weights of Meta's or Mixtral's own that stand alone, what would stand beside them on the hub.
        """
        path = self.path(name)
        if path is not None:
            return read_json(path, limit)
        return deepcopy(self._converted.get(name)) if name in published.FILES else None  # like a file, read anew

    @cached_property
    def _published(self) -> Mapping[str, Any] | None:
        """``params.json`` where it stands in for ``config.json`` and is to be made one; else None."""
        path = self.path("params.json") if self.path("config.json") is None else None
        params = read_json(path, MAX_CONFIG) if path is not None else {}
        params = params["model"] if isinstance(params.get("model"), dict) else params
        return params if published.is_metas(params) or published.is_mixtral(params) else None

    @cached_property
    def _converted(self) -> Mapping[str, dict[str, Any]]:
        if self._published is None:
            return {}
        return published.documents(self.dir / "params.json", self._published, self.path("tokenizer.model"), self.stored)

    @cached_property
    def config(self) -> dict[str, Any]:
        """``config.json``, or what stands for it: Mistral's own ``params.json``, or what is made of Meta's.

        Raises KQuantsError when there is neither.
        """
        config = self.json("config.json")
        params = {} if config is not None else self.json("params.json") or {}
        if "hidden_dim" in params and params.get("moe") is None:
            return params | {"architectures": [MISTRAL]}
        if "hidden_dim" in params and "kv_lora_rank" in params:
            return params | {"architectures": [MISTRAL_MOE]}
        if config is None:
            hint = weights.elsewhere(self.dir)
            raise KQuantsError(
                f"{self.dir}: has no config.json, expected the folder of a Hugging Face checkpoint{hint}"
            )
        return config

    @cached_property
    def stored(self) -> Mapping[str, Stored]:
        """Every tensor as the files hold it: parts by file name, names sorted in each (upstream's order)."""
        try:
            return self._index()
        except BaseException:
            self.close()
            raise

    @cached_property
    def tensors(self) -> DecodedTensors:
        """Every tensor by name, quantized encodings decoded row by row as they are read, or kept in blocks."""
        return DecodedTensors(self.stored, decoded(self.stored, quantization(self), self.dir), self.dir)

    def identity(self) -> str:
        """What tells the weights, and the files that say how they are stored, from others and from changed ones."""
        found = {p.name: p.stat() for p in sorted(self.dir.glob("*.json")) if p.is_file()}
        settings = [f"{name}:{status.st_size}:{status.st_mtime_ns}" for name, status in found.items()]
        return " ".join([*settings, *(shard.identity() for shard in self._shards)])

    def _index(self) -> dict[str, Stored]:
        names, weight_map = weights.named(self.dir, self.json)
        files: dict[str, dict[str, Stored]] = {}
        for name in names:
            path = inside(self.dir, name)
            if weight_map and not path.exists():
                raise KQuantsError(f"{path}: is missing, the index names {len(names)} files")
            shard = Shard(path)
            self._shards.append(shard)
            reader = safetensors if name.endswith(".safetensors") else torch
            files[name] = reader.tensors(shard)
        if not weight_map and all(map(meta.FILE.fullmatch, names)):
            files = {names[0]: meta.joined(self.dir, files)}
        found: dict[str, Stored] = {}
        for name, tensors in files.items():
            for key, stored in tensors.items():
                if key in found:
                    raise KQuantsError(
                        f"{self.dir / name}: holds {shown(key)}, which {found[key].shard.path.name} holds too"
                    )
                found[key] = stored
        if weight_map:
            weights.agree(self.dir, weight_map, found)
        return found if self._published is None else published.ordered(found)

    def close(self) -> None:
        """Close the files; tensors cannot be read afterwards."""
        for shard in self._shards:
            shard.close()

    def __exit__(self, *exception: object) -> None:
        self.close()


class DecodedTensors(Mapping[str, Source]):
    """Sources made when they are asked for: a checkpoint has tens of thousands of tensors."""

    def __init__(self, stored: Mapping[str, Stored], found: Decoded, folder: Path) -> None:
        self._stored, self._found, self._folder = stored, found, folder
        self._weights = found.weights
        self.kept = found.kept
        """The type of weights that stay in blocks, MXFP4 or NVFP4, or None."""

    @property
    def factors(self) -> dict[str, Factors]:
        """What the weights that stay NVFP4 are multiplied by, by name, in order; reads two numbers a weight."""
        with fitting(self._folder):
            return {name: how() for name, how in self._found.factors.items()}

    def apart(self) -> tuple[DecodedTensors, DecodedTensors]:
        """The weights that stay NVFP4, and the others."""
        named: tuple[dict[str, Lazy | None], ...] = ({}, {})
        for name, how in self._weights.items():
            named[name not in self._found.factors][name] = how
        of = [DecodedTensors(self._stored, replace(self._found, weights=some), self._folder) for some in named]
        return of[0], of[1]

    def __getitem__(self, name: str) -> Source:
        how = self._weights[name]
        if how is None:
            return plain(self._stored[name])
        with fitting(self._folder):
            return how()

    def __iter__(self) -> Iterator[str]:
        return iter(self._weights)

    def __len__(self) -> int:
        return len(self._weights)


def open(folder: str | os.PathLike[str]) -> Checkpoint:
    """The checkpoint in ``folder``; raises KQuantsError when that is no folder."""
    path = Path(folder)
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "there is no such folder"
        hint = f"; {path.parent} is one" if path.exists() and (path.parent / "config.json").is_file() else ""
        hint = "; a GGUF file is what kquants quantize takes" if path.suffix == ".gguf" else hint
        raise KQuantsError(f"{path}: {what}, expected one with config.json and the weights{hint}")
    # A model is named after its folder, which "." does not tell.
    return Checkpoint(path if path.name not in ("", "..") else path.resolve())
