# mypy: disable-error-code="misc,untyped-decorator,no-untyped-call,attr-defined"
"""What is done lane by lane: Python's operators, choosing, converting."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin

from .vectors import I32, Lanes, literal, operation


def splat(builder: Any, value: Any, width: int) -> Any:
    vector = ir.VectorType(value.type, width)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(I32, 0))
    zeros = ir.Constant(ir.VectorType(I32, width), [0] * width)
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), zeros)


def widened(builder: Any, sig: Any, args: Any) -> list[Any]:
    """The arguments with scalars repeated in every lane."""
    width = next(t.width for t in sig.args if isinstance(t, Lanes))
    return [a if isinstance(t, Lanes) else splat(builder, a, width) for a, t in zip(args, sig.args, strict=True)]


def common(*args: Any) -> list[Any] | None:
    """The argument types of a lane-wise operation: scalars become the lanes' element; None when they do not fit."""
    lanes = {a for a in args if isinstance(a, Lanes)}
    if len(lanes) != 1:
        return None
    (lane,) = lanes
    if not all(isinstance(a, (Lanes, types.Number, types.Boolean)) for a in args):
        return None
    return [a if isinstance(a, Lanes) else lane.element for a in args]


def _operator(op: Any, emit: Callable[[Any, Any, Any, Any], Any], *, gives_mask: bool = False) -> None:
    class Template(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            found = common(*args) if len(args) == 2 else None
            if found is None:
                return None
            lane = next(a for a in found if isinstance(a, Lanes))
            return signature(Lanes(types.boolean, lane.width) if gives_mask else lane, *found)

    infer_global(op)(Template)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        lane = next(t for t in sig.args if isinstance(t, Lanes))
        return emit(builder, lane.element, *widened(builder, sig, args))

    for pair in ((Lanes, Lanes), (Lanes, types.Number), (types.Number, Lanes)):
        lower_builtin(op, *pair)(lower)


def _by_kind(for_float: str | None, for_signed: str, for_unsigned: str) -> Callable[[Any, Any, Any, Any], Any]:
    def emit(builder: Any, element: Any, a: Any, b: Any) -> Any:
        if element is types.float32:
            if for_float is None:
                raise NotImplementedError("bitwise operation on float lanes")
            return getattr(builder, for_float)(a, b)
        return getattr(builder, for_signed if element.signed else for_unsigned)(a, b)

    return emit


def _bitwise(name: str) -> Callable[[Any, Any, Any, Any], Any]:
    return lambda builder, element, a, b: getattr(builder, name)(a, b)


def compare(symbol: str) -> Callable[[Any, Any, Any, Any], Any]:
    def emit(builder: Any, element: Any, a: Any, b: Any) -> Any:
        if element is types.float32:
            return (builder.fcmp_unordered if symbol == "!=" else builder.fcmp_ordered)(symbol, a, b)
        return (builder.icmp_signed if getattr(element, "signed", False) else builder.icmp_unsigned)(symbol, a, b)

    return emit


_operator(operator.add, _by_kind("fadd", "add", "add"))
_operator(operator.sub, _by_kind("fsub", "sub", "sub"))
_operator(operator.mul, _by_kind("fmul", "mul", "mul"))
_operator(operator.truediv, _by_kind("fdiv", "sdiv", "udiv"))
_operator(operator.mod, _by_kind("frem", "srem", "urem"))
_operator(operator.and_, _bitwise("and_"))
_operator(operator.or_, _bitwise("or_"))
_operator(operator.xor, _bitwise("xor"))
_operator(operator.lshift, _by_kind(None, "shl", "shl"))
_operator(operator.rshift, _by_kind(None, "ashr", "lshr"))


for _symbol, _op in zip(
    "< <= > >= == !=".split(),
    (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne),
    strict=True,
):
    _operator(_op, compare(_symbol), gives_mask=True)


@infer_global(operator.invert)
@infer_global(operator.neg)
@infer_global(abs)
class _Unary(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        return signature(args[0], args[0]) if len(args) == 1 and isinstance(args[0], Lanes) else None


@lower_builtin(operator.invert, Lanes)
def _invert(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.not_(args[0])


@lower_builtin(operator.neg, Lanes)
def _negate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    lane = sig.args[0]
    if lane.element is types.float32:  # flips the sign, of zeros too, as C does
        return builder.fneg(args[0])
    return builder.neg(args[0])


@lower_builtin(abs, Lanes)
def _absolute(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    lane = sig.args[0]
    if lane.element is types.float32:
        return builder.call(llvm(builder, "fabs", lane.vector, lane.vector), args)
    return builder.select(builder.icmp_signed("<", args[0], lane.vector(None)), builder.neg(args[0]), args[0])


def llvm(builder: Any, name: str, result: Any, *args: Any) -> Any:
    """LLVM's own function ``name`` over a vector: llvmlite cannot name those by itself."""
    vector = args[0]
    element = "f32" if isinstance(vector.element, ir.FloatType) else f"i{vector.element.width}"
    kind = ir.FunctionType(result, list(args))
    return cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{vector.count}{element}")


@operation(prefer_literal=True)
def fill(typingctx: Any, width: Any, value: Any) -> Any:
    """``fill(width, value)``: value in every lane; its type is the element's."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return splat(builder, args[1], sig.return_type.width)

    element = types.unliteral(value)
    return Lanes(element, literal(width))(width, element), emit


@operation(prefer_literal=True)
def indices(typingctx: Any, width: Any) -> Any:
    """``indices(width)``: int32 lanes 0, 1, 2, ..."""
    lane = Lanes(types.int32, literal(width))

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return ir.Constant(lane.vector, list(range(lane.width)))

    return lane(width), emit


@operation
def select(typingctx: Any, mask: Any, a: Any, b: Any) -> Any:
    """``select(mask, a, b)``: a where the mask holds, b elsewhere; a or b may be a scalar."""
    found = common(a, b)
    if found is None:
        return None
    lane = next(t for t in found if isinstance(t, Lanes))

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(*widened(builder, sig, args))

    return lane(mask, *found), emit


def _choose(symbol: str) -> Any:
    def typed(typingctx: Any, a: Any, b: Any) -> Any:
        found = common(a, b)
        if found is None:
            return None
        lane = next(t for t in found if isinstance(t, Lanes))

        def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            first, second = widened(builder, sig, args)
            return builder.select(compare(symbol)(builder, lane.element, first, second), first, second)

        return lane(*found), emit

    return typed


minimum = operation(_choose("<"))
"""``minimum(a, b)``: a where a < b, else b (so b when either is NaN)."""

maximum = operation(_choose(">"))
"""``maximum(a, b)``: a where a > b, else b (so b when either is NaN)."""


@operation
def sqrt(typingctx: Any, x: Any) -> Any:
    """The correctly rounded square root of float32 lanes."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.call(llvm(builder, "sqrt", x.vector, x.vector), args)

    return x(x), emit


@operation
def rounded(typingctx: Any, x: Any) -> Any:
    """The nearest integers, ties to even, of float32 lanes as such, where ``ROUND``; zeros keep the number's sign."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.call(llvm(builder, "roundeven", x.vector, x.vector), args)

    return x(x), emit


@operation
def as_type(typingctx: Any, x: Any, dtype: Any) -> Any:
    """``as_type(x, np.int32)``: converted as C does; float to integer truncates, a mask gives 0 and 1."""
    source, target = x.element, dtype.dtype
    result = Lanes(target, x.width)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value, vector = args[0], result.vector
        signed = getattr(source, "signed", False)
        if target is types.float32:
            return value if source is target else (builder.sitofp if signed else builder.uitofp)(value, vector)
        if source is types.float32:
            # By way of int32: the one conversion every processor has; lanes outside it are the caller's fault.
            value = builder.fptosi(value, ir.VectorType(I32, x.width))
            return builder.trunc(value, vector) if target.bitwidth < 32 else value
        bits, wanted = value.type.element.width, vector.element.width
        if bits == wanted:
            return value
        return (
            builder.trunc(value, vector) if wanted < bits else (builder.sext if signed else builder.zext)(value, vector)
        )

    return result(x, dtype), emit


@operation
def from_half(typingctx: Any, x: Any) -> Any:
    """The float32 lanes of float16 numbers, uint16 lanes of their bits, where ``HALF``; NaN is made quiet."""
    result = Lanes(types.float32, x.width)
    half = ir.VectorType(ir.HalfType(), x.width)
    return result(x), lambda context, builder, sig, args: builder.fpext(builder.bitcast(args[0], half), result.vector)


@operation
def to_half(typingctx: Any, x: Any) -> Any:
    """The bits of the nearest float16 numbers, ties to even, as uint16 lanes, where ``HALF``."""
    result = Lanes(types.uint16, x.width)
    half = ir.VectorType(ir.HalfType(), x.width)
    return result(x), lambda context, builder, sig, args: builder.bitcast(builder.fptrunc(args[0], half), result.vector)


@operation
def as_bits(typingctx: Any, x: Any) -> Any:
    """The int32 lanes with the bits of float32 lanes."""
    result = Lanes(types.int32, x.width)
    return result(x), lambda context, builder, sig, args: builder.bitcast(args[0], result.vector)


@operation
def as_float(typingctx: Any, x: Any) -> Any:
    """The float32 lanes with the bits of 32-bit integer lanes."""
    result = Lanes(types.float32, x.width)
    return result(x), lambda context, builder, sig, args: builder.bitcast(args[0], result.vector)
