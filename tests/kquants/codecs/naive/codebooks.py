"""IQ1, IQ2 and IQ3, encoded: weights in groups of 8 or 4 that share a codeword."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kquants.kernels.grids import grid

from .numbers import F, clamp, half_bits, nearest
from .searches import fit_not_negative, importance, sum_of_squares

Array = np.ndarray
FAR = np.finfo(np.float32).max
EIGHTH, NONE = F(0.125), F(0)


# ------------------------------------------------------------------------------------------------ codewords


@functools.cache
def codeword_numbers(name: str) -> dict[tuple[int, ...], int]:
    """The number of each codeword, by its digits."""
    return {tuple(digits): i for i, digits in enumerate(grid(name).digits.tolist())}


@functools.cache
def near(name: str, point: tuple[int, ...]) -> Array:
    """The digits of the codewords at the least few distances from a point, nearest first, then by number."""
    digits = grid(name).digits.astype(int)
    distance = ((digits - np.array(point)) ** 2).sum(1)
    far = np.unique(distance)[: grid(name).shells][-1]
    order = sorted(np.flatnonzero(distance <= far), key=lambda i: (distance[i], i))
    return digits[order]


def choose(name: str, point: tuple[int, ...], cost: Callable[[int, Array], Array]) -> tuple[int, ...]:
    """The point itself if it is a codeword, else the first of those near it with the least cost.

    ``cost(i, digits)`` is what weight i adds for each of its digits. Where no cost is finite, the first there is.
    """
    if point in codeword_numbers(name):
        return point
    found = near(name, point)
    total = np.zeros(len(found), np.float32)
    for i in range(len(point)):
        total = total + cost(i, found[:, i])
    total[~(total < FAR)] = np.inf
    return tuple(found[int(np.argmin(total))].tolist())


# ------------------------------------------------------------------------------------------------ IQ2, IQ3


@dataclass(frozen=True)
class Search:
    """What differs between the encoders of IQ2 and IQ3."""

    name: str
    size: int
    """Weights in a sub-block."""
    even: bool
    """Whether the signs of 8 weights are even in number."""
    reach: int
    step: float
    empty: float
    """A sub-block with no larger magnitude counts as empty."""
    again: str
    """What is rounded once more: broken groups, the whole of a broken sub-block, always everything."""
    factor: float
    """What the unit is written larger by."""
    twice: bool
    """Whether the typical square in the importance is twice the mean square."""

    @property
    def width(self) -> int:
        return grid(self.name).digits.shape[1]

    @property
    def top(self) -> int:
        return 2 if self.width == 8 else 7


SEARCHES = {
    s.name: s
    for s in (
        Search("IQ2_XXS", 32, True, 6, 0.1, 1e-15, "everything", 1.0, False),
        Search("IQ2_XS", 16, True, 9, 0.1, 1e-15, "broken groups", 1.0, False),
        Search("IQ2_S", 16, False, 9, 0.1, 1e-8, "broken groups", 0.9875, True),
        Search("IQ3_XXS", 32, True, 15, 0.2, 1e-8, "broken groups", 1.0125, True),
        Search("IQ3_S", 32, False, 9, 0.2, 0.0, "broken whole", 1.033, True),
    )
}


@dataclass
class SubBlock:
    """The outcome for a sub-block: scale, codeword numbers, a sign byte for 8 weights; or nothing at all."""

    scale: np.float32
    words: list[int]
    signs: list[int]


def split_signs(x: Array, weights: Array, even: bool) -> tuple[Array, list[int]]:
    """Magnitudes and sign bytes; to make signs even, the weight that matters least takes the wrong one."""
    magnitude, signs = np.where(x >= 0, x, -x).astype(np.float32), []
    for start in range(0, len(x), 8):
        part = x[start : start + 8]
        minus = [not v >= 0 for v in part]
        if even and sum(minus) % 2:
            matters = weights[start : start + 8] * part * part
            least = 0
            for i in range(1, 8):
                least = i if matters[i] < matters[least] else least
            minus[least] = not minus[least]
            magnitude[start + least] = -magnitude[start + least]
        byte = sum(bit << i for i, bit in enumerate(minus))
        signs.append(byte & 127 if even else byte)
    return magnitude, signs


def sub_block(s: Search, x: Array, weights: Array) -> SubBlock:
    """Try scales, keep the best, round to it once more."""
    nothing = SubBlock(F(0), [0] * (s.size // s.width), [0] * (s.size // 8))
    magnitude, signs = split_signs(x, weights, s.even)
    largest = max_of(magnitude)
    if largest < F(s.empty) or largest == 0:
        return nothing
    roots = np.sqrt(weights)
    peak, scale = largest, largest / F(2 * s.top + 1)
    if s.again == "everything":
        scale = fit_not_negative(magnitude, weights, 4)
        peak = scale * F(3)
        if peak <= 0:
            return nothing
    groups = [slice(i, i + s.width) for i in range(0, s.size, s.width)]

    def rounded(g: slice, inverse: np.float32, scale: np.float32) -> tuple[tuple[int, ...], bool]:
        point = tuple(clamp(nearest(F(0.5) * (inverse * v - F(1))), 0, s.top) for v in magnitude[g])
        found = choose(s.name, point, lambda i, q: squared(scale, q, magnitude[g][i], roots[g][i]))
        return found, found != point

    def squared(scale: np.float32, q: Array, v: np.float32, root: np.float32) -> Array:
        off = scale * (2 * q + 1).astype(np.float32) - v
        return root * off * off

    def products(points: list[tuple[int, ...]]) -> tuple[np.float32, np.float32]:
        along, square = F(0), F(0)
        for v, w, level in zip(magnitude, weights, [level for p in points for level in p], strict=True):
            q = F(2 * level + 1)
            along += w * v * q
            square += w * q * q
        return along, square

    points = [(0,) * s.width for _ in groups]
    broken = [s.again != "broken groups" for _ in groups]
    best = F(0)
    for k in range(-s.reach, s.reach + 1):
        inverse = (F(2 * s.top + 1) + F(k) * F(s.step)) / peak
        tried = [rounded(g, inverse, F(1) / inverse) for g in groups]
        along, square = products([p for p, _ in tried])
        if square > 0 and along * along > best * square:
            scale = along / square
            best = scale * along
            points, broken = [p for p, _ in tried], [b for _, b in tried]
    if s.again == "everything" or (s.again == "broken whole" and any(broken)):
        broken = [True for _ in groups]
    if any(broken) and scale > 0:
        points = [
            rounded(g, F(1) / scale, scale)[0] if b else p for g, b, p in zip(groups, broken, points, strict=True)
        ]
        along, square = products(points)
        if square > 0:
            scale = along / square
    if np.isnan(scale):
        return nothing
    if scale < 0:
        scale, signs = -scale, [~b & (127 if s.even else 255) for b in signs]
    return SubBlock(scale, [codeword_numbers(s.name)[p] for p in points], signs)


def max_of(values: Array) -> np.float32:
    largest = values[0]
    for v in values[1:]:
        largest = largest if largest > v else v
    return F(largest)


def rounded_scales(scales: list[np.float32], top: int, most: int, factor: float) -> tuple[bytes, list[int]]:
    """The unit as F16 and each scale's number; zeros where all scales are."""
    largest = max_of(np.array([F(0), *scales], np.float32))
    if largest == 0:
        return bytes(2), [0] * len(scales)
    unit = largest / F(top)
    inverse = F(1) / unit
    numbers = [clamp(nearest(F(0.5) * (inverse * scale - F(1))), 0, most) for scale in scales]
    return half_bits(unit * F(factor)), numbers


def searched(s: Search, x: Array, imatrix: Array | None) -> tuple[list[SubBlock], bytes, list[int]]:
    """The sub-blocks of a block, its unit and the numbers of its scales."""
    total = sum_of_squares(x)
    typical = (F(2) * total if s.twice else total) / F(256)
    if imatrix is not None:
        weights = importance(x, imatrix, typical)
    else:
        weights = (F(0.25) * typical if s.name == "IQ2_S" else F(0)) + x * x
    found = [sub_block(s, x[i : i + s.size], weights[i : i + s.size].astype(np.float32)) for i in range(0, 256, s.size)]
    unit, numbers = rounded_scales([f.scale for f in found], 31, 15, s.factor)
    return found, unit, numbers


def nibbles(numbers: list[int]) -> bytes:
    return bytes(a | b << 4 for a, b in zip(numbers[::2], numbers[1::2], strict=True))


def pack_iq2_xxs(found: list[SubBlock], numbers: list[int]) -> bytes:
    return b"".join(bytes(f.words) + signs_and_scale(f, n) for f, n in zip(found, numbers, strict=True))


def signs_and_scale(f: SubBlock, number: int) -> bytes:
    return (sum(b << 7 * i for i, b in enumerate(f.signs)) | number << 28).to_bytes(4, "little")


def pack_iq2_xs(found: list[SubBlock], numbers: list[int]) -> bytes:
    pairs = [(w | b << 9).to_bytes(2, "little") for f in found for w, b in zip(f.words, f.signs, strict=True)]
    return b"".join(pairs) + nibbles(numbers)


def pack_iq2_s(found: list[SubBlock], numbers: list[int]) -> bytes:
    words, signs = [w for f in found for w in f.words], [b for f in found for b in f.signs]
    high = bytes(sum((w >> 8) << 2 * i for i, w in enumerate(words[j : j + 4])) for j in range(0, 32, 4))
    return bytes(w & 255 for w in words) + bytes(signs) + high + nibbles(numbers)


def pack_iq3_xxs(found: list[SubBlock], numbers: list[int]) -> bytes:
    words = bytes(w for f in found for w in f.words)
    return words + b"".join(signs_and_scale(f, n) for f, n in zip(found, numbers, strict=True))


def pack_iq3_s(found: list[SubBlock], numbers: list[int], empty: list[bool]) -> bytes:
    """Empty sub-blocks leave no place for their codewords' low bytes and signs; the rest moves up."""
    filled = [f for f, e in zip(found, empty, strict=True) if not e]
    low = bytes(w & 255 for f in filled for w in f.words)
    signs = bytes(b for f in filled for b in f.signs)
    high = bytes(sum((w >> 8) << i for i, w in enumerate(f.words)) for f in found)
    return low.ljust(64, b"\0") + high + signs.ljust(32, b"\0") + nibbles(numbers)


def encode_searched(name: str, x: Array, imatrix: Array | None = None) -> bytes:
    s = SEARCHES[name]
    with np.errstate(all="ignore"):
        found, unit, numbers = searched(s, x, imatrix)
    none = all(f.scale == 0 for f in found)
    if name == "IQ3_S":
        empty = [not x[i : i + 32].any() for i in range(0, 256, 32)]
        return unit + pack_iq3_s(found, numbers, empty)
    if name == "IQ2_S":
        return unit + pack_iq2_s(found, numbers)
    pack = {"IQ2_XXS": pack_iq2_xxs, "IQ2_XS": pack_iq2_xs, "IQ3_XXS": pack_iq3_xxs}[name]
    return bytes(2 + len(pack(found, numbers))) if none else unit + pack(found, numbers)


# ------------------------------------------------------------------------------------------------ IQ1


def value(level: int, shift: np.float32) -> np.float32:
    return F(level - 1) + shift


def cuts(x: Array, weights: Array, halves: int) -> tuple[np.float32, list[int], list[np.float32]] | None:
    """The scale, levels and shifts (one for each of ``halves``) that explain a sub-block best, tried one and all."""
    n = len(x)
    order = sorted(range(n), key=lambda i: x[i])
    sums = np.zeros((halves, 2, n + 1), np.float32)
    for place, i in enumerate(order):
        for h in range(halves):
            mine = h == i * halves // n
            sums[h, 0, place + 1] = sums[h, 0, place] + (weights[i] * x[i] if mine else F(0))
            sums[h, 1, place + 1] = sums[h, 1, place] + (weights[i] if mine else F(0))
    signs = [(EIGHTH,), (-EIGHTH,)] if halves == 1 else [(a, b) for a in (EIGHTH, -EIGHTH) for b in (EIGHTH, -EIGHTH)]
    part = run_products if halves == 1 else run_products_by_halves
    best, found = -FAR, None
    for i in range(n + 1):
        for j in range(i, n + 1):
            for shifts in signs:
                along, square = F(0), F(0)
                for h, shift in enumerate(shifts):
                    a, b = part(sums[h], i, j, shift)
                    along, square = (along + a, square + b) if h else (a, b)
                if square > 0 and along * along > best * square:
                    scale = along / square
                    best, found = scale * along, (scale, i, j, list(shifts))
    if found is None:
        return None
    scale, i, j, shifts = found
    levels = [0] * n
    for place, which in enumerate(order):
        levels[which] = (place >= i) + (place >= j)
    if scale < 0:
        return -scale, [2 - level for level in levels], [-shift for shift in shifts]
    return scale, levels, shifts


def run_products(sums: Array, i: int, j: int, shift: np.float32) -> tuple[np.float32, np.float32]:
    """Sums of three runs, each times what its level stands for."""
    (x, w), q = sums, [value(level, shift) for level in range(3)]
    along = (x[i] - x[0]) * q[0] + (x[j] - x[i]) * q[1] + (x[-1] - x[j]) * q[2]
    return along, (w[i] - w[0]) * q[0] * q[0] + (w[j] - w[i]) * q[1] * q[1] + (w[-1] - w[j]) * q[2] * q[2]


def run_products_by_halves(sums: Array, i: int, j: int, shift: np.float32) -> tuple[np.float32, np.float32]:
    """The same, as the whole at the last level less what the cuts take away."""
    (x, w), q = sums, [value(level, shift) for level in range(3)]
    along = x[-1] * q[2] - (x[i] + x[j])
    return along, w[-1] * q[2] * q[2] + w[i] * (q[0] * q[0] - q[1] * q[1]) + w[j] * (q[1] * q[1] - q[2] * q[2])


@dataclass
class Ternary:
    """The outcome for a sub-block of IQ1; its shifts, one for 8 weights."""

    scale: np.float32
    points: list[tuple[int, ...]]
    shifts: list[np.float32]


def ternary(x: Array, weights: Array, empty: float, halves: int) -> Ternary:
    groups = [slice(i, i + 8) for i in range(0, len(x), 8)]
    nothing = Ternary(F(0), [(0,) * 8 for _ in groups], [EIGHTH for _ in groups])
    if max_of(np.abs(x)) < F(empty):
        return nothing
    found = cuts(x, weights, halves)
    if found is None:
        return nothing
    scale, levels, some = found
    shifts = some * (len(groups) // len(some))
    points = [tuple(levels[g]) for g in groups]

    def squared(level: Array, shift: np.float32, v: np.float32, w: np.float32) -> Array:
        off = scale * ((level - 1).astype(np.float32) + shift) - v
        return w * off * off

    chosen = [
        choose("IQ1_S", p, lambda i, q, g=g, s=s: squared(q, s, x[g][i], weights[g][i]))
        for g, p, s in zip(groups, points, shifts, strict=True)
    ]
    if chosen != points:
        along, square = add_products(x, weights, chosen, shifts, F(1))
        if along > 0 and square > 0:
            scale = along / square
    return nothing if np.isnan(scale) else Ternary(scale, chosen, shifts)


def add_products(
    x: Array,
    weights: Array,
    points: list[tuple[int, ...]],
    shifts: list[np.float32],
    times: np.float32,
    along: np.float32 = NONE,
    square: np.float32 = NONE,
) -> tuple[np.float32, np.float32]:
    for g, (point, shift) in enumerate(zip(points, shifts, strict=True)):
        for i, level in enumerate(point):
            q, w = value(level, shift) * times, weights[8 * g + i]
            along += w * q * x[8 * g + i]
            square += w * q * q
    return along, square


def encode_iq1_s(x: Array, imatrix: Array) -> bytes:
    with np.errstate(all="ignore"):
        weights = importance(x, imatrix, F(2) * sum_of_squares(x) / F(256))
        parts = [slice(i, i + 32) for i in range(0, 256, 32)]
        found = [ternary(x[p], weights[p], 1e-12, 1) for p in parts]
        unit, numbers = rounded_scales([f.scale for f in found], 15, 7, 1.125)
    words = [[codeword_numbers("IQ1_S")[p] for p in f.points] for f in found]
    some = any(f.scale != 0 for f in found)
    high = [
        sum((w >> 8) << 3 * i for i, w in enumerate(group)) | n << 12 | (0x8000 if some and f.shifts[0] < 0 else 0)
        for group, n, f in zip(words, numbers, found, strict=True)
    ]
    return unit + bytes(w & 255 for group in words for w in group) + np.array(high, "<u2").tobytes()


def encode_iq1_m(x: Array, imatrix: Array | None = None) -> bytes:
    parts = [slice(i, i + 16) for i in range(0, 256, 16)]
    with np.errstate(all="ignore"):
        weights = x * x if imatrix is None else importance(x, imatrix, F(2) * sum_of_squares(x) / F(256))
        found = [ternary(x[p], weights[p], 1e-7, 2) for p in parts]
        _, numbers = rounded_scales([f.scale for f in found], 15, 7, 1.0)
        unit = max_of(np.array([f.scale for f in found])) / F(15)
        some = any(f.scale != 0 for f in found)
        along, square = F(0), F(0)
        for p, f, n in zip(parts, found, numbers, strict=True):
            along, square = add_products(x[p], weights[p], f.points, f.shifts, F(2 * n + 1), along, square)
        if square > 0:
            unit = along / square
        bits = int.from_bytes(half_bits(unit * F(1.1125)), "little") if some else 0
    words = [codeword_numbers("IQ1_S")[p] for f in found for p in f.points]
    minus = [some and shift < 0 for f in found for shift in f.shifts]
    high = [w >> 8 | 8 * bool(m) for w, m in zip(words, minus, strict=True)]
    scales = [
        sum(n << 3 * i for i, n in enumerate(numbers[j : j + 4])) | (bits >> j & 15) << 12 for j in range(0, 16, 4)
    ]
    return bytes(w & 255 for w in words) + nibbles(high) + np.array(scales, "<u2").tobytes()


_NEEDS_IMATRIX = ("IQ2_XXS", "IQ2_XS")

ENCODE = {
    **{name: functools.partial(encode_searched, name) for name in SEARCHES if name not in _NEEDS_IMATRIX},
    "IQ1_M": encode_iq1_m,
}
ENCODE_WEIGHTED = {
    **{name: functools.partial(encode_searched, name) for name in SEARCHES},
    "IQ1_S": encode_iq1_s,
    "IQ1_M": encode_iq1_m,
}
