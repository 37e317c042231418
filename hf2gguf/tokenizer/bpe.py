"""Vocabularies of ``tokenizer.json``: byte-level BPE, WordPiece, and BPE that falls back to bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gguf_py import KQuantsError, ValueType
from hf2gguf.checkpoint import Checkpoint
from hf2gguf.checkpoint.folder import read_text, shown

from . import pre, special
from .sentencepiece import Pieces, TokenKind, listed, looks_special, vocab_size
from .special import MAX_TOKENIZER, Fields, put


@dataclass
class Tokenizer:
    """A tokenizer of the tokenizers library, with the tokens that ``tokenizer_config.json`` adds to it."""

    backend: Any
    config: dict[str, Any]
    path: Path

    @cached_property
    def ids(self) -> dict[str, int]:
        """Every token's id, added tokens included."""
        ids: dict[str, int] = self.backend.get_vocab(with_added_tokens=True)
        return ids

    @cached_property
    def added(self) -> dict[int, Any]:
        """The added tokens by id."""
        added: dict[int, Any] = self.backend.get_added_tokens_decoder()
        return added

    def id(self, token: Any) -> int | None:
        """The id of a token of ``tokenizer_config.json`` (a text, or an object with its text), or None."""
        text = token.get("content") if isinstance(token, dict) else token
        return self.ids.get(text) if isinstance(text, str) else None

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        """The ids of a text, with the tokens that the post-processor adds when ``special``."""
        ids: list[int] = self.backend.encode(text, add_special_tokens=special).ids
        return ids

    def pre_name(self) -> str:
        """The name of the pre-tokenizer for llama.cpp: recognized, else inferred with a warning."""
        name = pre.recognized(self._encodings())
        if name is not None:
            return name
        model = json.loads(self.backend.to_str())["model"] if self.backend.pre_tokenizer else {}
        return pre.inferred(self.backend.pre_tokenizer, bool(model.get("ignore_merges")), self.path)

    def _encodings(self) -> Iterator[Sequence[int]]:
        """What upstream may have digested: versions of transformers differ in which tokens they add around a text."""
        yield self.encode(pre.PROBE, special=True)
        plain = self.encode(pre.PROBE)
        yield plain
        bos, eos = self.id(self.config.get("bos_token")), self.id(self.config.get("eos_token"))
        first, last = [] if bos is None else [bos], [] if eos is None else [eos]
        yield from ([*first, *plain], [*first, *plain, *last], [*plain, *last])


def load(checkpoint: Checkpoint) -> Tokenizer:
    """The tokenizer in ``tokenizer.json``, or in ``vocab.json`` and ``merges.txt``; raises KQuantsError without one."""
    import tokenizers

    config = checkpoint.json("tokenizer_config.json") or {}
    path = checkpoint.path("tokenizer.json")
    if path is not None:
        try:
            backend = tokenizers.Tokenizer.from_str(read_text(path, MAX_TOKENIZER).decode("utf-8"))
        except Exception as fault:  # the library raises nothing narrower
            raise KQuantsError(f"{path}: is not a tokenizer ({str(fault).splitlines()[0]})") from None
    else:
        path = checkpoint.path("vocab.json")
        merges = checkpoint.path("merges.txt")
        if path is None or merges is None:
            raise KQuantsError(f"{checkpoint.dir}: has no tokenizer.json, expected the tokenizer of the model")
        backend = tokenizers.Tokenizer(tokenizers.models.BPE.from_file(str(path), str(merges)))
        backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = tokenizers.decoders.ByteLevel()
    backend.no_truncation()
    backend.no_padding()
    _add_configured(backend, config)
    return Tokenizer(backend, config, path)


def _add_configured(backend: Any, config: Mapping[str, Any]) -> None:
    """Add the tokens that only ``tokenizer_config.json`` has, in the order of their ids, then the named ones."""
    from tokenizers import AddedToken

    there = backend.get_added_tokens_decoder()
    flags = ("single_word", "lstrip", "rstrip", "normalized", "special")
    tokens = []
    for token_id, entry in sorted(config.get("added_tokens_decoder", {}).items(), key=lambda pair: int(pair[0])):
        token = AddedToken(entry["content"], **{flag: entry[flag] for flag in flags if flag in entry})
        same = there.get(int(token_id))
        if same is None or any(getattr(same, part) != getattr(token, part) for part in ("content", *flags)):
            tokens.append(token)
    known = {token.content for token in [*there.values(), *tokens]}
    for kind in special.KINDS:
        entry = config.get(f"{kind}_token")
        text = entry.get("content") if isinstance(entry, dict) else entry
        if isinstance(text, str) and text not in known:
            known.add(text)
            tokens.append(AddedToken(text, special=True, normalized=False))
    if tokens:
        backend.add_tokens(tokens)


def listing(tokenizer: Tokenizer, config: Mapping[str, Any]) -> tuple[list[str], list[int]]:
    """Texts and kinds of all tokens, one an id, as upstream lists them."""
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
        text = tokenizer.backend.decode(tokenizer.encode(text), skip_special_tokens=False)
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
    del tokenizer, texts, kinds  # the largest take hundreds of megabytes, and so does what is read next
    more = special.load(checkpoint, merges=True, kinds=looked_for)
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
    tokenizer = load(checkpoint)
    base: dict[str, int] = tokenizer.backend.get_vocab(with_added_tokens=False)
    specials = {i for i in map(tokenizer.id, named(tokenizer.config)) if i is not None}
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
    return listed(pieces, checkpoint)


def named(config: Mapping[str, Any]) -> list[Any]:
    more = config.get("additional_special_tokens") or config.get("extra_special_tokens") or []
    return [config.get(f"{kind}_token") for kind in special.KINDS] + list(more)
