"""TorchAO's tensors in safetensors: eight bits, scaled, each described in the file's metadata.

The names are ``MODULE._weight_qdata``, ``_scale``, ``_zero_point`` for ``MODULE.weight``. Arithmetic: the type the
weight had, rounded after the subtraction and after the product. Source: torchao 0.18, ``prototype/safetensors``,
``dequantize_affine``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from gguf_py.errors import KQuantsError
from kquants.source import Source

from .folder import parse_json, shown
from .parts import Tensors, Weights, part
from .scaled import scaled
from .stored import Stored

KINDS = ("Int8Tensor", "Float8Tensor", "IntxUnpackedToInt8Tensor")
_DTYPES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}
_DATA = re.compile(r"(.+)\._(\w+)_(qdata|scale|zero_point)")


def weights(stored: Tensors) -> Weights:
    """The weights by name, decoded where they are quantized."""
    made: Weights = {}
    for name, tensor in stored.items():
        match = _DATA.fullmatch(name)
        if match is None:
            made[name] = None
            continue
        base, weight, kind = match.groups()
        if kind == "qdata":
            stem = name.removesuffix("qdata")
            parts = part(stored, stem + "scale"), stored.get(stem + "zero_point")
            made[f"{base}.{weight}"] = partial(_decoded, f"{base}.{weight}", tensor, *parts)
    return made


def _decoded(name: str, data: Stored, scale: Stored, zero: Stored | None) -> Source:
    text = data.shard.metadata.get(name, "{}")
    said = parse_json(text.encode(), data.shard.path)
    kind = said.get("_type") if isinstance(said, Mapping) else None
    if kind not in KINDS:
        raise KQuantsError(
            f"{data.shard.path}: {shown(name)} is a {shown(kind)} of TorchAO, expected {', '.join(KINDS)}"
        )
    of: Mapping[str, Any] = said["_data"]
    dtype = _DTYPES.get(of["dtype"]["_data"])
    if dtype is None:
        raise KQuantsError(f"{data.shard.path}: {shown(name)} was a {shown(of['dtype']['_data'])}")
    return scaled(data, scale, of["block_size"], zero, dtype)
