"""Lazy tensors against NumPy doing the same at once, read in every cut of rows."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf_py import KQuantsError
from hf2gguf import numbers as n
from hf2gguf import transform as t
from kquants.source import Source

from .lazy import Array, numbers, read, source


def naive_permute(x: Array, heads: int) -> Array:
    return x.reshape(heads, 2, x.shape[0] // heads // 2, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)


def naive_parted(x: Array, groups: int, sizes: list[int]) -> Array:
    cut = x.reshape(groups, sum(sizes), *x.shape[1:])
    ends = np.cumsum([0, *sizes])
    parts = [cut[:, a:b].reshape(-1, *x.shape[1:]) for a, b in pairwise(ends)]
    return np.concatenate(parts)


CASES: dict[str, tuple[Array, Callable[[Source], Source], Callable[[Array], Array]]] = {
    "permute": (numbers(24, 5), lambda s: t.permute(s, 3), lambda x: naive_permute(x, 3)),
    "permute a bias": (numbers(24), lambda s: t.permute(s, 2), lambda x: naive_permute(x, 2)),
    "unpermute": (numbers(24, 5), lambda s: t.unpermute(t.permute(s, 3), 3), lambda x: x),
    "unpermute some": (numbers(24, 5), lambda s: t.unpermute(t.permute(s, 3, 4), 3, 4), lambda x: x),
    "parted": (numbers(24, 5), lambda s: t.parted(s, 3, [4, 3, 1]), lambda x: naive_parted(x, 3, [4, 3, 1])),
    "parted bias": (numbers(12), lambda s: t.parted(s, 2, [2, 2, 2]), lambda x: naive_parted(x, 2, [2, 2, 2])),
    "rows": (numbers(3, 8, 5), lambda s: t.rows(s, 2, 5), lambda x: x[:, 2:5]),
    "half": (numbers(3, 8, 5), lambda s: t.half(s, 1), lambda x: x[:, 4:]),
    "half of a bias": (numbers(8), lambda s: t.half(s, 0), lambda x: x[:4]),
    "strided": (numbers(3, 8, 5), lambda s: t.strided(s, 1, 2), lambda x: x[:, 1::2]),
    "columns": (numbers(3, 8, 5), lambda s: t.columns(s, 1, 4), lambda x: x[..., 1:4]),
    "column half": (numbers(3, 8, 6), lambda s: t.column_half(s, 1), lambda x: x[..., 3:]),
    "column stride": (numbers(4, 6), lambda s: t.column_stride(s, 1, 2), lambda x: x[..., 1::2]),
    "column parts": (
        numbers(4, 12),
        lambda s: t.column_parted(s, 3, [2, 1, 1]),
        lambda x: naive_parted(x.T, 3, [2, 1, 1]).T,
    ),
    "picked": (numbers(6, 4), lambda s: t.picked(s, 5, 0, 5), lambda x: x[[5, 0, 5]]),
    "regrouped": (numbers(6, 4), lambda s: t.regrouped(s, 2, 0, 1), lambda x: np.roll(x, 2, axis=0)),
    "regrouped matrices": (
        numbers(3, 2, 4),
        lambda s: t.regrouped(s, 2, 0, 1),
        lambda x: x[[2, 0, 1]],
    ),
    "padded": (numbers(4, 6), lambda s: t.padded(s, 7), lambda x: np.pad(x, ((0, 3), (0, 0)))),
    "padded enough": (numbers(4, 6), lambda s: t.padded(s, 3), lambda x: x),
    "repeated": (numbers(6), lambda s: t.repeated(s, 3), lambda x: np.stack([x] * 3)),
    "transpose": (numbers(3, 8, 5), t.transpose, lambda x: x.swapaxes(1, 2)),
    "transpose halves": (numbers(7, 9, dtype=np.float16), t.transpose, lambda x: x.T),
    "reshape": (numbers(4, 6), lambda s: t.reshape(s, 2, -1, 4), lambda x: x.reshape(2, -1, 4)),
    "reshape to rows of one": (numbers(6), lambda s: t.reshape(s, -1, 1), lambda x: x.reshape(-1, 1)),
    "squeeze": (numbers(6, 1, 4), t.squeeze, np.squeeze),
    "stack": (numbers(4, 6), lambda s: t.stack([s, s, s]), lambda x: np.stack([x, x, x])),
    "concat": (numbers(4, 6), lambda s: t.concat([s, t.rows(s, 0, 1), s]), lambda x: np.concatenate([x, x[:1], x])),
    "concat biases": (numbers(4), lambda s: t.concat([s, s]), lambda x: np.concatenate([x, x])),
    "f32": (numbers(4, 6, dtype=ml_dtypes.bfloat16), n.as_f32, lambda x: x.astype(np.float32)),
    "integers": (numbers(4, 6, dtype=np.int64) - 9, n.plain, lambda x: x.astype(np.float32)),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("step", [1, 3, 10**9])
def test_as_numpy(name: str, step: int) -> None:
    x, lazy, eager = CASES[name]
    expected = eager(x)
    found = lazy(source(x))
    assert found.shape == expected.shape
    assert read(found, step).tobytes() == np.ascontiguousarray(expected).tobytes()


@given(st.integers(1, 4), st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(1, 7), st.integers(1, 9))
def test_parted_anything(groups: int, sizes: list[int], columns: int, step: int) -> None:
    x = numbers(groups * sum(sizes), columns)
    assert np.array_equal(read(t.parted(source(x), groups, sizes), step), naive_parted(x, groups, sizes))


def test_a_reshaped_tensor_keeps_its_type_and_order_when_rows_split() -> None:
    x = numbers(6, 8, dtype=ml_dtypes.bfloat16)
    assert read(t.reshape(source(x), 16, 3), 5).tobytes() == x.tobytes()


def test_transposing_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(t, "_PIECE", 40)
    x = numbers(2, 9, 5)
    assert np.array_equal(read(t.transpose(source(x)), 3), x.swapaxes(1, 2))


def test_same() -> None:
    x = numbers(4, 6)
    assert n.same(source(x), source(x.astype(np.float16)))
    y = x.copy()
    y[3, 5] += 1
    assert not n.same(source(x), source(y)) and not n.same(source(x), source(x.T))


@pytest.mark.parametrize(
    "wrong",
    [lambda s: t.permute(s, 5), lambda s: t.parted(s, 2, [1, 1]), lambda s: t.rows(s, 0, 99), lambda s: t.half(s, 0),
     lambda s: t.reshape(s, 7, 7), lambda s: t.strided(s, 0, 2), lambda s: t.columns(s, 4, 9),
     lambda s: t.picked(s, 9), lambda s: t.regrouped(s, 0, 0), lambda s: t.regrouped(s, *range(5)),
     lambda s: t.column_parted(s, 3, [1, 1]),
     lambda s: t.stack([s, t.transpose(s)])],
)  # fmt: skip
def test_what_does_not_fit_is_said(wrong: Callable[[Source], Source]) -> None:
    with pytest.raises(KQuantsError):
        wrong(source(numbers(9, 4)))
