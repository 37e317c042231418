"""Vocabularies that are a plain list, a token a line: RWKV's and PLaMo's."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

from gguf_py import KQuantsError

from ..tokenizer.lists import PLAMO, RWKV_WORLD
from ..tokenizer.sentencepiece import TokenKind
from .vocabulary import Vocabulary

MODELS = {"rwkv": RWKV_WORLD, "plamo2": PLAMO}
"""The file of each model of vocabularies."""


def write(vocabulary: Vocabulary, folder: Path) -> None:
    """The list of a vocabulary without its fillers, which converting makes again."""
    lines = (_rwkv if vocabulary.model == "rwkv" else _plamo)(vocabulary)
    (folder / MODELS[vocabulary.model]).write_text("".join(f"{line}\n" for line in lines), "utf-8", newline="\n")


def _rwkv(vocabulary: Vocabulary) -> Iterator[str]:
    """``ID LITERAL SIZE``, without the first token, which is none of the list's."""
    for i, text in enumerate(vocabulary.texts):
        if i and vocabulary.kinds[i] != TokenKind.UNUSED:
            literal = next((f"b{quote}{text}{quote}" for quote in "'\"" if _quoted(text, quote)), None)
            if literal is None:
                raise KQuantsError(f"the token {text!r} is not written as RWKV's are, in escapes of Python's")
            yield f"{i} {literal} {len(ast.literal_eval(literal))}"


def _quoted(text: str, quote: str) -> bool:
    try:
        return repr(ast.literal_eval(f"b{quote}{text}{quote}")) == f"b{quote}{text}{quote}"
    except (ValueError, SyntaxError):
        return False


def _plamo(vocabulary: Vocabulary) -> Iterator[str]:
    """``[TEXT, SCORE, KIND]``."""
    for text, score, kind in zip(vocabulary.texts, vocabulary.scores, vocabulary.kinds, strict=True):
        if kind != TokenKind.UNUSED:
            yield json.dumps([text, score, TokenKind(kind).name], ensure_ascii=False)
