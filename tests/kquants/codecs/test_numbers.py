"""Types that hold one number a weight, and the small floats that serve as scales."""

from __future__ import annotations

import struct

import numpy as np
import pytest

import kquants

from ...reference import Ggml
from . import inputs

EDGES = [0, 1, -1, 127, -128, 16777217, -16777219, 2**31 - 1, -(2**31), 2**62 + 2**38, 2**63 - 1]
"""Some of which lie halfway between two float32."""


@pytest.mark.parametrize(("name", "code"), [("I8", "b"), ("I16", "h"), ("I32", "i"), ("I64", "q")])
def test_integers_become_the_nearest_float32(name: str, code: str) -> None:
    bits = 8 * struct.calcsize(code)
    numbers = [n for n in EDGES if -(2 ** (bits - 1)) <= n < 2 ** (bits - 1)]
    blocks = np.frombuffer(struct.pack(f"<{len(numbers)}{code}", *numbers), np.uint8)
    nearest = np.array([np.float32(n) for n in numbers])
    np.testing.assert_array_equal(kquants.dequantize(blocks, name), nearest)


def test_double_precision() -> None:
    numbers = [0.1, -0.0, 1e300, 1e-300, 1 + 2**-24, 1 + 3 * 2**-24, -2.5]
    blocks = np.frombuffer(struct.pack(f"<{len(numbers)}d", *numbers), np.uint8)
    with np.errstate(over="ignore"):
        found = kquants.dequantize(blocks, "F64")
        np.testing.assert_array_equal(found, np.array(numbers).astype(np.float32))
    assert np.signbit(found[1])
    x = inputs.rows(256)["student 1"]
    assert kquants.quantize(x, "F64").tobytes() == x.astype("<f8").tobytes()


def one_in_a_block(peaks: np.ndarray, block: int) -> np.ndarray:
    """Blocks with one weight each that is not zero."""
    x = np.zeros((len(peaks), block), np.float32)
    x[np.arange(len(peaks)), np.arange(len(peaks)) % block] = peaks
    return x


def test_powers_of_two_as_scales(ggml: Ggml) -> None:
    """MXFP4 takes a rounded logarithm: the 150 floats below and above every power of two."""
    powers = np.ldexp(np.float32(1), np.arange(-148, 128)).view(np.uint32)[:, None]
    peaks = (powers + np.arange(-150, 151).astype(np.uint32)).view(np.float32).ravel()
    peaks = peaks[np.isfinite(peaks) & (peaks > 0)]
    x = one_in_a_block(peaks, 32)
    assert (kquants.quantize(x, "MXFP4") == ggml.quantize(x, "MXFP4")).all()


def test_small_floats_as_scales(ggml: Ggml) -> None:
    """NVFP4 rounds its scales to eight bits: around every value and every middle between two."""
    values = np.unique(
        np.concatenate([np.arange(16) / 1024, np.outer(2.0 ** np.arange(-7, 10), 1 + np.arange(16) / 16).ravel()])
    )
    near = (6 * values).astype(np.float32).view(np.uint32)[:, None] + np.arange(-20, 21).astype(np.uint32)
    peaks = near.view(np.float32).ravel()
    peaks = peaks[np.isfinite(peaks)]
    x = one_in_a_block(peaks, 64)
    assert (kquants.quantize(x, "NVFP4") == ggml.quantize(x, "NVFP4")).all()
