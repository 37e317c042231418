"""The files of a checkpoint's weights: how they are named, whether all are there, what there may be in their place."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gguf_py.errors import KQuantsError

from .folder import MAX_JSON, shown
from .stored import Stored

PARTS = (
    ("model", ".safetensors"),
    ("pytorch_model", ".bin"),
    ("consolidated", ".safetensors"),
    ("consolidated", ".pth"),
    ("model", ".pth"),
    ("model", ".pt"),
)
"""How files of weights are named; the first two are all that upstream looks for, and are looked for first."""
_ALIKE = (".safetensors", ".bin", ".pt", ".pth", ".h5", ".msgpack", ".onnx", ".gguf", ".ckpt", ".incomplete")
"""How files end that may hold weights under another name."""


def named(folder: Path, json: Callable[[str, int], dict[str, Any] | None]) -> tuple[list[str], dict[str, str]]:
    """The names of the files of weights, sorted, and the index's map of tensors to them (empty without an index).

    ``json`` reads an object in a file of the folder, of so many bytes at most. Raises KQuantsError when one is missing.
    """
    for prefix, suffix in PARTS:
        index_name = f"{prefix}{suffix}.index.json"
        index = json(index_name, MAX_JSON)
        if index is not None:
            return _from_index(folder / index_name, index)
        names = sorted(p.name for p in folder.glob(f"{prefix}*{suffix}"))
        if names:
            _complete(folder, names)
            return names, {}
    raise KQuantsError(f"{folder}: has no weights, expected model*.safetensors or pytorch_model*.bin{_others(folder)}")


def _others(folder: Path) -> str:
    """What there is that may be weights under another name, the largest first."""
    if (folder / "adapter_config.json").is_file():
        return elsewhere(folder)
    files = [path for path in folder.iterdir() if path.suffix in _ALIKE and path.is_file()]
    names = [shown(path.name) for path in sorted(files, key=lambda path: -path.stat().st_size)]
    return f"; there is {', '.join(names[:3])}" if names else ""


def _from_index(path: Path, index: dict[str, Any]) -> tuple[list[str], dict[str, str]]:
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(v, str) for v in weight_map.values()):
        raise KQuantsError(f"{path}: lacks weight_map, expected a map of tensor names to file names")
    if not weight_map:
        raise KQuantsError(f"{path}: names no tensor")
    return sorted(set(weight_map.values())), weight_map


def _complete(folder: Path, names: list[str]) -> None:
    """Without an index only the names tell how many parts there should be: ``…-00001-of-00003…``."""
    for name in names:
        numbered = re.search(r"-(\d{1,9})-of-(\d{1,9})\.", name)
        if numbered is None:
            continue
        part, of, total = numbered[1], len(numbered[2]), int(numbered[2])
        alike = re.compile(re.escape(name[: numbered.start(1)]) + r"(\d+)" + re.escape(name[numbered.end(1) :]))
        there = {int(m[1]) for m in map(alike.fullmatch, names) if m}
        if len(there) < total:
            first = next(i for i in range(1, total + 1) if i not in there)
            lost = name.replace(f"-{part}-of-", f"-{first:0{of}d}-of-", 1)
            raise KQuantsError(f"{folder / lost}: is missing, {len(there)} of {total} files are there")


def agree(folder: Path, weight_map: dict[str, str], found: dict[str, Stored]) -> None:
    """Raise KQuantsError naming a tensor that is in the index and not in the files, or the other way round."""
    for name, part in weight_map.items():
        if name not in found:
            raise KQuantsError(f"{folder / part}: lacks the tensor {shown(name)} that the index places there")
    for name, stored in found.items():
        if name not in weight_map:
            raise KQuantsError(f"{stored.shard.path}: holds the tensor {shown(name)} that the index does not name")


def elsewhere(folder: Path) -> str:
    """Where a checkpoint may be that is not in the folder itself."""
    if (folder / "adapter_config.json").is_file():
        return "; it holds an adapter, which is to be merged into its base model first"
    if any(folder.glob("consolidated*")):
        return ", or params.json beside the weights"
    near = sorted(path.parent for pattern in ("*", "snapshots/*") for path in folder.glob(f"{pattern}/config.json"))
    return f"; {near[0]} is one" if near else ""
