"""Small GGUF models that differ in what the rules look at, made from fixed seeds, and what llama.cpp makes of them.

``python -m tests.kquants.models`` writes ``quantized.json``: SHA-256 of what ``llama_model_quantize`` v0.5.0 writes for
every model and file type, with and without an importance matrix. Where it refuses, there is none.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import gguf_py
from gguf_py import Field, ValueType, tensor_type
from kquants.imatrix import Imatrix
from kquants.recode import encode
from tests.reference import FILE_TYPES, prebuilt
from tests.reference.child import load, quantize

DIGESTS = Path(__file__).with_name("quantized.json")
WIDTH = 256
IMATRIX = "imatrix.gguf"
"""What the files say of their importance matrix."""

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class TinyModel:
    """Metadata (below the architecture's prefix) and shapes in NumPy order; vectors are F32, the rest ``type``."""

    architecture: str
    tensors: Shapes
    keys: dict[str, Any] = field(default_factory=dict)
    type: str = "F16"

    @property
    def fields(self) -> list[Field]:
        """The metadata of the file."""
        own = {
            "block_count": 1 + max(int(n.split(".")[1]) for n in self.tensors if n.startswith("blk.")),
            "context_length": 128,
            "embedding_length": WIDTH,
            "feed_forward_length": 2 * WIDTH,
            "attention.head_count": 8,
            "attention.head_count_kv": 8,
            "attention.layer_norm_rms_epsilon": 1e-5,
            "attention.layer_norm_epsilon": 1e-5,
        } | self.keys
        made = [Field.of("general.architecture", self.architecture), Field.of("general.name", "tiny")]
        made.append(Field.of("general.file_type", 1, ValueType.UINT32))
        for key, value in own.items():
            kind = ValueType.UINT32 if isinstance(value, int) and not isinstance(value, bool) else None
            made.append(Field.of(f"{self.architecture}.{key}", value, kind))
        made.append(Field.of("tokenizer.ggml.tokens", ["<s>", "a\0b", "é"]))
        return made

    def write(self, path: Path) -> None:
        """Write the model; a tensor's weights depend on its name and shape alone."""
        written = {}
        for name, shape in self.tensors.items():
            kind = tensor_type("F32" if len(shape) == 1 else self.type)
            draw = np.random.default_rng(zlib.crc32(name.encode()))
            x = draw.standard_normal(shape, np.float32) * np.float32(0.05)
            blocks = np.empty(x.size // kind.block * kind.nbytes, np.uint8)
            if kind.name == "F32":
                blocks = x.reshape(-1).view(np.uint8)
            else:
                encode(x.reshape(-1), kind, blocks)
            written[name] = (kind, shape, blocks)
        gguf_py.write(path, self.fields, written)

    def importance(self) -> Imatrix:
        """An importance matrix for every matrix of the model but the token embedding, which is looked up."""
        entries: dict[str, npt.NDArray[np.float32]] = {}
        for name, shape in self.tensors.items():
            if len(shape) > 1 and name != "token_embd.weight":
                draw = np.random.default_rng(zlib.crc32(name.encode()) + 1)
                size = shape[-1] * (shape[-3] if len(shape) > 2 else 1)
                entries[name] = draw.lognormal(0, 1, size).astype(np.float32)
        return Imatrix(IMATRIX, entries, ("speeches.txt",), 42)


def _layers(count: int, **tensors: tuple[int, ...]) -> Shapes:
    norms = {"attn_norm": (WIDTH,), **tensors}
    return {f"blk.{i}.{name}.weight": shape for i in range(count) for name, shape in norms.items()}


def _embeddings(width: int = WIDTH, *, tied: bool = False) -> Shapes:
    made: Shapes = {"output_norm.weight": (width,), "token_embd.weight": (3, width)}
    return made if tied else made | {"output.weight": (3, width)}


def _attention(width: int = WIDTH) -> Shapes:
    return {f"attn_{name}": (4, width) for name in ("k", "output", "q", "v")}


def _dense(width: int = WIDTH, inner: int = 2 * WIDTH) -> Shapes:
    return {"ffn_down": (4, inner), "ffn_gate": (4, width), "ffn_up": (4, width)}


def _experts(count: int) -> Shapes:
    made: Shapes = {f"ffn_{name}_exps": (count, 2, WIDTH) for name in ("down", "gate", "up")}
    return made | {"ffn_gate_inp": (count, WIDTH)}


def _plain_llama(layers: int, *, tied: bool = False, width: int = WIDTH, inner: int = 2 * WIDTH) -> Shapes:
    return _embeddings(width, tied=tied) | _layers(layers, **_attention(width), **_dense(width, inner))


MODELS = {
    "llama-tied-gqa": TinyModel("llama", _plain_llama(16, tied=True), {"attention.head_count_kv": 2}),
    "llama-untied": TinyModel("llama", _plain_llama(17)),
    "llama-bf16-gqa3": TinyModel("llama", _plain_llama(9), {"attention.head_count_kv": 3}, "BF16"),
    "llama-f32": TinyModel("llama", _plain_llama(2), type="F32"),
    "llama-70b": TinyModel("llama", _plain_llama(80, inner=WIDTH), {"attention.head_count_kv": 1}),
    "llama-65b": TinyModel("llama", _plain_llama(80, inner=WIDTH)),
    "qwen2-80": TinyModel("qwen2", _plain_llama(80, inner=WIDTH)),
    "mixtral-8": TinyModel(
        "llama",
        _embeddings() | _layers(16, **_attention(), **_experts(8)),
        {"expert_count": 8, "expert_used_count": 2, "attention.head_count_kv": 2},
    ),
    "experts-6": TinyModel(
        "qwen2moe",
        _embeddings()
        | _layers(
            16,
            **_attention(),
            **_experts(6),
            ffn_down_shexp=(2, WIDTH),
            ffn_gate_shexp=(2, WIDTH),
            ffn_up_shexp=(2, WIDTH),
        ),
        {"expert_count": 6, "expert_used_count": 2, "expert_feed_forward_length": 256},
    ),
    "falcon": TinyModel(
        "falcon",
        _embeddings() | _layers(16, attn_qkv=(6, WIDTH), attn_output=(4, WIDTH), ffn_up=(4, WIDTH), ffn_down=(4, 512)),
        {"attention.head_count_kv": 1},
    ),
    "phi3-fused": TinyModel(
        "phi3",
        _embeddings() | _layers(16, attn_qkv=(6, WIDTH), attn_output=(4, WIDTH), ffn_up=(8, WIDTH), ffn_down=(4, 512)),
        {"rope.dimension_count": 32},
    ),
    "rows-of-32": TinyModel("llama", _plain_llama(16, width=320, inner=288), {"embedding_length": 320}),
    "rows-of-odd-length": TinyModel("llama", _plain_llama(9, width=200, inner=100), {"embedding_length": 200}),
    "bert": TinyModel(
        "bert",
        {"token_embd.weight": (3, WIDTH), "token_types.weight": (2, WIDTH), "position_embd.weight": (16, WIDTH)}
        | {"token_embd_norm.weight": (WIDTH,), "token_embd_norm.bias": (WIDTH,)}
        | _layers(12, **_attention(), ffn_up=(4, WIDTH), ffn_down=(4, 512)),
        {"attention.causal": False},
    ),
    "mamba": TinyModel(
        "mamba",
        _embeddings(tied=True)
        | _layers(16, ssm_in=(4, WIDTH), ssm_x=(4, 512), ssm_dt=(4, 32), ssm_out=(4, 512), ssm_conv1d=(512, 4))
        | {f"blk.{i}.ssm_a": (512, 16) for i in range(16)},
        {"attention.head_count": 0, "attention.head_count_kv": 0, "feed_forward_length": 0, "ssm.conv_kernel": 4}
        | {"ssm.inner_size": 512, "ssm.state_size": 16, "ssm.time_step_rank": 16},
    ),
    "deepseek2-mla": TinyModel(
        "deepseek2",
        _embeddings()
        | _layers(
            16,
            attn_q_a=(4, WIDTH),
            attn_q_b=(4, 64),
            attn_kv_a_mqa=(4, WIDTH),
            attn_kv_b=(8, 512),
            attn_k_b=(2, 4, 128),
            attn_output=(4, WIDTH),
            **_experts(10),
        ),
        {"expert_count": 10, "expert_used_count": 2, "attention.q_lora_rank": 64, "attention.kv_lora_rank": 512}
        | {"expert_feed_forward_length": 256, "expert_shared_count": 1, "leading_dense_block_count": 0}
        | {"attention.key_length": 192, "attention.value_length": 128, "rope.dimension_count": 64}
        | {"expert_weights_scale": 1.0, "attention.head_count_kv": 1},
    ),
    "gemma3n": TinyModel(
        "gemma3n",
        _embeddings(tied=True)
        | {"per_layer_token_embd.weight": (3, 512), "per_layer_model_proj.weight": (4, WIDTH)}
        | {"altup_proj.weight": (3, 4, WIDTH), "altup_unembd_proj.weight": (3, 4, WIDTH)}
        | _layers(
            10,
            **_attention(),
            **_dense(),
            altup_router=(4, WIDTH),
            altup_predict_coef=(16, 4),
            laurel_l=(4, WIDTH),
            laurel_r=(4, 64),
            inp_gate=(4, WIDTH),
            proj=(4, WIDTH),
        ),
        {"attention.sliding_window": 512, "attention.head_count_kv": 2},
    ),
}


def sparse(path: Path, shape: tuple[int, ...]) -> None:
    """Write a model of one F16 tensor of zeros that takes no room on the disk."""
    layout = gguf_py.lay_out([], [gguf_py.TensorInfo("token_embd.weight", tensor_type("F16"), shape)])
    with path.open("wb") as file:
        file.write(layout.header)
        file.truncate(layout.size)


def overrides(imatrix: Imatrix) -> dict[str, Any]:
    """What llama-quantize writes of an importance matrix, for the library, which writes nothing of it itself."""
    return {
        "quantize.imatrix.file": imatrix.path,
        "quantize.imatrix.dataset": imatrix.datasets[0],
        "quantize.imatrix.entries_count": len(imatrix.entries),
        "quantize.imatrix.chunks_count": imatrix.chunks,
    }


def cases() -> Iterator[tuple[str, str, bool]]:
    """Every model, file type, and whether there is an importance matrix."""
    for model in MODELS:
        for file_type in FILE_TYPES:
            yield model, file_type, False
            if file_type not in ("F32", "F16", "BF16"):
                yield model, file_type, True


def main() -> None:
    """Let llama.cpp quantize every model to every file type and write the digests."""
    folder = prebuilt()
    assert folder is not None, "the prebuilt llama.cpp is missing: python -m tests.reference fetch"
    library = load(folder)
    table: dict[str, dict[str, str]] = {name: {} for name in MODELS}
    with tempfile.TemporaryDirectory() as scratch:
        source, target = Path(scratch, "in.gguf"), Path(scratch, "out.gguf")
        for name, file_type, weighted in cases():
            MODELS[name].write(source)
            request: dict[str, Any] = {"params": {"nthread": 1, "ftype": FILE_TYPES[file_type]}}
            request |= {"source": str(source), "target": str(target)}
            entries: Mapping[str, Any] = {}
            if weighted:
                importance = MODELS[name].importance()
                entries = importance.entries
                request |= {"imatrix": {key: key for key in entries}, "kv_overrides": overrides(importance)}
            if quantize(library, request, dict(entries))["status"] == 0:
                label = file_type + (" imatrix" if weighted else "")
                table[name][label] = hashlib.sha256(target.read_bytes()).hexdigest()
    DIGESTS.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
