"""Numbers that searches get wrong when they get all others right.

Importance matrices that do not care: far weights without importance throw the searches out of their usual range. The
cut of a candidate then takes some weights beyond what ``nearest_int`` can round, fitted scales come out negative and
wrap around in their bytes. The result is poor, and still has to be ggml's.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

import kquants

from ...reference import Ggml
from .test_against_ggml import CODEBOOK, WEIGHTED

ROWS = 300


def rows_and_importance(far: float, spread: float) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Rows of 256 weights close below -1 but for some unimportant ones as far as ``far``; the columns' importances."""
    rng = np.random.default_rng(int(far))
    unimportant = rng.random(256) < 0.2
    x = -(1 + rng.integers(0, 4, (ROWS, 256)) * spread)
    x[:, unimportant] = -rng.random((ROWS, unimportant.sum())) * far
    return x.astype(np.float32), np.where(unimportant, 0, rng.choice([1, 1, 0.3], 256)).astype(np.float32)


@pytest.mark.parametrize("name", WEIGHTED)
@pytest.mark.parametrize("sign", [1, -1])
def test_far_weights_without_importance(ggml: Ggml, name: str, sign: int) -> None:
    for far in (1e2, 1e4, 1e6, 1e8, 1e10):
        for spread in (1.2e-7, 1e-5, 1e-3, 0.1, 1.0):
            x, importance = rows_and_importance(far, spread)
            for weights in (importance, np.maximum(importance, np.float32(1e-30))):
                found, expected = kquants.quantize(sign * x, name, weights), ggml.quantize(sign * x, name, weights)
                assert (found == expected).all(), (far, spread, int((found != expected).any(axis=1).sum()))


@pytest.mark.parametrize("name", CODEBOOK)
def test_whole_numbers_halfway_between_levels(ggml: Ggml, name: str) -> None:
    """Which of two levels is nearer is then a matter of rounding, so that no list of codewords may be cut short."""
    for most in (9, 13, 14, 20, 22, 24):
        rng = np.random.default_rng(most)
        x = rng.integers(-most, most + 1, (64, 2048)).astype(np.float32)
        importance = np.exp(rng.standard_normal(2048) * 2).astype(np.float32)
        assert (kquants.quantize(x, name, importance) == ggml.quantize(x, name, importance)).all(), most
