"""AQLM: a weight is a sum of words from codebooks, times a scale a row. Source: aqlm 1.1.7, ``_dequantize_weight``."""

from __future__ import annotations

from functools import partial
from math import prod

import numpy as np

from gguf_py.errors import KQuantsError
from kquants.source import Source

from .folder import shown
from .parts import Tensors, Weights, part
from .plain import FLOATS, Floats, computed, expect, floats, scales_of
from .stored import Stored


def weights(stored: Tensors) -> Weights:
    """The weights by name, decoded where they are quantized."""
    made: Weights = {}
    for name in stored:
        base, _, end = name.rpartition(".")
        if end == "codes":
            parts = stored[name], part(stored, base + ".codebooks"), part(stored, base + ".scales")
            made[base + ".weight"] = partial(_decoded, *parts)
        elif base + ".codes" not in stored or end not in ("codebooks", "scales"):
            made[name] = None
    return made


def _decoded(codes: Stored, codebooks: Stored, scales: Stored) -> Source:
    """``codes`` [out, in / width, books]; ``codebooks`` [books, words, 1, width]; ``scales`` [out, 1, 1, 1].

    The sum runs in float32 over the books in order and is rounded to the codebooks' type, as the product is.
    """
    out, groups, books = expect(codes, "I8 I16 I32 U8 U16", (None, None, None)).shape
    _, words, high, width = expect(codebooks, "F32 F16 BF16", (books, None, None, None)).shape
    if high != 1 or prod(scales.shape) != out or scales.strides is not None:
        raise KQuantsError(
            f"{codes.shard.path}: {shown(codes.name)} has words of {high} rows and {prod(scales.shape)} scales,"
            f" expected words of one row and {out} scales"
        )
    kind = FLOATS[codebooks.dtype]
    column = scales.reshaped(out, 1)
    flat = codebooks.reshaped(books * words, width)

    def rows(lo: int, hi: int) -> Floats:
        # Codes above half of the words wrap round to negative ones.
        index = codes.values(lo * groups, hi * groups).astype(np.int64) % words
        book = floats(flat.whole()).reshape(books, words, width)
        total = book[0][index[:, 0]]
        for b in range(1, books):
            total = total + book[b][index[:, b]]
        rounded = floats(total.astype(codebooks.kind)).reshape(hi - lo, groups * width)
        return rounded * scales_of(scales, column.values(lo, hi))

    return computed((out, groups * width), rows, codes, kind)
