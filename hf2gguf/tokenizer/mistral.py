"""Vocabularies of Mistral's own form: tekken, or a SentencePiece model whose version stands behind the file's name.

Source: mistral-common 1.13, ``tokens/tokenizers/utils.py`` and ``sentencepiece.py``; of the metadata's order, upstream.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gguf_py import KQuantsError, ValueType
from hf2gguf.checkpoint import Checkpoint

from . import sentencepiece, tekken
from .special import Fields, put

_TEMPLATES = {"v1": "mistral-v1", "v3": "mistral-v3", "v7": "mistral-v7"}


def fields(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    """The vocabulary of ``tekken.json`` or, without it, of ``tokenizer.model.v3`` and its like (scheme ``mistral``).

    Raises KQuantsError when there is neither.
    """
    if checkpoint.path("tekken.json") is not None:
        return tekken.fields(checkpoint, config, own_template=True)
    path = sentencepiece.model_path(checkpoint)
    if path is None:
        raise KQuantsError(
            f"{checkpoint.dir}: has neither tekken.json nor tokenizer.model.v3, expected one of the kind"
        )
    version = re.search(r"\.(v\d+)", path.name)
    model = sentencepiece.processor(path)
    size = model.vocab_size()
    pieces = sentencepiece.Pieces.unused(size)
    sentencepiece.fill(pieces, model)
    found: Fields = {}
    put(found, "model", "llama")
    pad = model.pad_id() if model.pad_id() >= 0 else model.eos_id()
    ids = {"bos": model.bos_id(), "eos": model.eos_id(), "unknown": model.unk_id(), "padding": pad}
    for kind, token_id in ids.items():
        put(found, f"{kind}_token_id", token_id, ValueType.UINT32)
    put(found, "tokens", pieces.texts)
    put(found, "scores", pieces.scores, item=ValueType.FLOAT32)
    put(found, "token_type", pieces.kinds, item=ValueType.INT32)
    return tekken.ended(found, size, tekken.template(checkpoint, version[1] if version else "v1", _TEMPLATES, own=True))
