# mypy: disable-error-code="misc,untyped-decorator,no-untyped-call,attr-defined"
"""What goes across lanes: masks as bits, halves, and folds to one number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types

from .operators import compare
from .vectors import I32, I64, Lanes, literal, operation


@operation
def mask_bits(typingctx: Any, mask: Any) -> Any:
    """The lanes of a mask (at most 64) as bits of an unsigned integer, the first lane lowest."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        bits = builder.bitcast(args[0], ir.IntType(mask.width))
        return bits if mask.width == 64 else builder.zext(bits, I64)

    return types.uint64(mask), emit


@operation(prefer_literal=True)
def bit_mask(typingctx: Any, bits: Any, width: Any) -> Any:
    """The reverse of ``mask_bits``: the mask whose lanes are the lowest bits of an integer."""
    result = Lanes(types.boolean, literal(width))

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = args[0]
        if value.type.width > result.width:
            value = builder.trunc(value, ir.IntType(result.width))
        return builder.bitcast(value, result.vector)

    return result(bits, width), emit


@operation
def any_lane(typingctx: Any, mask: Any) -> Any:
    """Whether the mask holds in at least one lane."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        bits = builder.bitcast(args[0], ir.IntType(mask.width))
        return builder.icmp_unsigned("!=", bits, bits.type(0))

    return types.boolean(mask), emit


@operation
def lowest_bit(typingctx: Any, bits: Any) -> Any:
    """The position of the lowest bit that is set in a nonzero integer."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.intp(types.uint64), emit


def halves(builder: Any, value: Any) -> tuple[Any, Any]:
    width = value.type.count
    undefined = ir.Constant(value.type, ir.Undefined)

    def part(start: int) -> Any:
        chosen = ir.Constant(ir.VectorType(I32, width // 2), list(range(start, start + width // 2)))
        return builder.shuffle_vector(value, undefined, chosen)

    return part(0), part(width // 2)


@operation
def lower(typingctx: Any, x: Any) -> Any:
    """The first half of the lanes."""
    return Lanes(x.element, x.width // 2)(x), lambda context, builder, sig, args: halves(builder, args[0])[0]


@operation
def upper(typingctx: Any, x: Any) -> Any:
    """The second half of the lanes."""
    return Lanes(x.element, x.width // 2)(x), lambda context, builder, sig, args: halves(builder, args[0])[1]


@operation
def join(typingctx: Any, a: Any, b: Any) -> Any:
    """The lanes of a, then those of b."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        order = ir.Constant(ir.VectorType(I32, 2 * a.width), list(range(2 * a.width)))
        return builder.shuffle_vector(args[0], args[1], order)

    return Lanes(a.element, 2 * a.width)(a, a), emit


def _reduce(combine: Callable[[Any, Any, Any, Any], Any]) -> Any:
    """Fold lanes by halves: right only for an operation whose order does not matter."""

    def typed(typingctx: Any, x: Any) -> Any:
        def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            value = args[0]
            while value.type.count > 1:
                value = combine(builder, x.element, *halves(builder, value))
            return builder.extract_element(value, ir.Constant(I32, 0))

        return x.element(x), emit

    return typed


def _larger(builder: Any, element: Any, a: Any, b: Any) -> Any:
    return builder.select(compare(">")(builder, element, a, b), a, b)


def _smaller(builder: Any, element: Any, a: Any, b: Any) -> Any:
    return builder.select(compare("<")(builder, element, a, b), a, b)


largest_lane = operation(_reduce(_larger))
"""The largest lane, a scalar; NaN lanes are the caller's fault."""

smallest_lane = operation(_reduce(_smaller))
"""The smallest lane, a scalar; NaN lanes are the caller's fault."""

sum_lanes = operation(_reduce(lambda builder, element, a, b: builder.add(a, b)))
"""The sum of integer lanes, wrapping; floats are left out because their order of summing would matter."""


@operation
def lane(typingctx: Any, x: Any, index: Any) -> Any:
    """One lane as a scalar."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.extract_element(args[0], args[1])

    return x.element(x, types.int32), emit
