"""What the options of llama-quantize say, as words, becomes what the quantizer is told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gguf_py import Field, KQuantsError, TensorType, ValueType, tensor_type
from kquants import imatrix
from kquants.filetypes import FILE_TYPES
from kquants.quantizer import Options
from kquants.rules import Wishes

from .arguments import read_text


def wished(given: Mapping[str, Any]) -> Options:
    """The options of ``kquants quantize`` by their names; raises KQuantsError, naming the one that cannot be read."""
    loaded = None
    if given["imatrix"] is not None:
        loaded = imatrix.load(given["imatrix"]).only(given["include_weights"], given["exclude_weights"])
        if not loaded.entries:
            loaded = None
    texts = [
        *given["tensor_type"],
        *(word for name in given["tensor_type_file"] for word in read_text(name).split()),
    ]
    wishes = Wishes(
        pure=given["pure"],
        leave_output=given["leave_output_tensor"],
        output_type=_tensor_type("--output-tensor-type", given["output_tensor_type"]),
        embedding_type=_tensor_type("--token-embedding-type", given["token_embedding_type"]),
        tensor_types=tuple(_pattern(text) for text in texts),
    )
    return Options(
        wishes,
        loaded,
        overrides=tuple(_override(text) for text in given["override_kv"]),
        prune_layers=_layers(given["prune_layers"]),
        allow_requantize=given["allow_requantize"],
        keep_split=given["keep_split"],
        imatrix_later=given["dry_run"],
    )


def _tensor_type(option: str, name: str | None) -> TensorType | None:
    return None if name is None else _weights(option, tensor_type(name))


def _weights(option: str, kind: TensorType) -> TensorType:
    """A type that weights are kept in, which every one is that a file type gives; llama-quantize aborts at others."""
    known = list(dict.fromkeys(str(found.default) for found in FILE_TYPES.values()))
    if kind not in known:
        raise KQuantsError(f"{option}: no weights are kept as {kind}, expected one of {', '.join(known)}")
    return kind


def _pattern(text: str) -> tuple[re.Pattern[str], TensorType]:
    """``attn_v=q6_k``: a regular expression, in lower case as llama-quantize takes it, and a tensor type."""
    pattern, found, kind = text.partition("=")
    if not (pattern and found and kind):
        raise KQuantsError(f"--tensor-type {text!r}: a pattern, = and a tensor type are expected")
    try:
        return re.compile(pattern.lower()), _weights(f"--tensor-type {text!r}", tensor_type(kind))
    except re.error as fault:
        raise KQuantsError(f"--tensor-type {text!r}: {pattern!r} is no regular expression: {fault}") from None


def _layers(text: str | None) -> tuple[int, ...]:
    words = [] if text is None else text.split(",")
    if not all(word.strip().isdecimal() for word in words):
        raise KQuantsError(f"--prune-layers {text!r}: numbers apart by commas are expected")
    return tuple(sorted({int(word) for word in words}))


def _override(text: str) -> Field:
    """``KEY=int:7``; integers become UINT32 and lose their sign, as in llama-quantize."""
    key, _, typed = text.partition("=")
    kind, colon, value = typed.partition(":")
    try:
        if key and colon and kind == "int":
            return Field.of(key, abs(int(value)), ValueType.UINT32)
        if key and colon and kind == "float":
            return Field.of(key, float(value), ValueType.FLOAT32)
        if key and colon and kind == "bool" and value in ("true", "false"):
            return Field.of(key, value == "true", ValueType.BOOL)
        if key and colon and kind == "str" and len(value.encode()) < 128:
            return Field.of(key, value, ValueType.STRING)
    except KQuantsError:
        raise
    except ValueError:
        pass
    raise KQuantsError(
        f"--override-kv {text!r}: KEY=int:7, KEY=float:0.5, KEY=bool:true or KEY=str:TEXT (127 bytes) is expected"
    )
