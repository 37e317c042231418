"""Make a TinyLlama-shaped checkpoint of 1.1 billion BF16 weights with synthetic values, for timing.

``python bench/synthetic.py DIR [--layers N]`` writes a folder that kquants and llama.cpp's converter both accept:
one safetensors file (2.2 GB), a config, and the tokenizer of ``fixtures/tiny-speeches-5m``, whose 4,096 pieces both
converters pad to the vocabulary of 32,000. The weights are normal with the spread of a trained model; each tensor
has a generator of its own, seeded by its place, so that the bytes do not depend on how they are chunked.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import ml_dtypes
import numpy as np

TOKENIZER = Path(__file__).parent.parent / "fixtures" / "tiny-speeches-5m"
HIDDEN, INNER, HEADS, KV_HEADS, VOCABULARY = 2048, 5632, 32, 4, 32000
CHUNK = 1 << 22
"""Weights made at a time: 16 MB as F32."""

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "max_position_embeddings": 2048,
    "model_type": "llama",
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "vocab_size": VOCABULARY,
}


def shapes(layers: int) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor of a model of ``layers`` layers, by its name in the checkpoint."""
    kv = HIDDEN // HEADS * KV_HEADS
    layer = {
        "input_layernorm": (HIDDEN,),
        "mlp.down_proj": (HIDDEN, INNER),
        "mlp.gate_proj": (INNER, HIDDEN),
        "mlp.up_proj": (INNER, HIDDEN),
        "post_attention_layernorm": (HIDDEN,),
        "self_attn.k_proj": (kv, HIDDEN),
        "self_attn.o_proj": (HIDDEN, HIDDEN),
        "self_attn.q_proj": (HIDDEN, HIDDEN),
        "self_attn.v_proj": (kv, HIDDEN),
    }
    return {
        "lm_head.weight": (VOCABULARY, HIDDEN),
        "model.embed_tokens.weight": (VOCABULARY, HIDDEN),
        **{f"model.layers.{i}.{name}.weight": shape for i in range(layers) for name, shape in layer.items()},
        "model.norm.weight": (HIDDEN,),
    }


def values(index: int, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """The BF16 weights of the tensor at ``index``, in order, a chunk at a time: matrices about 0, norms about 1."""
    draw = np.random.Generator(np.random.SFC64([2026, index]))
    spread, centre = (0.02, 0.0) if len(shape) > 1 else (0.1, 1.0)
    count = math.prod(shape)
    for start in range(0, count, CHUNK):
        x = draw.standard_normal(min(CHUNK, count - start), dtype=np.float32)
        x *= np.float32(spread)
        x += np.float32(centre)
        yield x.astype(ml_dtypes.bfloat16)


def write(folder: Path, layers: int = 22) -> int:
    """Write the checkpoint of ``layers`` layers (22: the whole model) into ``folder``; returns its weight count."""
    tensors = shapes(layers)
    header, offset = {}, 0
    for name, shape in tensors.items():
        end = offset + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**CONFIG, "num_hidden_layers": layers}, indent=2) + "\n")
    for name in ("tokenizer.model", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copyfile(TOKENIZER / name, folder / name)
    partial = folder / "model.safetensors.partial"
    with partial.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for index, shape in enumerate(tensors.values()):
            for chunk in values(index, shape):
                file.write(chunk.tobytes())
    partial.rename(folder / "model.safetensors")
    return offset // 2


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=22, help="22 for the whole model, fewer for a quick run")
    given = parser.parse_args()
    print(f"{given.folder}: {write(given.folder, given.layers):,} weights")
