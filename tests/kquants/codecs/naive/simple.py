"""Twins of the types of one scale that one pass encodes, and of Q4_0 to Q5_1 with an importance matrix."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .numbers import F, away, f32, half, half_bits, inverse, signed_peak
from .searches import affine, importance, sum_of_squares, symmetric


def pack_nibbles(levels: list[int]) -> bytes:
    """The first half of the levels in the low nibbles, the second half in the high ones."""
    middle = len(levels) // 2
    return bytes((a & 15) | (b & 15) << 4 for a, b in zip(levels[:middle], levels[middle:], strict=True))


def unpack_nibbles(data: np.ndarray) -> list[int]:
    """What ``pack_nibbles`` packed."""
    return [int(b) & 15 for b in data] + [int(b) >> 4 for b in data]


def pack_fifth_bits(levels: list[int]) -> bytes:
    """Bit i of a little-endian word is bit 4 of level i."""
    return sum((level >> 4 & 1) << i for i, level in enumerate(levels)).to_bytes(4, "little")


def truncate(value: np.float32, top: int) -> int:
    """The integer part within 0..top; 0 for what no integer can be."""
    return min(top, int(value)) if np.isfinite(value) else 0


# Q4_0 to Q5_1


def decode_q4_0(block: np.ndarray) -> np.ndarray:
    d = half(block[:2])
    return f32(F(level - 8) * d for level in unpack_nibbles(block[2:]))


def encode_q4_0(x: np.ndarray) -> bytes:
    d = signed_peak(x) / F(-8)
    with np.errstate(all="ignore"):
        return half_bits(d) + pack_nibbles([truncate(v * inverse(d) + F(8.5), 15) for v in x])


def decode_q4_1(block: np.ndarray) -> np.ndarray:
    d, m = half(block[:2]), half(block[2:4])
    return f32(F(level) * d + m for level in unpack_nibbles(block[4:]))


def decode_q5_0(block: np.ndarray) -> np.ndarray:
    d, high = half(block[:2]), int.from_bytes(bytes(block[2:6]), "little")
    return f32(F((low | (high >> i & 1) << 4) - 16) * d for i, low in enumerate(unpack_nibbles(block[6:])))


def encode_q5_0(x: np.ndarray) -> bytes:
    d = signed_peak(x) / F(-16)
    with np.errstate(all="ignore"):
        levels = [truncate(v * inverse(d) + F(16.5), 31) for v in x]
    return half_bits(d) + pack_fifth_bits(levels) + pack_nibbles(levels)


def _range(x: np.ndarray, top: int) -> tuple[np.float32, np.float32, list[int]]:
    least = min(x, default=F(0))
    with np.errstate(all="ignore"):
        d = (max(x) - least) / F(top)
        return d, least, [truncate((v - least) * inverse(d) + F(0.5), top) for v in x]


def encode_q4_1(x: np.ndarray) -> bytes:
    d, m, levels = _range(x, 15)
    return half_bits(d) + half_bits(m) + pack_nibbles(levels)


def decode_q5_1(block: np.ndarray) -> np.ndarray:
    d, m = half(block[:2]), half(block[2:4])
    high = int.from_bytes(bytes(block[4:8]), "little")
    return f32(F(low | (high >> i & 1) << 4) * d + m for i, low in enumerate(unpack_nibbles(block[8:])))


def encode_q5_1(x: np.ndarray) -> bytes:
    d, m, levels = _range(x, 31)
    return half_bits(d) + half_bits(m) + pack_fifth_bits(levels) + pack_nibbles(levels)


def _weighted(pack: Callable[[np.ndarray, np.ndarray], bytes]) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    def encode(x: np.ndarray, imatrix: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            mean_square = sum_of_squares(x) / F(len(x))
        blocks = zip(x.reshape(-1, 32), imatrix.reshape(-1, 32), strict=True)
        return np.frombuffer(b"".join(pack(b, importance(b, w, mean_square)) for b, w in blocks), np.uint8)

    return encode


def _weighted_q4_0(x: np.ndarray, weights: np.ndarray) -> bytes:
    d, levels = symmetric(x, weights, 8)
    return half_bits(d) + pack_nibbles(levels)


def _weighted_q5_0(x: np.ndarray, weights: np.ndarray) -> bytes:
    d, levels = symmetric(x, weights, 16)
    return half_bits(d) + pack_fifth_bits(levels) + pack_nibbles(levels)


def _weighted_q4_1(x: np.ndarray, weights: np.ndarray) -> bytes:
    d, m, levels = affine(x, weights, 15, -0.9, 0.05, 36)
    return half_bits(d) + half_bits(m) + pack_nibbles(levels)


def _weighted_q5_1(x: np.ndarray, weights: np.ndarray) -> bytes:
    d, m, levels = affine(x, weights, 31, -0.9, 0.05, 36)
    return half_bits(d) + half_bits(m) + pack_fifth_bits(levels) + pack_nibbles(levels)


# Q8_1


def decode_q8_1(block: np.ndarray) -> np.ndarray:
    return f32(F(q) * half(block[:2]) for q in block[4:].view(np.int8))


def encode_q8_1(x: np.ndarray) -> bytes:
    d = abs(signed_peak(x)) / F(127)
    with np.errstate(all="ignore"):
        levels = [away(v * inverse(d)) or 0 for v in x]
        return half_bits(d) + half_bits(F(sum(levels)) * d) + np.array(levels, np.int8).tobytes()


# Q1_0, Q2_0


def decode_q1_0(block: np.ndarray) -> np.ndarray:
    d = half(block[:2])
    return f32(d if block[2 + i // 8] >> (i % 8) & 1 else -d for i in range(128))


def encode_q1_0(x: np.ndarray) -> bytes:
    total = F(0)
    with np.errstate(over="ignore"):
        for v in x:
            total += abs(v)
    bits = sum(1 << i for i, v in enumerate(x) if v >= 0)
    return half_bits(total / F(128)) + bits.to_bytes(16, "little")


def decode_q2_0(block: np.ndarray) -> np.ndarray:
    d = half(block[:2])
    return f32(F((int(block[2 + i // 4]) >> 2 * (i % 4) & 3) - 1) * d for i in range(64))


def encode_q2_0(x: np.ndarray) -> bytes:
    d = abs(signed_peak(x))
    with np.errstate(all="ignore"):
        levels = [away(v * inverse(d)) for v in x]
    codes = [0 if level is None else level + 1 for level in levels]
    return half_bits(d) + sum(code << 2 * i for i, code in enumerate(codes)).to_bytes(16, "little")


# TQ1_0, TQ2_0


def _ternary(x: np.ndarray) -> tuple[np.float32, list[int]]:
    d = abs(signed_peak(x))
    with np.errstate(all="ignore"):
        return d, [(away(v * inverse(d)) or 0) + 1 for v in x]


TQ1_0_GROUPS = ((0, 32, 5), (160, 16, 5), (240, 4, 4))
"""First weight, bytes, trits a byte: byte b of a group of n bytes holds weights first + b, + b + n, ..."""


def encode_tq1_0(x: np.ndarray) -> bytes:
    d, trits = _ternary(x)
    out = []
    for first, count, depth in TQ1_0_GROUPS:
        for b in range(count):
            number = 0
            for step in range(5):
                number = 3 * number + (trits[first + b + step * count] if step < depth else 0)
            out.append((number * 256 + 242) // 243)
    return bytes(out) + half_bits(d)


def decode_tq1_0(block: np.ndarray) -> np.ndarray:
    d = half(block[52:])
    out, at = np.zeros(256, np.float32), 0
    for first, count, depth in TQ1_0_GROUPS:
        for b in range(count):
            fraction = int(block[at + b])
            for step in range(depth):
                out[first + b + step * count] = F((fraction * 3 >> 8) - 1) * d
                fraction = fraction * 3 & 255
        at += count
    return out


def encode_tq2_0(x: np.ndarray) -> bytes:
    d, trits = _ternary(x)
    codes = [sum(trits[128 * h + 32 * s + b] << 2 * s for s in range(4)) for h in range(2) for b in range(32)]
    return bytes(codes) + half_bits(d)


def decode_tq2_0(block: np.ndarray) -> np.ndarray:
    d = half(block[64:])
    return f32(F((int(block[i // 128 * 32 + i % 32]) >> 2 * (i % 128 // 32) & 3) - 1) * d for i in range(256))


DECODE = {
    "Q4_0": decode_q4_0,
    "Q4_1": decode_q4_1,
    "Q5_0": decode_q5_0,
    "Q5_1": decode_q5_1,
    "Q8_1": decode_q8_1,
    "Q1_0": decode_q1_0,
    "Q2_0": decode_q2_0,
    "TQ1_0": decode_tq1_0,
    "TQ2_0": decode_tq2_0,
}
ENCODE = {
    "Q4_0": encode_q4_0,
    "Q4_1": encode_q4_1,
    "Q5_0": encode_q5_0,
    "Q5_1": encode_q5_1,
    "Q8_1": encode_q8_1,
    "Q1_0": encode_q1_0,
    "Q2_0": encode_q2_0,
    "TQ1_0": encode_tq1_0,
    "TQ2_0": encode_tq2_0,
}
ENCODE_WEIGHTED = {
    "Q4_0": _weighted(_weighted_q4_0),
    "Q4_1": _weighted(_weighted_q4_1),
    "Q5_0": _weighted(_weighted_q5_0),
    "Q5_1": _weighted(_weighted_q5_1),
}
