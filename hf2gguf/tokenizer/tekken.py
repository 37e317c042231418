"""Mistral's ``tekken.json``: byte-level BPE written as ranked byte strings, special tokens first.

Source of the format: mistral-common 1.13, ``tokens/tokenizers/tekken.py``; of the metadata's order: upstream.
"""

from __future__ import annotations

import base64
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gguf_py import Field, KQuantsError, ValueType
from hf2gguf.checkpoint import Checkpoint
from hf2gguf.checkpoint.folder import read_json

from .sentencepiece import MAX_VOCAB, TokenKind
from .special import MAX_TOKENIZER, Fields, bundled, put, text_of

_FIRST_SPECIALS = (
    "<unk> <s> </s> [INST] [/INST] [AVAILABLE_TOOLS] [/AVAILABLE_TOOLS] [TOOL_RESULTS] [/TOOL_RESULTS] [TOOL_CALLS]"
    " [IMG] <pad> [IMG_BREAK] [IMG_END] [PREFIX] [MIDDLE] [SUFFIX] [SYSTEM_PROMPT] [/SYSTEM_PROMPT] [TOOL_CONTENT]"
).split()
"""Special tokens of the files that name none (up to version 7)."""

_TEMPLATES = {"v3": "mistral-v3-tekken", "v7": "mistral-v7-tekken"}
"""Names by which llama.cpp knows the chat templates of tokenizer versions."""
_BUNDLED = {"v11": "Mistral-Small-3.2-24B-Instruct-2506.jinja", "v13": "unsloth-mistral-Devstral-Small-2507.jinja"}
"""Those that upstream has as files; for any other version it gives up."""


def byte_letters() -> list[str]:
    """The letter that stands for each of the 256 bytes in byte-level BPE, as GPT-2 chose them."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in set(printable)]
    code = {byte: byte for byte in printable} | {byte: 256 + i for i, byte in enumerate(hidden)}
    return [chr(code[byte]) for byte in range(256)]


def fields(checkpoint: Checkpoint, config: Mapping[str, Any], own_template: bool = False) -> Fields:
    """The vocabulary of ``tekken.json`` (scheme ``tekken``); raises KQuantsError when there is none.

    With ``own_template`` a template in the folder comes before the one that the version has.
    """
    path = checkpoint.path("tekken.json")
    if path is None:
        raise KQuantsError(f"{checkpoint.dir}: has no tekken.json, expected Mistral's tokenizer")
    tekken = read_json(path, MAX_TOKENIZER)
    settings = tekken["config"]
    size, reserved = settings["default_vocab_size"], settings["default_num_special_tokens"]
    if not 0 < reserved < size <= min(MAX_VOCAB, reserved + len(tekken["vocab"])):
        raise KQuantsError(f"{path}: wants {size} tokens, {reserved} of them special, but has {len(tekken['vocab'])}")
    specials = [token["token_str"] for token in tekken.get("special_tokens") or []] or list(_FIRST_SPECIALS)
    specials += [f"<SPECIAL_{i}>" for i in range(len(specials), reserved)]
    ranks = {base64.b64decode(token["token_bytes"]): i for i, token in enumerate(tekken["vocab"][: size - reserved])}
    if len(specials) != reserved or len(ranks) != size - reserved:
        raise KQuantsError(f"{path}: names tokens twice, or more special ones than the {reserved} it has place for")
    found: Fields = {}
    put(found, "model", "gpt2")
    put(found, "pre", "tekken")
    put(found, "merges", merges(ranks, path))
    for key, token in (("bos", "<s>"), ("eos", "</s>"), ("unknown", "<unk>"), ("padding", "<pad>")):
        put(found, f"{key}_token_id", specials.index(token), ValueType.UINT32)
    letters = byte_letters()
    put(found, "tokens", specials + ["".join(letters[byte] for byte in token) for token in ranks])
    put(found, "scores", [0] * size, item=ValueType.INT32)  # upstream writes these zeros as integers
    kinds = [int(TokenKind.CONTROL)] * reserved + [int(TokenKind.NORMAL)] * len(ranks)
    put(found, "token_type", kinds, item=ValueType.INT32)
    own = template(checkpoint, str(settings.get("version")), _TEMPLATES, own_template)
    return ended(found, size, own)


def ended(found: Fields, size: int, template: str | None) -> Fields:
    """The metadata with what comes last in that of each of Mistral's vocabularies."""
    found["{arch}.vocab_size"] = Field.of("{arch}.vocab_size", size, ValueType.UINT32)
    put(found, "add_bos_token", True, ValueType.BOOL)
    put(found, "add_eos_token", False, ValueType.BOOL)
    if template is not None:
        found["tokenizer.chat_template"] = Field.of("tokenizer.chat_template", template)
    return found


_MAX_PAIRS = 1 << 27
"""Pairs of neighbouring bytes that may be looked at for all merges; those of a published file are a tenth of it."""


def merges(ranks: Mapping[bytes, int], path: Path) -> list[str]:
    """All pairs of tokens that make a token, in the order of what they make, then of their own ranks."""
    check_lengths(ranks, path)
    letters = byte_letters()
    text = {token: "".join(letters[byte] for byte in token) for token in ranks}
    found: list[str] = []
    for token in ranks:
        if len(token) > 1:
            cuts = ((token[:i], token[i:]) for i in range(1, len(token)))
            pairs = [pair for pair in cuts if pair[0] in ranks and pair[1] in ranks]
            pairs.sort(key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))
            found.extend(f"{text[left]} {text[right]}" for left, right in pairs)
    return found


def check_lengths(ranks: Iterable[bytes], path: Path) -> None:
    """Raise KQuantsError when tokens are so long that all ways to cut them could not be looked at."""
    if sum(len(token) ** 2 for token in ranks) > _MAX_PAIRS:
        raise KQuantsError(f"{path}: has tokens that are too long to find out what they are made of")


def template(checkpoint: Checkpoint, version: str, names: Mapping[str, str], own: bool) -> str | None:
    """The chat template of a tokenizer's version, by one of llama.cpp's ``names`` or from upstream's files.

    Where the folder has one it is taken if ``own`` says so, or if there is no other. Warns where there is none.
    """
    bundle, jinja = _BUNDLED.get(version), checkpoint.path("chat_template.jinja")
    if jinja is not None and (own or (version not in names and (bundle is None or checkpoint.path(bundle) is None))):
        return text_of(jinja)
    if version in names:
        return names[version]
    if bundle is not None:
        return bundled(checkpoint, bundle)
    warnings.warn(
        f"{checkpoint.dir}: no chat template for version {version} of Mistral's tokenizers, the file will have none",
        stacklevel=2,
    )
    return None
