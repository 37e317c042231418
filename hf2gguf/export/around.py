"""The post-processor of a ``tokenizer.json``: which tokens it puts around a text."""

from __future__ import annotations

from typing import Any

from gguf_py import GGUFFile

from .vocabulary import Vocabulary

_KINDS = ("bos", "eos", "sep")
_BEGUN = "llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano tekken chameleon".split()
"""Pre-tokenizers whose texts llama.cpp begins with a token where a file does not say (``src/llama-vocab.cpp``)."""


def said(file: GGUFFile) -> dict[str, bool]:
    """What a file says of the tokens that are added to a text, in its order."""
    keys = {f"tokenizer.ggml.add_{kind}_token": kind for kind in _KINDS}
    return {keys[key]: bool(value) for key, value in file.metadata.items() if key in keys}


def processor(vocabulary: Vocabulary, file: GGUFFile) -> dict[str, Any] | None:
    """What puts those tokens around a text; None if there are none, or if a file's order tells of something else.

    Converting finds first the tokens that are put somewhere, then what ``tokenizer_config.json`` says of others.
    """
    flags = said(file)
    if not flags and "general.type" not in file.metadata:  # older converters left it to llama.cpp
        flags = {"bos": vocabulary.model == "bert" or vocabulary.pre in _BEGUN, "eos": vocabulary.model == "bert"}
    first = _token(vocabulary, file, "bos", "cls") if flags.get("bos") else None
    last = _token(vocabulary, file, "eos", "seperator") if flags.get("eos") else None
    between = _token(vocabulary, file, "seperator", "eos") if flags.get("sep") else None
    if (first is None) is bool(flags.get("bos")) or (last is None) is bool(flags.get("eos")):
        return None
    ends = [kind for kind, token in (("bos", first), ("eos", last)) if token is not None]
    rest = [kind for kind in _KINDS if kind in flags and kind not in ends]
    if not ends or list(flags) != ends + rest:
        return None
    if first and last and between:
        special = {"sep": list(between), "cls": list(first)}
        return {"type": "RobertaProcessing", **special, "trim_offsets": True, "add_prefix_space": False}
    before, behind = [_place(token) for token in (first,) if token], [_place(token) for token in (last,) if token]
    middle = behind if "sep" in flags or vocabulary.model == "bert" else []
    single = [*before, {"Sequence": {"id": "A", "type_id": 0}}, *behind]
    pair = [*before, {"Sequence": {"id": "A", "type_id": 0}}, *middle, {"Sequence": {"id": "B", "type_id": 1}}, *behind]
    tokens = {text: {"id": text, "ids": [number], "tokens": [text]} for text, number in filter(None, (first, last))}
    return {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": tokens}


def _token(vocabulary: Vocabulary, file: GGUFFile, *kinds: str) -> tuple[str, int] | None:
    """Text and id of the first of some special tokens that the file has."""
    for kind in kinds:
        number = file.metadata.get(f"tokenizer.ggml.{kind}_token_id")
        if isinstance(number, int) and 0 <= number < len(vocabulary.texts):
            return vocabulary.texts[number], number
    return None


def _place(token: tuple[str, int]) -> dict[str, Any]:
    return {"SpecialToken": {"id": token[0], "type_id": 0}}
