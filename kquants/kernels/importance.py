"""How much an error at each weight counts, with an importance matrix and without.

With one, a weight counts ``importance * sqrt(mean + weight**2)``. For Q4_0 to Q5_1 ``mean`` is the mean square of the
whole row, added from its first weight to its last; the other types take the mean square of the block, most of them
twice that.

Source of the facts: ``quantize_row_q4_0_impl`` and its relatives, ``quantize_row_iq4_nl_impl`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import inlined
from .lanes import LANES, block_rows, gather, load_blocks, size_of, sqrt, store, width_of, zero_of

F32 = np.float32


STRIP = 256
"""Rows whose mean squares are kept at a time."""
MEANS = STRIP + LANES
"""Room for those, and for the lanes that the last of them leave empty."""


@inlined
def row_mean_squares(blocks: Any, in_a_row: int, space: Any, means: Any) -> None:
    """The mean square of each of at most STRIP rows of ``in_a_row`` blocks of 32 weights, to float32[1, MEANS]."""
    rows = blocks.shape[0] // in_a_row
    for first in range(0, rows, width_of(space)):
        starts = block_rows(space, first, rows) * in_a_row
        total = zero_of(space)
        for j in range(in_a_row):
            load_blocks(blocks, starts + j, space)
            for i in range(32):
                total = total + space[i] * space[i]
        store(means, 0, first, total / F32(32 * in_a_row))


@inlined
def load_weighted(blocks: Any, importance: Any, means: Any, which: Any, x: Any, weight: Any) -> None:
    """Load the blocks ``which`` of 32 weights into ``x`` and how much each weight counts into ``weight``."""
    in_a_row = importance.shape[0]
    load_blocks(blocks, which, x)
    load_blocks(importance, which % in_a_row, weight)
    weigh(x, 0, weight, 0, gather(means, which / in_a_row), 32, weight)


@inlined
def weigh(x: Any, at: int, importance: Any, importance_at: int, mean_square: Any, n: int, weight: Any) -> Any:
    """How much each of the ``n`` weights at ``x[at]`` counts, to ``weight[0 : n]``; returns the sum, added in order."""
    total = zero_of(x)
    for i in range(n):
        v = x[at + i]
        weight[i] = importance[importance_at + i] * sqrt(mean_square + v * v)
        total = total + weight[i]
    return total


@inlined
def weigh_by_square(x: Any, at: int, weight: Any) -> None:
    """How much each weight from ``x[at]`` on counts without an importance matrix: its square."""
    for i in range(size_of(weight)):
        weight[i] = x[at + i] * x[at + i]


@inlined
def sum_of_squares(x: Any, at: int, n: int) -> Any:
    """The squares of ``n`` weights, added in order."""
    total = zero_of(x)
    for i in range(at, at + n):
        total = total + x[i] * x[i]
    return total
