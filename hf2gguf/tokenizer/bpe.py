"""Vocabularies of ``tokenizer.json``: byte-level BPE, WordPiece, and BPE that falls back to bytes."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from gguf_py import KQuantsError, ValueType
from hf2gguf.checkpoint import Checkpoint
from hf2gguf.checkpoint.folder import shown

from . import special
from .library import Tokenizer, load
from .sentencepiece import Pieces, TokenKind, lay_over, listed, looks_special, vocab_size
from .special import Fields, put


def listing(tokenizer: Tokenizer, config: Mapping[str, Any]) -> tuple[list[str], list[int]]:
    """Texts and kinds of all tokens, one an id, as upstream lists them."""
    tokenizer.drop_unnamed(config)
    by_id = {token_id: text for text, token_id in tokenizer.ids.items()}
    size = vocab_size(config, len(tokenizer.ids), tokenizer.path.parent / "config.json")
    if by_id and max(by_id) >= size:
        raise KQuantsError(
            f"{tokenizer.path}: has the token {shown(by_id[max(by_id)])} at {max(by_id)}, but vocab_size is {size}"
        )
    added_texts = {token.content for token in tokenizer.added.values()}
    texts: list[str] = []
    kinds: list[int] = []
    for i in range(size):
        text, kind = by_id.get(i, f"[PAD{i}]"), TokenKind.NORMAL if i in by_id else TokenKind.UNUSED
        if i in by_id and text in added_texts:
            text, kind = _added(tokenizer, text, tokenizer.added.get(i))
        texts.append(text)
        kinds.append(int(kind))
    return texts, kinds


def _added(tokenizer: Tokenizer, text: str, token: Any) -> tuple[str, TokenKind]:
    if token is not None and not token.normalized:
        # llama.cpp looks for added tokens in the text as it stands, so they are written as they decode.
        text = tokenizer.decoded(text)
    if (token is not None and token.special) or looks_special(text):
        return text, TokenKind.CONTROL
    return text.replace("▁", " "), TokenKind.USER_DEFINED


def fields(
    checkpoint: Checkpoint,
    config: Mapping[str, Any],
    ids: Mapping[str, str] | None = None,
    looked_for: Sequence[str] = special.KINDS,
    name: str | None = None,
) -> Fields:
    """Byte-level BPE (scheme ``gpt2``), or another of that kind by its ``name``.

    ``ids`` names tokens for kinds that no file gives one, of those ``looked_for``.
    """
    tokenizer = load(checkpoint)
    named = {}
    for kind, token in (ids or {}).items():
        if token not in tokenizer.ids:
            raise KQuantsError(f"{tokenizer.path}: lacks the token {shown(token)}, which this architecture needs")
        named[kind] = tokenizer.ids[token]
    texts, kinds = listing(tokenizer, config)
    found: Fields = {}
    put(found, "model", name or "gpt2")
    put(found, "pre", name or tokenizer.pre_name())
    put(found, "tokens", texts)
    put(found, "token_type", kinds, item=ValueType.INT32)
    document = tokenizer.document if tokenizer.path.name == "tokenizer.json" else None
    del tokenizer, texts, kinds  # the largest take hundreds of megabytes
    more = special.load(checkpoint, merges=True, kinds=looked_for, document=document)
    for kind, token_id in named.items():
        more.set(kind, token_id)
    found.update(more.fields())
    return found


def wordpiece(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    """WordPiece (scheme ``bert``): pieces that start a word get a phantom space, the others lose their ``##``."""
    tokenizer = load(checkpoint)
    texts, kinds = listing(tokenizer, config)
    found: Fields = {}
    put(found, "token_type_count", config.get("type_vocab_size", 1), ValueType.UINT32)
    put(found, "model", "bert")
    put(found, "pre", tokenizer.pre_name())
    put(found, "tokens", [_phantom(text, kind) for text, kind in zip(texts, kinds, strict=True)])
    put(found, "token_type", kinds, item=ValueType.INT32)
    found.update(special.load(checkpoint, n_vocab=len(texts)).fields())
    return found


def _phantom(text: str, kind: int) -> str:
    if kind == TokenKind.CONTROL:
        return text
    return text[2:] if text.startswith("##") else "▁" + text


def has_byte_fallback(checkpoint: Checkpoint) -> bool:
    """Whether ``tokenizer.json`` holds a BPE that falls back to bytes, so that llama.cpp treats it as SentencePiece."""
    tokenizer = special.tokenizer_json(checkpoint)
    if tokenizer is None:
        return False
    model = tokenizer["model"]
    return (
        model["type"] == "BPE"
        and bool(model.get("byte_fallback", False))
        and (tokenizer.get("decoder") or {}).get("type") == "Sequence"
    )


def byte_fallback(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    """BPE with byte fallback, listed as SentencePiece with equal scores (scheme ``llama-hf``)."""
    return listed(fallback_pieces(checkpoint, config), checkpoint)


def fallback_pieces(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Pieces:
    """The tokens of BPE with byte fallback, with equal scores."""
    tokenizer = load(checkpoint)
    tokenizer.drop_unnamed(config)
    base = tokenizer.document["model"]["vocab"]
    specials = tokenizer.special_ids()
    by_id = {token_id: text for text, token_id in tokenizer.ids.items()}
    beyond = sorted(i for i in tokenizer.added if i >= len(base))
    pieces = Pieces([], [], [])
    for i in [*range(len(base)), *beyond]:
        if i not in by_id:
            raise KQuantsError(f"{tokenizer.path}: no token has the id {i}, expected ids without holes")
        text = by_id[i]
        kind = TokenKind.CONTROL if i in specials else TokenKind.NORMAL
        if i >= len(base):
            kind = TokenKind.CONTROL if i in specials else TokenKind.USER_DEFINED
        elif re.fullmatch("<0x[0-9A-Fa-f]{2}>", text):
            kind = TokenKind.BYTE
        pieces.texts.append(text)
        pieces.scores.append(-1000.0)
        pieces.kinds.append(int(kind))
    return pieces


def pieces_by_merges(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    """BPE with byte fallback, scored so that SentencePiece joins what the merges join, in their order.

    For families that upstream reads from ``tokenizer.model`` alone; warns of that.
    """
    pieces = fallback_pieces(checkpoint, config)
    document = special.tokenizer_json(checkpoint) or {}
    merges = special.spelled(document["model"]["merges"])
    ranks: dict[str, int] = {}
    for rank, merge in enumerate(merges):
        ranks.setdefault("".join(merge.split(" ")), rank)
    unknown = document["model"].get("unk_token")
    for i, text in enumerate(pieces.texts):
        if pieces.kinds[i] == TokenKind.NORMAL:
            pieces.scores[i] = -float(ranks.get(text, len(merges)))
        elif pieces.kinds[i] == TokenKind.BYTE:
            pieces.scores[i] = 0.0
    lay_over(pieces, ((entry["id"], entry) for entry in document.get("added_tokens") or []))
    if unknown in pieces.texts:
        pieces.kinds[pieces.texts.index(unknown)] = int(TokenKind.UNKNOWN)
    size = vocab_size(config, len(pieces.texts), checkpoint.dir / "config.json")
    if size < len(pieces.texts):
        raise KQuantsError(f"{checkpoint.dir}: the tokenizer has {len(pieces.texts)} tokens, but vocab_size is {size}")
    rest = Pieces.unused(size)
    rest.texts[: len(pieces.texts)] = pieces.texts
    rest.scores[: len(pieces.texts)] = pieces.scores
    rest.kinds[: len(pieces.texts)] = pieces.kinds
    message = f"{checkpoint.dir}: has no tokenizer.model, its scores are inferred from the merges of tokenizer.json"
    warnings.warn(message, stacklevel=2)
    return listed(rest, checkpoint)
