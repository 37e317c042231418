# mypy: disable-error-code="misc,untyped-decorator,no-untyped-call,attr-defined"
"""Blocks that lie one after another, turned into lanes and back: a transposition, in registers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types

from ...jit import inlined
from .memory import address, lane_numbers, lane_of, size_of, square_of, store, width_of
from .operators import minimum
from .vectors import I32, I64, operation


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """A square of W vectors of W lanes, turned: log2(W) rounds of interleaving the first half with the second."""
    width = len(rows)
    low = [k // 2 + (k % 2) * width for k in range(width)]
    first, second = (ir.Constant(ir.VectorType(I32, width), [k + half * width // 2 for k in low]) for half in (0, 1))
    for _ in range(width.bit_length() - 1):
        pairs = zip(rows[: width // 2], rows[width // 2 :], strict=True)
        rows = [builder.shuffle_vector(a, b, order) for a, b in pairs for order in (first, second)]
    return rows


_PAIRS = (0, 8, 1, 9, 4, 12, 5, 13), (2, 10, 3, 11, 6, 14, 7, 15)
"""Numbers of two registers in turns, within each half: the first two of it, the last two."""
_TWOS = (0, 1, 8, 9, 4, 5, 12, 13), (2, 3, 10, 11, 6, 7, 14, 15)
"""The same with pairs of numbers."""


@operation
def _turn_in(typingctx: Any, array: Any, rows: Any, first: Any, column: Any, space: Any) -> Any:
    """Load ``array[rows[k], column : column + 4]`` for eight lanes k from ``first`` on into those of ``space``.

    Lanes k and k + 4 share a register, so that all that follows stays within its halves, where shuffling is cheapest.
    """
    four, eight = (ir.VectorType(space.lanes.vector.element, n) for n in (4, 8))

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        whole, which, lane, column, to = args

        def shuffled(a: Any, b: Any, order: Sequence[int]) -> Any:
            return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(I32, 8), list(order)))

        def half(k: int) -> Any:
            row = builder.extract_element(which, builder.add(lane, I64(k)))
            value = builder.load(address(context, builder, array, (whole, builder.sext(row, I64), column), four))
            value.align = 1
            return value

        joined = [shuffled(half(k), half(k + 4), range(8)) for k in range(4)]
        (a, b), (c, d) = ([shuffled(joined[k], joined[k + 1], order) for order in _PAIRS] for k in (0, 2))
        columns = [shuffled(one, other, order) for one, other in ((a, c), (b, d)) for order in _TWOS]
        start = builder.bitcast(to, four.element.as_pointer())
        for k, value in enumerate(columns):
            at = builder.add(builder.mul(builder.add(column, I64(k)), I64(space.lanes.width)), lane)
            builder.store(value, builder.bitcast(builder.gep(start, [at]), eight.as_pointer()))
        return context.get_dummy_value()

    return types.none(array, rows, types.intp, types.intp, space), emit


@operation
def _turn(typingctx: Any, space: Any, at: Any, turned: Any) -> Any:
    """Put the W lanes at ``space[at : at + W]``, transposed, into ``turned[0 : W]``."""
    width = space.lanes.width

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        values = [builder.load(builder.gep(args[0], [builder.add(args[1], I64(k))])) for k in range(width)]
        for k, value in enumerate(_transposed(builder, values)):
            builder.store(value, builder.gep(args[2], [I64(k)]))
        return context.get_dummy_value()

    return types.none(space, types.intp, turned), emit


@inlined
def block_rows(space: Any, first: int, rows: int) -> Any:
    """Which of ``rows`` blocks each lane of ``space`` takes, from ``first`` on: int32; past the end, the last again."""
    return minimum(lane_numbers(space) + first, rows - 1)


@inlined
def load_blocks(array: Any, rows: Any, space: Any) -> None:
    """Fill ``space`` with ``array[rows[k], i]`` in lane k of ``space[i]``; its length is a multiple of four."""
    for first in range(0, width_of(space), 8):
        for column in range(0, size_of(space), 4):
            _turn_in(array, rows, first, column, space)


@inlined
def store_blocks(space: Any, out: Any, first: int) -> None:
    """Write lane k of the uint8 scratch to ``out[first + k]``, for as many rows as ``out`` has."""
    width = width_of(space)
    count = min(width, out.shape[0] - first)
    size = size_of(space)
    if size < width:
        for k in range(count):
            for i in range(size):
                out[first + k, i] = lane_of(space, i, k)
        return
    turned = square_of(space)
    for start in range(0, size, width):
        at = min(start, size - width)  # the last window overlaps the one before
        _turn(space, at, turned)
        for k in range(count):
            store(out, first + k, at, turned[k])
