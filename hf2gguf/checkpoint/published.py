"""Checkpoints as Meta and Mistral publish them, with ``params.json``: the JSON files that stand beside them on the hub.

Of Meta's Llamas those are what transformers' conversion script writes; which Llama it is ``params.json`` does not say,
so that is inferred, with a warning. Of Mixtral they are those of its models there.
Source: transformers 4.46, ``models/llama/convert_llama_weights_to_hf.py``; of what tells Llama 2 from 1, and of
Mixtral's context, upstream's ``examples/convert_legacy_llama.py``.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gguf_py.errors import KQuantsError

from .stored import Stored

FILES = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json")
"""What would stand there besides the weights."""

OUTPUT, EMBEDDING = "output.weight", "tok_embeddings.weight"
_ORDER = (
    "output tok_embeddings feed_forward.experts feed_forward.gate attention_norm feed_forward.w2 feed_forward.w1"
    " feed_forward.w3 ffn_norm attention.wk attention.wo attention.wq attention.wv norm"
).split()
"""Meta's names, and Mistral's, of a layer and around the layers, in the order that Hugging Face's names sort in."""
_NAME = re.compile(r"(?:layers\.(\d+)\.)?(.+?)(?:\.\d+\.w\d)?\.weight")
_RANKS = re.compile(rb"[A-Za-z0-9+/]+=* \d+\r?\n")
_NOT_TEXT = {
    "vision_chunk_size": "a Llama that sees",
    "vision_model": "a Llama that sees",
    "moe_args": "Llama 4",
    "quantization_args": "weights that Meta has quantized",
    "lora_args": "weights with adapters",
}
_MIXTRAL_CONTEXT = 32768
_PIECE = 4 << 20
"""Bytes of a matrix that are compared at a time."""
_SAMPLING = {"temperature": 0.6, "top_p": 0.9}
_BOS, _A, _B = {"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}, {"Sequence": {"id": "B"}}
_BEGINS = {"type": "TemplateProcessing", "single": [_BOS, _A], "pair": [_BOS, _A, _BOS, _B]}
"""Llama 1 and 2 put the first token before a text, and before the second of two."""
_TOKENS = {str(i): {"content": token, "special": True} for i, token in enumerate(("<unk>", "<s>", "</s>"))}


def is_metas(params: Mapping[str, Any]) -> bool:
    """Whether parameters are Meta's: Mistral's, which grew out of them, say the feed-forward size."""
    return {"dim", "n_layers", "n_heads"} <= params.keys() and "hidden_dim" not in params and params.get("moe") is None


def is_mixtral(params: Mapping[str, Any]) -> bool:
    """Whether parameters are Mistral's own of a Mixtral: experts, and attention that is not latent."""
    return isinstance(params.get("moe"), Mapping) and "hidden_dim" in params and "kv_lora_rank" not in params


def is_ranks(path: Path) -> bool:
    """Whether a ``tokenizer.model`` is a file of tiktoken's, as Llama 3's is, and not SentencePiece's."""
    with path.open("rb") as file:
        return _RANKS.match(file.read(1 << 12)) is not None


def tied(stored: Mapping[str, Stored]) -> bool:
    """Whether the output layer is the embedding: it has no tensor of its own, lies in the same place, or is equal."""
    output, embedding = stored.get(OUTPUT), stored.get(EMBEDDING)
    if output is None or embedding is None:
        return output is None
    if (output.shape, output.dtype) != (embedding.shape, embedding.dtype) or len(output.shape) != 2:
        return False
    if output.shard is embedding.shard and output.offset == embedding.offset:
        return True
    high, wide = output.shape
    step = max(1, _PIECE // max(1, wide * output.kind.itemsize))
    return all(
        np.array_equal(output.rows(lo, min(lo + step, high)), embedding.rows(lo, min(lo + step, high)))
        for lo in range(0, high, step)
    )


def ordered(stored: Mapping[str, Stored]) -> dict[str, Stored]:
    """The tensors in the order of one file of weights on the hub, without an output layer that is tied."""

    def place(name: str) -> tuple[int, str, int]:
        found = _NAME.fullmatch(name)
        if found is None or found[2] not in _ORDER:
            return len(_ORDER), name, 0
        at = _ORDER.index(found[2])
        return (2, found[1], at) if found[1] else (at, "", 0)

    spare = OUTPUT if tied(stored) else None
    return {name: stored[name] for name in sorted(stored, key=place) if name != spare}


def documents(
    path: Path, params: Mapping[str, Any], tokenizer: Path | None, stored: Mapping[str, Stored]
) -> dict[str, dict[str, Any]]:
    """What the JSON files would hold; raises KQuantsError where the parameters or the tensors do not fit.

    ``path`` is that of ``params.json``; the tensors are all of the checkpoint's.
    """
    return _mixtral(path, params, stored) if is_mixtral(params) else _llama(path, params, tokenizer, stored)


def _llama(
    path: Path, params: Mapping[str, Any], tokenizer: Path | None, stored: Mapping[str, Stored]
) -> dict[str, dict[str, Any]]:
    for key, what in _NOT_TEXT.items():
        if params.get(key) not in (None, False, -1, {}):
            raise KQuantsError(f"{path}: has {key!r}, so this is {what}, expected a plain Llama of text, 1 to 3.3")
    if tokenizer is None:
        beside = path.parent.absolute().parent / "tokenizer.model"
        hint = f", copy {beside} into it" if beside.is_file() else ", which Meta may have put beside it"
        raise KQuantsError(f"{path.parent}: has no tokenizer.model{hint}")
    new = is_ranks(tokenizer)
    config = _config(path, params, stored)
    name, told, context, factor = _version(config, new, bool(params.get("use_scaled_rope")), tied(stored))
    config["max_position_embeddings"] = context
    if factor:
        config["rope_scaling"] = {"rope_type": "llama3", "factor": factor, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}  # fmt: skip
    warnings.warn(
        f"{path}: does not say which Llama this is; taken for {name}, as {told}: a context of {context} tokens"
        + (f", rope stretched by {factor:g}" if factor else "")
        + f", {'<|end_of_text|>' if new else '</s>'} at the end, sampling with temperature 0.6 and top_p 0.9",
        stacklevel=2,
    )
    if new:
        named = {"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>"}
        return {"config.json": config, "generation_config.json": _SAMPLING, "tokenizer_config.json": named}
    return _with_pieces(config) | {"generation_config.json": _SAMPLING}


def _with_pieces(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The configuration of a model with a SentencePiece model of Llama's, and what is saved beside that."""
    return {
        "config.json": config | {"bos_token_id": 1, "eos_token_id": 2, "unk_token_id": 0},
        "tokenizer.json": {"post_processor": _BEGINS},
        "tokenizer_config.json": {"added_tokens_decoder": _TOKENS, "add_bos_token": True, "add_eos_token": False},
    }


def _mixtral(path: Path, params: Mapping[str, Any], stored: Mapping[str, Stored]) -> dict[str, dict[str, Any]]:
    """What stands beside Mixtral's weights on the hub, where upstream wants it."""
    context = _number(path, params, "max_position_embeddings", default=_MIXTRAL_CONTEXT)
    config = _sizes(path, params, stored) | {
        "architectures": ["MixtralForCausalLM"],
        "model_type": "mixtral",
        "intermediate_size": _number(path, params, "hidden_dim"),
        "max_position_embeddings": context,
        "rope_theta": _number(path, params, "rope_theta", int | float, 1e6),
        "num_local_experts": _number(path, params["moe"], "num_experts"),
        "num_experts_per_tok": _number(path, params["moe"], "num_experts_per_tok"),
    }
    size = _number(path, params, "head_dim", default=config["hidden_size"] // config["num_attention_heads"])
    if size * config["num_attention_heads"] != config["hidden_size"]:
        config["head_dim"] = size
    if "max_position_embeddings" not in params:
        warnings.warn(f"{path}: does not say how long a text may be; taken for {context} tokens", stacklevel=2)
    return _with_pieces(config)


def _version(config: Mapping[str, Any], new: bool, scaled: bool, tied: bool) -> tuple[str, str, int, float | None]:
    """Which Llama it is, by what that is told, its context, and by how much its rope is stretched."""
    if new and scaled:
        if tied:
            return "Llama 3.2", "its rope is scaled, its output layer is its embedding", 131072, 32.0
        return "Llama 3.1 or 3.3", "its rope is scaled", 131072, 8.0
    if new:
        return "Llama 3", "its tokenizer is tiktoken's", 8192, None
    if config["rope_theta"] > 10000.0:
        return "Code Llama", "its rope_theta is not 10000", 16384, None
    if config["rms_norm_eps"] == 1e-5:
        return "Llama 2", "its norm_eps is 1e-5", 4096, None
    return "Llama 1", "its norm_eps is not 1e-5", 2048, None


def _number(path: Path, params: Mapping[str, Any], key: str, kind: Any = int, default: Any = None) -> Any:
    value: Any = default if params.get(key) is None else params[key]
    if not isinstance(value, kind) or isinstance(value, bool) or not 0 < value < 1 << 31:
        raise KQuantsError(f"{path}: {key} is {value!r}, expected a number")
    return value


def _tensor(path: Path, stored: Mapping[str, Stored], name: str) -> Stored:
    if name not in stored:
        raise KQuantsError(f"{path.parent}: lacks the tensor {name}, which every such model has")
    return stored[name]


def _sizes(path: Path, params: Mapping[str, Any], stored: Mapping[str, Stored]) -> dict[str, Any]:
    """What Meta's parameters and Mistral's say in the same words."""
    heads = _number(path, params, "n_heads")
    return {
        "hidden_size": _number(path, params, "dim"),
        "num_hidden_layers": _number(path, params, "n_layers"),
        "num_attention_heads": heads,
        "num_key_value_heads": _number(path, params, "n_kv_heads", default=heads),
        "rms_norm_eps": _number(path, params, "norm_eps", int | float),
        "vocab_size": _tensor(path, stored, EMBEDDING).shape[0],
    }


def _config(path: Path, params: Mapping[str, Any], stored: Mapping[str, Stored]) -> dict[str, Any]:
    sizes = _sizes(path, params, stored)
    dim = sizes["hidden_size"]
    least = int(_number(path, params, "ffn_dim_multiplier", int | float, 1) * int(8 * dim / 3))
    wide = least + -least % _number(path, params, "multiple_of", default=256)
    gate = _tensor(path, stored, "layers.0.feed_forward.w1.weight")
    if gate.shape[:1] != (wide,):
        lost = ", of which files may be missing" if wide % max(gate.shape[0], 1) == 0 else ""
        raise KQuantsError(f"{path}: makes a feed-forward size of {wide}, but {gate.name} is {list(gate.shape)}{lost}")
    return sizes | {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "intermediate_size": wide,
        "head_dim": dim // sizes["num_attention_heads"],
        "rope_theta": _number(path, params, "rope_theta", int | float, 10000.0),
    }
