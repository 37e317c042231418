"""The judge itself: both of its libraries agree, and what aborts it does not abort the tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from .kquants.codecs import inputs
from .kquants.codecs.test_against_ggml import DECODED, PLAIN
from .reference import Ggml, Llama, ReferenceFailed, ggml_libraries


@pytest.mark.upstream
@pytest.mark.parametrize("name", [n for n in PLAIN if n not in ("IQ1_M", "IQ2_S")])  # whose tables take a minute
def test_wheel_and_release_agree(name: str) -> None:
    """Where only the wheel can be had, it holds the same line."""
    libraries = ggml_libraries()
    if len(libraries) < 2:
        pytest.skip("needs both the prebuilt llama.cpp and libggml-python")
    release, wheel = (Ggml(library) for library in libraries)
    x = inputs.rows(256)["student 0.02"]
    blocks = release.quantize(x, name)
    assert (wheel.quantize(x, name) == blocks).all()
    if name in DECODED:
        assert (wheel.dequantize(blocks, name) == release.dequantize(blocks, name)).all()


def test_an_abort_is_an_answer(ggml: Ggml) -> None:
    """NaN leads IQ2_S to a point that is not in its grid, which ends the process."""
    nothing = np.full((1, 256), np.nan, np.float32)
    assert ggml.quantize_isolated(nothing, "IQ2_S", np.ones(256, np.float32)) is None


@pytest.mark.upstream
def test_a_refusal_is_told(llama: Llama, tmp_path: Path) -> None:
    with pytest.raises(ReferenceFailed, match="failed to open"):
        llama.quantize(tmp_path / "missing.gguf", tmp_path / "out.gguf", "Q4_0")
