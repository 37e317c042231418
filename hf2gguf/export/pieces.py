"""A SentencePiece model file made of a GGUF file's vocabulary.

Written as the protocol buffer that SentencePiece reads (``sentencepiece_model.proto``: pieces, what trained them, how
text is normalized); only what the vocabulary determines is set.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

BPE = 2
UNKNOWN = 2
PIECE, TRAINER, NORMALIZER = 1, 2, 3
"""Fields of the model."""
TEXT, SCORE, KIND = 1, 2, 3
"""Fields of a piece; its kinds are numbered as in ``tokenizer.ggml.token_type``."""
MODEL_TYPE, VOCAB_SIZE, BYTE_FALLBACK, UNK_ID, BOS_ID, EOS_ID, PAD_ID = 3, 4, 35, 40, 41, 42, 43
DUMMY_PREFIX, REMOVE_SPACES, ESCAPE_SPACES = 3, 4, 5


def model(
    texts: Sequence[str], scores: Sequence[float], kinds: Sequence[int], ids: dict[str, int], dummy_prefix: bool
) -> bytes:
    """The file's bytes; ``ids`` are those of unk, bos, eos and pad, where there are such tokens."""
    pieces = b"".join(
        _bytes(PIECE, _bytes(TEXT, text.encode()) + _float(SCORE, score) + _number(KIND, kind))
        for text, score, kind in zip(texts, scores, kinds, strict=True)
    )
    trainer = _number(MODEL_TYPE, BPE) + _number(VOCAB_SIZE, len(texts)) + _number(BYTE_FALLBACK, 6 in kinds)
    for field, name in ((UNK_ID, "unk"), (BOS_ID, "bos"), (EOS_ID, "eos"), (PAD_ID, "pad")):
        trainer += _number(field, ids.get(name, -1))
    normalizer = _bytes(1, b"identity") + _number(DUMMY_PREFIX, dummy_prefix)
    normalizer += _number(REMOVE_SPACES, False) + _number(ESCAPE_SPACES, True)
    return pieces + _bytes(TRAINER, trainer) + _bytes(NORMALIZER, normalizer)


def _varint(number: int) -> bytes:
    number &= (1 << 64) - 1  # negative numbers are written in two's complement
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(int(value))


def _float(field: int, value: float) -> bytes:
    return _varint(field << 3 | 5) + struct.pack("<f", value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value
