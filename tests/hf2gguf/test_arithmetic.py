"""Arithmetic on lazy tensors against NumPy doing the same at once: in F16 where that is the type, else in F32."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import ml_dtypes
import numpy as np
import pytest

from hf2gguf import arithmetic as a
from kquants.source import Source

from .lazy import Array, numbers, read, source

HALVES = numbers(4, 6, dtype=np.float16) / np.float16(3)
BRIEF = (numbers(4, 6) / 7).astype(ml_dtypes.bfloat16)
BRIEF_MEAN = BRIEF.astype(np.float64).mean().astype(ml_dtypes.bfloat16)
SPREAD = (numbers(4, 6) - 11) / 7


def exact(x: Array) -> Array:
    return -np.exp(x.astype(np.float64))


def three(x: Array) -> Array:
    """BitNet's three values, the mean in F64."""
    scale = np.float32(1) / np.float32(np.abs(x.astype(np.float64)).mean())
    found: Array = np.clip(np.rint(x * scale), -1, 1) / scale
    return found


def turned(x: Array) -> Array:
    """The second half of each head of four rows, negative."""
    signs = np.array([1, 1, -1, -1], x.dtype)
    found: Array = (x.reshape(-1, 4, x.shape[1]) * signs[:, None]).reshape(x.shape)
    return found


CASES: dict[str, tuple[Array, Callable[[Source], Source], Callable[[Array], Array]]] = {
    "add": (SPREAD, lambda s: a.add(s, 1), lambda x: x + np.float32(1)),
    "add to halves": (HALVES, lambda s: a.add(s, 1), lambda x: x + np.float16(1)),
    "add to bfloat16": (numbers(4, 6, dtype=ml_dtypes.bfloat16), lambda s: a.add(s, 1), lambda x: x.astype("f4") + 1),
    "mul": (SPREAD, lambda s: a.mul(s, 0.3), lambda x: x * np.float32(0.3)),
    "neg_exp": (SPREAD, a.neg_exp, lambda x: exact(x).astype(np.float32)),
    "neg_exp of halves": (HALVES, a.neg_exp, lambda x: exact(x).astype(np.float32).astype(np.float16)),
    "negate_half": (numbers(8, 3) + 1, lambda s: a.negate_half(s, 4), turned),
    "negate_half of halves": (numbers(8, 3, dtype=np.float16), lambda s: a.negate_half(s, 4), turned),
    "centered": (SPREAD, a.centered, lambda x: x - np.float32(x.mean(dtype=np.float64))),
    "centered in bfloat16": (BRIEF, a.centered, lambda x: (x - BRIEF_MEAN).astype(np.float32)),
    "ternary": (SPREAD, a.ternary, three),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("step", [1, 3, 10**9])
def test_as_numpy(name: str, step: int) -> None:
    x, lazy, eager = CASES[name]
    expected = np.ascontiguousarray(eager(x))
    found = lazy(source(x))
    assert found.shape == expected.shape and read(found, step).tobytes() == expected.tobytes()


def test_a_mean_is_taken_in_pieces_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(a, "_PIECE", 7)
    inner = source(SPREAD)
    asked: list[tuple[int, int]] = []

    def watched(lo: int, hi: int) -> Array:
        asked.append((lo, hi))
        return inner.rows(lo, hi)

    lazy = a.centered(Source(inner.type, inner.shape, watched))
    assert not asked
    read(lazy, 2)
    assert sorted(asked) == [(0, 1), (0, 2), (1, 2), (2, 3), (2, 4), (3, 4)]


def test_weights_of_nothing_stay_nothing() -> None:
    assert not read(a.ternary(source(np.zeros((2, 3), np.float32)))).any()


def test_exponentials_of_all_halves_are_pytorchs() -> None:
    """SHA-256 of ``-torch.exp`` of every finite F16, torch 2.13.0."""
    halves = np.arange(65536, dtype=np.uint16).view(np.float16)
    found = read(a.neg_exp(source(halves[np.isfinite(halves)][:, None])))
    digest = "bfb0bc9d195d237bf85c1af948f562fb261f9997e6c6779d3c5914932d6a8853"
    assert hashlib.sha256(found.tobytes()).hexdigest() == digest
