"""The tokenizer's files of a checkpoint, from a GGUF file's vocabulary."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gguf_py import GGUFFile, KQuantsError

from ..tokenizer.pre import SPLITS
from ..tokenizer.sentencepiece import TokenKind
from . import pieces

_KINDS = {"bos": "bos", "eos": "eos", "unknown": "unk", "seperator": "sep", "padding": "pad", "mask": "mask"}
"""What the format calls a special token, and what configurations do."""
_ALIKE = {"smollm": "starcoder", "refact": "starcoder", "command-r": "starcoder", "olmo": "gpt-2", "mpt": "gpt-2"}
"""Pre-tokenizers that cut a text as another one does."""
ADDED = -1000.0
"""The score by which a token that was added to a SentencePiece vocabulary is known."""


def ids(file: GGUFFile) -> dict[str, int]:
    """Special tokens by the names that configurations use, in the file's order."""
    found = {kind: file.metadata.get(f"tokenizer.ggml.{key}_token_id") for key, kind in _KINDS.items()}
    order = [key.removeprefix("tokenizer.ggml.").removesuffix("_token_id") for key in file.metadata]
    kept = {_KINDS[key]: found[_KINDS[key]] for key in order if key in _KINDS}
    return {kind: int(number) for kind, number in kept.items() if number is not None}


def write(file: GGUFFile, folder: Path) -> dict[str, Any]:
    """Write ``tokenizer.model`` or ``tokenizer.json``; returns what ``tokenizer_config.json`` should say.

    Raises KQuantsError for a vocabulary of a kind that cannot be taken back.
    """
    model = file.metadata.get("tokenizer.ggml.model")
    if model == "llama":
        return _write_pieces(file, folder)
    if model == "gpt2":
        return _write_bpe(file, folder)
    raise KQuantsError(f"{file.path}: a {model!r} vocabulary cannot be exported, only 'llama' and 'gpt2' ones can")


def _write_pieces(file: GGUFFile, folder: Path) -> dict[str, Any]:
    """SentencePiece: ``tokenizer.model``, the tokens that were added to it in the configuration."""
    config = _common(file, "LlamaTokenizer")
    texts = list(file.metadata["tokenizer.ggml.tokens"])
    scores, kinds = (_numbers(file, key, len(texts)) for key in ("scores", "token_type"))
    special = {k: v for k, v in ids(file).items() if k in ("bos", "eos", "pad")}
    unknown = [i for i, kind in enumerate(kinds) if kind == TokenKind.UNKNOWN]
    if len(unknown) != 1:
        raise KQuantsError(f"{file.path}: {len(unknown)} tokens are marked unknown, a SentencePiece model has one")
    end = 1 + max(i for i, text in enumerate(texts) if not _filler(i, text, kinds[i]))
    added = {
        str(i): {"content": texts[i], "special": kinds[i] == TokenKind.CONTROL}
        for i in range(end)
        if kinds[i] == TokenKind.USER_DEFINED or (kinds[i] == TokenKind.CONTROL and scores[i] == ADDED)
    }
    if added:
        config["added_tokens_decoder"] = added
    prefix = bool(file.metadata.get("tokenizer.ggml.add_space_prefix", True))
    data = pieces.model(texts[:end], scores[:end], kinds[:end], {"unk": unknown[0], **special}, prefix)
    (folder / "tokenizer.model").write_bytes(data)
    return config


def _write_bpe(file: GGUFFile, folder: Path) -> dict[str, Any]:
    """Byte-level BPE: ``tokenizer.json`` with the expressions that its pre-tokenizer cuts by."""
    texts = list(file.metadata["tokenizer.ggml.tokens"])
    kinds = _numbers(file, "token_type", len(texts))
    name = file.metadata.get("tokenizer.ggml.pre")
    known = {split: (bool(whole_words), expressions) for split, whole_words, expressions in SPLITS}
    if name not in known and name not in _ALIKE:
        raise KQuantsError(f"{file.path}: how the pre-tokenizer {name!r} cuts a text is not known here")
    whole_words, expressions = known[_ALIKE.get(str(name), str(name))]
    cuts = [{"type": "Split", "pattern": {"Regex": e}, "behavior": "Isolated", "invert": False} for e in expressions]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    document = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": i, "content": texts[i], **flags, "special": kind == TokenKind.CONTROL}
            for i, kind in enumerate(kinds)
            if kind in (TokenKind.CONTROL, TokenKind.USER_DEFINED)
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [*cuts, byte_level]},
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "ignore_merges": whole_words,
            # Added tokens too: one that the model does not know would get the next free id.
            "vocab": {texts[i]: i for i, kind in enumerate(kinds) if kind != TokenKind.UNUSED},
            "merges": list(file.metadata.get("tokenizer.ggml.merges", [])),
        },
    }
    (folder / "tokenizer.json").write_text(json.dumps(document, ensure_ascii=False) + "\n", encoding="utf-8")
    return _common(file, "PreTrainedTokenizerFast")


def _filler(index: int, text: str, kind: int) -> bool:
    """Whether a token only fills the vocabulary up to the model's size: converting makes it again."""
    return kind == TokenKind.UNUSED and text == f"[PAD{index}]"


def _numbers(file: GGUFFile, key: str, count: int) -> list[Any]:
    found = file.metadata.get(f"tokenizer.ggml.{key}")
    if found is None or len(found) != count:
        raise KQuantsError(f"{file.path}: tokenizer.ggml.{key} should have {count} items")
    return [n.item() if hasattr(n, "item") else n for n in found]


def _common(file: GGUFFile, class_: str) -> dict[str, Any]:
    metadata, texts = file.metadata, file.metadata["tokenizer.ggml.tokens"]
    config: dict[str, Any] = {"tokenizer_class": class_}
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
