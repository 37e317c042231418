"""Whole small checkpoints with quantized weights: every projection of a Llama, one an encoding that upstream reads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from tests.hf2gguf.models import TINY, values

from .samples import UPSTREAM, Arrays, Maker, Shapes, save

HIDDEN, WIDE, LAYERS, VOCABULARY = 128, 256, 2, 4096
CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": HIDDEN,
    "intermediate_size": WIDE,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
    "vocab_size": VOCABULARY,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_ATTENTION: Shapes = {"q": (128, HIDDEN), "k": (64, HIDDEN), "v": (64, HIDDEN), "o": (HIDDEN, 128)}
_FEED: Shapes = {"gate": (WIDE, HIDDEN), "up": (WIDE, HIDDEN), "down": (HIDDEN, WIDE)}
PROJECTIONS: Shapes = {
    f"model.layers.{i}.{part}.{name}_proj": shape
    for i in range(LAYERS)
    for part, names in (("self_attn", _ATTENTION), ("mlp", _FEED))
    for name, shape in names.items()
}
OUTTYPES = ("auto", "f16", "q8_0")

FILES: dict[str, Maker] = dict(UPSTREAM)
"""How the projections are made, by the name of the checkpoint."""


def plain() -> Arrays:
    """The tensors that stay as they are."""
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (VOCABULARY, HIDDEN),
        "lm_head.weight": (VOCABULARY, HIDDEN),
        "model.norm.weight": (HIDDEN,),
    }
    for i in range(LAYERS):
        shapes |= {f"model.layers.{i}.{n}_layernorm.weight": (HIDDEN,) for n in ("input", "post_attention")}
    return {name: values(name, shape, "BF16") for name, shape in shapes.items()}


def write(name: str, folder: Path) -> Path:
    """The checkpoint as a folder, which is made."""
    folder.mkdir(parents=True)
    arrays, quantization = FILES[name](PROJECTIONS)
    (folder / "config.json").write_text(json.dumps(CONFIG | {"quantization_config": quantization}))
    for file in ("tokenizer.model", "tokenizer_config.json"):
        shutil.copyfile(TINY / file, folder / file)
    save(folder / "model.safetensors", plain() | arrays)
    return folder
