# mypy: disable-error-code="misc,untyped-decorator,no-untyped-call,attr-defined"
"""A vector type for kernels: ``Lanes``, a row of numbers that one instruction treats alike.

A kernel written with lanes reads like the algorithm for one block. There are two ways to use them:

*One block a lane.* The searches of the K-quants add in an order that fixes their result to the last bit, so they
cannot run faster within a block; but ``LANES`` blocks can be searched side by side. ``load_blocks`` turns blocks that
lie one after another into lanes, ``store_blocks`` turns lanes of bytes back into blocks::

    @kernel(ENCODE)
    def encode(x, out):
        rows = x.shape[0]
        xs = scratch(LANES, 32, np.float32)             # 32 weights of LANES blocks, on the stack
        packed = scratch(LANES, 18, np.uint8)           # and LANES blocks to be written
        for first in range(0, rows, LANES):
            load_blocks(x, block_rows(xs, first, rows), xs)
            largest = abs(xs[0])
            for i in range(1, 32):
                largest = maximum(largest, abs(xs[i]))
            ...
            packed[0] = as_type(largest < 1.0, np.uint8)
            store_blocks(packed, out, first)

*One weight a lane.* Where nothing is summed, a whole block is a single value: ``load(x, row, 0, 32)``.

The rules: ``+ - * /``, comparisons, ``& | ^ ~ << >>`` and ``abs`` work lane by lane; the other operand may be a
scalar, which takes the lanes' element type (so ``0.1 * v`` multiplies by the float32 nearest to 0.1). Comparing gives a
mask for ``select``, ``any_lane`` and ``mask_bits``. Nothing is contracted or reordered: a lane's result equals what
scalar float32 code gives, on every processor and for every width. No operation needs more than SSE2 or calls a library.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Callable
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils, config
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from .jit import inlined


def _default_width() -> int:
    """Lanes that fill two registers of this processor, or four: one step's wait is the other's work."""
    asked = os.environ.get("KQUANTS_LANES")
    if asked:
        if asked not in ("8", "16", "32"):
            raise ValueError(f"KQUANTS_LANES is {asked!r}; expected 8, 16 or 32")
        return int(asked)
    if config.CPU_FEATURES is not None:
        return 32 if "+avx512f" in config.CPU_FEATURES.split(",") else 16
    if config.CPU_NAME not in (None, "", "host"):
        return 16
    return 32 if binding.get_host_cpu_features().get("avx512f") else 16


_function: Any = intrinsic  # untyped on purpose: a caller passes two arguments fewer than the definition names

LANES = _default_width()
"""How many blocks are encoded side by side. The bytes do not depend on it, only the speed does."""

_ELEMENT = {
    types.float32: ir.FloatType(),
    types.uint64: ir.IntType(64),
    types.int32: ir.IntType(32),
    types.uint32: ir.IntType(32),
    types.int16: ir.IntType(16),
    types.uint16: ir.IntType(16),
    types.int8: ir.IntType(8),
    types.uint8: ir.IntType(8),
    types.boolean: ir.IntType(1),
}
_I32 = ir.IntType(32)
_I64 = ir.IntType(64)


class Lanes(types.Type):
    """``width`` numbers of the Numba scalar type ``element``; LLVM's ``<width x element>``."""

    def __init__(self, element: Any, width: int) -> None:
        self.element, self.width = element, width
        super().__init__(name=f"Lanes({element}, {width})")

    @property
    def vector(self) -> Any:
        """The LLVM type."""
        return ir.VectorType(_ELEMENT[self.element], self.width)


class Scratch(types.Type):
    """``count`` Lanes on the stack, indexed like an array. It lives as long as the function that made it."""

    def __init__(self, lanes: Lanes, count: int) -> None:
        self.lanes, self.count = lanes, count
        super().__init__(name=f"Scratch({lanes}, {count})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Lanes) -> None:
        super().__init__(dmm, fe_type, fe_type.vector)


@register_model(Scratch)
class _ScratchModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Scratch) -> None:
        super().__init__(dmm, fe_type, fe_type.lanes.vector.as_pointer())


# ------------------------------------------------------------------------------------------------- operators


def _splat(builder: Any, value: Any, width: int) -> Any:
    vector = ir.VectorType(value.type, width)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(_I32, 0))
    zeros = ir.Constant(ir.VectorType(_I32, width), [0] * width)
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), zeros)


def _widened(builder: Any, sig: Any, args: Any) -> list[Any]:
    """The arguments with scalars repeated in every lane."""
    width = next(t.width for t in sig.args if isinstance(t, Lanes))
    return [a if isinstance(t, Lanes) else _splat(builder, a, width) for a, t in zip(args, sig.args, strict=True)]


def _common(*args: Any) -> list[Any] | None:
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
            found = _common(*args) if len(args) == 2 else None
            if found is None:
                return None
            lane = next(a for a in found if isinstance(a, Lanes))
            return signature(Lanes(types.boolean, lane.width) if gives_mask else lane, *found)

    infer_global(op)(Template)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        lane = next(t for t in sig.args if isinstance(t, Lanes))
        return emit(builder, lane.element, *_widened(builder, sig, args))

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


def _compare(symbol: str) -> Callable[[Any, Any, Any, Any], Any]:
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
    _operator(_op, _compare(_symbol), gives_mask=True)


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
        return builder.call(_llvm(builder, "fabs", lane.vector, lane.vector), args)
    return builder.select(builder.icmp_signed("<", args[0], lane.vector(None)), builder.neg(args[0]), args[0])


def _llvm(builder: Any, name: str, result: Any, *args: Any) -> Any:
    """LLVM's own function ``name`` over a vector: llvmlite cannot name those by itself."""
    vector = args[0]
    element = "f32" if isinstance(vector.element, ir.FloatType) else f"i{vector.element.width}"
    kind = ir.FunctionType(result, list(args))
    return cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{vector.count}{element}")


# ------------------------------------------------------------------------------------------------- functions


def _literal(value: Any) -> int:
    return int(value.literal_value)


@_function(prefer_literal=True)
def fill(typingctx: Any, width: Any, value: Any) -> Any:
    """``fill(width, value)``: value in every lane; its type is the element's."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _splat(builder, args[1], sig.return_type.width)

    element = types.unliteral(value)
    return Lanes(element, _literal(width))(width, element), emit


@_function(prefer_literal=True)
def indices(typingctx: Any, width: Any) -> Any:
    """``indices(width)``: int32 lanes 0, 1, 2, ..."""
    lane = Lanes(types.int32, _literal(width))

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return ir.Constant(lane.vector, list(range(lane.width)))

    return lane(width), emit


@_function
def select(typingctx: Any, mask: Any, a: Any, b: Any) -> Any:
    """``select(mask, a, b)``: a where the mask holds, b elsewhere; a or b may be a scalar."""
    found = _common(a, b)
    if found is None:
        return None
    lane = next(t for t in found if isinstance(t, Lanes))

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(*_widened(builder, sig, args))

    return lane(mask, *found), emit


def _choose(symbol: str) -> Any:
    def typed(typingctx: Any, a: Any, b: Any) -> Any:
        found = _common(a, b)
        if found is None:
            return None
        lane = next(t for t in found if isinstance(t, Lanes))

        def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            first, second = _widened(builder, sig, args)
            return builder.select(_compare(symbol)(builder, lane.element, first, second), first, second)

        return lane(*found), emit

    return typed


minimum = _function(_choose("<"))
"""``minimum(a, b)``: a where a < b, else b (so b when either is NaN)."""

maximum = _function(_choose(">"))
"""``maximum(a, b)``: a where a > b, else b (so b when either is NaN)."""


@_function
def sqrt(typingctx: Any, x: Any) -> Any:
    """The correctly rounded square root of float32 lanes."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.call(_llvm(builder, "sqrt", x.vector, x.vector), args)

    return x(x), emit


@_function
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
            value = builder.fptosi(value, ir.VectorType(_I32, x.width))
            return builder.trunc(value, vector) if target.bitwidth < 32 else value
        bits, wanted = value.type.element.width, vector.element.width
        if bits == wanted:
            return value
        return (
            builder.trunc(value, vector) if wanted < bits else (builder.sext if signed else builder.zext)(value, vector)
        )

    return result(x, dtype), emit


@_function
def as_bits(typingctx: Any, x: Any) -> Any:
    """The int32 lanes with the bits of float32 lanes."""
    result = Lanes(types.int32, x.width)
    return result(x), lambda context, builder, sig, args: builder.bitcast(args[0], result.vector)


@_function
def as_float(typingctx: Any, x: Any) -> Any:
    """The float32 lanes with the bits of 32-bit integer lanes."""
    result = Lanes(types.float32, x.width)
    return result(x), lambda context, builder, sig, args: builder.bitcast(args[0], result.vector)


@_function
def mask_bits(typingctx: Any, mask: Any) -> Any:
    """The lanes of a mask (at most 64) as bits of an unsigned integer, the first lane lowest."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        bits = builder.bitcast(args[0], ir.IntType(mask.width))
        return bits if mask.width == 64 else builder.zext(bits, _I64)

    return types.uint64(mask), emit


@_function(prefer_literal=True)
def bit_mask(typingctx: Any, bits: Any, width: Any) -> Any:
    """The reverse of ``mask_bits``: the mask whose lanes are the lowest bits of an integer."""
    result = Lanes(types.boolean, _literal(width))

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = args[0]
        if value.type.width > result.width:
            value = builder.trunc(value, ir.IntType(result.width))
        return builder.bitcast(value, result.vector)

    return result(bits, width), emit


@_function
def any_lane(typingctx: Any, mask: Any) -> Any:
    """Whether the mask holds in at least one lane."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        bits = builder.bitcast(args[0], ir.IntType(mask.width))
        return builder.icmp_unsigned("!=", bits, bits.type(0))

    return types.boolean(mask), emit


@_function
def lowest_bit(typingctx: Any, bits: Any) -> Any:
    """The position of the lowest bit that is set in a nonzero integer."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.intp(types.uint64), emit


def _halves(builder: Any, value: Any) -> tuple[Any, Any]:
    width = value.type.count
    undefined = ir.Constant(value.type, ir.Undefined)

    def part(start: int) -> Any:
        chosen = ir.Constant(ir.VectorType(_I32, width // 2), list(range(start, start + width // 2)))
        return builder.shuffle_vector(value, undefined, chosen)

    return part(0), part(width // 2)


@_function
def lower(typingctx: Any, x: Any) -> Any:
    """The first half of the lanes."""
    return Lanes(x.element, x.width // 2)(x), lambda context, builder, sig, args: _halves(builder, args[0])[0]


@_function
def upper(typingctx: Any, x: Any) -> Any:
    """The second half of the lanes."""
    return Lanes(x.element, x.width // 2)(x), lambda context, builder, sig, args: _halves(builder, args[0])[1]


@_function
def join(typingctx: Any, a: Any, b: Any) -> Any:
    """The lanes of a, then those of b."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        order = ir.Constant(ir.VectorType(_I32, 2 * a.width), list(range(2 * a.width)))
        return builder.shuffle_vector(args[0], args[1], order)

    return Lanes(a.element, 2 * a.width)(a, a), emit


def _reduce(combine: Callable[[Any, Any, Any, Any], Any]) -> Any:
    """Fold lanes by halves: right only for an operation whose order does not matter."""

    def typed(typingctx: Any, x: Any) -> Any:
        def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            value = args[0]
            while value.type.count > 1:
                value = combine(builder, x.element, *_halves(builder, value))
            return builder.extract_element(value, ir.Constant(_I32, 0))

        return x.element(x), emit

    return typed


def _larger(builder: Any, element: Any, a: Any, b: Any) -> Any:
    return builder.select(_compare(">")(builder, element, a, b), a, b)


def _smaller(builder: Any, element: Any, a: Any, b: Any) -> Any:
    return builder.select(_compare("<")(builder, element, a, b), a, b)


largest_lane = _function(_reduce(_larger))
"""The largest lane, a scalar; NaN lanes are the caller's fault."""

smallest_lane = _function(_reduce(_smaller))
"""The smallest lane, a scalar; NaN lanes are the caller's fault."""

sum_lanes = _function(_reduce(lambda builder, element, a, b: builder.add(a, b)))
"""The sum of integer lanes, wrapping; floats are left out because their order of summing would matter."""


@_function
def lane(typingctx: Any, x: Any, index: Any) -> Any:
    """One lane as a scalar."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.extract_element(args[0], args[1])

    return x.element(x, types.int32), emit


# ---------------------------------------------------------------------------------------------------- memory


def _address(context: Any, builder: Any, array_type: Any, place: Any, to: Any) -> Any:
    """A pointer to ``array[row, column]`` of a C-contiguous two-dimensional array, as a pointer to type ``to``."""
    array, row, column = place
    view = context.make_array(array_type)(context, builder, array)
    columns = cgutils.unpack_tuple(builder, view.shape, 2)[1]
    at = builder.gep(view.data, [builder.add(builder.mul(row, columns), column)])
    return builder.bitcast(at, to.as_pointer())


@_function(prefer_literal=True)
def load(typingctx: Any, array: Any, row: Any, column: Any, width: Any) -> Any:
    """``load(a, row, column, width)``: ``a[row, column : column + width]`` as lanes."""
    result = Lanes(array.dtype, _literal(width))

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = builder.load(_address(context, builder, array, args[:3], result.vector))
        value.align = 1
        return value

    return result(array, types.intp, types.intp, width), emit


@_function(prefer_literal=True)
def load_as(typingctx: Any, array: Any, row: Any, column: Any, width: Any, dtype: Any) -> Any:
    """``load_as(a, row, column, width, np.uint16)``: numbers of another type from the bytes of a uint8 array."""
    result = Lanes(dtype.dtype, _literal(width))

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = builder.load(_address(context, builder, array, args[:3], result.vector))
        value.align = 1
        return value

    return result(array, types.intp, types.intp, width, dtype), emit


@_function
def store(typingctx: Any, array: Any, row: Any, column: Any, value: Any) -> Any:
    """``store(a, row, column, lanes)``: the reverse of ``load``; lanes of another type are written byte for byte."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vector = value.vector if isinstance(value, Lanes) else context.get_value_type(value)
        builder.store(args[3], _address(context, builder, array, args[:3], vector)).align = 1
        return context.get_dummy_value()

    return types.none(array, types.intp, types.intp, value), emit


@_function
def peek(typingctx: Any, array: Any, row: Any, column: Any, dtype: Any) -> Any:
    """``peek(a, row, column, np.uint16)``: the little-endian number that starts at a byte of a uint8 array."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = builder.load(_address(context, builder, array, args[:3], context.get_value_type(dtype.dtype)))
        value.align = 1
        return value

    return dtype.dtype(array, types.intp, types.intp, dtype), emit


@_function
def gather(typingctx: Any, table: Any, at: Any) -> Any:
    """``gather(table, at)``: ``table[at[k]]`` in lane k, from a C-contiguous array taken as flat; indices int32."""
    result = Lanes(table.dtype, at.width)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(table)(context, builder, args[0]).data
        value = ir.Constant(result.vector, ir.Undefined)
        for k in range(at.width):
            index = builder.sext(builder.extract_element(args[1], _I32(k)), _I64)
            value = builder.insert_element(value, builder.load(builder.gep(data, [index])), _I32(k))
        return value

    return result(table, at), emit


@_function(prefer_literal=True)
def scratch(typingctx: Any, width: Any, count: Any, dtype: Any) -> Any:
    """``scratch(width, count, np.float32)``: ``count`` lanes on the stack, not initialized; read and set by index."""
    lanes = Lanes(dtype.dtype, _literal(width))
    result = Scratch(lanes, _literal(count))

    return result(width, count, dtype), lambda context, builder, sig, args: _stack(builder, lanes, result.count)


def _stack(builder: Any, lanes: Lanes, count: int) -> Any:
    with builder.goto_entry_block():  # once a call, not once a round of the loop it stands in
        space = builder.alloca(lanes.vector, ir.Constant(_I64, count))
    space.align = 64
    return space


@_function
def square_of(typingctx: Any, space: Any) -> Any:
    """Another scratch with lanes of the same type, as many as they are wide."""
    result = Scratch(space.lanes, space.lanes.width)
    return result(space), lambda context, builder, sig, args: _stack(builder, space.lanes, result.count)


@_function(prefer_literal=True)
def scratch_like(typingctx: Any, space: Any, count: Any) -> Any:
    """Another scratch with ``count`` lanes of the same type."""
    result = Scratch(space.lanes, _literal(count))
    return result(space, count), lambda context, builder, sig, args: _stack(builder, space.lanes, result.count)


@_function
def lane_numbers(typingctx: Any, space: Any) -> Any:
    """int32 lanes 0, 1, 2, ..., as many as a scratch has."""
    lane = Lanes(types.int32, space.lanes.width)
    return lane(space), lambda context, builder, sig, args: ir.Constant(lane.vector, list(range(lane.width)))


@infer_global(operator.getitem)
class _ReadScratch(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        space, index = args
        ours = isinstance(space, Scratch) and isinstance(index, types.Integer)
        return signature(space.lanes, space, types.intp) if ours else None


@infer_global(operator.setitem)
class _WriteScratch(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        space, index, value = args
        ours = isinstance(space, Scratch) and isinstance(index, types.Integer) and value == space.lanes
        return signature(types.none, space, types.intp, space.lanes) if ours else None


@lower_builtin(operator.getitem, Scratch, types.Integer)
def _read_scratch(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.load(builder.gep(args[0], [args[1]]))


@lower_builtin(operator.setitem, Scratch, types.Integer, Lanes)
def _write_scratch(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    builder.store(args[2], builder.gep(args[0], [args[1]]))
    return context.get_dummy_value()


@_function
def lane_of(typingctx: Any, space: Any, index: Any, which: Any) -> Any:
    """``lane_of(scratch, index, k)``: lane k of ``scratch[index]`` as a scalar, read from memory."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        start = builder.bitcast(args[0], _ELEMENT[space.lanes.element].as_pointer())
        at = builder.add(builder.mul(args[1], _I64(space.lanes.width)), args[2])
        return builder.load(builder.gep(start, [at]))

    return space.lanes.element(space, types.intp, types.intp), emit


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """A square of W vectors of W lanes, turned: log2(W) rounds of interleaving the first half with the second."""
    width = len(rows)
    low = [k // 2 + (k % 2) * width for k in range(width)]
    first, second = (ir.Constant(ir.VectorType(_I32, width), [k + half * width // 2 for k in low]) for half in (0, 1))
    for _ in range(width.bit_length() - 1):
        pairs = zip(rows[: width // 2], rows[width // 2 :], strict=True)
        rows = [builder.shuffle_vector(a, b, order) for a, b in pairs for order in (first, second)]
    return rows


@_function
def _turn_in(typingctx: Any, array: Any, rows: Any, column: Any, space: Any, at: Any) -> Any:
    """Load ``array[rows[k], column : column + W]`` for every lane k and put the columns at ``space[at : at + W]``."""
    vector, width = space.lanes.vector, space.lanes.width

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        values = []
        for k in range(width):
            row = builder.sext(builder.extract_element(args[1], ir.Constant(_I32, k)), _I64)
            value = builder.load(_address(context, builder, array, (args[0], row, args[2]), vector))
            value.align = 1
            values.append(value)
        for k, value in enumerate(_transposed(builder, values)):
            builder.store(value, builder.gep(args[3], [builder.add(args[4], _I64(k))]))
        return context.get_dummy_value()

    return types.none(array, rows, types.intp, space, types.intp), emit


@_function
def _turn(typingctx: Any, space: Any, at: Any, turned: Any) -> Any:
    """Put the W lanes at ``space[at : at + W]``, transposed, into ``turned[0 : W]``."""
    width = space.lanes.width

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        values = [builder.load(builder.gep(args[0], [builder.add(args[1], _I64(k))])) for k in range(width)]
        for k, value in enumerate(_transposed(builder, values)):
            builder.store(value, builder.gep(args[2], [_I64(k)]))
        return context.get_dummy_value()

    return types.none(space, types.intp, turned), emit


@_function
def size_of(typingctx: Any, space: Any) -> Any:
    """How many lanes a scratch holds."""
    return types.intp(space), lambda context, builder, sig, args: _I64(space.count)


@_function
def width_of(typingctx: Any, space: Any) -> Any:
    """How many lanes each entry of a scratch has."""
    return types.intp(space), lambda context, builder, sig, args: _I64(space.lanes.width)


@_function
def zero_of(typingctx: Any, space: Any) -> Any:
    """Zero in every lane, of the type that a scratch holds."""
    return space.lanes(space), lambda context, builder, sig, args: ir.Constant(space.lanes.vector, None)


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
