"""IQ1, IQ2 and IQ3, decoded: codewords, signs and scales looked up one at a time."""

from __future__ import annotations

import numpy as np

from kquants.kernels.grids import grid

from .numbers import F, half

Array = np.ndarray
EIGHTH = F(0.125)


def all_signs(seven: int) -> int:
    return seven | (seven.bit_count() % 2) << 7


def signed(values: Array, signs: int, scale: np.float32) -> list[np.float32]:
    return [scale * v * F(-1 if signs >> i & 1 else 1) for i, v in enumerate(values)]


def u16(block: Array, at: int) -> int:
    return int(block[at]) | int(block[at + 1]) << 8


def u32(block: Array, at: int) -> int:
    return u16(block, at) | u16(block, at + 2) << 16


def decode_iq2_xxs(block: Array) -> Array:
    d, values, y = half(block[:2]), grid("IQ2_XXS").values, []
    for k in range(32):
        at = 2 + 8 * (k // 4)
        word = u32(block, at + 4)
        scale = d * (F(0.5) + F(word >> 28)) * F(0.25)
        y += signed(values[block[at + k % 4]], all_signs(word >> 7 * (k % 4) & 127), scale)
    return np.array(y)


def decode_iq2_xs(block: Array) -> Array:
    d, values, y = half(block[:2]), grid("IQ2_XS").values, []
    for k in range(32):
        word, number = u16(block, 2 + 2 * k), int(block[66 + k // 4]) >> 4 * (k // 2 % 2) & 15
        y += signed(values[word & 511], all_signs(word >> 9), d * (F(0.5) + F(number)) * F(0.25))
    return np.array(y)


def decode_iq2_s(block: Array) -> Array:
    d, values, y = half(block[:2]), grid("IQ2_S").values, []
    for k in range(32):
        word = int(block[2 + k]) | (int(block[66 + k // 4]) >> 2 * (k % 4) & 3) << 8
        number = int(block[74 + k // 4]) >> 4 * (k // 2 % 2) & 15
        y += signed(values[word], int(block[34 + k]), d * (F(0.5) + F(number)) * F(0.25))
    return np.array(y)


def decode_iq3_xxs(block: Array) -> Array:
    d, values, y = half(block[:2]), grid("IQ3_XXS").values, []
    for k in range(32):
        word = u32(block, 66 + 4 * (k // 4))
        pair = np.concatenate([values[block[2 + 2 * k]], values[block[3 + 2 * k]]])
        y += signed(pair, all_signs(word >> 7 * (k % 4) & 127), d * (F(0.5) + F(word >> 28)) * F(0.5))
    return np.array(y)


def decode_iq3_s(block: Array) -> Array:
    d, values, y = half(block[:2]), grid("IQ3_S").values, []
    for k in range(32):
        words = [int(block[2 + i]) | (int(block[66 + i // 8]) >> i % 8 & 1) << 8 for i in (2 * k, 2 * k + 1)]
        number = int(block[106 + k // 8]) >> 4 * (k // 4 % 2) & 15
        pair = np.concatenate([values[w] for w in words])
        y += signed(pair, int(block[74 + k]), d * F(1 + 2 * number))
    return np.array(y)


def decode_iq1_s(block: Array) -> Array:
    d, values, y = half(block[:2]), grid("IQ1_S").values, []
    for k in range(32):
        high = u16(block, 34 + 2 * (k // 4))
        word = int(block[2 + k]) | (high >> 3 * (k % 4) & 7) << 8
        shift = -EIGHTH if high & 0x8000 else EIGHTH
        y += [d * F(2 * (high >> 12 & 7) + 1) * (v + shift) for v in values[word]]
    return np.array(y)


def decode_iq1_m(block: Array) -> Array:
    words = [u16(block, 48 + 2 * i) for i in range(4)]
    d = half(sum((w >> 12) << 4 * i for i, w in enumerate(words)).to_bytes(2, "little"))
    values, y = grid("IQ1_S").values, []
    for k in range(32):
        high = int(block[32 + k // 2]) >> 4 * (k % 2) & 15
        number = words[k // 8] >> 3 * (k // 2 % 4) & 7
        shift = -EIGHTH if high & 8 else EIGHTH
        y += [d * F(2 * number + 1) * (v + shift) for v in values[int(block[k]) | (high & 7) << 8]]
    return np.array(y)


DECODE = {
    "IQ1_S": decode_iq1_s,
    "IQ1_M": decode_iq1_m,
    "IQ2_XXS": decode_iq2_xxs,
    "IQ2_XS": decode_iq2_xs,
    "IQ2_S": decode_iq2_s,
    "IQ3_XXS": decode_iq3_xxs,
    "IQ3_S": decode_iq3_s,
}
