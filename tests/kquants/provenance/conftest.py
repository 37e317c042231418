"""What the tests of provenance share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kquants.imatrix import Imatrix

from .small import COLUMNS, SHAPES, write_source


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model in F16."""
    return write_source(tmp_path_factory.mktemp("provenance") / "source.gguf")


@pytest.fixture(scope="module")
def matrix() -> Imatrix:
    """An importance matrix for it."""
    rng = np.random.default_rng(3)
    entries = {name: rng.random(COLUMNS, np.float32) + np.float32(0.1) for name in SHAPES if name.startswith("blk")}
    return Imatrix("somewhere/imatrix.gguf", entries, ("text.txt",), 10)
