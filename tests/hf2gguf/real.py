"""Real models as checkpoints: MiniLM as its package has it, SmolLM2-135M rebuilt from a GGUF file.

Of SmolLM2 the vocabulary is the original's; the weights are those of the file, Q4_1 and Q8_0, as BF16.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
from numpy.typing import NDArray

import gguf_py
from gguf_py import GGUFFile
from tests.files import real_files
from tests.reference import locate

from .models import save
from .tokenizer.rebuild import byte_level


def minilm(place: Path) -> Path | None:
    """The files of the package under the model's own name, with the pooling that it leaves out."""
    source = locate.minilm()
    if source is None:
        return None
    folder = place / "all-MiniLM-L6-v2"
    folder.mkdir()
    for path in source.iterdir():
        if path.is_file():
            shutil.copyfile(path, folder / path.name)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling/config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    return folder


def smollm2(place: Path) -> Path | None:
    """The folder that SmolLM2-135M-Instruct could have been published as."""
    source = next(iter(real_files("SmolLM2*")), None)
    if source is None:
        return None
    folder = place / "SmolLM2-135M-Instruct"
    folder.mkdir()
    with gguf_py.open(source) as file:
        for name, content in {"config": _config(file), **_tokenizer(file)}.items():
            (folder / f"{name}.json").write_text(json.dumps(content))
        save(folder / "model.safetensors", {name: ("BF16", w) for name, w in sorted(_weights(file))})
    return folder


REAL: dict[str, tuple[Callable[[Path], Path | None], tuple[str, ...], str]] = {
    "minilm": (minilm, ("f32", "f16", "q8_0"), "python -m tests.reference fetch-minilm"),
    "smollm2": (smollm2, ("auto", "q8_0"), "python -m tests.files fetch"),
}
"""How each is made, to which types it is converted, and what fetches it."""


def _config(file: GGUFFile) -> dict[str, Any]:
    of = {key.removeprefix("llama."): value for key, value in file.metadata.items() if key.startswith("llama.")}
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": int(of["embedding_length"]),
        "intermediate_size": int(of["feed_forward_length"]),
        "num_hidden_layers": int(of["block_count"]),
        "num_attention_heads": int(of["attention.head_count"]),
        "num_key_value_heads": int(of["attention.head_count_kv"]),
        "max_position_embeddings": int(of["context_length"]),
        "rope_theta": float(of["rope.freq_base"]),
        "rms_norm_eps": 1e-5,
        "vocab_size": int(of["vocab_size"]),
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
    } | {f"{kind}_token_id": int(file.metadata[f"tokenizer.ggml.{key}_token_id"]) for kind, key in _SPECIAL.items()}


_SPECIAL = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}


def _tokenizer(file: GGUFFile) -> dict[str, dict[str, Any]]:
    metadata = file.metadata
    tokens = list(metadata["tokenizer.ggml.tokens"])
    kinds = [int(kind) for kind in metadata["tokenizer.ggml.token_type"]]
    # StarCoder's cuts are SmolLM's: digits one by one, then GPT-2's.
    document = byte_level(tokens, kinds, list(metadata["tokenizer.ggml.merges"]), "starcoder")
    named = {f"{kind}_token": tokens[metadata[f"tokenizer.ggml.{key}_token_id"]] for kind, key in _SPECIAL.items()}
    settings = {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": False, "add_bos_token": False}
    template = metadata["tokenizer.chat_template"]
    return {"tokenizer": document, "tokenizer_config": named | settings | {"chat_template": template}}


_NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}


def _weights(file: GGUFFile) -> Iterator[tuple[str, NDArray[Any]]]:
    heads = {"attn_q": "attention.head_count", "attn_k": "attention.head_count_kv"}
    for name, tensor in file.tensors.items():
        weight = tensor.to_numpy()
        _, _, rest = name.partition("blk.")
        if not rest:
            known = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
            yield known[name], weight.astype(ml_dtypes.bfloat16)
            continue
        layer, part, _ = rest.split(".")
        if part in heads:  # upstream puts the halves of a head's rows, which rotate together, side by side
            count = int(file.metadata[f"llama.{heads[part]}"])
            weight = weight.reshape(count, -1, 2, weight.shape[-1]).swapaxes(1, 2).reshape(weight.shape)
        yield f"model.layers.{layer}.{_NAMES[part]}.weight", weight.astype(ml_dtypes.bfloat16)
