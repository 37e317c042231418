"""Weights that a file holds in the very blocks in which their model is published: GPT-OSS's MXFP4, bit by bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gguf_py import GGUFFile, TensorType, tensor_type
from kquants.source import Source, converted, of_tensors

MXFP4 = tensor_type("MXFP4")
BYTE = TensorType(-1, "U8", 1, 1)
"""Bytes as safetensors calls them; GGUF has no such type."""
CONFIG = {
    "quant_method": "mxfp4",
    "modules_to_not_convert": [
        "model.layers.*.self_attn",
        "model.layers.*.mlp.router",
        "model.embed_tokens",
        "lm_head",
    ],
}
"""What ``config.json`` says of it (``quantization_config``)."""


def sources(file: GGUFFile) -> tuple[dict[str, Source], bool]:
    """The file's tensors as a checkpoint can have them, others as F16; and whether those are any."""
    kept = MXFP4 if file.metadata.get("general.architecture") == "gpt-oss" else None
    rounded = {n for n, t in file.tensors.items() if t.type.quantized and t.type != kept}
    half = tensor_type("F16")
    found = of_tensors(dict(file.tensors)).items()
    return {n: converted(s, half) if n in rounded else s for n, s in found}, bool(rounded)


def packed(tensors: Mapping[str, Source]) -> dict[str, Source]:
    """A shard whose MXFP4 tensors are blocks and scales by themselves, rows of gate and up taking turns."""
    made = {name: source for name, source in tensors.items() if source.type != MXFP4}
    for name in tensors.keys() - made.keys():
        base, source = name.removesuffix(".weight"), tensors[name]
        if base.endswith("gate_proj"):
            base, parts = base.removesuffix("gate_proj") + "gate_up_proj", [source]
            parts.append(tensors[name.replace("gate_proj", "up_proj")])
        elif base.endswith("up_proj"):
            continue
        else:
            parts = [source]
        made |= _apart(base, parts)
    return dict(sorted(made.items()))


def _apart(base: str, parts: list[Source]) -> dict[str, Source]:
    *outer, height, columns = parts[0].shape
    many, groups = len(parts), columns // MXFP4.block
    shape = (*outer, many * height, groups)

    def blocks(lo: int, hi: int) -> NDArray[np.uint8]:
        """Rows of the joined matrices: [rows, groups, bytes of a block]."""
        first, last = lo // many, -(-hi // many)
        rows = [part.rows(first, last).reshape(last - first, 1, groups, MXFP4.nbytes) for part in parts]
        together: Any = np.concatenate(rows, axis=1).reshape(-1, groups, MXFP4.nbytes)
        found: NDArray[np.uint8] = together[lo - first * many : hi - first * many]
        return found

    def weights(lo: int, hi: int) -> NDArray[np.uint8]:
        """Rows of one block each."""
        first, last = lo // groups, -(-hi // groups)
        found = _neighbours(blocks(first, last)[..., 1:]).reshape(-1, MXFP4.block // 2)
        return found[lo - first * groups : hi - first * groups]

    return {
        f"{base}_blocks": Source(BYTE, (*shape, MXFP4.block // 2), weights),
        f"{base}_scales": Source(BYTE, shape, lambda lo, hi: np.ascontiguousarray(blocks(lo, hi)[..., 0])),
    }


def _neighbours(halves: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Bytes with a weight of each half of a block, as bytes with neighbouring weights: uint8[..., n]."""
    weights = np.concatenate((halves & 15, halves >> 4), axis=-1)
    found: NDArray[np.uint8] = weights[..., ::2] | (weights[..., 1::2] << 4)
    return found
