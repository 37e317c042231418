"""The tokenizer's files of a checkpoint, from a GGUF file's vocabulary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gguf_py import GGUFFile, KQuantsError

from ..tokenizer.sentencepiece import TokenKind
from . import pieces

_KINDS = {"bos": "bos", "eos": "eos", "unknown": "unk", "seperator": "sep", "padding": "pad", "mask": "mask"}
"""What the format calls a special token, and what configurations do."""
ADDED = -1000.0
"""The score by which a token that was added to a SentencePiece vocabulary is known."""


def ids(file: GGUFFile) -> dict[str, int]:
    """Special tokens by the names that configurations use, in the file's order."""
    found = {kind: file.metadata.get(f"tokenizer.ggml.{key}_token_id") for key, kind in _KINDS.items()}
    order = [key.removeprefix("tokenizer.ggml.").removesuffix("_token_id") for key in file.metadata]
    kept = {_KINDS[key]: found[_KINDS[key]] for key in order if key in _KINDS}
    return {kind: int(number) for kind, number in kept.items() if number is not None}


def write(file: GGUFFile, folder: Path) -> dict[str, Any]:
    """Write ``tokenizer.model``; returns what ``tokenizer_config.json`` should say.

    Raises KQuantsError for a vocabulary of another kind than SentencePiece's.
    """
    model = file.metadata.get("tokenizer.ggml.model")
    if model != "llama":
        raise KQuantsError(
            f"{file.path}: a {model!r} vocabulary cannot be exported, only SentencePiece's ('llama') can"
        )
    config = _common(file)
    texts = list(file.metadata["tokenizer.ggml.tokens"])
    scores, kinds = (_numbers(file, key, len(texts)) for key in ("scores", "token_type"))
    special = {k: v for k, v in ids(file).items() if k in ("bos", "eos", "pad")}
    unknown = [i for i, kind in enumerate(kinds) if kind == TokenKind.UNKNOWN]
    if len(unknown) != 1:
        raise KQuantsError(f"{file.path}: {len(unknown)} tokens are marked unknown, a SentencePiece model has one")
    last = max(i for i, text in enumerate(texts) if not _filler(i, text, kinds[i]))
    added = {
        str(i): {"content": texts[i], "special": kinds[i] == TokenKind.CONTROL}
        for i in range(last + 1)
        if kinds[i] == TokenKind.USER_DEFINED or (kinds[i] == TokenKind.CONTROL and scores[i] == ADDED)
    }
    if added:
        config["added_tokens_decoder"] = added
    end = last + 1
    prefix = bool(file.metadata.get("tokenizer.ggml.add_space_prefix", True))
    data = pieces.model(texts[:end], scores[:end], kinds[:end], {"unk": unknown[0], **special}, prefix)
    (folder / "tokenizer.model").write_bytes(data)
    return config


def _filler(index: int, text: str, kind: int) -> bool:
    """Whether a token only fills the vocabulary up to the model's size: converting makes it again."""
    return kind == TokenKind.UNUSED and text == f"[PAD{index}]"


def _numbers(file: GGUFFile, key: str, count: int) -> list[Any]:
    found = file.metadata.get(f"tokenizer.ggml.{key}")
    if found is None or len(found) != count:
        raise KQuantsError(f"{file.path}: tokenizer.ggml.{key} should have {count} items")
    return [n.item() if hasattr(n, "item") else n for n in found]


def _common(file: GGUFFile) -> dict[str, Any]:
    metadata, texts = file.metadata, file.metadata["tokenizer.ggml.tokens"]
    config: dict[str, Any] = {"tokenizer_class": "LlamaTokenizer"}
    for kind, number in ids(file).items():
        if 0 <= number < len(texts):
            config[f"{kind}_token"] = texts[number]
    for kind in ("bos", "eos", "sep"):
        said = metadata.get(f"tokenizer.ggml.add_{kind}_token")
        if said is not None:
            config[f"add_{kind}_token"] = said
    if "tokenizer.ggml.add_space_prefix" in metadata:
        config["add_prefix_space"] = metadata["tokenizer.ggml.add_space_prefix"]
    templates = {
        key.removeprefix("tokenizer.chat_template").lstrip("."): text
        for key, text in metadata.items()
        if key == "tokenizer.chat_template" or key.startswith("tokenizer.chat_template.")
    }
    if list(templates) == [""]:
        config["chat_template"] = templates[""]
    elif templates:
        config["chat_template"] = [{"name": name or "default", "template": text} for name, text in templates.items()]
    return config
