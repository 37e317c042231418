"""The scale searches that several types share, one weight at a time."""

from __future__ import annotations

import numpy as np

from .numbers import F, clamp, nearest, signed_peak

EPS = F(1e-15)


def symmetric(x: np.ndarray, weights: np.ndarray, top: int) -> tuple[np.float32, list[int]]:
    """A scale with levels -top .. top-1 that fits x best; returns it and the levels, shifted by top."""
    peak = signed_peak(x)
    if abs(peak) < EPS:
        return F(0), [0] * len(x)

    def fit(inverse: np.float32) -> tuple[np.float32, np.float32, list[int]]:
        levels = [clamp(nearest(inverse * v), -top, top - 1) for v in x]
        lx, ll = F(0), F(0)
        for v, w, level in zip(x, weights, levels, strict=True):
            lx += w * v * F(level)
            ll += w * F(level) * F(level)
        return lx, ll, [level + top for level in levels]

    with np.errstate(all="ignore"):
        lx, ll, levels = fit(F(-top) / peak)
        scale = lx / ll if ll else F(0)
        best = scale * lx
        for step in range(-9, 10):
            if step == 0:
                continue
            lx, ll, tried = fit(-(F(top) + F(0.1) * F(step)) / peak)
            if ll > 0 and lx * lx > best * ll:
                levels = tried
                scale = lx / ll
                best = scale * lx
    return scale, levels


def affine(
    x: np.ndarray, weights: np.ndarray, top: int, low: float, delta: float, steps: int, absolute: bool = False
) -> tuple[np.float32, np.float32, list[int]]:
    """A scale and a minimum (never positive) with levels 0 .. top that fit x best; the levels last.

    The error to be made small is the sum of squares, or of absolute values.
    """
    with np.errstate(all="ignore"):
        sum_w, sum_x = F(0), F(0)
        for i, (v, w) in enumerate(zip(x, weights, strict=True)):
            sum_w = sum_w + w if i else w
            sum_x = sum_x + w * v if i else w * v
        least, most = x[0], x[0]
        for v in x[1:]:
            least = v if v < least else least
            most = v if v > most else most
        if least > 0:
            least = F(0)
        if most <= least:
            return F(0), least, [0] * len(x)

        def levels_for(inverse: np.float32) -> list[int]:
            return [clamp(nearest(inverse * (v - least)), 0, top) for v in x]

        def error(scale: np.float32, minimum: np.float32, levels: list[int]) -> np.float32:
            total = F(0)
            for v, w, level in zip(x, weights, levels, strict=True):
                difference = scale * F(level) + minimum - v
                total += w * (abs(difference) if absolute else difference * difference)
            return total

        scale = F(1) / (F(top) / (most - least))
        levels = levels_for(F(top) / (most - least))
        best = error(scale, least, levels)
        for step in range(steps + 1):
            tried = levels_for((F(low) + F(delta) * F(step) + F(top)) / (most - least))
            sum_l, sum_ll, sum_lx = F(0), F(0), F(0)
            for v, w, level in zip(x, weights, tried, strict=True):
                sum_l += w * F(level)
                sum_ll += w * F(level) * F(level)
                sum_lx += w * F(level) * v
            determinant = sum_w * sum_ll - sum_l * sum_l
            if not determinant > 0:
                continue
            a = (sum_w * sum_lx - sum_x * sum_l) / determinant
            b = (sum_ll * sum_x - sum_l * sum_lx) / determinant
            if b > 0:
                a, b = sum_lx / sum_ll, F(0)
            found = error(a, b, tried)
            if found < best:
                best, scale, least, levels = found, a, b, tried
    return scale, least, levels


def importance(x: np.ndarray, imatrix: np.ndarray, mean_square: np.float32) -> np.ndarray:
    """What an importance matrix makes of a block's weights: imatrix * sqrt(mean square + x*x)."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.array([w * np.sqrt(mean_square + v * v) for v, w in zip(x, imatrix, strict=True)], np.float32)


def sum_of_squares(x: np.ndarray) -> np.float32:
    """Added from the first to the last."""
    total = F(0)
    with np.errstate(over="ignore"):
        for v in x:
            total += v * v
    return total


def fit_not_negative(x: np.ndarray, weights: np.ndarray, top: int) -> np.float32:
    """A scale with levels 0 .. top for numbers that should not be negative.

    The level of one that is, is kept in a byte and wraps around; where it was not kept, it is used as it is.
    """
    most = F(0)
    for v in x:
        most = most if most > v else v
    if most < EPS:
        return F(0)

    def error(cut: np.float32, levels: list[int]) -> np.float32:
        scale, total = F(1) / cut, F(0)
        for v, w, level in zip(x, weights, levels, strict=True):
            off = v - scale * F(level)
            total += w * off * off
        return total

    cut = F(top) / most
    best = error(cut, [nearest(cut * v) & 255 for v in x])
    for step in (-4, -3, -2, -1, 1, 2, 3, 4):
        tried = (F(0.1) * F(step) + F(top)) / most
        found = error(tried, [min(nearest(tried * v), top) for v in x])
        if found < best:
            best, cut = found, tried
    along, square, levels = F(0), F(0), []
    for v, w in zip(x, weights, strict=True):
        level = min(nearest(cut * v), top)
        along += w * v * F(level)
        square += w * F(level) * F(level)
        levels.append(level & 255)
    for _ in range(5):
        before = list(levels)
        for i, (v, w) in enumerate(zip(x, weights, strict=True)):
            old = F(levels[i])
            rest, rest_square = along - w * v * old, square - w * old * old
            if not (rest > 0 and rest_square > 0):
                continue
            level = min(nearest(v * rest_square / rest), top)
            new, new_square = rest + w * v * F(level), rest_square + w * F(level) * F(level)
            if level != levels[i] and new * new * square > along * along * new_square:
                levels[i], along, square = level & 255, new, new_square
        if levels == before:
            break
    return along / square if square > 0 else F(0)


def one_at_a_time(x: np.ndarray, top: int) -> tuple[np.float32, list[int]]:
    """A scale for levels -top .. top-1, each level moved while that helps; it and the levels, shifted by top."""
    peak = signed_peak(x)
    if abs(peak) < EPS:
        return F(0), [0] * len(x)
    with np.errstate(all="ignore"):
        levels = [clamp(nearest(F(-top) / peak * v), -top, top - 1) for v in x]
        lx, ll = F(0), F(0)
        for v, level in zip(x, levels, strict=True):
            lx += v * v * v * F(level)
            ll += v * v * F(level) * F(level)
        for _ in range(5):
            moved = False
            for i, v in enumerate(x):
                w = v * v
                rest_lx = lx - w * v * F(levels[i])
                if not rest_lx > 0:
                    continue
                rest_ll = ll - w * F(levels[i]) * F(levels[i])
                level = clamp(nearest(v * rest_ll / rest_lx), -top, top - 1)
                new_lx, new_ll = rest_lx + w * v * F(level), rest_ll + w * F(level) * F(level)
                if level != levels[i] and new_ll > 0 and new_lx * new_lx * ll > lx * lx * new_ll:
                    levels[i], lx, ll, moved = level, new_lx, new_ll, True
            if not moved:
                break
        return (lx / ll if ll > 0 else F(0)), [level + top for level in levels]


def positive(x: np.ndarray, weights: np.ndarray, top: int) -> tuple[np.float32, list[int]]:
    """A scale for levels 0 .. top of numbers that should not be negative; a negative one's level wraps in its byte."""
    most = max(F(0), *x)
    if most < EPS:
        return F(0), [0] * len(x)

    def error(scale: np.float32, levels: list[int]) -> np.float32:
        total = F(0)
        for v, w, level in zip(x, weights, levels, strict=True):
            difference = v - scale * F(level)
            total += w * difference * difference
        return total

    with np.errstate(all="ignore"):
        inverse = F(top) / most
        best = error(F(1) / inverse, [nearest(inverse * v) & 255 for v in x])
        for step in (-4, -3, -2, -1, 1, 2, 3, 4):
            tried = (F(0.1) * F(step) + F(top)) / most
            found = error(F(1) / tried, [min(top, nearest(tried * v)) for v in x])
            if found < best:
                best, inverse = found, tried
        lx, ll, levels = F(0), F(0), []
        for v, w in zip(x, weights, strict=True):
            level = min(top, nearest(inverse * v))
            lx += w * v * F(level)
            ll += w * F(level) * F(level)
            levels.append(level & 255)
        for _ in range(5):
            moved = False
            for i, (v, w) in enumerate(zip(x, weights, strict=True)):
                rest_lx = lx - w * v * F(levels[i])
                rest_ll = ll - w * F(levels[i]) * F(levels[i])
                if not (rest_lx > 0 and rest_ll > 0):
                    continue
                level = min(top, nearest(v * rest_ll / rest_lx))
                new_lx, new_ll = rest_lx + w * v * F(level), rest_ll + w * F(level) * F(level)
                if level != levels[i] and new_lx * new_lx * ll > lx * lx * new_ll:
                    levels[i], lx, ll, moved = level & 255, new_lx, new_ll, True
            if not moved:
                break
        return (lx / ll if ll > 0 else F(0)), levels
