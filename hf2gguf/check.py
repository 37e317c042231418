"""Whether tensors, configuration and tokenizer speak of one model; what contradicts itself is not written."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from pathlib import Path

from gguf_py import KQuantsError

from .fields import Fields

MAX_EXPERTS = 1 << 14
"""More than any model has."""

Shapes = Mapping[str, tuple[int, ...]]

_LAYER = re.compile(r"(?:^|\.)blk\.(\d+)\.")
_WIDE_ROWS = re.compile(
    r"blk\.\d+\.(attn_(q|k|v|qkv|q_a|kv_a_mqa)|ffn_(up|gate|gate_inp)|ssm_in)\.weight|token_embd\.weight"
)
_WIDE_COLUMNS = re.compile(r"blk\.\d+\.(attn_output|ffn_down|ssm_out)\.weight")
_LAYERS_OWN = re.compile(r"((?:\w+\.)?blk\.\d+)\.(\w+)\.weight")
_COMPANY = {
    "attn_q": ("attn_output", "attn_o"),
    "attn_k": ("attn_q", "attn_q_b"),
    "attn_v": ("attn_k",),
    "ffn_up": ("ffn_down",),
    "ffn_gate": ("ffn_up",),
    "ffn_down": ("ffn_up",),
    "ffn_gate_inp": ("ffn_down_exps",),
    "ffn_up_exps": ("ffn_down_exps",),
    "ffn_gate_exps": ("ffn_up_exps",),
    "ffn_down_exps": ("ffn_up_exps", "ffn_gate_up_exps"),
}
"""What a layer of any model that is known does not have without one of these."""

_NEEDED = {
    "context_length": ("max_position_embeddings", ""),
    "embedding_length": ("hidden_size", ""),
    "attention.head_count": ("num_attention_heads", ".attn_q"),
    "feed_forward_length": ("intermediate_size", ".ffn_up."),
}
"""What llama.cpp asks a file for, the configuration's usual key for it, and the tensors of which models it needs it."""


def agree(folder: Path, fields: Fields, shapes: Shapes, layers: int) -> None:
    """Raise KQuantsError naming the first contradiction between the tensors and what the metadata says of them."""
    if not shapes:
        return
    _layers(folder, shapes, layers)
    _company(folder, shapes)
    for key, (name, part) in _NEEDED.items():
        if fields.get(key) is None and any(part in tensor for tensor in shapes):  # upstream writes such files too
            warnings.warn(f"{folder}: config.json lacks {name}; llama.cpp loads no file without {key}", stacklevel=2)
    width = fields.get("embedding_length")
    if isinstance(width, int):
        for name, shape in shapes.items():
            _width(folder, name, shape, width)
    _heads(folder, fields, shapes)
    _experts(folder, fields, shapes)
    _tokens(folder, fields, shapes)


def _layers(folder: Path, shapes: Shapes, layers: int) -> None:
    found = {int(match[1]) for name in shapes if (match := _LAYER.search(name))}
    lost = next((i for i in range(layers) if i not in found), None)
    if found and lost is not None:
        raise KQuantsError(f"{folder}: has no tensors of layer {lost}, but config.json says {layers} layers")


def _company(folder: Path, shapes: Shapes) -> None:
    if "token_embd.weight" not in shapes:
        raise KQuantsError(f"{folder}: has no tensor that becomes token_embd.weight, which every model has")
    for name in shapes:
        found = _LAYERS_OWN.fullmatch(name)
        beside = _COMPANY.get(found[2], ()) if found is not None else ()
        if found is not None and beside and not any(f"{found[1]}.{other}.weight" in shapes for other in beside):
            raise KQuantsError(
                f"{folder}: has no tensor that becomes {found[1]}.{beside[0]}.weight, but {name} is there"
            )


def _width(folder: Path, name: str, shape: tuple[int, ...], width: int) -> None:
    rows = _WIDE_ROWS.fullmatch(name)
    found = shape[-1] if rows else shape[-2] if _WIDE_COLUMNS.fullmatch(name) and len(shape) > 1 else width
    if found != width:
        what = "rows of" if rows else "a height of"
        raise KQuantsError(f"{folder}: {name} has {what} {found}, but config.json says a hidden size of {width}")


def _heads(folder: Path, fields: Fields, shapes: Shapes) -> None:
    size, heads = fields.get("attention.key_length"), fields.get("attention.head_count_kv")
    if not isinstance(size, int) or not isinstance(heads, int):
        return
    for name, shape in shapes.items():
        if re.fullmatch(r"blk\.\d+\.attn_k\.weight", name) and shape[-2] != size * heads:
            raise KQuantsError(
                f"{folder}: {name} has {shape[-2]} rows, but config.json says {heads} heads of {size} for keys"
            )


def _experts(folder: Path, fields: Fields, shapes: Shapes) -> None:
    experts = fields.get("expert_count")
    if not isinstance(experts, int):
        return
    if experts > MAX_EXPERTS:
        raise KQuantsError(f"{folder}: config.json says {experts} experts, expected at most {MAX_EXPERTS}")
    for name, shape in shapes.items():
        if re.fullmatch(r"blk\.\d+\.ffn_(up|down)_exps\.weight", name) and shape[0] != experts:
            raise KQuantsError(f"{folder}: {name} has {shape[0]} experts, but config.json says {experts}")


def _tokens(folder: Path, fields: Fields, shapes: Shapes) -> None:
    tokens, shape = fields.get("tokenizer.ggml.tokens"), shapes.get("token_embd.weight")
    if tokens is not None and shape is not None and len(tokens) != shape[0]:
        raise KQuantsError(
            f"{folder}: the tokenizer has {len(tokens)} tokens, but token_embd.weight has {shape[0]} rows"
        )
