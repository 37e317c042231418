"""A checkpoint's tokenizer as metadata of a GGUF file, key by key in upstream's order.

An architecture names a scheme; :func:`fields` reads the files that the scheme needs. Nothing of a tokenizer is
executed, and no file is believed about a size before it is compared with what it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from gguf_py import Field, KQuantsError
from hf2gguf.checkpoint import Checkpoint

from . import bpe, sentencepiece, special, unigram
from .special import Fields, put

__all__ = ["SCHEMES", "Fields", "fields"]

Scheme = Callable[[Checkpoint, Mapping[str, Any]], Fields]


def _any(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    """Whatever is there, looked for in upstream's order: SentencePiece, BPE with byte fallback, byte-level BPE."""
    if checkpoint.path("tokenizer.model") is not None:
        return sentencepiece.fields(checkpoint, config)
    if bpe.has_byte_fallback(checkpoint):
        return bpe.byte_fallback(checkpoint, config)
    return bpe.fields(checkpoint, config)


def _sentencepiece_or_bpe(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    if checkpoint.path("tokenizer.model") is not None:
        return sentencepiece.fields(checkpoint, config)
    return bpe.fields(checkpoint, config)


def _bpe_or_sentencepiece(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    if checkpoint.path("tokenizer.json") is not None:
        return bpe.fields(checkpoint, config)
    return sentencepiece.fields(checkpoint, config)


def _phi3(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    if (checkpoint.json("tokenizer_config.json") or {}).get("tokenizer_class") == "GPT2Tokenizer":
        return bpe.fields(checkpoint, config)
    return sentencepiece.phi3(checkpoint, config)


def _none(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    found: Fields = {}
    put(found, "model", "none")
    return found


SCHEMES: dict[str, Scheme] = {
    "gpt2": bpe.fields,
    "llama": sentencepiece.fields,
    "llama-hf": bpe.byte_fallback,
    "bert": bpe.wordpiece,
    "t5": unigram.t5,
    "xlm-roberta": unigram.xlm_roberta,
    "nomic-bert-moe": partial(unigram.xlm_roberta, mask_at=250001),
    "phi3": _phi3,
    "any": _any,
    "sentencepiece-or-bpe": _sentencepiece_or_bpe,
    "bpe-or-sentencepiece": _bpe_or_sentencepiece,
    "none": _none,
}
"""How vocabularies are read, by the name that an architecture's description uses."""


def fields(checkpoint: Checkpoint, config: Mapping[str, Any], scheme: str) -> dict[str, Field]:
    """The tokenizer's metadata by key, in upstream's order.

    ``config`` is ``config.json`` as the architecture reads it (with the text model's part at the root). Raises
    KQuantsError when a file is missing or wrong; warns when a pre-tokenizer had to be inferred.
    """
    try:
        return SCHEMES[scheme](checkpoint, config)
    except (TypeError, KeyError, AttributeError, IndexError) as fault:
        # Files that are JSON but not what their names promise fail in a hundred places; one sentence serves them all.
        what = f"{type(fault).__name__}: {fault}"
        raise KQuantsError(f"{checkpoint.dir}: the tokenizer's files do not fit together ({what})") from fault
    except KQuantsError:
        raise
    except ValueError as fault:
        raise KQuantsError(f"{checkpoint.dir}: the tokenizer's files do not fit together ({fault})") from fault
