"""``kquants dequantize``: the weights that the blocks say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import gguf_py
from tests.command import TINY, done, sha256
from tests.command import kquants as command
from tests.reference import Llama


@pytest.fixture(scope="module")
def q4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Q4_K_M file."""
    path = tmp_path_factory.mktemp("dequantize") / "q4.gguf"
    done("convert", TINY, "--outtype", "q4_k_m", "--outfile", path)
    return path


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16"])
def test_weights_are_those_of_the_blocks(tmp_path: Path, q4: Path, kind: str) -> None:
    done("dequantize", q4, tmp_path / "out.gguf", kind)
    with gguf_py.open(q4) as before, gguf_py.open(tmp_path / "out.gguf") as after:
        assert set(before.tensors) == set(after.tensors)
        for name, tensor in after.tensors.items():
            assert tensor.type.name == ("F32" if len(tensor.shape) == 1 else kind)
            x, y = before.tensors[name].to_numpy(), tensor.to_numpy()
            if kind == "F32" or len(tensor.shape) == 1:
                np.testing.assert_array_equal(x, y)
            elif kind == "F16":
                np.testing.assert_array_equal(x.astype(np.float16).astype(np.float32), y)
            else:
                assert np.abs(y - x).max() <= np.abs(x).max() * 2**-8


@pytest.mark.upstream
def test_the_bytes_are_upstreams(tmp_path: Path, q4: Path, llama: Llama) -> None:
    done("dequantize", q4, tmp_path / "ours.gguf", "f16", "--threads", "2")
    llama.quantize(q4, tmp_path / "theirs.gguf", "F16", allow_requantize=True)
    assert sha256(tmp_path / "ours.gguf") == sha256(tmp_path / "theirs.gguf")


def test_the_input_is_not_overwritten(q4: Path) -> None:
    before = sha256(q4)
    result = command("dequantize", q4, q4)
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    assert sha256(q4) == before
