"""From one type to another in tiles: the same as decoding everything and then encoding everything."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gguf_py import tensor_type
from kquants.finite import first_weight_not_finite
from kquants.recode import TILE, convert_rows, decode, encode, encoder, recode, takes_weights

F32 = tensor_type("F32")
COUNT = 2 * TILE + 3 * 256
PLAIN = (
    "F16 BF16 Q1_0 Q2_0 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS TQ1_0 TQ2_0 MXFP4 NVFP4".split()
)
"""Types that are encoded without tables of codewords."""


def some(count: int, stored: str) -> NDArray[np.uint8]:
    """Weights of one type, as its bytes."""
    x = np.random.default_rng(count).standard_normal((1, count), dtype=np.float32)
    x[0, ::977] *= 30
    kind = tensor_type("Q8_0" if stored.startswith("IQ") else stored)
    out = np.empty(kind.row_bytes(count), np.uint8)
    if stored.startswith("I") and not stored.startswith("IQ"):
        out[:] = np.random.default_rng(1).integers(0, 256, len(out))
    else:
        encode(x, kind, out)
    return out if kind.name == stored else _random_blocks(stored, count)


def _random_blocks(stored: str, count: int) -> NDArray[np.uint8]:
    kind = tensor_type(stored)
    blocks = np.random.default_rng(2).integers(0, 256, (count // kind.block, kind.nbytes), np.uint8)
    blocks[:, :2] = 0, 0x2E  # the scale
    return blocks.reshape(-1)


def decoded(blocks: NDArray[np.uint8], stored: str, *, half: bool) -> NDArray[np.float32]:
    kind = tensor_type(stored)
    x = np.empty(len(blocks) // kind.nbytes * kind.block, np.float32)
    decode(blocks, kind, x)
    return x.astype(np.float16).astype(np.float32) if half else x


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(
    "target", ["F32", "F16", "BF16", "F64", "Q8_0", "Q4_0", "Q2_K", "Q4_K", "Q6_K", "TQ1_0", "IQ3_S"]
)
@pytest.mark.parametrize("stored", ["F32", "F16", "BF16", "I16", "Q8_0", "Q5_1", "Q4_K", "IQ2_XXS"])
def test_the_same_as_one_after_the_other(stored: str, target: str, half: bool) -> None:
    blocks, kind = some(COUNT, stored), tensor_type(target)
    expected = np.empty(kind.row_bytes(COUNT), np.uint8)
    encode(decoded(blocks, stored, half=half), kind, expected)
    out = np.full_like(expected, 7)
    assert recode(blocks, tensor_type(stored), out, kind, half=half) == -1
    assert out.tobytes() == expected.tobytes()


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("target", ["Q4_0", "IQ4_NL", "Q2_K", "Q3_K", "Q6_K", "IQ2_XS"])
@pytest.mark.parametrize(("rows", "columns"), [(1, 256), (3, 768), (90, 768), (35, 1 << 11), (2, 8 * TILE + 256)])
def test_with_an_importance(rows: int, columns: int, target: str, half: bool) -> None:
    if target.startswith("IQ2") and rows * columns > 5000:
        return  # it is the way without tiles, and takes long
    blocks, kind = some(rows * columns, "F16"), tensor_type(target)
    weights = np.random.default_rng(3).lognormal(size=columns).astype(np.float32)
    expected = np.empty((rows, kind.row_bytes(columns)), np.uint8)
    x = decoded(blocks, "F16", half=half).reshape(rows, columns)
    encoder(kind, weighted=True)(x, weights, expected)
    out = np.full_like(expected, 7)
    assert recode(blocks, tensor_type("F16"), out.reshape(-1), kind, weights, half=half) == -1
    assert out.tobytes() == expected.tobytes()


@pytest.mark.parametrize("target", ["F16", "Q4_K", "IQ3_S", "Q6_K with an importance"])
@pytest.mark.parametrize("half", [False, True])
def test_the_first_that_is_no_number(target: str, half: bool) -> None:
    name, _, weighted = target.partition(" with ")
    kind = tensor_type(name)
    count = COUNT if name != "IQ3_S" else 2048
    weights = np.ones(256, np.float32) if weighted else None
    x = np.random.default_rng(4).standard_normal(count, dtype=np.float32)
    out = np.empty(kind.row_bytes(count), np.uint8)
    for at in (0, 1, 255, count // 2, min(TILE - 1, count - 1), min(TILE, count - 1), count - 1):
        for bad in (np.nan, -np.inf, 65520.0):
            spoilt = x.copy()
            spoilt[[at, -1]] = bad
            expected = at if half or bad != 65520.0 else -1
            assert recode(spoilt.view(np.uint8), F32, out, kind, weights, half=half) == expected


@pytest.mark.parametrize("target", PLAIN)
def test_an_encoder_bears_what_is_no_number(target: str) -> None:
    """It meets such weights before anybody has looked at them; what it makes of them is thrown away."""
    kind = tensor_type(target)
    random = np.random.default_rng(5)
    bits = random.integers(0, 1 << 32, 2048, np.uint32)
    bits[3] = 0x7F800000
    for x in (bits.view(np.float32), np.full(2048, np.nan, np.float32), np.where(bits % 3 == 0, -np.inf, 1.0)):
        numbers = x.astype(np.float32)
        first = int(np.flatnonzero(~np.isfinite(numbers))[0])
        out = np.empty(kind.row_bytes(2048), np.uint8)
        for weights in (None, np.ones(256, np.float32)) if takes_weights(kind) else (None,):
            assert recode(numbers.view(np.uint8), F32, out, kind, weights) == first


@pytest.mark.parametrize("stored", ["F32", "F64", "F16", "BF16", "I32", "Q8_0", "Q4_K", "IQ4_XS"])
def test_weights_that_are_copied_are_looked_at(stored: str) -> None:
    kind, count = tensor_type(stored), 1024
    blocks = some(count, stored).reshape(-1, kind.nbytes)
    assert first_weight_not_finite(blocks, kind) == -1
    spoilt = blocks.copy()
    spoilt[2] = spoilt[-1] = 0xFF  # as a float16, a bfloat16, a float32 or a float64 not a number
    assert first_weight_not_finite(spoilt, kind) == (-1 if stored == "I32" else 2 * kind.block)


def test_rows_of_any_alignment() -> None:
    stored = np.zeros(4 * 512 + 1, np.uint8)[1:]
    stored[:] = some(512, "F32")
    expected = convert_rows(stored.copy().reshape(2, -1), F32, tensor_type("Q4_K"))
    assert convert_rows(stored.reshape(2, -1), F32, tensor_type("Q4_K")).tobytes() == expected.tobytes()
