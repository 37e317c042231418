"""Every tensor type against ggml's own code: no byte and no bit may differ."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import kquants
from gguf_py.types import TENSOR_TYPES

from ...reference import Ggml
from . import inputs

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

NUMBERS = "F32 F16 BF16".split()
ONE_PASS = "Q1_0 Q2_0 Q8_0 Q8_1 Q8_K TQ1_0 TQ2_0 MXFP4 NVFP4".split()
WEIGHTED = "Q4_0 Q4_1 Q5_0 Q5_1 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS".split()
CODEBOOK = "IQ1_S IQ1_M IQ2_XXS IQ2_XS IQ2_S IQ3_XXS IQ3_S".split()
NEEDS_IMATRIX = "IQ1_S IQ2_XXS IQ2_XS".split()
NO_DECODER_UPSTREAM = "Q8_1".split()

ALL = NUMBERS + ONE_PASS + WEIGHTED + CODEBOOK
PLAIN = [name for name in ALL if name not in NEEDS_IMATRIX]
DECODED = [name for name in ALL if name not in NO_DECODER_UPSTREAM]
COLUMNS = 512


def test_every_type_is_tested() -> None:
    """The lists above leave out the numbers that ggml itself does not convert, and nothing else."""
    assert sorted(ALL + "F64 I8 I16 I32 I64".split()) == sorted(TENSOR_TYPES)


@functools.cache
def catalogue() -> tuple[list[str], Floats]:
    """The name of each row, and the rows."""
    named = inputs.rows(COLUMNS)
    return [name for name, x in named.items() for _ in x], np.concatenate(list(named.values()))


def judged(ggml: Ggml, x: Floats, name: str, imatrix: Floats | None = None) -> tuple[Bytes, npt.NDArray[np.bool_]]:
    """What ggml makes of the rows, and which rows it makes anything of: some of its assertions abort."""
    if name not in CODEBOOK:
        return ggml.quantize(x, name, imatrix), np.ones(len(x), bool)
    ggml.quantize(np.ones((1, 256), np.float32), name, np.ones(256, np.float32))  # builds its tables, for all forks
    return _survivors(ggml, x, name, imatrix)


def _survivors(ggml: Ggml, x: Floats, name: str, imatrix: Floats | None) -> tuple[Bytes, npt.NDArray[np.bool_]]:
    whole = ggml.quantize_isolated(x, name, imatrix)
    if whole is not None:
        return whole, np.ones(len(x), bool)
    if len(x) == 1:
        return np.zeros((1, TENSOR_TYPES[name].row_bytes(x.shape[1])), np.uint8), np.zeros(1, bool)
    halves = [_survivors(ggml, part, name, imatrix) for part in np.array_split(x, 2)]
    return np.concatenate([blocks for blocks, _ in halves]), np.concatenate([defined for _, defined in halves])


def assert_same(found: Bytes, expected: Bytes, names: list[str]) -> None:
    wrong = (found != expected).reshape(len(names), -1).sum(axis=1)
    assert not wrong.any(), {name: int(count) for name, count in zip(names, wrong, strict=True) if count}


@pytest.mark.parametrize("name", PLAIN)
def test_encodes_the_catalogue(ggml: Ggml, name: str) -> None:
    names, x = catalogue()
    expected, defined = judged(ggml, x, name)
    found = kquants.quantize(x, name)
    assert_same(found[defined], expected[defined], [n for n, d in zip(names, defined, strict=True) if d])


@pytest.mark.parametrize(
    ("name", "weights"),
    [(name, weights) for name in WEIGHTED + CODEBOOK for weights in inputs.importance(COLUMNS)]
    + [(name, "measured") for name in NUMBERS + ONE_PASS],  # which have to ignore it
)
def test_encodes_the_catalogue_by_importance(ggml: Ggml, name: str, weights: str) -> None:
    names, x = catalogue()
    if name in CODEBOOK and weights != "measured":  # ggml takes its time for these
        names, x = names[::4], x[::4]
    imatrix = inputs.importance(COLUMNS)[weights]
    expected, defined = judged(ggml, x, name, imatrix)
    found = kquants.quantize(x, name, imatrix)
    assert_same(found[defined], expected[defined], [n for n, d in zip(names, defined, strict=True) if d])


@pytest.mark.parametrize("name", ALL)
def test_encodes_real_weights(ggml: Ggml, name: str) -> None:
    x = inputs.real_weights()[::5]
    imatrix = inputs.importance(256)["measured"]
    for weights in (None, imatrix):
        if name in NEEDS_IMATRIX and weights is None:
            continue
        if name not in WEIGHTED + CODEBOOK and weights is not None:
            continue
        assert (kquants.quantize(x, name, weights) == ggml.quantize(x, name, weights)).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_encodes_the_weights_of_an_encoder(ggml: Ggml, minilm: dict[str, Floats], name: str) -> None:
    """MiniLM, float32 as trained: rows of 384 and 1536 weights, or of 256 where a block demands it."""
    for x in minilm.values():
        rows = x if x.shape[1] % TENSOR_TYPES[name].block == 0 else x.reshape(-1, 256)
        rows = rows[::4] if name in CODEBOOK else rows  # ggml takes its time for these
        imatrix = inputs.importance(rows.shape[1])["measured"] if name in WEIGHTED + CODEBOOK else None
        assert (kquants.quantize(rows, name, imatrix) == ggml.quantize(rows, name, imatrix)).all()


@pytest.mark.parametrize("name", DECODED)
def test_decodes_any_bytes(ggml: Ggml, name: str) -> None:
    """Bytes no encoder has made, signs of zeros and NaN patterns included; an odd count of blocks."""
    blocks = inputs.random_blocks(4001, TENSOR_TYPES[name].nbytes)
    found, expected = kquants.dequantize(blocks, name), ggml.dequantize(blocks, name)
    assert (found.view(np.uint32) == expected.view(np.uint32)).all()


@pytest.mark.parametrize("name", DECODED)
def test_decodes_every_byte_in_every_place(ggml: Ggml, name: str) -> None:
    """One byte at a time takes every value over a quiet background."""
    nbytes = TENSOR_TYPES[name].nbytes
    blocks = np.full((256 * nbytes, nbytes), 0x35, np.uint8)
    places = np.repeat(np.arange(nbytes), 256)
    blocks[np.arange(len(blocks)), places] = np.tile(np.arange(256), nbytes)
    found, expected = kquants.dequantize(blocks, name), ggml.dequantize(blocks, name)
    assert (found.view(np.uint32) == expected.view(np.uint32)).all()


_weight = st.one_of(
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, 2.0**-14, 2.0**-24, 65504.0, 65520.0, 1e-15, -1e-15]),
    st.integers(-127, 127).map(float),
)
_importance = st.floats(0, 2.0**40, width=32)


def _spread(values: list[float], seed: int, shape: tuple[int, ...]) -> Floats:
    return np.random.default_rng(seed).choice(np.array(values, np.float32), shape)


def _blocks(values: st.SearchStrategy[float], *shape: int) -> st.SearchStrategy[Floats]:
    """Arrays of a few values in any order: small to describe, so that what fails can be made simpler."""
    return st.builds(_spread, st.lists(values, min_size=1, max_size=24), st.integers(0, 1000), st.just(shape))


@pytest.mark.parametrize("name", PLAIN)
@settings(max_examples=30)
@given(x=_blocks(_weight, 2, 256))
def test_encodes_any_block(ggml: Ggml, name: str, x: Floats) -> None:
    expected, defined = judged(ggml, x, name)
    assert (kquants.quantize(x, name)[defined] == expected[defined]).all()


@pytest.mark.parametrize("name", WEIGHTED + CODEBOOK)
@settings(max_examples=30)
@given(x=_blocks(_weight, 2, 256), imatrix=_blocks(_importance, 256))
@example(x=_spread([1.0604869e17], 0, (2, 256)), imatrix=_spread([0.0, 336.26767], 1, (256,)))  # of infinite scales
def test_encodes_any_block_by_importance(ggml: Ggml, name: str, x: Floats, imatrix: Floats) -> None:
    expected, defined = judged(ggml, x, name, imatrix)
    assert (kquants.quantize(x, name, imatrix)[defined] == expected[defined]).all()
