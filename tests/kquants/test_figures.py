"""Figures of weights: the same whatever stores them, and samples that are of the whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import gguf_py
import kquants
from kquants.figures import departure, reader, spread


@pytest.mark.parametrize("kind", ["F16", "I16", "Q8_0", "Q6_K", "IQ4_XS"])
def test_figures_and_samples_of_any_type(tmp_path: Path, kind: str) -> None:
    rows, columns = 9, 512 if kind == "F16" else 768
    groups = np.arange(rows * columns // 256).repeat(256).reshape(rows, columns)  # weights say where they are
    x = (groups + 1).astype(np.float32)
    data = x.astype(np.int16) if kind == "I16" else kquants.quantize(x, kind)
    gguf_py.write(tmp_path / "f.gguf", [], {"w": (kind, x.shape, data), "x": ("F32", x.shape, x)})
    with gguf_py.open(tmp_path / "f.gguf") as file:
        tensor, source = file.tensors["w"], file.tensors["x"]
        y = tensor.to_numpy().astype(np.float64)
        figures, far = spread(tensor), departure(source, tensor)
        assert (figures.least, figures.most) == (y.min(), y.max())
        assert figures.rms == pytest.approx(np.sqrt((y**2).mean())) and figures.mean == pytest.approx(y.mean())
        assert far.rms == pytest.approx(np.sqrt(((y - x) ** 2).mean()), abs=1e-6)
        piece = reader(tensor)(0, tensor.count)
        assert np.array_equal(piece.weights(), y.reshape(-1)) and piece.sample(tensor.count) is piece
        sample = piece.sample(9 * 256).weights().reshape(-1, 256).mean(axis=1).round() - 1
        assert sample.tolist() == list(range(0, groups.max() + 1, 3))
