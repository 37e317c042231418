"""Whole small checkpoints: a Llama's projections in each encoding that upstream reads, and in other forms of files."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

from tests.hf2gguf.models import BPE, TOKENIZERS, values

from .samples import KEPT, UPSTREAM, Arrays, Maker, Sample, Shapes, save
from .test_torch import archive, described
from .test_torch import plain as plain_entry

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


def as_it_is(shapes: Shapes, dtype: str = "BF16") -> Sample:
    """Weights that are not quantized."""
    return {f"{name}.weight": values(name, shape, dtype) for name, shape in shapes.items()}, {}


FORMS: dict[str, Maker] = {
    "torch": as_it_is,
    "torch-shards": as_it_is,
    "shards-without-index": as_it_is,
    "f64": partial(as_it_is, dtype="F64"),
}
"""Not quantized, in files of another form."""

FILES: dict[str, Maker] = (
    FORMS | UPSTREAM | KEPT | {f"experts-{name}": KEPT[name] for name in ("nvfp4-modelopt", "nvfp4-wide")}
)
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
    config = dict(MOE if experts else CONFIG)
    config |= {"quantization_config": quantization} if quantization else {}
    (folder / "config.json").write_text(json.dumps(config))
    for file, source in TOKENIZERS["gpt2" if experts else "sp"].items():
        shutil.copyfile(source, folder / file)
    _weights(name, folder, plain(experts) | arrays)
    return folder


def _weights(name: str, folder: Path, tensors: Arrays) -> None:
    if name == "torch":
        torch_file(folder / "pytorch_model.bin", tensors)
    elif name == "torch-shards":
        parts = {f"pytorch_model-0000{i + 1}-of-00002.bin": list(tensors)[i::2] for i in range(2)}
        for part, names in parts.items():
            torch_file(folder / part, {key: tensors[key] for key in names})
        weight_map = {key: part for part, names in parts.items() for key in names}
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    elif name == "shards-without-index":
        for i in range(2):
            some = {key: tensors[key] for key in list(tensors)[i::2]}
            save(folder / f"model-0000{i + 1}-of-00002.safetensors", some)
    else:
        save(folder / "model.safetensors", tensors)


def torch_file(path: Path, tensors: Arrays) -> None:
    """A file such as PyTorch saves, each tensor in a storage of its own."""
    entries = {name: plain_entry(array, str(i)) for i, (name, array) in enumerate(tensors.items())}
    archive(path, described(entries), {str(i): array for i, array in enumerate(tensors.values())})
