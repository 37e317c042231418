"""The tokenizer: tokens, merges, and the tokens that metadata names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gguf_py import ShardSet, ValueType

from .faults import Faults, NotApplicable


def _tokens(model: ShardSet) -> Sequence[str]:
    if "tokenizer.ggml.tokens" not in model.fields:
        raise NotApplicable("the file has no tokenizer")
    return _texts(model, "tokens")


def _texts(model: ShardSet, name: str) -> Sequence[str]:
    """The strings of a key of the tokenizer; none when it has something else."""
    field = model.fields.get(f"tokenizer.ggml.{name}")
    texts: Sequence[str] = () if field is None or field.item is not ValueType.STRING else field.value
    return texts


def tokenizer(model: ShardSet) -> Faults:
    """Lists of the vocabulary that do not fit each other."""
    tokens = _tokens(model)
    kind = model.metadata.get("tokenizer.ggml.model")
    if not isinstance(kind, str):
        yield f"tokenizer.ggml.model is {kind!r}, expected a name"
    for key in ("tokens", "merges"):
        field = model.fields.get(f"tokenizer.ggml.{key}")
        if field is not None and field.item is not ValueType.STRING:
            yield f"tokenizer.ggml.{key} is {field.type_name}, expected ARRAY of STRING"
    for key in ("scores", "token_type"):
        field = model.fields.get(f"tokenizer.ggml.{key}")
        if field is not None and field.count != len(tokens):
            yield f"tokenizer.ggml.{key} has {field.count} items for {len(tokens):,} tokens"
    known = set(tokens)
    if len(known) < len(tokens):
        yield f"{len(tokens) - len(known):,} tokens come twice"
    merges = _texts(model, "merges")
    for number, merge in enumerate(merges):
        left, space, right = _halves(merge)
        if not space or left not in known or right not in known or left + right not in known:
            yield f"merge {number} ({merge!r}) is not made of tokens"
    if isinstance(kind, str) and kind == "llama" and not all(f"<0x{byte:02X}>" in known for byte in range(256)):
        yield "not every byte has a token, which a SentencePiece vocabulary needs"
    told = f", {len(merges):,} merges" if len(merges) else ""
    return f"{len(tokens):,} tokens of a {kind} vocabulary{told}"


def _halves(merge: str) -> tuple[str, str, str]:
    """The two tokens of a merge, which a space parts; one that is a space itself parts nothing."""
    at = merge.find(" ", 1)
    return (merge[:at], " ", merge[at + 1 :]) if at > 0 else (merge, "", "")


def ids(model: ShardSet) -> Faults:
    """Special tokens that are none."""
    tokens = _tokens(model)
    found = 0
    for key, value in model.metadata.items():
        if not (key.startswith("tokenizer.ggml.") and key.endswith(("_token_id", "_token_ids"))):
            continue
        for id_ in np.ravel(value).tolist():
            found += 1
            if not isinstance(id_, int) or not 0 <= id_ < len(tokens):
                yield f"{key} is {id_}, expected an id below {len(tokens):,}"
    return f"{found} special ids, all in the vocabulary of {len(tokens):,}"
