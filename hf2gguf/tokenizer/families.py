"""Vocabularies of families that upstream reads in ways of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gguf_py import Field, KQuantsError, ValueType
from hf2gguf.checkpoint import Checkpoint
from hf2gguf.checkpoint.folder import shown

from . import bpe, library, sentencepiece, special
from .sentencepiece import TokenKind, pieces_of, scored
from .special import Fields, put
from .unigram import normalizer, xlm_roberta

END_OF_MESSAGE = "<|im_end|>"


def jamba(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    """SentencePiece, or BPE with byte fallback, which then takes no space before a text."""
    if checkpoint.path("tokenizer.model") is not None:
        return sentencepiece.fields(checkpoint, config)
    found = bpe.byte_fallback(checkpoint, config)
    put(found, "add_space_prefix", False, ValueType.BOOL)
    return found


_SHOWN = frozenset(
    ["<|channel>", "<channel|>", "<|tool_call>", "<tool_call|>", "<|tool_response>", "<tool_response|>", '<|"|>']
)
"""Tokens of Gemma 4 that a reader of chats is to see."""


def gemma4(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    """BPE with byte fallback and its merges, under a name of its own."""
    pieces = bpe.fallback_pieces(checkpoint, config)
    for i, text in enumerate(pieces.texts):
        if text in _SHOWN:
            pieces.kinds[i] = int(TokenKind.USER_DEFINED)
    found = scored(pieces, "gemma4")
    del found["tokenizer.ggml.pre"]
    found.update(special.load(checkpoint, merges=True).fields())
    put(found, "add_space_prefix", False, ValueType.BOOL)
    put(found, "add_bos_token", True, ValueType.BOOL)
    return found


_TURN_END = "</assistant>"


def laguna(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    """Byte-level BPE whose second end token ends a turn; of templates the file's counts."""
    found = bpe.fields(checkpoint, config)
    texts, kinds = found["tokenizer.ggml.tokens"].value, list(found["tokenizer.ggml.token_type"].value)
    kinds = [int(TokenKind.CONTROL) if text == _TURN_END else int(k) for text, k in zip(texts, kinds, strict=True)]
    put(found, "token_type", kinds, item=ValueType.INT32)
    _template_file(found, checkpoint)
    ends = config.get("eos_token_id")
    more = [end for end in ends if end != config.get("bos_token_id")] if isinstance(ends, list) else []
    if more:
        put(found, "eot_token_id", more[0], ValueType.UINT32)
    return found


def minimax(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    """Byte-level BPE; of templates the file's counts."""
    found = bpe.fields(checkpoint, config)
    _template_file(found, checkpoint)
    return found


def muse_glimmer(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    """Byte-level BPE; a turn ends with a token of that name, if there is one."""
    found = bpe.fields(checkpoint, config)
    texts = found["tokenizer.ggml.tokens"].value
    if "<|eot|>" in texts:
        put(found, "eot_token_id", texts.index("<|eot|>"), ValueType.UINT32)
    return found


def _template_file(found: Fields, checkpoint: Checkpoint) -> None:
    path = checkpoint.path("chat_template.jinja")
    if path is not None and (text := special.text_of(path)):
        found["tokenizer.chat_template"] = Field.of("tokenizer.chat_template", text)


def deci(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    """Llama 3's vocabulary, told by its size, or that of DeciLM."""
    return (bpe.fields if config.get("vocab_size", 128256) == 128256 else bpe.byte_fallback)(checkpoint, config)


def refact(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    """Byte-level BPE, and whatever ends a turn."""
    found = bpe.fields(checkpoint, config)
    more = special.load(checkpoint, kinds=("prefix", "suffix", "middle", "eot"))
    more.template = None
    found.update(more.fields())
    return found


def jina_bert(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    """WordPiece, byte-level BPE, or whole words, by the tokenizer's class."""
    kind = (checkpoint.json("tokenizer_config.json") or {}).get("tokenizer_class")
    if kind == "BertTokenizer":
        return bpe.wordpiece(checkpoint, config)
    if kind != "RobertaTokenizer":
        raise KQuantsError(
            f"{checkpoint.dir}: tokenizer_class is {shown(kind)}, expected BertTokenizer or RobertaTokenizer"
        )
    pre_tokenizer = (special.tokenizer_json(checkpoint) or {}).get("pre_tokenizer") or {}
    whole_words = pre_tokenizer.get("type") == "Whitespace"
    found = bpe.fields(checkpoint, config, name="whitespace" if whole_words else None)
    put(found, "token_type_count", 2, ValueType.UINT32)
    return found


NOMIC_MASK = 250001
"""Where the mask token stands that the SentencePiece model of Nomic Embed 2 lacks."""


def nomic_bert(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    """WordPiece, or XLM-RoBERTa's vocabulary, by the kind of ``tokenizer.json``; without one, by the other's file."""
    model = (special.tokenizer_json(checkpoint) or {}).get("model") or {}
    if model.get("type") == "Unigram" or (not model and checkpoint.path("sentencepiece.bpe.model") is not None):
        mask_at = NOMIC_MASK if config.get("moe_every_n_layers") else None
        return xlm_roberta(checkpoint, config, mask_at)
    return bpe.wordpiece(checkpoint, config)


def internlm3(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    """SentencePiece whose texts end with a message's end, if it has a token for that."""
    found = scored(sentencepiece.laid_over(checkpoint, config), "llama")
    settings = checkpoint.json("tokenizer_config.json") or {}
    if "add_prefix_space" in settings:
        put(found, "add_space_prefix", settings["add_prefix_space"] or False, ValueType.BOOL)  # null too
    more = special.load(checkpoint, n_vocab=len(found["tokenizer.ggml.tokens"].value))
    for token_id, entry in settings.get("added_tokens_decoder", {}).items():
        if entry.get("special") and entry["content"] == END_OF_MESSAGE and "eos" in more.ids:
            more.ids["eos"] = int(token_id)
    found.update(more.fields())
    return found


def internlm2(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    """SentencePiece as its file has it, added tokens behind; a message's end ends the text of a chat model."""
    path = checkpoint.path("tokenizer.model")
    if path is None:
        raise KQuantsError(f"{checkpoint.dir}: has no tokenizer.model, expected a SentencePiece model")
    pieces = pieces_of(checkpoint, config)
    for i, text in enumerate(pieces.texts):
        if text == "\0":  # llama.cpp would read an empty text
            pieces.texts[i] = "🐉"
        elif text.startswith("[UNUSED"):
            pieces.kinds[i] = int(TokenKind.UNUSED)
    for text in checkpoint.json("added_tokens.json") or {}:
        pieces.texts.append(text)
        pieces.scores.append(-1000.0)
        pieces.kinds.append(int(TokenKind.USER_DEFINED))
    sentencepiece.literally_laid_over(checkpoint, pieces)
    found = scored(pieces, "llama")
    put(found, "add_space_prefix", normalizer(path).add_prefix, ValueType.BOOL)
    more = special.load(checkpoint, n_vocab=len(pieces.texts))
    for token_id, entry in sentencepiece.added_entries(checkpoint):
        if entry["content"] == END_OF_MESSAGE:
            more.ids["eos"] = token_id
    found.update(more.fields())
    return found


def arctic(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    """SentencePiece of which two tokens were given another meaning by ``tokenizer_config.json``."""
    pieces = pieces_of(checkpoint, config)
    settings = checkpoint.json("tokenizer_config.json") or {}
    for token_id, entry in settings.get("added_tokens_decoder", {}).items():
        kind, score = TokenKind.USER_DEFINED, -10000.0
        if entry.get("special"):
            kind, score = TokenKind.CONTROL, 0.0
            if entry["content"] == settings["unk_token"]:
                kind = TokenKind.UNKNOWN
        pieces.place(int(token_id), entry["content"], score, kind)
    return sentencepiece.listed(pieces, checkpoint)


def xverse(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    """BPE with byte fallback, listed without scores."""
    tokenizer = library.load(checkpoint)
    texts, kinds = [], []
    by_id = {token_id: text for text, token_id in tokenizer.ids.items()}
    for i in range(sentencepiece.vocab_size(config, len(by_id), checkpoint.dir / "config.json")):
        if i not in by_id:
            raise KQuantsError(f"{tokenizer.path}: no token has the id {i}, expected ids without holes")
        text, kind, token = by_id[i], TokenKind.NORMAL, tokenizer.added.get(i)
        if text == "\0":
            text, kind = "<b'\\x00'>", TokenKind.BYTE
        elif re.fullmatch("<0x[0-9A-Fa-f]{2}>", text):
            kind = TokenKind.BYTE
        elif token is not None:
            kind = TokenKind.CONTROL if token.special else TokenKind.USER_DEFINED
        texts.append(text)
        kinds.append(int(kind))
    found: Fields = {}
    put(found, "model", "llama")
    put(found, "pre", "default")
    put(found, "tokens", texts)
    put(found, "token_type", kinds, item=ValueType.INT32)
    found.update(special.load(checkpoint, n_vocab=len(texts)).fields())
    return found


_CHATGLM3 = "[MASK] [gMASK] [sMASK] sop eop <|system|> <|user|> <|assistant|> <|observation|>".split()
"""Tokens that ChatGLM 3's own code puts behind those of its SentencePiece model, in order."""
GLM4 = {"eos": "<|endoftext|>", "eot": "<|user|>", "unk": "<|endoftext|>"}


def chatglm(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields:
    """ChatGLM 3's SentencePiece model with its code's tokens, told by the model's name as upstream does; or BPE."""
    if "THUDM/chatglm3-6b" not in str(config.get("_name_or_path", "")):
        return bpe.fields(checkpoint, config, ids=GLM4)
    path = checkpoint.path("tokenizer.model")
    if path is None:
        raise KQuantsError(f"{checkpoint.dir}: has no tokenizer.model, expected ChatGLM 3's SentencePiece model")
    model = sentencepiece.processor(path)
    least = model.vocab_size() + len(_CHATGLM3)
    wanted = {"vocab_size": config.get("padded_vocab_size", least)}
    pieces = sentencepiece.Pieces.unused(sentencepiece.vocab_size(wanted, least, checkpoint.dir / "config.json"))
    pieces.scores = [0.0] * len(pieces.texts)
    sentencepiece.fill(pieces, model)
    for i, text in enumerate(("<unk>", "<bos>", "<eos>")):
        pieces.texts[i] = text
    for i, text in enumerate(_CHATGLM3, model.vocab_size()):
        pieces.place(i, text, 0.0, TokenKind.CONTROL)
    found = scored(pieces, "llama", "chatglm-spm")
    found.update(special.load(checkpoint, n_vocab=len(pieces.texts)).fields())
    return found
