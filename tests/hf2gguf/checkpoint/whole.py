"""Whole small checkpoints with quantized weights: every projection of a Llama, one an encoding that upstream reads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from tests.hf2gguf.models import BPE, TOKENIZERS, values

from .samples import KEPT, UPSTREAM, Arrays, Maker, Shapes, save

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

EXPERTS = 3
MOE: dict[str, Any] = CONFIG | {
    "architectures": ["OlmoeForCausalLM"],
    "model_type": "olmoe",
    "intermediate_size": 64,
    "num_experts": EXPERTS,
    "num_experts_per_tok": 2,
    "vocab_size": BPE,
}
_EXPERT: Shapes = {"gate": (64, HIDDEN), "up": (64, HIDDEN), "down": (HIDDEN, 64)}
MOE_PROJECTIONS: Shapes = {name: shape for name, shape in PROJECTIONS.items() if "mlp" not in name} | {
    f"model.layers.{i}.mlp.experts.{e}.{name}_proj": shape
    for i in range(LAYERS)
    for e in range(EXPERTS)
    for name, shape in _EXPERT.items()
}

FILES: dict[str, Maker] = UPSTREAM | KEPT | {f"experts-{name}": KEPT[name] for name in ("nvfp4-modelopt", "nvfp4-wide")}
"""How the projections are made, by the name of the checkpoint."""


def plain(experts: bool) -> Arrays:
    """The tensors that stay as they are."""
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (BPE if experts else VOCABULARY, HIDDEN),
        "model.norm.weight": (HIDDEN,),
    }
    if not experts:
        shapes["lm_head.weight"] = (VOCABULARY, HIDDEN)
    for i in range(LAYERS):
        shapes |= {f"model.layers.{i}.{n}_layernorm.weight": (HIDDEN,) for n in ("input", "post_attention")}
        if experts:
            shapes |= {
                f"model.layers.{i}.self_attn.{n}_norm.weight": PROJECTIONS[f"model.layers.{i}.self_attn.{n}_proj"][:1]
                for n in "qk"
            }
            shapes[f"model.layers.{i}.mlp.gate.weight"] = (EXPERTS, HIDDEN)
    return {name: values(name, shape, "BF16") for name, shape in shapes.items()}


def write(name: str, folder: Path) -> Path:
    """The checkpoint as a folder, which is made."""
    folder.mkdir(parents=True)
    experts = name.startswith("experts-")
    arrays, quantization = FILES[name](MOE_PROJECTIONS if experts else PROJECTIONS)
    config = MOE if experts else CONFIG
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": quantization}))
    for file, source in TOKENIZERS["gpt2" if experts else "sp"].items():
        shutil.copyfile(source, folder / file)
    save(folder / "model.safetensors", plain(experts) | arrays)
    return folder
