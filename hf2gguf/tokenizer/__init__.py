"""A checkpoint's tokenizer as metadata of a GGUF file, key by key in upstream's order.

An architecture names a scheme; :func:`fields` reads the files that the scheme needs. Nothing of a tokenizer is
executed, and no file is believed about a size before it is compared with what it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from gguf_py import Field, KQuantsError, ValueType
from hf2gguf.checkpoint import Checkpoint
from hf2gguf.checkpoint.published import is_ranks

from . import bpe, builtin, families, lists, mistral, sentencepiece, special, tekken, tiktoken, unigram
from .special import Fields, put

__all__ = ["SCHEMES", "Fields", "fields"]

Scheme = Callable[[Checkpoint, Mapping[str, Any]], Fields]

CODE_LLAMA, GRANITE_SMALL = 32016, 49152
"""Sizes of vocabularies by which upstream tells two families from other Llamas."""


def _llama(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    """Whatever a Llama comes with: tekken, SentencePiece, tiktoken's, BPE with byte fallback, byte-level BPE."""
    if checkpoint.path("tekken.json") is not None and checkpoint.path("tokenizer.json") is None:
        return tekken.fields(checkpoint, config)
    pieces = sentencepiece.model_path(checkpoint)
    if pieces is not None and is_ranks(pieces):  # Llama 3 as Meta publishes it
        return tiktoken.llama(checkpoint, config) or bpe.fields(checkpoint, config)
    found: Fields = {}
    prefix = (checkpoint.json("tokenizer_config.json") or {}).get("add_prefix_space")
    if prefix is not None:
        put(found, "add_space_prefix", prefix, ValueType.BOOL)
    if pieces is not None:
        found.update(sentencepiece.fields(checkpoint, config))
    elif bpe.has_byte_fallback(checkpoint):
        found.update(bpe.byte_fallback(checkpoint, config))
    else:
        found.update(bpe.fields(checkpoint, config))
    size = config.get("vocab_size", 32000)
    if size == CODE_LLAMA:
        found.update(_turn_end(checkpoint, 32010).fields())
    elif size == GRANITE_SMALL:
        put(found, "add_bos_token", False, ValueType.BOOL)
    return found


def _turn_end(checkpoint: Checkpoint, token_id: int) -> special.Special:
    """Special tokens of a model for code whose turns end with ``token_id`` (its infill tokens have no key any more)."""
    more = special.load(checkpoint, kinds=("prefix", "suffix", "middle", "fsep", "eot"))
    more.set("eot", token_id)
    return more


def _pieces(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    """SentencePiece's model; without it, where upstream gives up, BPE with byte fallback, as transformers 5 saves."""
    if sentencepiece.model_path(checkpoint) is None and bpe.has_byte_fallback(checkpoint):
        return bpe.pieces_by_merges(checkpoint, config)
    return sentencepiece.fields(checkpoint, config)


def _gemma(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    found = _pieces(checkpoint, config)
    more = _turn_end(checkpoint, 107)
    more.template = None
    found.update(more.fields())
    put(found, "add_space_prefix", False, ValueType.BOOL)
    return found


def _gemma2(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    found = _pieces(checkpoint, config)
    put(found, "add_space_prefix", False, ValueType.BOOL)
    return found


def _gemma3(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    has_pieces = checkpoint.path("tokenizer.model") is not None
    return (_gemma2 if has_pieces else bpe.fields)(checkpoint, config)


def _nemotron(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    found = _pieces(checkpoint, config)
    put(found, "padding_token_id", 0, ValueType.UINT32)
    put(found, "unknown_token_id", 1, ValueType.UINT32)
    return found


def _sentencepiece_or_bpe(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    has_pieces = checkpoint.path("tokenizer.model") is not None
    return (sentencepiece.fields if has_pieces else bpe.fields)(checkpoint, config)


def _bpe_or_sentencepiece(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    has_bpe = checkpoint.path("tokenizer.json") is not None or checkpoint.path("tokenizer.model") is None
    return (bpe.fields if has_bpe else sentencepiece.fields)(checkpoint, config)


def _phi3(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    kind = (checkpoint.json("tokenizer_config.json") or {}).get("tokenizer_class")
    if kind == "GPT2Tokenizer":
        return bpe.fields(checkpoint, config)
    if checkpoint.path("tokenizer.model") is None and checkpoint.path("tokenizer.json") is not None:
        # Saved anew it is of another class, or has lost its file, and upstream gives up.
        return (bpe.pieces_by_merges if bpe.has_byte_fallback(checkpoint) else bpe.fields)(checkpoint, config)
    return sentencepiece.phi3(checkpoint, config)


def _roberta(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    if checkpoint.path("tokenizer.json") is None:
        return bpe.wordpiece(checkpoint, config)
    found = bpe.fields(checkpoint, config)
    put(found, "token_type_count", config.get("type_vocab_size", 1), ValueType.UINT32)
    return found


def _adding(*kinds: str, value: bool) -> Scheme:
    """Byte-level BPE of an encoder that says first, and whatever its files say, which tokens are added to a text."""

    def scheme(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
        found: Fields = {}
        for kind in kinds:
            put(found, f"add_{kind}_token", value, ValueType.BOOL)
        found.update(bpe.fields(checkpoint, config))
        return found

    return scheme


def _hunyuan(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    # Some of its configs say that the padding token is -1, which means none.
    no_pad = (config.get("pad_token_id") or 0) < 0
    kinds = tuple(kind for kind in special.KINDS if kind != "pad" or not no_pad)
    return tiktoken.hunyuan(checkpoint, config) or bpe.fields(checkpoint, config, looked_for=kinds)


def _ranked(scheme: Callable[[Checkpoint, Mapping[str, Any]], Fields | None]) -> Scheme:
    """A vocabulary of tiktoken, or what ``tokenizer.json`` holds where somebody has made one of it."""
    return lambda checkpoint, config: scheme(checkpoint, config) or bpe.fields(checkpoint, config)


def _none(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    found: Fields = {}
    put(found, "model", "none")
    return found


_END, _USER = "<|endoftext|>", "<|user|>"
_GLM = {"bos": "[gMASK]", "eot": _USER, "unk": _END, "eom": "<|observation|>"}

SCHEMES: dict[str, Scheme] = {
    "any": _llama,
    "bpe-or-sentencepiece": _bpe_or_sentencepiece,
    "sentencepiece-or-bpe": _sentencepiece_or_bpe,
    "gpt2": bpe.fields,
    "llama": _pieces,
    "llama-hf": bpe.byte_fallback,
    "bert": unigram.bert,
    "roberta": _roberta,
    "eurobert": _adding("bos", value=False),
    "modern-bert": _adding("bos", "eos", "sep", value=True),
    "t5": unigram.t5,
    "xlm-roberta": unigram.xlm_roberta,
    "nomic-bert": families.nomic_bert,
    "gemma": _gemma,
    "gemma2": _gemma2,
    "gemma3": _gemma3,
    "nemotron": _nemotron,
    "phi3": _phi3,
    "glm": partial(bpe.fields, ids=_GLM),
    "glm-edge": partial(bpe.fields, ids={"eos": _END, "eot": _USER, "unk": _END, "bos": _END}),
    "chatglm": families.chatglm,
    "solar-open": partial(bpe.fields, ids={"eos": _END, "eot": _END, "unk": "<unk>", "bos": "<|startoftext|>"}),
    "dots3": partial(bpe.fields, ids={"eot": "<|endofassistant|>"}),
    "hunyuan": _hunyuan,
    "tekken": tekken.fields,
    "mistral": mistral.fields,
    "qwen": _ranked(tiktoken.qwen),
    "kimi": _ranked(tiktoken.kimi),
    "kimi-linear": _ranked(tiktoken.kimi_linear),
    "arctic": families.arctic,
    "deci": families.deci,
    "gemma4": families.gemma4,
    "internlm2": families.internlm2,
    "internlm3": families.internlm3,
    "jamba": families.jamba,
    "jina-bert": families.jina_bert,
    "laguna": families.laguna,
    "minimax": families.minimax,
    "muse-glimmer": families.muse_glimmer,
    "plamo": lists.plamo,
    "plamo3": lists.plamo3,
    "refact": families.refact,
    "rwkv": lists.rwkv,
    "xverse": families.xverse,
    "none": _none,
}
"""How vocabularies are read, by the name that an architecture's description uses."""


def fields(
    checkpoint: Checkpoint, config: Mapping[str, Any], scheme: str, architecture: str = "llama"
) -> dict[str, Field]:
    """The tokenizer's metadata by key, in upstream's order.

    ``config`` is ``config.json`` as the architecture reads it (with the text model's part at the root);
    ``architecture`` begins the one key that is not the tokenizer's. Raises KQuantsError when a file is missing or
    wrong; warns when a pre-tokenizer had to be inferred.
    """
    if scheme not in SCHEMES:
        raise KQuantsError(f"the page names the vocabulary's scheme {scheme!r}, expected one of {', '.join(SCHEMES)}")
    try:
        made = builtin.fields(checkpoint, config, architecture) or SCHEMES[scheme](checkpoint, config)
        found = (field.renamed(key.format(arch=architecture)) for key, field in made.items())
        return {field.key: field for field in found}
    except KQuantsError:
        raise
    except (TypeError, LookupError, AttributeError, ValueError, RecursionError) as fault:
        # Files that are JSON but not what their names promise fail in a hundred places; one sentence serves them all.
        what = f"{type(fault).__name__}: {fault}"
        raise KQuantsError(f"{checkpoint.dir}: the tokenizer's files do not fit together ({what})") from fault
