"""Unigram vocabularies, T5's and XLM-RoBERTa's: a SentencePiece model, or a ``tokenizer.json`` that was made of one."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gguf_py import KQuantsError, ValueType
from hf2gguf.checkpoint import Checkpoint
from hf2gguf.checkpoint.folder import read_text

from . import bpe, library, protobuf, sentencepiece, special
from .sentencepiece import MAX_PIECES, Pieces, TokenKind, fill, fill_added, scored, vocab_size
from .special import Fields, put

UNIGRAM, BPE = 1, 2


@dataclass(frozen=True)
class Normalizer:
    """How a model prepares a text: a space put before it, runs of spaces made one, characters mapped."""

    model_type: int
    add_prefix: bool
    remove_spaces: bool
    charsmap: bytes


def normalizer(path: Path) -> Normalizer:
    """What a SentencePiece model says of its kind and of its normalizer; source: ``sentencepiece_model.proto``."""
    trainer: dict[int, int | bytes] = {}
    spec: dict[int, int | bytes] = {}
    for number, value in protobuf.fields(read_text(path, MAX_PIECES), path):
        if number in (2, 3) and isinstance(value, bytes):
            (trainer if number == 2 else spec).update(protobuf.fields(value, path))
    charsmap = spec.get(2, b"")
    return Normalizer(
        int(trainer.get(3, UNIGRAM)),
        bool(spec.get(3, True)),
        bool(spec.get(4, True)),
        charsmap if isinstance(charsmap, bytes) else b"",
    )


def t5(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    """T5's vocabulary (scheme ``t5``), from ``tokenizer.model`` or ``spiece.model``.

    From ``tokenizer.json`` where that is all there is: what the model that it was made of gives (upstream gives up).
    """
    path = checkpoint.path("tokenizer.model") or checkpoint.path("spiece.model")
    if path is None:
        if not is_unigram(checkpoint):
            raise KQuantsError(
                f"{checkpoint.dir}: has no tokenizer.model or spiece.model, expected a SentencePiece model, or a "
                "tokenizer.json of the type Unigram"
            )
        pieces, spec = _from_json(checkpoint, config, _T5)
        return _listed(pieces, checkpoint, replace(spec, add_prefix=True, remove_spaces=True))
    spec = normalizer(path)
    if spec.model_type == BPE:
        return sentencepiece.fields(checkpoint, config)
    model = sentencepiece.processor(path)
    size = vocab_size(config, model.vocab_size(), checkpoint.dir / "config.json")
    if size < model.vocab_size():
        raise KQuantsError(f"{path}: has {model.vocab_size()} tokens, but vocab_size is {size}")
    pieces = Pieces.unused(size)
    fill(pieces, model)
    fill_added(pieces, checkpoint)
    return _listed(pieces, checkpoint, spec)


def xlm_roberta(checkpoint: Checkpoint, config: Mapping[str, Any], mask_at: int | None = None) -> Fields:
    """XLM-RoBERTa's vocabulary (scheme ``xlm-roberta``); ``mask_at`` is the place of a mask token the file lacks."""
    path = checkpoint.path("sentencepiece.bpe.model")
    if path is None:
        pieces, spec = _from_json(checkpoint, config, {})
    else:
        spec = normalizer(path)
        model = sentencepiece.processor(path)
        size = max(config.get("vocab_size", 0), model.vocab_size())
        pieces = Pieces.unused(vocab_size({"vocab_size": size}, model.vocab_size(), checkpoint.dir / "config.json"))
        fill(pieces, model)
        # The original model was fairseq's, which puts four tokens of its own first.
        pieces.texts = ["<s>", "<pad>", "</s>", "<unk>", *pieces.texts[3:-1]]
        pieces.scores = [0.0] * 4 + pieces.scores[3:-1]
        pieces.kinds = [int(TokenKind.CONTROL)] * 3 + [int(TokenKind.UNKNOWN)] + pieces.kinds[3:-1]
        if mask_at is not None:
            pieces.place(mask_at, "<mask>", 0.0, TokenKind.CONTROL)
    return _listed(pieces, checkpoint, spec, types=config.get("type_vocab_size", 1))


def bert(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    """BERT's vocabulary (scheme ``bert``): WordPiece, or XLM-RoBERTa's, as multilingual sentence encoders have.

    Of the latter upstream recognizes no pre-tokenizer.
    """
    return (xlm_roberta if is_unigram(checkpoint) else bpe.wordpiece)(checkpoint, config)


def is_unigram(checkpoint: Checkpoint) -> bool:
    """Whether there is a ``tokenizer.json`` that holds a unigram model."""
    model = (special.tokenizer_json(checkpoint) or {}).get("model")
    return isinstance(model, Mapping) and model.get("type") == "Unigram"


def _listed(pieces: Pieces, checkpoint: Checkpoint, spec: Normalizer, types: int | None = None) -> Fields:
    found = scored(pieces, "t5")
    put(found, "add_space_prefix", spec.add_prefix, ValueType.BOOL)
    if types is not None:
        put(found, "token_type_count", types, ValueType.UINT32)
    put(found, "remove_extra_whitespaces", spec.remove_spaces, ValueType.BOOL)
    if spec.charsmap:
        put(found, "precompiled_charsmap", np.frombuffer(spec.charsmap, np.uint8))
    found.update(special.load(checkpoint, n_vocab=len(pieces.texts)).fields())
    return found


_T5 = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
"""The tokens that have a name where nobody gives one, of whatever class the tokenizer is."""
_PREFIXING = ("XLMRobertaTokenizer", "CamembertTokenizer")
"""Classes that put a space before a text unless they are told not to."""


def _from_json(
    checkpoint: Checkpoint, config: Mapping[str, Any], usual: Mapping[str, str]
) -> tuple[Pieces, Normalizer]:
    tokenizer = library.load(checkpoint)
    written = tokenizer.document
    vocab = written["model"]["vocab"]
    size = max(config.get("vocab_size", 0), len(vocab))
    pieces = Pieces.unused(vocab_size({"vocab_size": size}, len(vocab), checkpoint.dir / "config.json"))
    unk = tokenizer.id((checkpoint.json("tokenizer_config.json") or {}).get("unk_token"))
    if unk not in tokenizer.added:
        unk = written["model"].get("unk_id", 3)
    unsaid = {tokenizer.id(text) for name, text in usual.items() if name not in tokenizer.config}
    specials = tokenizer.special_ids() | unsaid
    by_id = {token_id: text for text, token_id in tokenizer.ids.items()}
    for i, (text, score) in enumerate(vocab):
        kind = TokenKind.NORMAL
        if i == unk:
            kind = TokenKind.UNKNOWN
        elif i in specials:
            kind = TokenKind.CONTROL
        elif i in tokenizer.added:
            kind = TokenKind.USER_DEFINED
        pieces.place(i, by_id.get(i, text), score, kind)
    prefix = tokenizer.config.get("add_prefix_space", tokenizer.kind in _PREFIXING)
    clean = tokenizer.config.get("clean_up_tokenization_spaces", False)
    charsmap = base64.b64decode(_precompiled(written.get("normalizer")) or "")
    return pieces, Normalizer(UNIGRAM, bool(prefix), bool(clean), charsmap)


def _precompiled(normalizer: Any) -> str | None:
    """The map of characters in a normalizer, or in one of those that it is a sequence of (where upstream gives up)."""
    if not isinstance(normalizer, Mapping):
        return None
    if "precompiled_charsmap" in normalizer:
        return str(normalizer["precompiled_charsmap"])
    return next((found for part in normalizer.get("normalizers", []) if (found := _precompiled(part))), None)
