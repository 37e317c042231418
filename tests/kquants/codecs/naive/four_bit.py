"""Twins of the 4-bit floats (MXFP4, NVFP4) and of the 4-bit table types (IQ4_NL, IQ4_XS)."""

from __future__ import annotations

import math

import numpy as np

from .numbers import F, clamp, f32, half, half_bits, inverse, nearest, signed_peak
from .searches import EPS, importance, sum_of_squares
from .simple import pack_nibbles, unpack_nibbles

E2M1 = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12]
"""Twice the value of each 4-bit float; negative zero counts as zero."""

IQ4 = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]


def closest_e2m1(v: np.float32, d: np.float32) -> int:
    """The first code whose value times d is closest to v."""
    with np.errstate(over="ignore", invalid="ignore"):
        errors = [abs(F(value) * d - v) for value in E2M1]
    best = 0
    for code in range(1, 16):
        if errors[code] < errors[best]:
            best = code
    return best


def e8m0(code: int) -> np.float32:
    """2**(code - 128)."""
    return F(math.ldexp(1, code - 128))


def encode_mxfp4(x: np.ndarray) -> bytes:
    peak = abs(signed_peak(x))
    code = (math.floor(F(math.log2(peak))) + 125) % 256 if peak > 0 else 0
    return bytes([code]) + pack_nibbles([closest_e2m1(v, e8m0(code)) for v in x])


def decode_mxfp4(block: np.ndarray) -> np.ndarray:
    d = e8m0(int(block[0]))
    with np.errstate(over="ignore"):
        return f32(F(E2M1[code]) * d for code in unpack_nibbles(block[1:]))


def ue4m3(code: int) -> np.float32:
    """Half the value of an unsigned float of 4 exponent and 3 mantissa bits; the top bit says nothing, 0x7F is 0."""
    exponent, mantissa = code >> 3 & 15, code & 7
    if code in (0, 0x7F):
        return F(0)
    return F(math.ldexp(mantissa, -10) if exponent == 0 else math.ldexp(8 + mantissa, exponent - 11))


def to_ue4m3(v: np.float32) -> int:
    """The code nearest to v, halves up, 0x7E at most."""
    if not v > 0:
        return 0
    mantissa, exponent = math.frexp(min(float(v), 448.0))
    if exponent - 1 + 7 <= 0:
        return min(7, int(F(v) * F(512) + F(0.5)))
    code = (exponent + 6) * 8 + int(mantissa * 16 + 0.5) - 8
    return min(code, 0x7E) if exponent + 6 < 15 else 0x7E


def encode_nvfp4(x: np.ndarray) -> bytes:
    scales = [to_ue4m3(abs(signed_peak(part)) / F(6)) for part in x.reshape(4, 16)]
    packed = [
        pack_nibbles([closest_e2m1(v, ue4m3(code)) for v in part])
        for code, part in zip(scales, x.reshape(4, 16), strict=True)
    ]
    return bytes(scales) + b"".join(packed)


def decode_nvfp4(block: np.ndarray) -> np.ndarray:
    return np.concatenate(
        [
            f32(F(E2M1[code]) * ue4m3(int(block[s])) for code in unpack_nibbles(block[4 + 8 * s : 12 + 8 * s]))
            for s in range(4)
        ]
    )


def closest_iq4(v: np.float32) -> int:
    """The code whose value is closest to v, the greater of equals; 15 for NaN."""
    if v <= IQ4[0]:
        return 0
    for code in range(15):
        if v < IQ4[code + 1] and v - F(IQ4[code]) < F(IQ4[code + 1]) - v:
            return code
    return 15


def fit_iq4(x: np.ndarray, weights: np.ndarray) -> np.float32:
    """The scale whose sixteen values fit x best: one first guess, fifteen more around it."""
    peak = signed_peak(x)
    if abs(peak) < EPS:
        return F(0)

    def sums(inverse_scale: np.float32) -> tuple[np.float32, np.float32]:
        qx, qq = F(0), F(0)
        for v, w in zip(x, weights, strict=True):
            q = F(IQ4[closest_iq4(inverse_scale * v)])
            qx += w * q * v
            qq += w * q * q
        return qx, qq

    with np.errstate(all="ignore"):
        qx, qq = sums(F(1) / (-peak / F(IQ4[0])))
        scale = qx / qq if qq > 0 else F(0)
        best = scale * qx
        for step in range(-7, 8):
            qx, qq = sums(F(step + IQ4[0]) / peak)
            if qq > 0 and qx * qx > best * qq:
                scale = qx / qq
                best = scale * qx
    return scale


def _weights(x: np.ndarray, imatrix: np.ndarray | None, mean_square: np.float32) -> np.ndarray:
    if imatrix is not None:
        return importance(x, imatrix, mean_square)
    with np.errstate(over="ignore"):
        return np.array([v * v for v in x], np.float32)


def _twice_mean_square(x: np.ndarray) -> np.float32:
    with np.errstate(over="ignore"):
        return sum_of_squares(x) * (F(2) / F(len(x)))


def encode_iq4_nl(x: np.ndarray, imatrix: np.ndarray | None = None) -> bytes:
    d = fit_iq4(x, _weights(x, imatrix, _twice_mean_square(x)))
    with np.errstate(all="ignore"):
        return half_bits(d) + pack_nibbles([closest_iq4(inverse(d) * v) for v in x])


def decode_iq4_nl(block: np.ndarray) -> np.ndarray:
    return f32(half(block[:2]) * F(IQ4[code]) for code in unpack_nibbles(block[2:]))


def encode_iq4_xs(x: np.ndarray, imatrix: np.ndarray | None = None) -> bytes:
    mean = _twice_mean_square(x)
    parts = x.reshape(8, 32)
    marks = [None] * 8 if imatrix is None else list(imatrix.reshape(8, 32))
    scales = [fit_iq4(part, _weights(part, mark, mean)) for part, mark in zip(parts, marks, strict=True)]
    low, high, nibbles = [0] * 4, 0, b""
    with np.errstate(all="ignore"):
        d = -signed_peak(np.array(scales)) / F(32)
        for i, part in enumerate(parts):
            level = clamp(nearest(inverse(d) * scales[i]), -32, 31)
            nibbles += pack_nibbles([closest_iq4(inverse(d * F(level)) * v) for v in part])
            low[i // 2] |= (level + 32 & 15) << 4 * (i % 2)
            high |= (level + 32 >> 4) << 2 * i
    return half_bits(d) + high.to_bytes(2, "little") + bytes(low) + nibbles


def decode_iq4_xs(block: np.ndarray) -> np.ndarray:
    d, high, parts = half(block[:2]), int.from_bytes(bytes(block[2:4]), "little"), []
    for i in range(8):
        level = (int(block[4 + i // 2]) >> 4 * (i % 2) & 15) | (high >> 2 * i & 3) << 4
        codes = unpack_nibbles(block[8 + 16 * i : 24 + 16 * i])
        with np.errstate(over="ignore", invalid="ignore"):
            parts.append(f32(d * F(level - 32) * F(IQ4[code]) for code in codes))
    return np.concatenate(parts)


def _by_block(encode: object, size: int) -> object:
    def row(x: np.ndarray, imatrix: np.ndarray) -> np.ndarray:
        pairs = zip(x.reshape(-1, size), imatrix.reshape(-1, size), strict=True)
        return np.frombuffer(b"".join(encode(b, w) for b, w in pairs), np.uint8)  # type: ignore[operator]

    return row


DECODE = {"MXFP4": decode_mxfp4, "NVFP4": decode_nvfp4, "IQ4_NL": decode_iq4_nl, "IQ4_XS": decode_iq4_xs}
ENCODE = {"MXFP4": encode_mxfp4, "NVFP4": encode_nvfp4, "IQ4_NL": encode_iq4_nl, "IQ4_XS": encode_iq4_xs}
ENCODE_WEIGHTED = {"IQ4_NL": _by_block(encode_iq4_nl, 32), "IQ4_XS": _by_block(encode_iq4_xs, 256)}
