# mypy: disable-error-code="misc,untyped-decorator,no-untyped-call,attr-defined"
"""Blocks that lie one after another, turned into lanes and back: a transposition, in registers."""

from __future__ import annotations

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


@operation
def _turn_in(typingctx: Any, array: Any, rows: Any, column: Any, space: Any, at: Any) -> Any:
    """Load ``array[rows[k], column : column + W]`` for every lane k and put the columns at ``space[at : at + W]``."""
    vector, width = space.lanes.vector, space.lanes.width

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        values = []
        for k in range(width):
            row = builder.sext(builder.extract_element(args[1], ir.Constant(I32, k)), I64)
            value = builder.load(address(context, builder, array, (args[0], row, args[2]), vector))
            value.align = 1
            values.append(value)
        for k, value in enumerate(_transposed(builder, values)):
            builder.store(value, builder.gep(args[3], [builder.add(args[4], I64(k))]))
        return context.get_dummy_value()

    return types.none(array, rows, types.intp, space, types.intp), emit


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
    """Fill ``space`` with ``array[rows[k], i]`` in lane k of ``space[i]``; its length is a multiple of its width."""
    for column in range(0, size_of(space), width_of(space)):
        _turn_in(array, rows, column, space, column)


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
