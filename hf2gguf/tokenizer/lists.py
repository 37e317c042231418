"""Vocabularies that are a plain list, a token a line: RWKV's and PLaMo's."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gguf_py import KQuantsError, ValueType
from hf2gguf.checkpoint import Checkpoint
from hf2gguf.checkpoint.folder import parse_json, shown

from . import special
from .sentencepiece import MAX_VOCAB, TokenKind, vocab_size
from .special import Fields, put

RWKV_WORLD = "rwkv_vocab_v20230424.txt"
PLAMO = "tokenizer.jsonl"
_TURN_END = {RWKV_WORLD: 261, PLAMO: 4}
"""The token that ends a turn: two line feeds, and ``<|plamo:op|>``."""


def _lines(checkpoint: Checkpoint, name: str) -> tuple[Path, list[str]]:
    path = checkpoint.path(name)
    if path is None:
        raise KQuantsError(f"{checkpoint.dir}: has no {name}, expected the list of this model's tokens")
    try:
        lines = special.text_of(path).split("\n")
    except UnicodeDecodeError as fault:
        raise KQuantsError(f"{path}: is no UTF-8 ({fault})") from None
    lines = [line for line in lines if line.strip()]
    if len(lines) > MAX_VOCAB:
        raise KQuantsError(f"{path}: has {len(lines)} lines, expected at most {MAX_VOCAB} tokens")
    return path, lines


def _padded(texts: list[str], size: int, first: int) -> int:
    """Append fillers, numbered from ``first`` on, until there are ``size`` texts; how many they were."""
    lacking = size - len(texts)
    texts += [f"[PAD{i}]" for i in range(first, first + lacking)]
    return max(0, lacking)


def rwkv(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    """RWKV's list of byte strings, each written as Python writes bytes; id 0 both begins and ends a text."""
    path, lines = _lines(checkpoint, RWKV_WORLD)
    texts = ["<s>", *(_escaped(line, path) for line in lines)]
    kinds = [TokenKind.CONTROL] + [TokenKind.NORMAL] * len(lines)
    size = vocab_size(config, 1 << 16, checkpoint.dir / "config.json")
    if size < len(texts):
        raise KQuantsError(f"{path}: has {len(texts)} tokens, but config.json says {size}")
    kinds += [TokenKind.UNUSED] * _padded(texts, size, len(texts))
    found: Fields = {}
    put(found, "model", "rwkv")
    put(found, "tokens", texts)
    put(found, "token_type", list(map(int, kinds)), item=ValueType.INT32)
    more = special.load(checkpoint)
    if more.template is None:  # the name under which llama.cpp has one of its own
        more.template = "rwkv-world"
    more.set("eot", _TURN_END[RWKV_WORLD])
    more.ids |= {"bos": 0, "eos": 0}
    found.update(more.fields())
    return found


def _escaped(line: str, path: Path) -> str:
    """The token in a line ``ID LITERAL SIZE``: its bytes, with escapes for all that is not printable ASCII."""
    _, _, rest = line.partition(" ")
    literal, _, size = rest.rpartition(" ")
    try:
        token = ast.literal_eval(literal)
        raw = token.encode() if isinstance(token, str) else token
        if not isinstance(raw, bytes) or len(raw) != int(size):
            raise ValueError
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise KQuantsError(f"{path}: the line {shown(line)} is no token, expected its id, text and size") from None
    return repr(raw)[2:-1]


_PLAMO_KINDS = {"UNKNOWN": TokenKind.UNKNOWN, "CONTROL": TokenKind.CONTROL, "BYTE": TokenKind.BYTE}


def plamo(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    """PLaMo's list of ``[text, score, kind, …]``, special tokens named by ``tokenizer_config.json``."""
    path, lines = _lines(checkpoint, PLAMO)
    texts, scores, kinds = map(list, zip(*_plamo_tokens(lines, path), strict=True))
    size = vocab_size(config, len(texts), checkpoint.dir / "config.json")
    more = _padded(texts, size, 1)
    scores += [-1000.0] * more
    kinds += [TokenKind.UNUSED] * more
    found: Fields = {}
    put(found, "model", "plamo2")
    put(found, "pre", "default")
    put(found, "tokens", texts)
    put(found, "scores", scores, item=ValueType.FLOAT32)
    put(found, "token_type", list(map(int, kinds)), item=ValueType.INT32)
    settings = checkpoint.json("tokenizer_config.json") or {}
    named = special.Special()
    for kind in ("bos", "eos", "pad", "sep", "unk"):
        if (text := settings.get(f"{kind}_token")) is not None:
            if text not in texts:
                raise KQuantsError(f"{path}: has no {shown(text)}, which tokenizer_config.json names as {kind}_token")
            named.set(kind, texts.index(text))
    named.set("eot", _TURN_END[PLAMO])
    found.update(named.fields())
    put(found, "add_space_prefix", False, ValueType.BOOL)
    return found


def _plamo_tokens(lines: list[str], path: Path) -> Iterator[tuple[str, float, TokenKind]]:
    for line in lines:
        entry = parse_json(line.encode(), path)
        if not isinstance(entry, list) or len(entry) < 2 or not isinstance(entry[0], str):
            raise KQuantsError(f"{path}: the line {shown(line)} is no token, expected a list of text, score and kind")
        text = entry[0]
        own = text.startswith("<|plamo:") and text.endswith("|>")
        other = TokenKind.CONTROL if own else TokenKind.NORMAL
        yield text, float(entry[1]), _PLAMO_KINDS.get(entry[2] if len(entry) > 2 else "NORMAL", other)


def plamo3(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    """The same, with the chat template of a file of its own before that of ``tokenizer_config.json``."""
    found = plamo(checkpoint, config)
    path = checkpoint.path("chat_template.jinja")
    settings = checkpoint.json("tokenizer_config.json") or {}
    template = special.Special(template=special.text_of(path) if path else settings.get("chat_template"))
    found.update(template.fields())
    return found
