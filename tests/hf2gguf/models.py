"""Small checkpoints, one or more for each architecture: configuration, tensors, tokenizer; all of it from fixed seeds.

Nothing here needs PyTorch. ``write`` makes the folder that upstream's converter and ours both read.
"""

from __future__ import annotations

import json
import shutil
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

HERE = Path(__file__).parent
TINY = HERE.parents[1] / "fixtures/tiny-speeches-5m"

Shapes = dict[str, tuple[int, ...]]

HIDDEN, WIDE, LAYERS, HEADS, GROUPS, SIZE = 64, 96, 2, 4, 2, 16
"""Hidden size, feed-forward size, layers, heads, key and value heads, head size; as small as the types allow."""

SP, BPE, QWEN = 4096, 50257, 151936
"""Vocabulary sizes of the tokenizers."""


@dataclass(frozen=True)
class Model:
    """What a checkpoint folder holds."""

    config: dict[str, Any]
    tensors: Shapes
    tokenizer: str = "sp"
    dtype: str = "BF16"
    dtypes: dict[str, str] = field(default_factory=dict)
    """Types of single tensors, by the end of their names."""
    zeros: dict[str, list[int]] = field(default_factory=dict)
    """Rows of single tensors that hold nothing."""
    shards: int = 1
    files: dict[str, str] = field(default_factory=dict)
    outtypes: tuple[str, ...] = ("f16", "q8_0")
    pre: str = ""
    """What upstream is to call the pre-tokenizer of a vocabulary that is made up, which it cannot know."""

    @property
    def mistral(self) -> bool:
        """Whether the checkpoint is in Mistral's own form."""
        return "hidden_dim" in self.config and "architectures" not in self.config


def base(class_: str, kind: str | None, **more: Any) -> dict[str, Any]:
    """A configuration with what nearly all of them have."""
    config: dict[str, Any] = {
        "architectures": [class_],
        "hidden_size": HIDDEN,
        "intermediate_size": WIDE,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": GROUPS,
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-5,
        "vocab_size": SP,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    config |= {} if kind is None else {"model_type": kind}
    return {k: v for k, v in (config | more).items() if v is not Ellipsis}


def linear(name: str, rows: int, columns: int, bias: bool = False) -> Shapes:
    """A projection, with or without bias."""
    return {f"{name}.weight": (rows, columns)} | ({f"{name}.bias": (rows,)} if bias else {})


def norm(name: str, size: int = HIDDEN, bias: bool = False) -> Shapes:
    """A norm's weights."""
    return {f"{name}.weight": (size,)} | ({f"{name}.bias": (size,)} if bias else {})


def layers(make: Any, count: int = LAYERS, prefix: str = "model.layers") -> Shapes:
    """The tensors of all layers; ``make`` gives those of one by its prefix."""
    made: Shapes = {}
    for i in range(count):
        made |= make(f"{prefix}.{i}")
    return made


def attention(p: str, *, size: int = SIZE, heads: int = HEADS, groups: int = GROUPS, bias: bool = False) -> Shapes:
    """Query, key, value and output, apart."""
    return (
        linear(f"{p}.self_attn.q_proj", heads * size, HIDDEN, bias)
        | linear(f"{p}.self_attn.k_proj", groups * size, HIDDEN, bias)
        | linear(f"{p}.self_attn.v_proj", groups * size, HIDDEN, bias)
        | linear(f"{p}.self_attn.o_proj", HIDDEN, heads * size)
    )


def qk_norms(p: str, q: int = SIZE, k: int = SIZE) -> Shapes:
    """Norms of queries and keys."""
    return norm(f"{p}.self_attn.q_norm", q) | norm(f"{p}.self_attn.k_norm", k)


def gated(p: str, wide: int = WIDE, name: str = "mlp") -> Shapes:
    """A feed-forward layer with a gate."""
    return (
        linear(f"{p}.{name}.gate_proj", wide, HIDDEN)
        | linear(f"{p}.{name}.up_proj", wide, HIDDEN)
        | linear(f"{p}.{name}.down_proj", HIDDEN, wide)
    )


def experts(p: str, count: int, wide: int = 32, name: str = "mlp") -> Shapes:
    """Experts with a gate each, and the router."""
    made = linear(f"{p}.{name}.gate", count, HIDDEN)
    for e in range(count):
        made |= gated(p, wide, f"{name}.experts.{e}")
    return made


def mixtral(p: str, count: int, wide: int = 32) -> Shapes:
    """Experts in Mixtral's names."""
    made = linear(f"{p}.block_sparse_moe.gate", count, HIDDEN)
    for e in range(count):
        q = f"{p}.block_sparse_moe.experts.{e}"
        made |= linear(f"{q}.w1", wide, HIDDEN) | linear(f"{q}.w2", HIDDEN, wide) | linear(f"{q}.w3", wide, HIDDEN)
    return made


def two_norms(p: str, bias: bool = False) -> Shapes:
    """The norms before attention and before the feed-forward layer."""
    return norm(f"{p}.input_layernorm", bias=bias) | norm(f"{p}.post_attention_layernorm", bias=bias)


def ends(vocab: int = SP, tied: bool = False, bias: bool = False) -> Shapes:
    """Embedding, last norm, and the output layer unless it is tied."""
    made = {"model.embed_tokens.weight": (vocab, HIDDEN)} | norm("model.norm", bias=bias)
    return made | ({} if tied else {"lm_head.weight": (vocab, HIDDEN)})


def llama(vocab: int = SP, *, tied: bool = False, bias: bool = False, wide: int = WIDE, size: int = SIZE) -> Shapes:
    """Llama's tensors."""
    one = layers(lambda p: two_norms(p) | attention(p, bias=bias, size=size) | gated(p, wide))
    return ends(vocab, tied) | one


_OTHERS = {"F8_E8M0": ml_dtypes.float8_e8m0fnu, "I8": np.int8, "F8_E4M3": ml_dtypes.float8_e4m3fn}


_WHOLE = {"tid2eid": (0, 4), "layer_multipliers": (1 << 44, (1 << 44) + 3), "ngram_heads_offsets": (0, 32, 8),
    "ngram_heads_vocab_sizes": (5, 9)}  # fmt: skip
"""Bounds of whole numbers, drawn for the first and counted for the others."""


def values(name: str, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """The weights of a tensor: normal, a fiftieth wide, a seed of its name."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    made = rng.standard_normal(shape, np.float32) * np.float32(0.02)
    if dtype == "U8":
        low, high = (
            (110, 140) if name.endswith(("_scales", "_scale")) else (0, 256)
        )  # exponents, of numbers that F16 can hold
        return rng.integers(low, high, shape, np.uint8)
    if dtype in _OTHERS:
        low, high = {"F8_E8M0": (110, 140), "I8": (0, 256)}.get(dtype, (0, 119))
        return rng.integers(low, high, shape, np.uint8).view(_OTHERS[dtype])
    if dtype == "I64" and (end := name.rpartition(".")[2]) in _WHOLE:
        return rng.integers(*_WHOLE[end], shape) if end == "tid2eid" else np.arange(*_WHOLE[end])
    kind = {"F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16, "F64": np.float64, "I64": np.int64}[dtype]
    return np.asarray(made).astype(kind)


def save(path: Path, tensors: dict[str, tuple[str, NDArray[Any]]]) -> None:
    """A safetensors file."""
    header: dict[str, Any] = {}
    at = 0
    for name, (dtype, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(data.shape), "data_offsets": [at, at + data.nbytes]}
        at += data.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for _, data in tensors.values():
            f.write(data.tobytes())


TOKENIZERS: dict[str, dict[str, Path]] = {
    "none": {},
    "sp": {"tokenizer.model": TINY / "tokenizer.model", "tokenizer_config.json": TINY / "tokenizer_config.json"},
    "sp-v3": {"tokenizer.model.v3": TINY / "tokenizer.model"},
    "sp-v7": {"tokenizer.model.v7m1": TINY / "tokenizer.model"},
    "sp-v1": {"tokenizer.model": TINY / "tokenizer.model"},
    "gpt2": {n: HERE / "tokenizers/gpt2" / n for n in ("tokenizer.json", "tokenizer_config.json")},
    "glm": {n: HERE / "tokenizers/glm" / n for n in ("tokenizer.json", "tokenizer_config.json")},
    "qwen2": {n: HERE / "tokenizers/qwen2" / n for n in ("tokenizer.json", "tokenizer_config.json")},
    "bert": {n: HERE / "tokenizers/bert" / n for n in ("tokenizer.json", "tokenizer_config.json")},
    "unigram": {"tokenizer.model": HERE / "tokenizers/unigram/spiece.model"},
    "t5": {"spiece.model": HERE / "tokenizers/unigram/spiece.model"},
    "xlm-roberta": {"sentencepiece.bpe.model": HERE / "tokenizers/unigram/spiece.model"},
    "unigram-json": {n: HERE / "tokenizers/unigram" / n for n in ("tokenizer.json", "tokenizer_config.json")},
}


def write(model: Model, folder: Path) -> Path:
    """The checkpoint as a folder, which is made."""
    folder.mkdir(parents=True)
    config, weights = ("params", "consolidated") if model.mistral else ("config", "model")
    (folder / f"{config}.json").write_text(json.dumps(model.config, indent=2), "utf-8")
    for name, source in TOKENIZERS[model.tokenizer].items():
        shutil.copyfile(source, folder / name)
    for name, text in model.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    made = {}
    for name, shape in model.tensors.items():
        dtype = next((d for end, d in model.dtypes.items() if name.endswith(end)), model.dtype)
        made[name] = dtype, values(name, shape, dtype)
        if name in model.zeros:
            made[name][1][model.zeros[name]] = 0
    if model.shards == 1:
        save(folder / f"{weights}.safetensors", made)
        return folder
    weight_map: dict[str, str] = {}
    for i in range(model.shards):
        part = f"model-{i + 1:05d}-of-{model.shards:05d}.safetensors"
        names = list(made)[i :: model.shards]
        save(folder / part, {n: made[n] for n in names})
        weight_map |= dict.fromkeys(names, part)
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")
    return folder
