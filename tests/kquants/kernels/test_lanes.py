"""Lanes against the same operation on NumPy scalars, one lane at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from kquants.jit import array_in, array_out, inlined, kernel
from kquants.kernels import lanes, numerics

LANES = lanes.LANES
W = 16

_special = [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -2.5, 3.5, np.inf, -np.inf, np.nan, 1e-45, 3e38, -3e38, 4194303.5, -1e9]
X = np.array([_special, np.linspace(-20, 20, W), np.random.default_rng(0).standard_normal(W)], np.float32)
Y = np.array([_special[::-1], np.linspace(3, -3, W), np.random.default_rng(1).standard_normal(W)], np.float32)
A = np.array([range(-8, 8), np.random.default_rng(2).integers(-(2**31), 2**31, W)], np.int32)
B = np.array([range(1, 17), np.random.default_rng(3).integers(-(2**31), 2**31, W) | 1], np.int32)


def bits(x: npt.NDArray[Any]) -> npt.NDArray[np.uint32]:
    """The bits of numbers, with one pattern for every NaN."""
    return np.where(np.isnan(x), np.float32(np.nan), x).view(np.uint32) if x.dtype == np.float32 else x.view(np.uint32)


ARITHMETIC: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "truediv": lambda a, b: a / b,
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
}
COMPARISONS: dict[str, Callable[..., Any]] = {
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
}


def each(operation: Callable[..., Any]) -> Callable[..., npt.NDArray[Any]]:
    """A function of two arrays of W columns that does the operation in lanes, row by row."""
    inner = inlined(operation)

    @inlined
    def run(a: Any, b: Any, out: Any) -> None:
        for row in range(a.shape[0]):
            lanes.store(out, row, 0, inner(lanes.load(a, row, 0, W), lanes.load(b, row, 0, W)))

    def call(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[Any]:
        out = np.empty_like(a)
        run(a, b, out)
        return out

    return call


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv"])
def test_float_arithmetic_rounds_as_scalars_do(name: str) -> None:
    operation = ARITHMETIC[name]
    with np.errstate(all="ignore"):
        expected = np.array([[operation(a, b) for a, b in zip(x, y, strict=True)] for x, y in zip(X, Y, strict=True)])
    assert (bits(each(operation)(X, Y)) == bits(expected)).all()


@pytest.mark.parametrize("name", ["add", "sub", "mul", "and", "or", "xor"])
def test_integer_arithmetic_wraps(name: str) -> None:
    operation = ARITHMETIC[name]
    with np.errstate(all="ignore"):
        assert (each(operation)(A, B) == operation(A, B)).all()


def test_shifts_keep_the_sign_of_signed_lanes_only() -> None:
    assert (each(lambda a, b: a >> (b & 31))(A, B) == A >> (B & 31)).all()
    assert (each(lambda a, b: a << (b & 31))(A, B) == A << (B & 31)).all()
    logical = each(lambda a, b: lanes.as_type(lanes.as_type(a, np.uint32) >> 3, np.int32))
    assert (logical(A, B) == (A.view(np.uint32) >> 3).view(np.int32)).all()


@pytest.mark.parametrize("name", COMPARISONS)
def test_comparisons_with_nan_are_false_but_for_ne(name: str) -> None:
    compare = COMPARISONS[name]
    inner = inlined(compare)
    chosen = each(lambda a, b: lanes.select(inner(a, b), a, b))(X, Y)
    assert (bits(chosen) == bits(np.where(compare(X, Y), X, Y))).all()
    assert (each(lambda a, b: lanes.as_type(inner(a, b), np.int32))(A, B) == compare(A, B)).all()


def test_minimum_and_maximum_take_the_second_of_equals_and_of_nan() -> None:
    assert (bits(each(lambda a, b: lanes.minimum(a, b))(X, Y)) == bits(np.where(X < Y, X, Y))).all()
    assert (bits(each(lambda a, b: lanes.maximum(a, b))(X, Y)) == bits(np.where(X > Y, X, Y))).all()


def test_scalars_take_the_lanes_type() -> None:
    found = each(lambda a, b: 0.1 * a + 3)(X[1:], Y[1:])
    assert (found == np.float32(0.1) * X[1:] + np.float32(3)).all()


def test_absolute_negation_root() -> None:
    assert (bits(each(lambda a, b: abs(a))(X, Y)) == bits(np.abs(X))).all()
    assert (bits(each(lambda a, b: -a)(X, Y)) == bits(-X)).all()
    with np.errstate(invalid="ignore"):
        assert (bits(each(lambda a, b: lanes.sqrt(a))(X, Y)) == bits(np.sqrt(X))).all()


def test_nothing_is_contracted() -> None:
    """A fused multiply-add would keep what this product loses."""
    a = np.full((1, W), 1 + 2**-12, np.float32)
    assert (each(lambda a, b: a * a - b)(a, a * a) == 0).all()


@kernel((array_in("float32"), array_out("int64")))
def folded(x: Any, out: Any) -> None:
    """What the folding functions make of each row: mask bits, first true lane, sum of lanes, join of halves."""
    for row in range(x.shape[0]):
        v = lanes.load(x, row, 0, W)
        out[row, 0] = lanes.mask_bits(v > 0.25)
        out[row, 1] = lanes.any_lane(v > 0.25)
        out[row, 2] = lanes.lowest_bit(lanes.mask_bits(v > 0.25) | (1 << 40))
        out[row, 3] = lanes.sum_lanes(lanes.as_type(v * 100.0, np.int32))
        out[row, 4] = np.int64(lanes.largest_lane(v) * 1000)
        out[row, 5] = np.int64(lanes.smallest_lane(v) * 1000)
        swapped = lanes.join(lanes.upper(v), lanes.lower(v))
        out[row, 6] = lanes.mask_bits(swapped > 0.25)
        out[row, 7] = lanes.mask_bits(lanes.bit_mask(out[row, 0], W))


def test_folding() -> None:
    out = np.zeros((2, 8), np.int64)
    folded(X[1:], out)
    for v, found in zip(X[1:], out, strict=True):
        mask = sum(1 << i for i in range(W) if v[i] > 0.25)
        first = next((i for i in range(W) if v[i] > 0.25), 40)
        total = int((v * np.float32(100)).astype(np.int32).sum())
        largest, smallest = int(v.max() * np.float32(1000)), int(v.min() * np.float32(1000))
        turned = (mask >> 8) | ((mask & 255) << 8)
        assert found.tolist() == [mask, mask != 0, first, total, largest, smallest, turned, mask]


@kernel((array_in("float32"), array_out("float32"), array_out("uint8")))
def there_and_back(x: Any, columns: Any, out: Any) -> None:
    """Turn LANES blocks at a time, keep the first lane's column, and turn bytes of the numbers back."""
    space = lanes.scratch(LANES, 64, np.float32)
    packed = lanes.scratch(LANES, 34, np.uint8)
    for first in range(0, x.shape[0], LANES):
        lanes.load_blocks(x, lanes.block_rows(space, first, x.shape[0]), space)
        for i in range(64):
            for k in range(min(LANES, x.shape[0] - first)):
                columns[first + k, i] = lanes.lane_of(space, i, k)
        for i in range(34):
            packed[i] = lanes.as_type(space[i], np.uint8)
        lanes.store_blocks(packed, out, first)


@pytest.mark.parametrize("rows", [1, 2, 7, 8, 9, 31, 32, 33, 70])
def test_blocks_turn_into_lanes_and_back(rows: int) -> None:
    x = np.random.default_rng(rows).integers(0, 256, (rows, 64)).astype(np.float32)
    columns, out = np.zeros_like(x), np.zeros((rows + 1, 34), np.uint8)
    there_and_back(x, columns, out[:rows])
    assert (columns == x).all()
    assert (out[:rows] == x[:, :34]).all()
    assert (out[rows] == 0).all()  # lanes past the end are not written


@kernel((array_in("float32"), array_out("int32")))
def _rounded(x: Any, out: Any) -> None:
    for at in range(0, x.shape[1], W):
        v = lanes.load(x, 0, at, W)
        lanes.store(out, 0, at, numerics.nearest_int(v))
        lanes.store(out, 1, at, numerics.round_half_away(v))
        lanes.store(out, 2, at, lanes.as_type(numerics.level(v, -4, 3), np.int32))
        lanes.store(out, 3, at, lanes.as_type(numerics.level_within(v, -4, 3), np.int32))
        lanes.store(out, 4, at, numerics.half_bits(v))
        lanes.store(out, 5, at, numerics.brain_bits(v))


def test_roundings() -> None:
    halves = np.arange(-64, 64, dtype=np.float32) / 4
    x = np.concatenate([halves, np.nextafter(halves, np.float32(99)), np.nextafter(halves, np.float32(-99))])
    out = np.zeros((6, x.size), np.int32)
    _rounded(x.reshape(1, -1), out)
    assert (out[0] == np.rint(x)).all()
    assert (out[1] == np.trunc(x.astype(np.float64) + np.copysign(0.5, x))).all()
    assert (out[2] == np.clip(np.rint(x), -4, 3)).all()
    assert (out[3] == out[2]).all()


def test_nearest_int_beyond_its_range_leaves_the_low_bits() -> None:
    x = np.zeros((1, W), np.float32)
    x[0, :6] = np.inf, -np.inf, np.nan, 5e6, -5e6, 4194304
    out = np.zeros((6, W), np.int32)
    _rounded(x, out)
    with np.errstate(invalid="ignore"):
        expected = ((x[0] + np.float32(12582912)).view(np.int32) & 0x7FFFFF) - 0x400000
    assert (out[0] == expected).all()
    assert (out[2] == np.clip(expected, -4, 3)).all()


def test_every_float16_and_its_neighbours() -> None:
    """All 65536 halves decode; every half, its midpoints and the floats beside them encode to the nearest even one."""
    halves = np.arange(65536, dtype=np.uint16)
    with np.errstate(all="ignore"):
        exact = halves.view(np.float16).astype(np.float32)
        finite = exact[np.isfinite(exact)]
        middle = (finite + np.nextafter(finite.astype(np.float16), np.float16(np.inf)).astype(np.float32)) / 2
        middle = middle[np.isfinite(middle)]
        near = [np.nextafter(middle, np.float32(s * np.inf)) for s in (1, -1)]
        x = np.concatenate([exact, middle, *near, np.array([1e-45, -1e-45, 65519.996, 65520, 3e38], np.float32)])
    x = np.resize(x, -(-x.size // W) * W).astype(np.float32)
    out = np.zeros((6, x.size), np.int32)
    _rounded(x.reshape(1, -1), out)
    with np.errstate(over="ignore"):
        expected = x.astype(np.float16).view(np.uint16)
    quiet = np.where(np.signbit(x), 0xFE00, 0x7E00)
    assert (out[4] == np.where(np.isnan(x), quiet, expected)).all()
    word = x.view(np.uint32).astype(np.uint64)
    brain = np.where(np.isnan(x), (word >> 16) | 64, (word + 0x7FFF + ((word >> 16) & 1)) >> 16) & 0xFFFF
    assert ((out[5].astype(np.int64) & 0xFFFF) == brain).all()


def test_a_width_that_is_none_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import kquants.kernels.lanes"],
        env={**os.environ, "KQUANTS_LANES": "12"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "KQUANTS_LANES is '12'; expected 8, 16 or 32" in done.stderr
