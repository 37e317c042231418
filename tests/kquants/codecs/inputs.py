"""Inputs on which encoders go wrong: every distribution, scale and degenerate block that has ever mattered.

``rows(columns)`` is the catalogue: float32[rows, columns] by name, deterministic, all finite.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

SCALES = (1e-30, 1e-20, 1e-10, 1e-7, 1e-5, 1e-3, 0.02, 1.0, 37.0, 3e4, 1e6, 1e10, 1e18, 1e30)
"""From below what an F16 scale can say to far above it; 1e18 and more overflow float32 when squared."""

_ROOT = Path(__file__).resolve().parents[3]


@functools.cache
def rows(columns: int = 512, seed: int = 0) -> dict[str, Floats]:
    """The catalogue, each entry a few rows of ``columns`` weights (a multiple of 256)."""
    return {name: np.ascontiguousarray(x, np.float32) for name, x in _rows(columns, np.random.default_rng(seed))}


def importance(columns: int, seed: int = 0) -> dict[str, Floats]:
    """Importance matrices by name, float32[columns]: as measured ones look, and with zeros, ones and extremes."""
    rng = np.random.default_rng(seed + 77)
    measured = rng.lognormal(0, 2, columns)
    sparse = np.where(rng.random(columns) < 0.3, 0, measured)
    return {
        name: np.asarray(w, np.float32)
        for name, w in {
            "measured": measured,
            "ones": np.ones(columns),
            "some zeros": sparse,
            "all zeros": np.zeros(columns),
            "tiny": measured * 1e-25,
            "huge": measured * 1e20,
        }.items()
    }


def real_weights() -> Floats:
    """float32[rows, 256]: every weight of tiny-speeches-5m, BF16 as trained, in the checkpoint's order."""
    data = (_ROOT / "fixtures" / "tiny-speeches-5m" / "model.safetensors").read_bytes()
    header = int.from_bytes(data[:8], "little")
    halves = np.frombuffer(data, np.uint16, offset=8 + header)
    return (halves.astype(np.uint32) << 16).view(np.float32).reshape(-1, 256)


def random_blocks(count: int, nbytes: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """uint8[count, nbytes]: bytes no encoder has made."""
    return np.random.default_rng(seed).integers(0, 256, (count, nbytes), np.uint8)


def _rows(columns: int, rng: np.random.Generator) -> Iterator[tuple[str, npt.NDArray[np.floating]]]:
    shape = (5, columns)
    for scale in SCALES:
        yield f"normal {scale:g}", rng.standard_normal(shape) * scale
        yield f"student {scale:g}", np.clip(rng.standard_t(2.5, shape), -300, 300) * scale
        yield f"uniform {scale:g}", rng.uniform(-1, 1, shape) * scale
    yield "positive", rng.uniform(0, 1, shape)
    yield "negative", -rng.uniform(0.5, 1, shape)
    yield "zeros", np.zeros(shape)
    yield "negative zeros", -np.zeros(shape)
    yield "mixed zeros", np.where(rng.random(shape) < 0.5, 0.0, -0.0)
    for value in (1.0, -1.0, 0.3, -7.77e-4, 1e-8, 1e-38, 1e-44, 65504.0, 7e4, 3e38):
        yield f"constant {value:g}", np.full((2, columns), value)
    for value in (1.0, -1.0, 1e-6, 1e6, -3e38):
        yield f"one outlier {value:g}", _one_outlier(columns, value, rng)
    yield "sparse", np.where(rng.random(shape) < 0.9, 0, rng.standard_normal(shape))
    yield (
        "zero blocks among others",
        rng.standard_normal(shape) * np.repeat(rng.random((5, columns // 16)) < 0.5, 16, 1),
    )
    yield (
        "scales change by sub-block",
        rng.standard_normal(shape) * np.repeat(10.0 ** rng.integers(-12, 5, (5, columns // 16)), 16, 1),
    )
    yield "subnormals", rng.uniform(-1, 1, shape) * 1.1754943e-38
    yield "least subnormals", rng.integers(-40, 41, shape) * 1.4e-45
    yield "at the F16 scale's end", rng.uniform(-1, 1, shape) * np.array([[5e5], [1e6], [2e6], [8e6], [9e6]])
    yield "below the F16 scale's end", rng.uniform(-1, 1, shape) * np.array([[1e-7], [4e-7], [1e-6], [5e-6], [1e-4]])
    yield "powers of two", np.ldexp(np.where(rng.random(shape) < 0.5, -1.0, 1.0), rng.integers(-20, 20, shape))
    for steps in (2, 3, 6, 15, 16, 31, 62, 63, 127, 254, 256):
        yield f"ties of 1/{steps}", rng.integers(-steps, steps + 1, shape) / steps
    yield "half steps", rng.integers(-255, 256, shape) * 0.5
    yield "alternating", np.tile([1.0, -1.0], (2, columns // 2))
    yield "ramp", np.linspace(-1, 1, 3 * columns).reshape(3, columns)
    yield "two values", np.where(rng.random(shape) < 0.5, 0.25, 0.75)
    yield "equal magnitudes", np.where(rng.random(shape) < 0.5, -0.7, 0.7)
    yield "bfloat16", (rng.standard_normal(shape).astype(np.float32).view(np.uint32) & 0xFFFF0000).view(np.float32)
    yield "float16", (rng.standard_normal(shape) * 0.02).astype(np.float16).astype(np.float32)
    yield "any finite bits", _any_finite(shape, rng)


def _one_outlier(columns: int, value: float, rng: np.random.Generator) -> npt.NDArray[np.floating]:
    x = rng.standard_normal((4, columns)) * 1e-3
    x[0] = 0
    x[np.arange(4), rng.integers(0, columns, 4)] = value
    return x


def _any_finite(shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    bits = rng.integers(0, 1 << 32, shape, np.uint64).astype(np.uint32)
    return np.where((bits >> 23) & 0xFF == 0xFF, bits & 0x807FFFFF, bits).astype(np.uint32).view(np.float32)
