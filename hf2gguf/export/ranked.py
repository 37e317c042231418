"""Hunyuan's vocabulary as it is published: tiktoken's file, to which the family's code adds special tokens."""

from __future__ import annotations

import base64
from pathlib import Path

from gguf_py import KQuantsError

from ..tokenizer.sentencepiece import TokenKind
from ..tokenizer.tekken import byte_letters
from ..tokenizer.tiktoken import HUNYUAN, HUNYUAN_SPECIALS, merged
from .vocabulary import Vocabulary


def lines(vocabulary: Vocabulary) -> list[str] | None:
    """The file's lines; None if the vocabulary, or an order of its merges, comes from elsewhere."""
    count = next((i for i, kind in enumerate(vocabulary.kinds) if kind != TokenKind.NORMAL), 0)
    specials = vocabulary.texts[count : count + len(HUNYUAN_SPECIALS)]
    fillers = vocabulary.kinds[count + len(specials) :]
    if vocabulary.pre != HUNYUAN.pre or specials != HUNYUAN_SPECIALS or set(fillers) - {int(TokenKind.UNUSED)}:
        return None
    bytes_of = {letter: byte for byte, letter in enumerate(byte_letters())}
    try:
        tokens = [bytes(bytes_of[letter] for letter in text) for text in vocabulary.texts[:count]]
        implied = merged({token: rank for rank, token in enumerate(tokens)}, Path(HUNYUAN.files[0]))
    except (KeyError, KQuantsError):  # a letter that stands for no byte; tokens that are too long
        return None
    if implied != vocabulary.merges:
        return None
    return [f"{base64.b64encode(token).decode()} {rank}\n" for rank, token in enumerate(tokens)]
