"""The tokenizer's files of a checkpoint, from a GGUF file's vocabulary: what its scheme reads, and the settings."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

from gguf_py import GGUFFile, KQuantsError

from .. import checkpoint as checkpoints
from ..tokenizer import SCHEMES, families, fields
from ..tokenizer.sentencepiece import TokenKind
from ..tokenizer.special import KINDS
from ..tokenizer.tiktoken import HUNYUAN
from . import libraries, lists, pieces, ranked
from .vocabulary import Vocabulary

_IDS = {"bos": "bos", "eos": "eos", "unknown": "unk", "seperator": "sep", "padding": "pad", "mask": "mask"}
"""What the format calls a special token, and what configurations do."""
_MODELS = {
    "bert": ("bert",),
    "roberta": ("gpt2",),
    "xlm-roberta": ("t5",),
    "nomic-bert": ("bert", "t5"),
    "t5": ("t5", "llama"),
    "none": ("none",),
    "tekken": ("gpt2",),
    **dict.fromkeys(("llama", "internlm2", "internlm3", "arctic", "nemotron"), ("llama",)),
    "gpt2": ("gpt2",),
    "gemma4": ("gemma4",),
    "rwkv": ("rwkv",),
    "plamo": ("plamo2",),
    "plamo3": ("plamo2",),
}
"""Models of vocabularies that some schemes make; the others make what comes."""
_CLASSES = {
    ("bert", "bert"): "BertTokenizer",
    ("jina-bert", "bert"): "BertTokenizer",
    ("nomic-bert", "bert"): "BertTokenizer",
    ("nomic-bert", "t5"): "XLMRobertaTokenizer",
    ("jina-bert", "gpt2"): "RobertaTokenizer",
    ("phi3", "gpt2"): "GPT2Tokenizer",
    **{(scheme, "llama"): "GemmaTokenizer" for scheme in ("gemma", "gemma2", "gemma3")},
    ("gemma4", "gemma4"): "GemmaTokenizer",
    ("t5", "t5"): "T5Tokenizer",
    ("xlm-roberta", "t5"): "XLMRobertaTokenizer",
}
_TOKENS, _TEMPLATE = "tokenizer.ggml.tokens", "tokenizer.chat_template"
_BYTES_APART = ("llama-hf", "xverse", "deci")
"""Schemes that read BPE with byte fallback from ``tokenizer.json``."""


def fits(scheme: str, vocabulary: Vocabulary) -> bool:
    """Whether a scheme can make a vocabulary: one of its model, with the tokens that it names itself."""
    texts = set(vocabulary.texts)
    return vocabulary.model in _MODELS.get(scheme, (vocabulary.model,)) and texts.issuperset(_own(scheme).values())


def _own(scheme: str) -> dict[str, str]:
    """The special tokens that a scheme names, by kind."""
    found = SCHEMES.get(scheme)
    if scheme == "chatglm":
        return families.GLM4
    return dict(found.keywords.get("ids", {})) if isinstance(found, partial) else {}


def ids(file: GGUFFile) -> dict[str, int]:
    """Special tokens by the names that configurations use, in the file's order.

    Those that stand apart from the others are not among them: an architecture sets them before or after all else.
    """
    keys = list(file.metadata)
    keys = keys[keys.index(_TOKENS) :] if _TOKENS in keys else keys
    keys = keys[: keys.index(_TEMPLATE)] if _TEMPLATE in keys else keys
    first = next((i for i, key in enumerate(keys) if kind(key)), len(keys))
    together = takewhile(bool, map(kind, keys[first:]))
    return {name: int(file.metadata[key]) for name, key in zip(together, keys[first:], strict=False)}


def behind(file: GGUFFile) -> set[str]:
    """The keys of special tokens that stand behind the chat template, where only a page's own can be."""
    keys = list(file.metadata)
    return {key for key in keys[keys.index(_TEMPLATE) :] if kind(key)} if _TEMPLATE in keys else set()


def ends(file: GGUFFile, scheme: str) -> dict[str, Any]:
    """What Laguna's configuration says of ends: that of a turn is the one that is not the beginning of a text too.

    Hunyuan's has a name of its own for the end of a text.
    """
    names = ("bos", "eos", "eot")
    bos, eos, eot = (file.metadata.get(f"tokenizer.ggml.{name}_token_id") for name in names)
    if scheme == "hunyuan":
        return {} if eos is None else {"eod_token_id": eos}
    return {"eos_token_id": [bos if eos is None else eos, eot]} if scheme == "laguna" and eot is not None else {}


def kind(key: str) -> str:
    """What configurations call the special token of a key; nothing for other keys."""
    found = re.fullmatch(r"tokenizer\.ggml\.(\w+)_token_id", key)
    return "" if found is None else _IDS.get(found[1], found[1])


def settings(file: GGUFFile, vocabulary: Vocabulary, scheme: str) -> dict[str, Any]:
    """What ``tokenizer_config.json`` should say."""
    metadata, model = file.metadata, vocabulary.model
    if model == "none":
        return {}
    usual = "PreTrainedTokenizerFast" if model in ("gpt2", "whitespace") else "LlamaTokenizer"
    config: dict[str, Any] = {"tokenizer_class": _CLASSES.get((scheme, model), usual)}
    named = wanted if model == "plamo2" else _named  # whose list names each kind in its turn
    for kind, number in named(file, vocabulary, scheme).items():
        config[f"{kind}_token"] = vocabulary.texts[number]
    for kind in ("bos", "eos", "sep"):
        said = metadata.get(f"tokenizer.ggml.add_{kind}_token")
        if said is not None and scheme != "gemma4":  # which adds the beginning, whatever is said
            config[f"add_{kind}_token"] = said
    if "tokenizer.ggml.add_space_prefix" in metadata:
        config["add_prefix_space"] = metadata["tokenizer.ggml.add_space_prefix"]
    if "tokenizer.ggml.remove_extra_whitespaces" in metadata:
        config["clean_up_tokenization_spaces"] = metadata["tokenizer.ggml.remove_extra_whitespaces"]
    if model == "gemma4":  # the others are no special ones
        special = (t for t, k in zip(vocabulary.texts, vocabulary.kinds, strict=True) if k == TokenKind.CONTROL)
        config["additional_special_tokens"] = [text for text in special if text not in config.values()]
    config |= _templates(file)
    return config


def _named(file: GGUFFile, vocabulary: Vocabulary, scheme: str) -> dict[str, int]:
    """The special tokens that are to be named, of those in the file's order.

    The names come first and in one order: what stands elsewhere in the file is only in ``config.json``, and what the
    architecture names itself is nowhere.
    """
    held: dict[str, int] = {}
    for kind, number in wanted(file, vocabulary, scheme).items():
        marked = 0 <= number < len(vocabulary.texts) and (
            vocabulary.model not in ("gpt2", "bert") or vocabulary.kinds[number] == TokenKind.CONTROL
        )
        if not marked or (held and KINDS.index(kind) < KINDS.index(list(held)[-1])):
            break
        held[kind] = number
    return held


def wanted(file: GGUFFile, vocabulary: Vocabulary, scheme: str) -> dict[str, int]:
    """The special tokens that the architecture does not name itself, which it does after all others."""
    own, found = _own(scheme), ids(file)
    texts = dict(enumerate(vocabulary.texts))  # ids may lie outside of it
    named, order = list(found), [*own]
    while named and order and own.get(named[-1]) == texts.get(found[named[-1]]) and named[-1] in order:
        order = order[: order.index(named.pop())]
    return {kind: found[kind] for kind in named if kind in KINDS}


def _templates(file: GGUFFile) -> dict[str, Any]:
    key = _TEMPLATE
    found = {
        k.removeprefix(key).lstrip("."): v for k, v in file.metadata.items() if k == key or k.startswith(f"{key}.")
    }
    if not found or found == {"": "rwkv-world"}:  # the name of llama.cpp's own
        return {}
    if list(found) == [""]:
        return {"chat_template": found[""]}
    return {"chat_template": [{"name": name or "default", "template": text} for name, text in found.items()]}


def write(file: GGUFFile, vocabulary: Vocabulary, folder: Path, scheme: str) -> dict[str, Any]:
    """Write the tokenizer's files and return what ``tokenizer_config.json`` says."""
    config, model = settings(file, vocabulary, scheme), vocabulary.model
    if model == "none":
        return config
    if model == "gemma4" or (model == "llama" and _apart(scheme, vocabulary)):
        document = libraries.byte_fallback(vocabulary)
    elif model in lists.MODELS:
        lists.write(vocabulary, folder)
        document = {}
    elif model == "llama":
        config |= pieces.write_model(vocabulary, file, folder)
        document = {}
    elif model == "t5" and (scheme == "t5" or pieces.is_fairseq(vocabulary, scheme)):
        pieces.write_unigram(vocabulary, file, folder, scheme)
        document = {}
    elif model == "t5":
        document = libraries.unigram(vocabulary, file)
    elif model == "bert":
        document = libraries.wordpiece(vocabulary, file)
    elif scheme == "hunyuan" and (ranks := ranked.lines(vocabulary)) is not None:
        (folder / HUNYUAN.files[0]).write_text("".join(ranks), encoding="utf-8", newline="\n")
        document = {}
    elif libraries.is_tekken(vocabulary, file, scheme):
        config |= libraries.write_tekken(vocabulary, file, folder)
        document = {}
    else:
        document = libraries.byte_level(vocabulary, file)
    if document:
        text = json.dumps(document, ensure_ascii=False)
        (folder / "tokenizer.json").write_text(text + "\n", encoding="utf-8", newline="\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n"
    )
    return config


def write_beside(file: GGUFFile, vocabulary: Vocabulary, folder: Path, config: Mapping[str, Any], scheme: str) -> None:
    """The same tokenizer as ``tokenizer.json`` beside ``tokenizer.model``, if it is converted as without.

    Only from there do transformers' tokenizers of all classes know that a text begins with a space.
    """
    path = folder / "tokenizer.json"
    if vocabulary.model != "llama" or path.exists() or scheme in ("gemma", "gemma2", "gemma3"):
        return

    def found() -> list[tuple[str, bytes]]:
        with checkpoints.open(folder) as opened:
            return [(key, bytes(field.payload("little"))) for key, field in fields(opened, config, scheme).items()]

    try:
        alone = found()
        document = libraries.sentencepiece(vocabulary, file, vocabulary.texts[pieces.unknown_token(vocabulary, file)])
        path.write_text(json.dumps(document, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
        if found() != alone:
            path.unlink()
    except KQuantsError:
        path.unlink(missing_ok=True)


def _apart(scheme: str, vocabulary: Vocabulary) -> bool:
    """Whether the vocabulary came from ``tokenizer.json``, which has no scores."""
    if scheme in _BYTES_APART:
        return True
    if scheme not in ("any", "jamba") or len(vocabulary.scores) != len(vocabulary.texts):
        return False
    return all(score == pieces.ADDED for score in vocabulary.scores)
