"""``tokenizer.json`` of the tokenizers library, and Mistral's ``tekken.json``, made of a GGUF file's vocabulary."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from gguf_py import GGUFFile, KQuantsError

from ..tokenizer.pre import SPLITS
from ..tokenizer.sentencepiece import TokenKind
from ..tokenizer.tekken import byte_letters
from .around import processor
from .pieces import charsmap
from .vocabulary import Vocabulary

_ALIKE = {
    "llama-bpe": "llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano glm4 glm5",
    "dbrx": "smaug-bpe chatglm-bpe jais-2",
    "qwen2": "deepseek-r1-qwen kormo f2llmv2 megrez stablelm2 hunyuan solar-open grok-2 bailingmoe bailingmoe2 "
    "llada-moe seed-coder",
    "gpt-2": "phi-2 jina-es jina-de gigachat jina-v2-es jina-v2-de a.x-4.0 mellum modern-bert jina-v1-en jina-v2-code "
    "roberta-bpe exaone4 mpt olmo jais trillion granite-docling",
    "starcoder": "smollm refact command-r codeshell exaone minerva-7b mellum2",
    "gpt-4o": "llama4 kanana2 talkie minimax-m2 granite-embed-multi-97m",
    "deepseek-v3": "hunyuan-dense joyai-llm hy_v4",
    "bloom": "poro-chat gpt3-finnish",
}
"""Pre-tokenizers that cut a text as another one does, as llama.cpp v0.5.0 groups them (``src/llama-vocab.cpp``)."""
_SAME = {name: other for other, names in _ALIKE.items() for name in names.split()}
_MORE: dict[str, tuple[str, ...]] = {
    "deepseek-llm": (
        r"[\r\n]",
        r"\s?[\p{Lu}\p{Ll}\p{Lt}]+",
        r"\s?[!-/:-~！-／：-～‘-‟　-。]+",
        r"\s+$",
        "[一-龥ࠀ-一가-퟿]+",
        r"\p{N}+",
    )
}
"""Expressions of pre-tokenizers that are only ever known by their digest."""
_FLAGS = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
_BYTES = {letter: byte for byte, letter in enumerate(byte_letters())}


def byte_level(vocabulary: Vocabulary, file: GGUFFile) -> dict[str, Any]:
    """Byte-level BPE with the expressions that its pre-tokenizer cuts by.

    Raises KQuantsError for a pre-tokenizer whose expressions are not known.
    """
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    if vocabulary.model == "whitespace":
        pre: dict[str, Any] = {"type": "Whitespace"}
        whole_words = False
    else:
        whole_words, expressions = _cuts(vocabulary.pre, file)
        cuts = [
            {"type": "Split", "pattern": {"Regex": e}, "behavior": "Isolated", "invert": False} for e in expressions
        ]
        pre = {"type": "Sequence", "pretokenizers": [*cuts, level]}
    lower = file.metadata.get("tokenizer.ggml.normalizer.lowercase")
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added(vocabulary, by_bytes=True),
        "normalizer": {"type": "Lowercase"} if lower else None,
        "pre_tokenizer": pre,
        "post_processor": processor(vocabulary, file),
        "decoder": level,
        "model": {
            "type": "BPE",
            "ignore_merges": whole_words,
            # Added tokens too: one that the model does not know would get the next free id.
            "vocab": vocabulary.ids,
            "merges": vocabulary.merges,
        },
    }


def _added(vocabulary: Vocabulary, *, by_bytes: bool = False, unknown: bool = False) -> list[dict[str, Any]]:
    """The tokens that are added, the unknown one too if it is one of them.

    Of those that are not normalized the texts were decoded (``by_bytes``).
    """
    special, own = int(TokenKind.CONTROL), int(TokenKind.USER_DEFINED)
    added = (special, own, int(TokenKind.UNKNOWN)) if unknown else (special, own)
    return [
        {
            "id": i,
            "content": vocabulary.texts[i],
            **_FLAGS,
            "normalized": by_bytes and _decodes_otherwise(vocabulary.texts[i]),
            "special": kind != own,
        }
        for i, kind in enumerate(vocabulary.kinds)
        if kind in added
    ]


def _decodes_otherwise(text: str) -> bool:
    """Whether a text is made of letters that stand for bytes, and those are another text."""
    if text.isascii() or not _BYTES.keys() >= set(text):
        return False
    return bytes(_BYTES[letter] for letter in text).decode("utf-8", "replace") != text


def _cuts(name: str | None, file: GGUFFile) -> tuple[bool, tuple[str, ...]]:
    """Whether whole words win over merges, and the expressions, for a name; files without one are of GPT-2's time."""
    said = "gpt-2" if name in (None, "default") else str(name)
    if said in _MORE:
        return False, _MORE[said]
    for split, whole_words, expressions in SPLITS:
        if split == _SAME.get(said, said):
            return bool(whole_words), expressions
    raise KQuantsError(f"{file.path}: how the pre-tokenizer {said!r} cuts a text is not known here")


def wordpiece(vocabulary: Vocabulary, file: GGUFFile) -> dict[str, Any]:
    """WordPiece: words without the phantom space before them, ``##`` before everything else."""
    texts = [
        text if kind == TokenKind.CONTROL else text[1:] if text.startswith("▁") else f"##{text}"
        for text, kind in zip(vocabulary.texts, vocabulary.kinds, strict=True)
    ]
    plain = Vocabulary("bert", None, texts, vocabulary.kinds, [], [])
    number = file.metadata.get("tokenizer.ggml.unknown_token_id")
    unknown = texts[number] if isinstance(number, int) and number < len(texts) else "[UNK]"
    said = {name: file.metadata.get(f"tokenizer.ggml.normalizer.{name}") for name in ("lowercase", "strip_accents")}
    lower = True if said["lowercase"] is None else said["lowercase"]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added(plain),
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": said["strip_accents"],
            "lowercase": lower,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": processor(plain, file),
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": unknown,
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": plain.ids,
        },
    }


def unigram(vocabulary: Vocabulary, file: GGUFFile) -> dict[str, Any]:
    """A unigram model with SentencePiece's table of characters."""
    unknown = vocabulary.kinds.index(TokenKind.UNKNOWN) if TokenKind.UNKNOWN in vocabulary.kinds else 0
    space = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    table = base64.b64encode(charsmap(file)).decode()
    last = max(vocabulary.ids.values())
    # Ids that tokens have among those that were added come first in a file, the model's own id of the unknown one last.
    order = [key for key in file.metadata if key.endswith("_token_id")]
    added = "tokenizer.ggml.unknown_token_id" in order[:-1]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added(vocabulary, unknown=added),
        "normalizer": {"type": "Precompiled", "precompiled_charsmap": table},
        "pre_tokenizer": space,
        "post_processor": processor(vocabulary, file),
        "decoder": space,
        "model": {
            "type": "Unigram",
            "unk_id": unknown,
            "vocab": [list(pair) for pair in zip(vocabulary.texts, vocabulary.scores, strict=True)][: last + 1],
            "byte_fallback": False,
        },
    }


def byte_fallback(vocabulary: Vocabulary) -> dict[str, Any]:
    """BPE that falls back to bytes, of which only Gemma 4's files keep the merges beside the tokens."""
    added = (TokenKind.CONTROL, TokenKind.USER_DEFINED, TokenKind.UNUSED)
    own = max(i for i, kind in enumerate(vocabulary.kinds) if kind not in added) + 1
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added(vocabulary),
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
            ],
        },
        "model": {
            "type": "BPE",
            "byte_fallback": True,
            "vocab": {text: i for text, i in vocabulary.ids.items() if i < own},
            "merges": vocabulary.merges,
        },
    }


def sentencepiece(vocabulary: Vocabulary, file: GGUFFile, unknown: str) -> dict[str, Any]:
    """A SentencePiece model of pairs as the tokenizers library knows it: pieces by their scores are merges in order."""
    made = byte_fallback(vocabulary)
    prefix = file.metadata.get("tokenizer.ggml.add_space_prefix", True)
    ids = {text: i for i, text in enumerate(vocabulary.texts) if vocabulary.kinds[i] == TokenKind.NORMAL}
    merges: list[str] = []
    for text in sorted(ids, key=lambda text: (-vocabulary.scores[ids[text]], ids[text])):
        parts = [(text[:at], text[at:]) for at in range(1, len(text))]
        known = sorted((ids[a], ids[b]) for a, b in parts if a in ids and b in ids)
        merges += [f"{vocabulary.texts[a]} {vocabulary.texts[b]}" for a, b in known]
    made["post_processor"] = processor(vocabulary, file)
    made["model"] |= {"unk_token": unknown, "fuse_unk": True, "merges": merges}
    if prefix:
        first = {"type": "Prepend", "prepend": "▁"}
        made["normalizer"] = {"type": "Sequence", "normalizers": [first, made["normalizer"]]}
        made["decoder"]["decoders"].append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return made


# ------------------------------------------------------------------------------------------------------------- tekken


def is_tekken(vocabulary: Vocabulary, file: GGUFFile, scheme: str) -> bool:
    """Whether the vocabulary came from ``tekken.json``, which leaves scores of nothing."""
    return vocabulary.pre == "tekken" and bool(vocabulary.scores) and scheme in ("any", "tekken")


def write_tekken(vocabulary: Vocabulary, file: GGUFFile, folder: Path) -> dict[str, Any]:
    """``tekken.json``; returns nothing for ``tokenizer_config.json``."""
    reserved = next((i for i, k in enumerate(vocabulary.kinds) if k != TokenKind.CONTROL), len(vocabulary.kinds))
    template = file.metadata.get("tokenizer.chat_template")
    version = {"mistral-v3-tekken": "v3", "mistral-v7-tekken": "v7"}.get(str(template), "v11")
    raw = [bytes(_BYTES[letter] for letter in text) for text in vocabulary.texts[reserved:]]
    document = {
        "config": {
            "default_vocab_size": len(vocabulary.texts),
            "default_num_special_tokens": reserved,
            "version": version,
        },
        "special_tokens": [
            {"rank": i, "token_str": text, "is_control": True} for i, text in enumerate(vocabulary.texts[:reserved])
        ],
        "vocab": [
            {"rank": i, "token_bytes": base64.b64encode(token).decode(), "token_str": token.decode("utf-8", "replace")}
            for i, token in enumerate(raw)
        ],
    }
    (folder / "tekken.json").write_text(json.dumps(document, ensure_ascii=False) + "\n", encoding="utf-8")
    if version == "v11" and template is not None:
        (folder / "chat_template.jinja").write_text(str(template), encoding="utf-8", newline="\n")
    return {}
