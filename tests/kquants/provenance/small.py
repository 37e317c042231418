"""A small model that the rules look at, quantized, derived again, and harmed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import gguf_py
from gguf_py import Field
from kquants.execute import execute
from kquants.imatrix import Imatrix
from kquants.provenance import Proof, prove
from kquants.quantizer import Options, quantize_model

COLUMNS = 512
LAYERS = 2
SHAPES = {
    "token_embd.weight": (64, COLUMNS),
    "output_norm.weight": (COLUMNS,),
    "output.weight": (64, COLUMNS),
    **{
        f"blk.{i}.{role}": shape
        for i in range(LAYERS)
        for role, shape in {
            "attn_norm.weight": (COLUMNS,),
            "attn_q.weight": (32, COLUMNS),
            "attn_k.weight": (16, COLUMNS),
            "attn_v.weight": (16, COLUMNS),
            "attn_output.weight": (16, COLUMNS),
            "ffn_gate.weight": (16, COLUMNS),
            "ffn_down.weight": (16, COLUMNS),
        }.items()
    },
    "blk.0.attn_q.bias": (5,),  # of twenty bytes, so that padding follows
}


def write_source(path: Path, seed: int = 7) -> Path:
    """A small model in F16, with names and metadata that the rules look at."""
    rng = np.random.default_rng(seed)
    fields: dict[str, Any] = {
        "general.architecture": "llama",
        "general.name": "small",
        "general.file_type": np.uint32(1),
        "llama.block_count": np.uint32(LAYERS),
        "llama.attention.head_count": np.uint32(4),
        "llama.attention.head_count_kv": np.uint32(2),
    }
    tensors: dict[str, Any] = {}
    for name, shape in SHAPES.items():
        weights = rng.standard_normal(shape, np.float32) * np.float32(0.05)
        kind, stored = ("F32", weights) if len(shape) == 1 else ("F16", weights.astype(np.float16))
        tensors[name] = (kind, shape, stored)
    gguf_py.write(path, [Field.of(k, v) for k, v in fields.items()], tensors)
    return path


def quantized(source: Path, path: Path, kind: str, options: Options | None = None) -> Path:
    """Quantize the model."""
    with gguf_py.open_shards(source) as opened:
        execute(quantize_model(opened, path, kind, options), threads=2)
    return path


def proof(path: Path, source: Path, imatrix: Imatrix | None = None) -> Proof:
    """Derive it again, the recipe read off the file."""
    with gguf_py.open_shards(path) as model, gguf_py.open_shards(source) as origin:
        return prove(model, origin, imatrix, threads=2)


def flip(path: Path, byte: int, bit: int) -> None:
    """Change one bit of a file."""
    with path.open("r+b") as file:
        file.seek(byte)
        (old,) = file.read(1)
        file.seek(byte)
        file.write(bytes([old ^ (1 << bit)]))
