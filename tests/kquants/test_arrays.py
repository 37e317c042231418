"""The array API: any shape, any real type, any number of threads and rows; and what it refuses."""

from __future__ import annotations

import threading
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import kquants
from gguf_py.types import TENSOR_TYPES
from kquants import KQuantsError, arrays, codecs

RNG = np.random.default_rng(0)
X = (RNG.standard_normal((70, 512)) * 0.02).astype(np.float32)
IMPORTANCE = RNG.lognormal(0, 2, 512).astype(np.float32)
ENCODED = [name for name in TENSOR_TYPES if any(hasattr(codecs.codec(name), k) for k in ("encode", "encode_weighted"))]
WEIGHTED = [name for name in TENSOR_TYPES if hasattr(codecs.codec(name), "encode_weighted")]


def quantize(x: Any, name: str, **options: Any) -> Any:
    """With the importance matrix, where the type takes one."""
    return kquants.quantize(x, name, IMPORTANCE[: x.shape[-1]] if name in WEIGHTED else None, **options)


def test_types_say_block_and_size() -> None:
    kinds = kquants.types()
    assert (kinds["Q4_K"].block, kinds["Q4_K"].nbytes, kinds["Q4_K"].bpw) == (256, 144, 4.5)
    assert set(kinds) == set(TENSOR_TYPES)


@pytest.mark.parametrize("name", ENCODED)
def test_neither_rows_nor_threads_change_the_bytes(name: str) -> None:
    """Each count of rows leaves other lanes empty; each count of threads cuts elsewhere."""
    whole = quantize(X, name, threads=1)
    for rows in (1, 2, 7, 15, 17, 33, 65):
        assert (quantize(X[:rows], name, threads=1) == whole[:rows]).all()
    many = np.tile(X, (8, 1))  # more than one piece a thread
    for threads in (1, 2, 3, 8):
        assert (quantize(many, name, threads=threads) == np.tile(whole, (8, 1))).all()
        assert (kquants.dequantize(whole, name, threads) == kquants.dequantize(whole, name, 1)).all()


@pytest.mark.parametrize("shape", [(512,), (1, 512), (2, 3, 5, 512), (0, 512), (3, 0)])
@pytest.mark.parametrize("name", ["Q4_K", "Q8_0", "F16"])
def test_any_leading_shape(name: str, shape: tuple[int, ...]) -> None:
    kind = TENSOR_TYPES[name]
    x = np.resize(X, shape)
    blocks = kquants.quantize(x, name)
    assert blocks.shape == (*shape[:-1], shape[-1] // kind.block * kind.nbytes)
    assert kquants.dequantize(blocks, name).shape == shape
    assert (blocks.reshape(-1) == kquants.quantize(x.reshape(-1), name)).all()


SMALL = [ml_dtypes.float8_e4m3fn, ml_dtypes.float4_e2m1fn]


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64, ">f4", np.int8, ml_dtypes.int4, *SMALL])
def test_real_types_are_taken_for_the_float32_they_round_to(dtype: Any) -> None:
    x = (X * 50).astype(dtype)
    for name in ("Q4_K", "Q8_0", "F16"):
        assert (kquants.quantize(x, name) == kquants.quantize(x.astype(np.float32), name)).all()


def test_strided_and_read_only_and_unaligned_input() -> None:
    expected = kquants.quantize(X, "Q4_K")
    frozen = X.copy()
    frozen.flags.writeable = False
    odd = np.frombuffer(b"." + X.tobytes(), np.float32, offset=1).reshape(X.shape)
    for x in (np.asfortranarray(X), np.repeat(X, 2, 0)[::2], frozen, odd, X.tolist()):
        assert (kquants.quantize(x, "Q4_K") == expected).all()
    expected.flags.writeable = False
    assert kquants.dequantize(expected, "Q4_K").dtype == np.float32


def test_out_receives_the_result() -> None:
    blocks = np.zeros((70, 288), np.uint8)
    assert kquants.quantize(X, "Q4_K", out=blocks) is blocks
    assert (blocks == kquants.quantize(X, "Q4_K")).all()
    back = np.zeros_like(X)
    assert kquants.dequantize(blocks, "Q4_K", out=back) is back
    assert (back == kquants.dequantize(blocks, "Q4_K")).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["Q4_K", "Q8_0", "F16", "F32"])
def test_the_first_weight_that_is_no_number_is_named(name: str, bad: float) -> None:
    x = np.resize(X, (4, 700, 512)).copy()
    x[3, 100, 7] = x[2, 699, 500] = bad
    for threads in (1, 4):
        with pytest.raises(KQuantsError, match=rf"{name}: the weight at \(2, 699, 500\) is {bad}"):
            kquants.quantize(x, name, threads=threads)
    with pytest.raises(KQuantsError, match=r"the weight at \(3,\) is 1e\+300, expected a finite float32"):
        kquants.quantize(np.array([0, 0, 0, 1e300] * 64), name)


def test_of_faults_that_are_found_together_the_first_counts() -> None:
    together = threading.Barrier(2, timeout=600)

    def work(lo: int, hi: int) -> int:
        together.wait()
        return lo

    assert arrays._in_parallel(work, 2, arrays._CHUNK, 2) == 0


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: kquants.quantize(X, "Q4_J"), r"unknown tensor type 'Q4_J' \(did you mean"),
        (lambda: kquants.quantize(X, 12.0), r"unknown tensor type 12\.0"),
        (lambda: kquants.quantize(X, True), "unknown tensor type True"),
        (lambda: kquants.quantize(X[:, :300], "Q4_K"), "a row of 300 weights does not fill whole Q4_K blocks of 256"),
        (lambda: kquants.quantize(np.float32(1), "Q4_K"), "encode float32 as Q4_K: an array of rows is expected"),
        (lambda: kquants.quantize(None, "Q4_K"), "cannot encode NoneType as Q4_K"),
        (lambda: kquants.quantize([[1, 2], [3]], "Q8_0"), "rows of several lengths"),
        (lambda: kquants.quantize(X.astype(complex), "Q4_K"), "complex128 are not real"),
        (lambda: kquants.quantize(X, "I32"), "I32 cannot be encoded, only decoded"),
        (lambda: kquants.quantize(X, "IQ2_XXS"), "IQ2_XXS needs an importance matrix"),
        (lambda: kquants.quantize(X, "Q4_K", IMPORTANCE[:256]), r"shape \(256,\) does not fit rows of 512 weights"),
        (lambda: kquants.quantize(X, "Q4_K", "imatrix.gguf"), r"shape \(\) does not fit rows of 512 weights"),
        (lambda: kquants.quantize(X, "Q4_K", IMPORTANCE * 1j), "complex64 are not real"),
        (lambda: kquants.quantize(X, "Q4_K", IMPORTANCE * np.nan), "importance of column 0 is not a finite number"),
        (lambda: kquants.quantize(X, "Q4_K", threads=0), "0 threads were asked for"),
        (lambda: kquants.quantize(X, "Q4_K", out=np.zeros((70, 289), np.uint8)), r"expected .* uint8\(70, 288\)"),
        (lambda: kquants.quantize(X, "Q4_K", out=np.zeros((70, 288))), r"out is float64\(70, 288\)"),
        (
            lambda: kquants.quantize(X, "Q4_K", out=np.zeros((70, 576), np.uint8)[:, ::2]),
            "expected a writable, C-contig",
        ),
        (lambda: kquants.quantize(X, "Q4_K", out=np.broadcast_to(np.uint8(0), (70, 288))), "expected a writable"),
        (lambda: kquants.dequantize(X, "Q4_K"), r"blocks are uint8 .* found float32\(70, 512\)"),
        (lambda: kquants.dequantize(np.zeros((2, 145), np.uint8), "Q4_K"), "145 bytes does not fill whole Q4_K blocks"),
    ],
)
def test_what_does_not_fit_is_said(call: Any, said: str) -> None:
    with pytest.raises(KQuantsError, match=said):
        call()
