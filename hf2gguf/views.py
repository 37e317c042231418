"""What the expressions of an architecture may look at in a checkpoint: small tensors, JSON files, its card."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from gguf_py import KQuantsError

from . import checkpoint as checkpoints
from . import tokenizer
from .checkpoint import Checkpoint
from .checkpoint.folder import inside, parse_json, read_text
from .numbers import as_f32


class Weights(Mapping[str, list[float]]):
    """A checkpoint's small tensors as lists of numbers, for what upstream makes metadata of; read when asked for."""

    def __init__(self, opened: Checkpoint) -> None:
        self._opened = opened

    def __getitem__(self, name: str) -> list[float]:
        source = self._opened.tensors.get(name)
        if source is None:
            raise KQuantsError(f"{self._opened.dir}: has no tensor {name!r}, which the metadata is made of")
        if source.count * source.columns > 1 << 16:
            raise KQuantsError(
                f"{self._opened.dir}: {name!r} has the shape {list(source.shape)}, expected a few numbers"
            )
        if source.type.name in ("I32", "I64"):  # which may be more than F32 holds
            return source.rows(0, source.count).view(f"<i{source.type.nbytes}").ravel().tolist()
        values: list[float] = as_f32(source).rows(0, source.count).view(np.float32).ravel().tolist()
        return values

    def __contains__(self, name: object) -> bool:
        return name in self._opened.stored

    def __iter__(self) -> Iterator[str]:
        return iter(self._opened.tensors)

    def __len__(self) -> int:
        return len(self._opened.tensors)


class ZeroRows(Mapping[str, list[int]]):
    """The numbers of a matrix's rows that hold nothing but zeros, by the tensor's name; looked for when asked for."""

    def __init__(self, opened: Checkpoint) -> None:
        self._opened = opened

    def __getitem__(self, name: str) -> list[int]:
        source = as_f32(self._opened.tensors[name])
        step = max(1, (1 << 22) // max(1, source.columns))
        found: list[int] = []
        for lo in range(0, source.count, step):
            rows = source.rows(lo, min(source.count, lo + step)).view(np.float32)
            found += (lo + np.flatnonzero(~rows.any(axis=1))).tolist()
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._opened.tensors)

    def __len__(self) -> int:
        return len(self._opened.tensors)


class Documents(Mapping[str, dict[str, Any]]):
    """A checkpoint's JSON files, parsed when asked for."""

    def __init__(self, opened: Checkpoint) -> None:
        self._opened = opened

    def __getitem__(self, name: str) -> dict[str, Any]:
        found = self._opened.json(name)
        if found is None:
            raise KQuantsError(f"{self._opened.dir}: has no {name}, which the model's type asks for")
        return found

    def __contains__(self, name: object) -> bool:
        return self._opened.path(str(name)) is not None

    def __iter__(self) -> Iterator[str]:
        return (path.name for path in self._opened.dir.glob("*.json"))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Bundled(Mapping[str, str]):
    """Copies of upstream's own chat templates in the folder; one that is asked for and missing is warned of."""

    def __init__(self, opened: Checkpoint) -> None:
        self._opened = opened

    def __getitem__(self, name: str) -> str:
        found = tokenizer.special.bundled(self._opened, name)
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        return (path.name for path in self._opened.dir.glob("*.jinja"))

    def __len__(self) -> int:
        return sum(1 for _ in self)


_CARD = 1 << 20
"""As much of a model card is looked at as tells what a model is for."""


def card(opened: Checkpoint) -> str:
    """The beginning of the model card; empty where there is none."""
    path = opened.path("README.md")
    if path is None:
        return ""
    with path.open("rb") as f:
        return f.read(_CARD).decode("utf-8", "replace")


_POOLINGS = {"mean": 1, "cls": 2, "lasttoken": 3}


def pooling(opened: Checkpoint) -> int | None:
    """How sentence-transformers' modules pool, as llama.cpp numbers it; None when they do not say."""
    path = opened.path("modules.json")
    modules = parse_json(read_text(path), path) if path is not None else []
    if not isinstance(modules, list) or not all(isinstance(module, Mapping) for module in modules):
        raise KQuantsError(f"{path}: holds no list of modules, expected sentence-transformers'")
    place = next((m.get("path") for m in modules if str(m.get("type")).endswith("Pooling")), None)
    if place is None:
        return None
    if not re.fullmatch(r"[\w.-]+", str(place)) or not str(place).strip("."):
        raise KQuantsError(f"{opened.dir}: modules.json places pooling in {place!r}, expected the name of a folder")
    folder = inside(opened.dir, str(place))
    if not folder.is_dir():
        raise KQuantsError(f"{opened.dir}: modules.json places pooling in {place!r}, which is not there")
    said = checkpoints.open(folder).json("config.json") or {}
    flags = (("mean", "mean_tokens"), ("cls", "cls_token"), ("lasttoken", "lasttoken"))
    mode = next((name for name, flag in flags if said.get(f"pooling_mode_{flag}")), said.get("pooling_mode"))
    if mode not in _POOLINGS:
        raise KQuantsError(f"{opened.dir}: pooling {mode!r} is unknown, expected one of {', '.join(_POOLINGS)}")
    return _POOLINGS[mode]
