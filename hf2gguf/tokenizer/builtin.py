"""Vocabularies that upstream's converter has of its own, for families that are published without one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gguf_py
from gguf_py import KQuantsError, ValueType
from hf2gguf.checkpoint import Checkpoint

from .sentencepiece import vocab_size
from .special import Fields, put

_BOTH = ("tokenizer.json", "tokenizer.model")
_FAMILIES = {
    "mamba": ("ggml-vocab-gpt-neox.gguf", _BOTH),
    "mamba2": ("ggml-vocab-gpt-neox.gguf", _BOTH),
    "openelm": ("ggml-vocab-llama-spm.gguf", ("tokenizer.model",)),
}
"""Of an architecture upstream's file, and those in whose absence it is taken."""
_KINDS = {
    "model": None,
    "tokens": ValueType.STRING,
    "token_type": ValueType.INT32,
    "scores": ValueType.FLOAT32,
    "merges": ValueType.STRING,
}
"""What upstream's files hold: of which type a list is, None for what is no list."""
_NEEDED = ("model", "tokens", "token_type")
_IDS, _ADDED = ("bos", "eos", "unknown", "padding"), ("bos", "eos")


def fields(checkpoint: Checkpoint, config: Mapping[str, Any], architecture: str) -> Fields | None:
    """What is in the copy of upstream's file that is in the folder; None where the folder has a tokenizer.

    Raises KQuantsError where it has neither.
    """
    name, files = _FAMILIES.get(architecture, ("", ()))
    if not name or any(checkpoint.path(file) is not None for file in files):
        return None
    path = checkpoint.path(name)
    if path is None:
        if checkpoint.path("vocab.json") is not None:
            return None
        raise KQuantsError(
            f"{checkpoint.dir}: has no {' or '.join(files)}, and llama.cpp's converter would take its own"
            f" models/{name}: copy that into the folder"
        )
    found: Fields = {}
    with gguf_py.open(path) as file:
        known = {key.removeprefix("tokenizer.ggml."): field for key, field in file.fields.items()}
        for key, item in _KINDS.items():
            if (key in known or key in _NEEDED) and (key not in known or known[key].item is not item):
                raise KQuantsError(f"{path}: is not llama.cpp's models/{name}: tokenizer.ggml.{key} is not as there")
        size = vocab_size(config, len(known["tokens"].value), checkpoint.dir / "config.json")
        put(found, "model", known["model"].value)
        put(found, "pre", known["pre"].value if "pre" in known else "mpt")
        put(found, "tokens", list(known["tokens"].value)[:size])
        if "scores" in known:
            put(found, "scores", known["scores"].value[:size], item=ValueType.FLOAT32)
        put(found, "token_type", known["token_type"].value[:size], item=ValueType.INT32)
        if "merges" in known:
            put(found, "merges", list(known["merges"].value))
        for key in (*(f"{kind}_token_id" for kind in _IDS), *(f"add_{kind}_token" for kind in _ADDED)):
            if key in known:
                put(found, key, known[key].value, ValueType.UINT32 if key.endswith("id") else ValueType.BOOL)
    return found
