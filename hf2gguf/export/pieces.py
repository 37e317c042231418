"""A SentencePiece model file made of a GGUF file's vocabulary.

Written as the protocol buffer that SentencePiece reads (``sentencepiece_model.proto``: pieces, what trained them, how
text is normalized); only what the vocabulary determines is set.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gguf_py import GGUFFile, KQuantsError

from ..tokenizer.families import NOMIC_MASK
from ..tokenizer.protobuf import as_varint
from ..tokenizer.sentencepiece import TokenKind
from .vocabulary import Vocabulary

UNIGRAM, BPE = 1, 2
PIECE, TRAINER, NORMALIZER = 1, 2, 3
"""Fields of the model."""
TEXT, SCORE, KIND = 1, 2, 3
"""Fields of a piece; its kinds are numbered as in ``tokenizer.ggml.token_type``."""
MODEL_TYPE, VOCAB_SIZE, BYTE_FALLBACK, UNK_ID, BOS_ID, EOS_ID, PAD_ID = 3, 4, 35, 40, 41, 42, 43
CHARSMAP, DUMMY_PREFIX, REMOVE_SPACES, ESCAPE_SPACES = 2, 3, 4, 5
ADDED = -1000.0
"""The score by which a token that was added to a SentencePiece vocabulary is known."""
_FAIRSEQ = ["<s>", "<pad>", "</s>", "<unk>"]
"""What fairseq's models put before the pieces of a SentencePiece model, in place of its first three."""


def write_model(vocabulary: Vocabulary, file: GGUFFile, folder: Path) -> dict[str, Any]:
    """``tokenizer.model``; returns what ``tokenizer_config.json`` lays over it: the tokens that were added.

    Raises KQuantsError when no token can be the unknown one, which a SentencePiece model has.
    """
    texts, scores, kinds = vocabulary.texts, list(vocabulary.scores), list(vocabulary.kinds)
    if len(scores) != len(texts):
        raise KQuantsError(f"{file.path}: tokenizer.ggml.scores should have {len(texts)} items")
    end = _end(texts, kinds)
    added = [
        i
        for i in range(end)
        if kinds[i] == TokenKind.USER_DEFINED or (kinds[i] == TokenKind.CONTROL and scores[i] == ADDED)
    ]
    unknown = unknown_token(vocabulary, file)
    marked = [i for i, kind in enumerate(kinds) if kind == TokenKind.UNKNOWN and i != unknown]
    if marked:
        raise KQuantsError(f"{file.path}: {len(marked) + 1} tokens are marked unknown, a SentencePiece model has one")
    kinds[unknown] = TokenKind.UNKNOWN
    spelled = list(texts)
    if TokenKind.BYTE in kinds:  # of which there are 256 or none: tokens that were added lie over the others
        there = {text for text, kind in zip(texts, kinds, strict=True) if kind == TokenKind.BYTE}
        lost = (f"<0x{byte:02X}>" for byte in range(256) if f"<0x{byte:02X}>" not in there)
        for i, text in zip(added, lost, strict=False):
            spelled[i], kinds[i] = text, TokenKind.BYTE
    prefix = bool(file.metadata.get("tokenizer.ggml.add_space_prefix", True))
    data = model(spelled[:end], scores[:end], kinds[:end], _ids(file, unknown), prefix=prefix)
    (folder / "tokenizer.model").write_bytes(data)
    if not added:
        return {}
    entries = {str(i): {"content": texts[i], "special": vocabulary.kinds[i] == TokenKind.CONTROL} for i in added}
    return {"added_tokens_decoder": entries}


def unknown_token(vocabulary: Vocabulary, file: GGUFFile) -> int:
    """The token that a SentencePiece model calls unknown; one that was added again has lost its mark."""
    if TokenKind.UNKNOWN in vocabulary.kinds:
        return vocabulary.kinds.index(TokenKind.UNKNOWN)
    said = file.metadata.get("tokenizer.ggml.unknown_token_id")
    if isinstance(said, int) and said < len(vocabulary.texts):
        return said
    if "<unk>" in vocabulary.texts:
        return vocabulary.texts.index("<unk>")
    raise KQuantsError(f"{file.path}: no token is marked unknown, a SentencePiece model has one")


def _end(texts: Sequence[str], kinds: Sequence[int], shift: int = 0) -> int:
    """Where the fillers at the end begin, which converting makes again."""
    return 1 + max(i for i, t in enumerate(texts) if kinds[i] != TokenKind.UNUSED or t != f"[PAD{i - shift}]")


def _ids(file: GGUFFile, unknown: int) -> dict[str, int]:
    found = {"unk": unknown}
    for name, key in (("bos", "bos"), ("eos", "eos"), ("pad", "padding")):
        number = file.metadata.get(f"tokenizer.ggml.{key}_token_id")
        if isinstance(number, int):
            found[name] = number
    return found


def is_fairseq(vocabulary: Vocabulary, scheme: str) -> bool:
    """Whether the vocabulary came from a SentencePiece model whose first tokens are fairseq's."""
    placed = NOMIC_MASK if scheme == "nomic-bert" else None
    kinds = [kind for i, kind in enumerate(vocabulary.kinds) if i > 3 and i != placed]
    added = TokenKind.USER_DEFINED in kinds or TokenKind.CONTROL in kinds
    return vocabulary.texts[:4] == _FAIRSEQ and not added


def write_unigram(vocabulary: Vocabulary, file: GGUFFile, folder: Path, scheme: str) -> None:
    """``spiece.model``, with the tokens that were added to it apart, or ``sentencepiece.bpe.model`` with fairseq's."""
    metadata = file.metadata
    texts, scores, kinds = list(vocabulary.texts), list(vocabulary.scores), list(vocabulary.kinds)
    if scheme == "t5":
        name, end = "spiece.model", _end(texts, kinds)
        unknown = unknown_token(vocabulary, file)
        added = {texts[i]: i for i in range(end) if kinds[i] == TokenKind.USER_DEFINED}
        if added:
            (folder / "added_tokens.json").write_text(json.dumps(added, ensure_ascii=False) + "\n", encoding="utf-8")
    else:
        masked = {i for i in range(4, len(kinds)) if kinds[i] == TokenKind.CONTROL}  # placed by the scheme
        name, end = "sentencepiece.bpe.model", _end(texts, [5 if i in masked else k for i, k in enumerate(kinds)], 1)
        if end - 1 in masked:
            end = 1 + max(i for i in range(end) if i not in masked and kinds[i] != TokenKind.UNUSED)
        texts, scores, kinds = ["<unk>", "<s>", "</s>", *texts[4:]], [0.0] * 3 + scores[4:], [2, 3, 3, *kinds[4:]]
        unknown, end = 0, end - 1
    data = model(
        texts[:end],
        scores[:end],
        kinds[:end],
        {"unk": unknown},
        prefix=bool(metadata.get("tokenizer.ggml.add_space_prefix", True)),
        kind=UNIGRAM,
        remove_spaces=bool(metadata.get("tokenizer.ggml.remove_extra_whitespaces", True)),
        charsmap=charsmap(file),
    )
    (folder / name).write_bytes(data)


def charsmap(file: GGUFFile) -> bytes:
    """The normalizer's table of characters; empty without one."""
    found = file.metadata.get("tokenizer.ggml.precompiled_charsmap")
    return b"" if found is None else found.tobytes()


def model(
    texts: Sequence[str],
    scores: Sequence[float],
    kinds: Sequence[int],
    ids: dict[str, int],
    *,
    prefix: bool,
    kind: int = BPE,
    remove_spaces: bool = False,
    charsmap: bytes = b"",
) -> bytes:
    """The file's bytes; ``ids`` are those of unk, bos, eos and pad, where there are such tokens."""
    pieces = b"".join(
        _bytes(PIECE, _bytes(TEXT, text.encode()) + _float(SCORE, score) + _number(KIND, kind))
        for text, score, kind in zip(texts, scores, kinds, strict=True)
    )
    trainer = _number(MODEL_TYPE, kind) + _number(VOCAB_SIZE, len(texts)) + _number(BYTE_FALLBACK, 6 in kinds)
    for field, name in ((UNK_ID, "unk"), (BOS_ID, "bos"), (EOS_ID, "eos"), (PAD_ID, "pad")):
        trainer += _number(field, ids.get(name, -1))
    normalizer = _bytes(1, b"identity") + (_bytes(CHARSMAP, charsmap) if charsmap else b"")
    normalizer += _number(DUMMY_PREFIX, prefix) + _number(REMOVE_SPACES, remove_spaces) + _number(ESCAPE_SPACES, True)
    return pieces + _bytes(TRAINER, trainer) + _bytes(NORMALIZER, normalizer)


def _number(field: int, value: int) -> bytes:
    return as_varint(field << 3) + as_varint(int(value))


def _float(field: int, value: float) -> bytes:
    return as_varint(field << 3 | 5) + struct.pack("<f", value)


def _bytes(field: int, value: bytes) -> bytes:
    return as_varint(field << 3 | 2) + as_varint(len(value)) + value
