"""A checkpoint's files of a tokenizer, made again from the vocabulary in a GGUF file."""

from __future__ import annotations

import struct
from typing import Any

from hf2gguf.tokenizer.pre import SPLITS
from hf2gguf.tokenizer.sentencepiece import TokenKind

BEGIN = {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<|begin_of_text|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {"<|begin_of_text|>": {"id": "<|begin_of_text|>", "ids": [128000], "tokens": ["<s>"]}},
}
"""What puts Llama 3's first token before a text, by which upstream tells it from its relatives."""


def byte_level(tokens: list[str], kinds: list[int], merges: list[str], cut: str) -> dict[str, Any]:
    """``tokenizer.json`` of a byte-level BPE; added tokens stand in the file as they decode, so they are normalized."""
    whole_words, expressions = next((whole, found) for known, whole, found in SPLITS if known == cut)
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True}
    added = [
        {"id": i, "content": token, "special": kind == TokenKind.CONTROL} | flags
        for i, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
        if kind in (TokenKind.CONTROL, TokenKind.USER_DEFINED)
    ]
    split = [{"type": "Split", "pattern": {"Regex": e}, "behavior": "Isolated", "invert": False} for e in expressions]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    vocab = {token: i for i, token in enumerate(tokens)}
    return {
        "version": "1.0",
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [*split, level]},
        "post_processor": BEGIN if cut == "llama-bpe" else None,
        "decoder": level,
        "model": {"type": "BPE", "ignore_merges": bool(whole_words), "vocab": vocab, "merges": merges},
    }


def pieces(tokens: list[str], scores: list[float], kinds: list[int]) -> bytes:
    """A SentencePiece model, whose BPE falls back to bytes; the numbers are those of ``sentencepiece_model.proto``."""

    def part(number: int, data: bytes) -> bytes:
        size = bytes([len(data)]) if len(data) < 128 else bytes([len(data) & 127 | 128, len(data) >> 7])
        return bytes([number << 3 | 2]) + size + data

    def piece(token: str, score: float, kind: int) -> bytes:
        return part(1, part(1, token.encode()) + b"\x15" + struct.pack("<f", score) + bytes([0x18, kind]))

    trainer, normalizer = b"\x18\x02\x98\x02\x01", part(1, b"identity") + b"\x18\x01\x20\x00"
    return b"".join(map(piece, tokens, scores, kinds)) + part(2, trainer) + part(3, normalizer)


def continuing(token: str) -> str:
    """WordPiece marks what continues a word, where upstream marks what begins one."""
    if token in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]") or token.startswith("[unused"):
        return token
    return token[1:] if token.startswith("▁") else f"##{token}"
