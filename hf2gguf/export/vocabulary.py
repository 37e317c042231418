"""A GGUF file's vocabulary, its lists checked against each other."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gguf_py import Field, GGUFFile, KQuantsError, ValueType
from gguf_py.values import DTYPES

from ..tokenizer.sentencepiece import TokenKind

_FORMS: tuple[tuple[str, str, Callable[[Field], bool]], ...] = (
    (r"ggml\.(model|pre)|chat_template(\..*)?", "a text", lambda f: f.type is ValueType.STRING),
    (r"ggml\.(tokens|merges)", "an array of texts", lambda f: f.item is ValueType.STRING),
    (r"ggml\.(scores|token_type)", "an array of numbers", lambda f: f.item in DTYPES),
    (r"ggml\..*_token_id", "a whole number", lambda f: type(f.value) is int),
    (r"ggml\.(add|remove|normalizer)[_.].*", "true or false", lambda f: f.type is ValueType.BOOL),
)
"""Keys behind ``tokenizer.``, what each is, and whether a field is that: any other file is none of a tokenizer's."""

_MODELS = ("llama", "gpt2", "bert", "t5", "gemma4", "rwkv", "plamo2", "whitespace", "none")


@dataclass(frozen=True)
class Vocabulary:
    """Tokens by id: texts, kinds as ``tokenizer.ggml.token_type`` numbers them, scores (none for BPE), merges."""

    model: str
    pre: str | None
    texts: list[str]
    kinds: list[int]
    scores: list[float]
    merges: list[str]

    @cached_property
    def ids(self) -> dict[str, int]:
        """Tokens that are no fillers, by their texts."""
        unused = int(TokenKind.UNUSED)
        pairs = zip(self.texts, self.kinds, strict=True)
        return {text: i for i, (text, kind) in enumerate(pairs) if kind != unused}


def read(file: GGUFFile) -> Vocabulary:
    """The file's vocabulary, without tokens if its model is "none".

    Raises KQuantsError for a model that cannot be taken back, when a key of the tokenizer is of a type that it cannot
    have, and when a list is missing or has another length than the tokens'.
    """
    metadata = file.metadata
    for pattern, expected, fits in _FORMS:
        for key, field in file.fields.items():
            if re.fullmatch(rf"tokenizer\.({pattern})", key) and not fits(field):
                raise KQuantsError(f"{file.path}: {key} is {field.type_name}, expected {expected}")
    model = metadata.get("tokenizer.ggml.model")
    if model is None:
        raise KQuantsError(f"{file.path}: has no tokenizer.ggml.model, without which no vocabulary can be exported")
    if model not in _MODELS:
        raise KQuantsError(f"{file.path}: a {model!r} vocabulary cannot be exported, only {', '.join(_MODELS)} can")
    if model == "none":
        return Vocabulary(model, None, [], [], [], [])
    texts = metadata.get("tokenizer.ggml.tokens")
    if texts is None:
        raise KQuantsError(f"{file.path}: has no tokenizer.ggml.tokens, the texts of the tokens")
    kinds = _numbers(file, "token_type", len(texts), needed=True)
    unknown = int(TokenKind.UNKNOWN)
    for i, kind in enumerate(kinds):  # what older converters called unknown
        if kind == unknown and texts[i] == f"[PAD{i}]":
            kinds[i] = int(TokenKind.UNUSED)
    scores = _numbers(file, "scores", len(texts), needed=False)
    merges = list(metadata.get("tokenizer.ggml.merges", []))
    return Vocabulary(model, metadata.get("tokenizer.ggml.pre"), list(texts), kinds, scores, merges)


def _numbers(file: GGUFFile, key: str, count: int, *, needed: bool) -> list[Any]:
    found = file.metadata.get(f"tokenizer.ggml.{key}")
    if found is None and not needed:
        return []
    if found is None or len(found) != count:
        raise KQuantsError(f"{file.path}: tokenizer.ggml.{key} should have {count} items")
    return found.tolist() if hasattr(found, "tolist") else list(found)
