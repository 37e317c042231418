"""Twins of the K-quants, and of Q8_0 and Q8_K."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .numbers import F, away, clamp, f32, half, half_bits, inverse, nearest, signed_peak
from .searches import EPS, affine, importance, one_at_a_time, positive, sum_of_squares, symmetric

Fits = list[tuple[np.float32, np.float32, list[int]]]


def parts(x: np.ndarray, size: int) -> np.ndarray:
    """Sub-blocks."""
    return x.reshape(-1, size)


def requantize(x: np.ndarray, d: np.float32, least: np.float32, low: int, high: int, kept: list[int]) -> list[int]:
    """Levels low .. high, counted from low, for a scale as the decoder sees it; those kept when it was rounded to 0."""
    if d == 0:
        return kept
    with np.errstate(all="ignore"):
        return [clamp(nearest((v + least) / d), low, high) - low for v in x]


def pack_pairs(levels: list[int], shift: int = 0) -> bytes:
    """Two bits of each of 256 levels: byte i of a half holds i, 32 + i, 64 + i and 96 + i, the first lowest."""
    return bytes(
        sum((levels[128 * h + 32 * k + i] >> shift & 3) << 2 * k for k in range(4)) for h in range(2) for i in range(32)
    )


def unpack_pairs(data: np.ndarray) -> list[int]:
    return [int(data[32 * h + i]) >> 2 * k & 3 for h in range(2) for k in range(4) for i in range(32)]


def pack_plane(levels: list[int], bit: int) -> bytes:
    """One bit of each of 256 levels: bit k of byte i is that of level 32 k + i."""
    return bytes(sum((levels[32 * k + i] >> bit & 1) << k for k in range(8)) for i in range(32))


def unpack_plane(data: np.ndarray) -> list[int]:
    return [int(data[i]) >> k & 1 for k in range(8) for i in range(32)]


def pack_nibbles_by_64(levels: list[int]) -> bytes:
    """The low four bits: byte i of the p-th 32 bytes holds levels 64 p + i and 64 p + 32 + i."""
    return bytes(levels[64 * p + i] & 15 | (levels[64 * p + 32 + i] & 15) << 4 for p in range(4) for i in range(32))


def unpack_nibbles_by_64(data: np.ndarray) -> list[int]:
    return [int(data[32 * p + i]) >> 4 * high & 15 for p in range(4) for high in range(2) for i in range(32)]


# Q2_K


def pack_q2_k(x: np.ndarray, d: bytes, dmin: bytes, scales: list[int], mins: list[int], fits: Fits) -> bytes:
    both = [(scale | least << 4) & 255 for scale, least in zip(scales, mins, strict=True)]
    levels: list[int] = []
    for part, packed, fit in zip(parts(x, 16), both, fits, strict=True):
        levels += requantize(part, half(d) * F(packed & 15), half(dmin) * F(packed >> 4), 0, 3, fit[2])
    return bytes(both) + pack_pairs(levels) + d + dmin


def round_to(top: int, values: list[np.float32]) -> tuple[bytes, list[int]]:
    """The unit, as F16, that makes the largest of values ``top``, and the values in that unit, as bytes."""
    most = max(F(0), *values)
    if not most > 0:
        return half_bits(F(0)), [0] * len(values)
    return half_bits(most / F(top)), [nearest(F(top) / most * v) & 255 for v in values]


def encode_q2_k(x: np.ndarray) -> bytes:
    fits = [affine(part, np.abs(part), 3, -0.5, 0.1, 15, absolute=True) for part in parts(x, 16)]
    with np.errstate(all="ignore"):
        d, scales = round_to(15, [scale for scale, _, _ in fits])
        dmin, mins = round_to(15, [-least for _, least, _ in fits])
        return pack_q2_k(x, d, dmin, scales, mins, fits)


def weighted_q2_k(x: np.ndarray, imatrix: np.ndarray) -> bytes:
    with np.errstate(all="ignore"):
        mean = sum_of_squares(x) / F(256)
        weights = [importance(part, mark, mean) for part, mark in zip(parts(x, 16), parts(imatrix, 16), strict=True)]
        fits = [affine(part, w, 3, -0.9, 0.05, 36) for part, w in zip(parts(x, 16), weights, strict=True)]
        sums = f32(total(w) for w in weights)
        d, scales = positive(f32(scale for scale, _, _ in fits), sums, 15)
        dmin, mins = positive(f32(-least for _, least, _ in fits), sums, 15)
        return pack_q2_k(x, half_bits(d), half_bits(dmin), scales, mins, fits)


def total(weights: np.ndarray) -> np.float32:
    """Added from the first to the last."""
    found = F(0)
    for w in weights:
        found += w
    return found


def decode_q2_k(block: np.ndarray) -> np.ndarray:
    d, dmin = half(block[80:82]), half(block[82:84])
    scales = [int(b) for b in block[:16]]
    return f32(
        d * F(scales[i // 16] & 15) * F(q) - dmin * F(scales[i // 16] >> 4)
        for i, q in enumerate(unpack_pairs(block[16:80]))
    )


# Q3_K


def pack_q3_k(x: np.ndarray, d: bytes, scales: list[int], fits: list[tuple[np.float32, list[int]]]) -> bytes:
    """``scales`` are from 0 to 63; 32 means 0."""
    levels: list[int] = []
    for part, scale, fit in zip(parts(x, 16), scales, fits, strict=True):
        levels += requantize(part, half(d) * F(scale - 32), F(0), -4, 3, fit[1])
    packed = [scales[j] & 15 | (scales[j + 8] & 15) << 4 for j in range(8)]
    packed += [sum((scales[j + 4 * k] >> 4) << 2 * k for k in range(4)) for j in range(4)]
    return pack_plane(levels, 2) + pack_pairs(levels) + bytes(packed) + d


def encode_q3_k(x: np.ndarray) -> bytes:
    with np.errstate(all="ignore"):
        fits = [one_at_a_time(part, 4) for part in parts(x, 16)]
        most = signed_peak(f32(scale for scale, _ in fits))
        if most == 0:
            return pack_q3_k(x, half_bits(F(0)), [0] * 16, fits)
        cut = F(-32) / most
        scales = [clamp(nearest(cut * scale), -32, 31) + 32 for scale, _ in fits]
        return pack_q3_k(x, half_bits(F(1) / cut), scales, fits)


def weighted_q3_k(x: np.ndarray, imatrix: np.ndarray) -> bytes:
    with np.errstate(all="ignore"):
        mean = F(2) * sum_of_squares(x) / F(256)
        weights = [importance(part, mark, mean) for part, mark in zip(parts(x, 16), parts(imatrix, 16), strict=True)]
        fits = [symmetric(part, w, 4) for part, w in zip(parts(x, 16), weights, strict=True)]
        d, scales = symmetric(f32(scale for scale, _ in fits), f32(total(w) for w in weights), 32)
        return pack_q3_k(x, half_bits(d), scales, fits)


def decode_q3_k(block: np.ndarray) -> np.ndarray:
    d, packed = half(block[108:]), [int(b) for b in block[96:108]]
    scales = [packed[j % 8] >> 4 * (j // 8) & 15 | (packed[8 + j % 4] >> 2 * (j // 4) & 3) << 4 for j in range(16)]
    high = unpack_plane(block[:32])
    return f32(
        d * F(scales[i // 16] - 32) * F(q - (0 if high[i] else 4)) for i, q in enumerate(unpack_pairs(block[32:96]))
    )


# Q4_K, Q5_K


def pack_scales(scales: list[int], mins: list[int]) -> bytes:
    """Eight scales and eight minima of six bits in twelve bytes."""
    return bytes(
        [scales[j] | scales[j + 4] >> 4 << 6 for j in range(4)]
        + [mins[j] | mins[j + 4] >> 4 << 6 for j in range(4)]
        + [scales[j] & 15 | (mins[j] & 15) << 4 for j in range(4, 8)]
    )


def unpack_scales(data: np.ndarray) -> tuple[list[int], list[int]]:
    b = [int(byte) for byte in data]
    scales = [b[j] & 63 for j in range(4)] + [b[8 + j] & 15 | b[j] >> 6 << 4 for j in range(4)]
    mins = [b[4 + j] & 63 for j in range(4)] + [b[8 + j] >> 4 | b[4 + j] >> 6 << 4 for j in range(4)]
    return scales, mins


def pack_q45_k(x: np.ndarray, top: int, d: bytes, dmin: bytes, scales: list[int], mins: list[int], fits: Fits) -> bytes:
    packed = pack_scales(scales, mins)
    levels: list[int] = []
    seen = zip(*unpack_scales(np.frombuffer(packed, np.uint8)), strict=True)
    for part, (scale, least), fit in zip(parts(x, 32), seen, fits, strict=True):
        levels += requantize(part, half(d) * F(scale), half(dmin) * F(least), 0, top, fit[2])
    return d + dmin + packed + (pack_plane(levels, 4) if top == 31 else b"") + pack_nibbles_by_64(levels)


def encode_q45_k(top: int, low: float, steps: int) -> Callable[[np.ndarray], bytes]:
    def encode(x: np.ndarray) -> bytes:
        fits = []
        with np.errstate(all="ignore"):
            for part in parts(x, 32):
                typical = np.sqrt(sum_of_squares(part) / F(32))
                fits.append(affine(part, typical + np.abs(part), top, low, 0.1, steps))
            d, scales = round_to(63, [scale for scale, _, _ in fits])
            dmin, mins = round_to(63, [-least for _, least, _ in fits])
            return pack_q45_k(x, top, d, dmin, [min(63, s) for s in scales], [min(63, m) for m in mins], fits)

    return encode


def weighted_q45_k(top: int) -> Callable[[np.ndarray, np.ndarray], bytes]:
    def encode(x: np.ndarray, imatrix: np.ndarray) -> bytes:
        with np.errstate(all="ignore"):
            mean = F(2) * sum_of_squares(x) / F(256)
            pairs = list(zip(parts(x, 32), parts(imatrix, 32), strict=True))
            weights = [importance(part, mark, mean) for part, mark in pairs]
            fits = [affine(part, w, top, -0.9, 0.05, 36) for part, w in zip(parts(x, 32), weights, strict=True)]
            sums = f32(total(w) for w in weights)
            d, scales = positive(f32(scale for scale, _, _ in fits), sums, 63)
            dmin, mins = positive(f32(-least for _, least, _ in fits), sums, 63)
            return pack_q45_k(x, top, half_bits(d), half_bits(dmin), scales, mins, fits)

    return encode


def decode_q45_k(block: np.ndarray) -> np.ndarray:
    d, dmin = half(block[:2]), half(block[2:4])
    scales, mins = unpack_scales(block[4:16])
    levels = unpack_nibbles_by_64(block[-128:])
    if len(block) == 176:
        levels = [low | high << 4 for low, high in zip(levels, unpack_plane(block[16:48]), strict=True)]
    return f32(d * F(scales[i // 32]) * F(q) - dmin * F(mins[i // 32]) for i, q in enumerate(levels))


# Q6_K


def encode_q6_k(x: np.ndarray, imatrix: np.ndarray | None = None) -> bytes:
    with np.errstate(all="ignore"):
        marks = x * x if imatrix is None else imatrix
        fits = [symmetric(part, mark, 32) for part, mark in zip(parts(x, 16), parts(marks, 16), strict=True)]
        most = signed_peak(f32(scale for scale, _ in fits))
        if abs(most) < EPS:
            return bytes(210)
        cut = F(-128) / most
        d = half_bits(F(1) / cut)
        scales = np.array([min(127, nearest(cut * scale)) & 255 for scale, _ in fits], np.uint8).view(np.int8)
        levels: list[int] = []
        for part, scale, fit in zip(parts(x, 16), scales, fits, strict=True):
            levels += requantize(part, half(d) * F(scale), F(0), -32, 31, fit[1])
    low = bytes(
        levels[128 * h + 32 * k + i] & 15 | (levels[128 * h + 64 + 32 * k + i] & 15) << 4
        for h in range(2)
        for k in range(2)
        for i in range(32)
    )
    return low + pack_pairs(levels, 4) + scales.tobytes() + d


def decode_q6_k(block: np.ndarray) -> np.ndarray:
    d, scales = half(block[208:]), block[192:208].view(np.int8)
    high = unpack_pairs(block[128:192])
    out = np.zeros(256, np.float32)
    for i in range(256):
        low = int(block[64 * (i // 128) + i % 64]) >> 4 * (i % 128 // 64) & 15
        out[i] = d * F(scales[i // 16]) * F((low | high[i] << 4) - 32)
    return out


# Q8_0, Q8_K


def encode_q8_0(x: np.ndarray) -> bytes:
    d = abs(signed_peak(x)) / F(127)
    with np.errstate(all="ignore"):
        return half_bits(d) + np.array([away(v * inverse(d)) or 0 for v in x], np.int8).tobytes()


def decode_q8_0(block: np.ndarray) -> np.ndarray:
    return f32(F(q) * half(block[:2]) for q in block[2:].view(np.int8))


def encode_q8_k(x: np.ndarray) -> bytes:
    peak = signed_peak(x)
    if peak == 0:
        return bytes(292)
    with np.errstate(all="ignore"):
        cut = F(-127) / peak
        levels = np.array([min(127, nearest(cut * v)) & 255 for v in x], np.uint8).view(np.int8)
        sums = levels.reshape(16, 16).sum(axis=1, dtype=np.int16)
        return (F(1) / cut).tobytes() + levels.tobytes() + sums.tobytes()


def decode_q8_k(block: np.ndarray) -> np.ndarray:
    d = np.frombuffer(bytes(block[:4]), np.float32)[0]
    with np.errstate(all="ignore"):
        return f32(d * F(q) for q in block[4:260].view(np.int8))


def by_super_block(encode: Callable[[np.ndarray, np.ndarray], bytes]) -> Callable[[np.ndarray, np.ndarray], bytes]:
    return lambda x, imatrix: b"".join(encode(b, w) for b, w in zip(parts(x, 256), parts(imatrix, 256), strict=True))


DECODE = {
    "Q8_0": decode_q8_0,
    "Q2_K": decode_q2_k,
    "Q3_K": decode_q3_k,
    "Q4_K": decode_q45_k,
    "Q5_K": decode_q45_k,
    "Q6_K": decode_q6_k,
    "Q8_K": decode_q8_k,
}
ENCODE = {
    "Q8_0": encode_q8_0,
    "Q2_K": encode_q2_k,
    "Q3_K": encode_q3_k,
    "Q4_K": encode_q45_k(15, -1.0, 20),
    "Q5_K": encode_q45_k(31, -0.5, 15),
    "Q6_K": encode_q6_k,
    "Q8_K": encode_q8_k,
}
ENCODE_WEIGHTED = {
    "Q2_K": by_super_block(weighted_q2_k),
    "Q3_K": by_super_block(weighted_q3_k),
    "Q4_K": by_super_block(weighted_q45_k(15)),
    "Q5_K": by_super_block(weighted_q45_k(31)),
    "Q6_K": by_super_block(encode_q6_k),
}
