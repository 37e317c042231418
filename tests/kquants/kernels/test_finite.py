"""The search for what is no number, against NumPy's, at every place and around every width it works in."""

from __future__ import annotations

import numpy as np
import pytest

from gguf_py import tensor_type
from kquants import dequantize
from kquants.finite import (
    EXPONENTS,
    SCALES,
    first_not_finite,
    first_not_finite_half,
    round_to_half,
    scales_are_finite,
)

SIZES = (1, 31, 127, 128, 129, 300)


@pytest.mark.parametrize("size", SIZES)
def test_the_first_float_that_is_no_number(size: int) -> None:
    x = np.random.default_rng(size).standard_normal(size, dtype=np.float32)
    x[::3] = np.finfo(np.float32).max
    assert first_not_finite(x.reshape(1, -1)) == -1
    for at in range(size):
        for bad in (np.nan, -np.nan, np.inf, -np.inf):
            spoilt = x.copy()
            spoilt[[at, -1]] = bad
            assert first_not_finite(spoilt.reshape(1, -1)) == at


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("name", "bad"), [("F16", (0x7C00, 0xFC00, 0x7C01, 0xFE00)), ("BF16", (0x7F80, 0xFF80, 0xFFC1))]
)
def test_the_first_half_that_is_no_number(size: int, name: str, bad: tuple[int, ...]) -> None:
    exponent = EXPONENTS[name]
    x = np.random.default_rng(size).integers(0, 1 << 16, size, np.uint16)
    x[(x & exponent) == exponent] = exponent - 1  # the largest number there is
    assert first_not_finite_half(x.view(np.uint8).reshape(1, -1), exponent) == -1
    for at in range(size):
        for bits in bad:
            spoilt = x.copy()
            spoilt[[at, -1]] = bits
            assert first_not_finite_half(spoilt.view(np.uint8).reshape(1, -1), exponent) == at


@pytest.mark.parametrize("size", SIZES)
def test_rounding_to_half_and_the_first_that_does_not_fit(size: int) -> None:
    x = np.random.default_rng(size).standard_normal(size, dtype=np.float32)
    x *= np.exp2(np.arange(size) % 40 - 26, dtype=np.float32)  # subnormal ones too
    rounded = x.copy()
    assert round_to_half(rounded.reshape(1, -1)) == -1
    assert rounded.tobytes() == x.astype(np.float16).astype(np.float32).tobytes()
    for at in range(size):
        for bad in (np.nan, np.inf, 65520.0, -1e20):
            spoilt = x.copy()
            spoilt[[at, -1]] = bad
            assert round_to_half(spoilt.reshape(1, -1)) == at
    assert not np.isfinite(spoilt[-1])


@pytest.mark.parametrize("name", SCALES)
def test_scales_tell_whether_weights_are_numbers(name: str) -> None:
    """Whatever else a block holds: all of its weights are finite, or none is."""
    kind = tensor_type(name)
    blocks = np.random.default_rng(8).integers(0, 256, (64, kind.nbytes), np.uint8)
    blocks[1], blocks[2] = 0, 255

    def put(block: int, at: int, bits: int) -> None:
        blocks[block, at : at + 2] = bits & 255, bits >> 8

    for at in SCALES[name]:
        for block in range(64):
            put(block, at, 0x7BFF | 0x8000 * (block % 2))  # the largest number there is
    assert scales_are_finite(blocks, name) and np.isfinite(dequantize(blocks, name)).all()
    for at in SCALES[name]:
        for bits in (0x7C00, 0xFC00, 0x7C01, 0xFE00):
            for block in range(3, 64, 20):
                put(block, at, bits)
                assert not scales_are_finite(blocks, name)
                assert not np.isfinite(dequantize(blocks, name)[block]).any()
                put(block, at, 0)
                assert scales_are_finite(blocks, name)
