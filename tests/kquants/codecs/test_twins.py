"""Every kernel against its slow twin: needs no reference, runs on every machine."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import kquants
from gguf_py.types import TENSOR_TYPES
from kquants.codecs import codec

from . import inputs, naive


def some_rows() -> dict[str, npt.NDArray[np.float32]]:
    """A row of 256 weights from every third entry of the catalogue."""
    return {name: x[0] for name, x in list(inputs.rows(256).items())[::3]}


def as_bytes(encoded: Any) -> npt.NDArray[np.uint8]:
    return np.frombuffer(bytes(encoded), np.uint8)


def test_every_block_type_has_twins() -> None:
    blocks = {name for name, kind in TENSOR_TYPES.items() if kind.quantized}
    assert set(naive.DECODE) == blocks
    assert set(naive.ENCODE) >= {name for name in blocks if hasattr(codec(name), "encode")}
    assert set(naive.ENCODE_WEIGHTED) >= {name for name in blocks if hasattr(codec(name), "encode_weighted")}


@pytest.mark.parametrize("name", naive.DECODE)
def test_decodes_as_its_twin(name: str) -> None:
    blocks = inputs.random_blocks(40, TENSOR_TYPES[name].nbytes, seed=1)
    with np.errstate(all="ignore"):
        expected = np.stack([naive.DECODE[name](block) for block in blocks])
    assert expected.dtype == np.float32
    np.testing.assert_array_equal(kquants.dequantize(blocks, name), expected)


@pytest.mark.parametrize("name", naive.ENCODE)
def test_encodes_as_its_twin(name: str) -> None:
    block = TENSOR_TYPES[name].block
    for label, x in some_rows().items():
        expected = np.concatenate([as_bytes(naive.ENCODE[name](part)) for part in x.reshape(-1, block)])
        assert (kquants.quantize(x, name) == expected).all(), label


@pytest.mark.parametrize("name", naive.ENCODE_WEIGHTED)
def test_encodes_by_importance_as_its_twin(name: str) -> None:
    imatrix = inputs.importance(256)["measured"]
    for label, x in some_rows().items():
        expected = as_bytes(naive.ENCODE_WEIGHTED[name](x, imatrix))
        assert (kquants.quantize(x, name, imatrix) == expected).all(), label
