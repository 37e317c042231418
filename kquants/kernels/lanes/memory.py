# mypy: disable-error-code="misc,untyped-decorator,no-untyped-call,attr-defined"
"""How lanes come from memory and go back: arrays, tables and scratches."""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin
from numba.np.arrayobj import populate_array

from .vectors import ELEMENT, I32, I64, Lanes, Scratch, literal, operation


def address(context: Any, builder: Any, array_type: Any, place: Any, to: Any) -> Any:
    """A pointer to ``array[row, column]`` of a C-contiguous two-dimensional array, as a pointer to type ``to``."""
    array, row, column = place
    view = context.make_array(array_type)(context, builder, array)
    columns = cgutils.unpack_tuple(builder, view.shape, 2)[1]
    at = builder.gep(view.data, [builder.add(builder.mul(row, columns), column)])
    return builder.bitcast(at, to.as_pointer())


@operation(prefer_literal=True)
def load(typingctx: Any, array: Any, row: Any, column: Any, width: Any) -> Any:
    """``load(a, row, column, width)``: ``a[row, column : column + width]`` as lanes."""
    result = Lanes(array.dtype, literal(width))

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = builder.load(address(context, builder, array, args[:3], result.vector))
        value.align = 1
        return value

    return result(array, types.intp, types.intp, width), emit


@operation(prefer_literal=True)
def load_as(typingctx: Any, array: Any, row: Any, column: Any, width: Any, dtype: Any) -> Any:
    """``load_as(a, row, column, width, np.uint16)``: numbers of another type from the bytes of a uint8 array."""
    result = Lanes(dtype.dtype, literal(width))

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = builder.load(address(context, builder, array, args[:3], result.vector))
        value.align = 1
        return value

    return result(array, types.intp, types.intp, width, dtype), emit


@operation
def store(typingctx: Any, array: Any, row: Any, column: Any, value: Any) -> Any:
    """``store(a, row, column, lanes)``: the reverse of ``load``; lanes of another type are written byte for byte."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vector = value.vector if isinstance(value, Lanes) else context.get_value_type(value)
        builder.store(args[3], address(context, builder, array, args[:3], vector)).align = 1
        return context.get_dummy_value()

    return types.none(array, types.intp, types.intp, value), emit


@operation
def peek(typingctx: Any, array: Any, row: Any, column: Any, dtype: Any) -> Any:
    """``peek(a, row, column, np.uint16)``: the little-endian number that starts at a byte of a uint8 array."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = builder.load(address(context, builder, array, args[:3], context.get_value_type(dtype.dtype)))
        value.align = 1
        return value

    return dtype.dtype(array, types.intp, types.intp, dtype), emit


@operation
def gather(typingctx: Any, table: Any, at: Any) -> Any:
    """``gather(table, at)``: ``table[at[k]]`` in lane k, from a C-contiguous array taken as flat; indices int32."""
    result = Lanes(table.dtype, at.width)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(table)(context, builder, args[0]).data
        value = ir.Constant(result.vector, ir.Undefined)
        for k in range(at.width):
            index = builder.sext(builder.extract_element(args[1], I32(k)), I64)
            value = builder.insert_element(value, builder.load(builder.gep(data, [index])), I32(k))
        return value

    return result(table, at), emit


@operation(prefer_literal=True)
def scratch(typingctx: Any, width: Any, count: Any, dtype: Any) -> Any:
    """``scratch(width, count, np.float32)``: ``count`` lanes on the stack, not initialized; read and set by index."""
    lanes = Lanes(dtype.dtype, literal(width))
    result = Scratch(lanes, literal(count))

    return result(width, count, dtype), lambda context, builder, sig, args: stack(builder, lanes, result.count)


@operation(prefer_literal=True)
def workspace(typingctx: Any, rows: Any, columns: Any, dtype: Any) -> Any:
    """``workspace(rows, columns, np.int32)``: an array on the stack, not initialized, that numbers can index."""
    result = types.Array(dtype.dtype, 2, "C")
    shape = (literal(rows), literal(columns))

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        element = context.get_data_type(dtype.dtype)
        size = context.get_abi_sizeof(element)
        with builder.goto_entry_block():
            space = builder.alloca(ir.ArrayType(element, shape[0] * shape[1]))
        space.align = 64
        view = context.make_array(result)(context, builder)
        data = builder.bitcast(space, element.as_pointer())
        strides = (I64(shape[1] * size), I64(size))
        populate_array(view, data, [I64(n) for n in shape], strides, I64(size), meminfo=None)
        return view._getvalue()

    return result(rows, columns, dtype), emit


@operation(prefer_literal=True)
def in_rows(typingctx: Any, array: Any, width: Any) -> Any:
    """``in_rows(a, width)``: the numbers of a C-contiguous array as rows of ``width``, which must fill them."""
    result = types.Array(array.dtype, 2, "C", readonly=not array.mutable, aligned=array.aligned)
    columns = literal(width)

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        given = context.make_array(array)(context, builder, args[0])
        size = context.get_abi_sizeof(context.get_data_type(array.dtype))
        shape = (builder.udiv(given.nitems, I64(columns)), I64(columns))
        strides = (I64(columns * size), I64(size))
        view = context.make_array(result)(context, builder)
        populate_array(view, given.data, shape, strides, I64(size), meminfo=None)
        return view._getvalue()

    return result(array, width), emit


def stack(builder: Any, lanes: Lanes, count: int) -> Any:
    with builder.goto_entry_block():  # once a call, not once a round of the loop it stands in
        space = builder.alloca(lanes.vector, ir.Constant(I64, count))
    space.align = 64
    return space


@operation
def square_of(typingctx: Any, space: Any) -> Any:
    """Another scratch with lanes of the same type, as many as they are wide."""
    result = Scratch(space.lanes, space.lanes.width)
    return result(space), lambda context, builder, sig, args: stack(builder, space.lanes, result.count)


@operation(prefer_literal=True)
def scratch_like(typingctx: Any, space: Any, count: Any) -> Any:
    """Another scratch with ``count`` lanes of the same type."""
    result = Scratch(space.lanes, literal(count))
    return result(space, count), lambda context, builder, sig, args: stack(builder, space.lanes, result.count)


@operation
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


@operation
def lane_of(typingctx: Any, space: Any, index: Any, which: Any) -> Any:
    """``lane_of(scratch, index, k)``: lane k of ``scratch[index]`` as a scalar, read from memory."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        start = builder.bitcast(args[0], ELEMENT[space.lanes.element].as_pointer())
        at = builder.add(builder.mul(args[1], I64(space.lanes.width)), args[2])
        return builder.load(builder.gep(start, [at]))

    return space.lanes.element(space, types.intp, types.intp), emit


@operation
def size_of(typingctx: Any, space: Any) -> Any:
    """How many lanes a scratch holds."""
    return types.intp(space), lambda context, builder, sig, args: I64(space.count)


@operation
def width_of(typingctx: Any, space: Any) -> Any:
    """How many lanes each entry of a scratch has."""
    return types.intp(space), lambda context, builder, sig, args: I64(space.lanes.width)


@operation
def zero_of(typingctx: Any, space: Any) -> Any:
    """Zero in every lane, of the type that a scratch holds."""
    return space.lanes(space), lambda context, builder, sig, args: ir.Constant(space.lanes.vector, None)
