"""Vocabularies of ``tokenizer.model``: SentencePiece BPE, and what added-token files lay over it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from gguf_py import KQuantsError, ValueType
from hf2gguf.checkpoint import Checkpoint
from hf2gguf.checkpoint.folder import instead, read_text

from . import protobuf, special
from .special import Fields, put

MAX_VOCAB = 1 << 20
"""Tokens of the largest vocabulary that is read, four times those of Gemma 3."""

MAX_PIECES = 64 << 20
"""Bytes of the largest SentencePiece model that is read; Gemma 3's has 4.7 million."""
"""Tokens of the largest vocabulary that is made: a size in a config is not believed beyond it."""


class TokenKind(IntEnum):
    """What a token is, as numbered in ``tokenizer.ggml.token_type``."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass
class Pieces:
    """A vocabulary in the making: texts, scores and kinds, one a token id."""

    texts: list[str]
    scores: list[float]
    kinds: list[int]

    @classmethod
    def unused(cls, size: int) -> Pieces:
        """``size`` places for tokens, each holding the filler that upstream writes."""
        return cls([f"[PAD{i}]" for i in range(size)], [-10000.0] * size, [int(TokenKind.UNUSED)] * size)

    def place(self, token_id: int, text: str, score: float, kind: TokenKind) -> None:
        """Set a token; an id past the end is passed over, as upstream does."""
        if 0 <= token_id < len(self.texts):
            self.texts[token_id], self.scores[token_id], self.kinds[token_id] = text, score, int(kind)


def vocab_size(config: Mapping[str, Any], least: int, where: object) -> int:
    """The number of tokens that ``config`` wants, ``least`` when it does not say; checked before it is believed."""
    size = config.get("vocab_size", least)
    if not isinstance(size, int) or not 0 < size <= MAX_VOCAB:
        raise KQuantsError(f"{where}: vocab_size is {size}, but the tokenizer has {least} tokens")
    return size


def looks_special(token: str) -> bool:
    """Whether a token that is not marked special ought to be (Command-R, DeepSeek-Coder, Gemma)."""
    return (
        token in ("<pad>", "<mask>", "<2mass>", "[@BOS@]")
        or (token.startswith("<|") and token.endswith("|>"))
        or (token.startswith("<｜") and token.endswith("｜>"))
        or (token.startswith("<unused") and token.endswith(">"))
    )


def processor(path: Path) -> Any:
    """The SentencePiece model in a file; raises KQuantsError when it holds none."""
    from sentencepiece import SentencePieceProcessor

    data = read_text(path, MAX_PIECES)
    if protobuf.count(data, 1, MAX_VOCAB + 1) > MAX_VOCAB:
        raise KQuantsError(f"{path}: has more than {MAX_VOCAB} pieces, which no model has")
    model = SentencePieceProcessor()
    try:
        model.LoadFromSerializedProto(data)
    except (RuntimeError, OSError):
        raise KQuantsError(f"{path}: is not a SentencePiece model{instead(path)}") from None
    return model


def fill(pieces: Pieces, model: Any) -> None:
    """Place the tokens of a SentencePiece model."""
    for i in range(min(model.vocab_size(), len(pieces.texts))):
        kind = TokenKind.NORMAL
        if model.IsUnknown(i):
            kind = TokenKind.UNKNOWN
        elif model.IsControl(i):
            kind = TokenKind.CONTROL
        elif model.IsUnused(i):
            kind = TokenKind.UNUSED
        elif model.IsByte(i):
            kind = TokenKind.BYTE
        pieces.place(i, model.IdToPiece(i), model.GetScore(i), kind)


def fill_added(pieces: Pieces, checkpoint: Checkpoint) -> None:
    """Place the tokens of ``added_tokens.json``."""
    for text, token_id in (checkpoint.json("added_tokens.json") or {}).items():
        pieces.place(token_id, text, -1000.0, TokenKind.USER_DEFINED)


def fields(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    """The vocabulary of ``tokenizer.model`` (scheme ``llama``); raises KQuantsError when there is none."""
    return listed(laid_over(checkpoint, config), checkpoint)


def laid_over(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Pieces:
    """The tokens of ``tokenizer.model``, and over them what ``tokenizer_config.json`` adds."""
    pieces = pieces_of(checkpoint, config)
    fill_added(pieces, checkpoint)
    decoder = (checkpoint.json("tokenizer_config.json") or {}).get("added_tokens_decoder", {})
    lay_over(pieces, ((int(token_id), entry) for token_id, entry in decoder.items()))
    return pieces


def lay_over(pieces: Pieces, added: Iterable[tuple[int, Mapping[str, Any]]]) -> None:
    """Place added tokens, those that look special as such."""
    for token_id, entry in added:
        text = entry["content"]
        if entry.get("special") or looks_special(text):
            pieces.place(token_id, text, -1000.0, TokenKind.CONTROL)
        else:
            pieces.place(token_id, text.replace("▁", " "), -1000.0, TokenKind.USER_DEFINED)


def added_entries(checkpoint: Checkpoint) -> list[tuple[int, Mapping[str, Any]]]:
    """Ids and entries of the added tokens of ``tokenizer_config.json``, then of ``tokenizer.json``."""
    decoder = (checkpoint.json("tokenizer_config.json") or {}).get("added_tokens_decoder", {})
    added = (special.tokenizer_json(checkpoint) or {}).get("added_tokens", [])
    return [(int(i), entry) for i, entry in [*decoder.items(), *((entry["id"], entry) for entry in added)]]


def literally_laid_over(checkpoint: Checkpoint, pieces: Pieces) -> None:
    """Place every added token with the mark it has."""
    for token_id, entry in added_entries(checkpoint):
        kind = TokenKind.CONTROL if entry.get("special") else TokenKind.USER_DEFINED
        pieces.place(token_id, entry["content"], -1000.0, kind)


def phi3(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    """The same for Phi-3, which adds the tokens of ``tokenizer.json`` too and reads their marks literally."""
    pieces = pieces_of(checkpoint, config)
    fill_added(pieces, checkpoint)
    literally_laid_over(checkpoint, pieces)
    return listed(pieces, checkpoint)


_VERSIONED = re.compile(r"[^.]+\.model(\.v(1|2|3|7|11|13|15)(m1)?)?")


def model_path(checkpoint: Checkpoint) -> Path | None:
    """``tokenizer.model``; in Mistral's own form the last by name of those whose version may stand behind that."""
    if checkpoint.path("config.json") is not None:
        return checkpoint.path("tokenizer.model")
    names = sorted((p.name for p in checkpoint.dir.iterdir() if _VERSIONED.fullmatch(p.name)), reverse=True)
    return next((path for path in map(checkpoint.path, names) if path is not None), None)


def pieces_of(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Pieces:
    """The tokens of ``tokenizer.model`` alone, as many as ``config`` wants; raises KQuantsError without the file."""
    path = model_path(checkpoint)
    if path is None:
        raise KQuantsError(f"{checkpoint.dir}: has no tokenizer.model, expected a SentencePiece model")
    model = processor(path)
    wanted = dict(config)
    if config.get("vocab_size_per_layer_input"):  # Gemma 3n
        wanted["vocab_size"] = config["vocab_size_per_layer_input"]
    pieces = Pieces.unused(vocab_size(wanted, model.vocab_size(), checkpoint.dir / "config.json"))
    fill(pieces, model)
    return pieces


def listed(pieces: Pieces, checkpoint: Checkpoint, model: str = "llama") -> Fields:
    """The metadata of a scored vocabulary and of everything special about it."""
    found = scored(pieces, model)
    found.update(special.load(checkpoint, n_vocab=len(pieces.texts)).fields())
    return found


def scored(pieces: Pieces, model: str, pre: str = "default") -> Fields:
    """The metadata of a scored vocabulary alone."""
    found: Fields = {}
    put(found, "model", model)
    put(found, "pre", pre)
    put(found, "tokens", pieces.texts)
    put(found, "scores", pieces.scores, item=ValueType.FLOAT32)
    put(found, "token_type", pieces.kinds, item=ValueType.INT32)
    return found
