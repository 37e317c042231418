# mypy: disable-error-code="misc,untyped-decorator,no-untyped-call,attr-defined"
"""A kernel that calls another, whichever it is given: by the address that ``Kernel.address`` tells."""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.np.arrayobj import populate_array

from .lanes.vectors import I64, operation

_BLOCKS = types.Array(types.uint8, 2, "C", readonly=True, aligned=False)
_BLOCKS_OUT = types.Array(types.uint8, 2, "C", aligned=False)
_WEIGHTS = types.Array(types.float32, 2, "C", readonly=True, aligned=False)
_WEIGHTS_OUT = types.Array(types.float32, 2, "C", aligned=False)
_IMPORTANCE = types.Array(types.float32, 1, "C", readonly=True, aligned=False)


@operation
def decode_at(typingctx: Any, decode: Any, blocks: Any, first: Any, count: Any, out: Any, block: Any) -> Any:
    """Call the kernel of ``jit.DECODE`` at an address with ``blocks[first : first + count]``, of ``block`` weights.

    They come to lie at the beginning of ``out``, one after another, whatever its shape.
    """

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address, given, first, count, room, block = args
        source = _rows(context, builder, _BLOCKS, (blocks, given), first, count)
        _call(
            context, builder, address, [source, _beginning(context, builder, _WEIGHTS_OUT, (out, room), count, block)]
        )
        return context.get_dummy_value()

    return types.none(decode, blocks, types.intp, types.intp, out, types.intp), emit


@operation
def encode_at(typingctx: Any, encode: Any, x: Any, block: Any, out: Any, first: Any, count: Any) -> Any:
    """Call the kernel of ``jit.ENCODE`` at an address, which fills ``out[first : first + count]``.

    The weights, ``block`` for each, are those at the beginning of ``x``, one after another, whatever its shape.
    """

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address, room, block, given, first, count = args
        target = _rows(context, builder, _BLOCKS_OUT, (out, given), first, count)
        _call(context, builder, address, [_beginning(context, builder, _WEIGHTS, (x, room), count, block), target])
        return context.get_dummy_value()

    return types.none(encode, x, types.intp, out, types.intp, types.intp), emit


@operation
def encode_weighted_at(typingctx: Any, encode: Any, x: Any, weights: Any, out: Any, first: Any, count: Any) -> Any:
    """Call the kernel of ``jit.ENCODE_WEIGHTED`` at an address, which fills the rows ``out[first : first + count]``.

    The weights, as many a row as ``weights`` has, are those at the beginning of ``x``.
    """

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address, room, importance, given, first, count = args
        columns = context.make_array(weights)(context, builder, importance).nitems
        source = _beginning(context, builder, _WEIGHTS, (x, room), count, columns)
        target = _rows(context, builder, _BLOCKS_OUT, (out, given), first, count)
        _call(context, builder, address, [source, (_IMPORTANCE, importance), target])
        return context.get_dummy_value()

    return types.none(encode, x, _IMPORTANCE, out, types.intp, types.intp), emit


Typed = tuple[Any, Any]
"""A Numba type and a value of it."""


def _rows(context: Any, builder: Any, kind: Any, array: Typed, first: Any, count: Any) -> Typed:
    """``array[first : first + count]``."""
    whole = context.make_array(array[0])(context, builder, array[1])
    columns = cgutils.unpack_tuple(builder, whole.shape, 2)[1]
    return _view(context, builder, kind, builder.gep(whole.data, [builder.mul(first, columns)]), count, columns)


def _beginning(context: Any, builder: Any, kind: Any, array: Typed, rows: Any, columns: Any) -> Typed:
    """The first numbers of an array as so many rows and columns."""
    whole = context.make_array(array[0])(context, builder, array[1])
    return _view(context, builder, kind, whole.data, rows, columns)


def _view(context: Any, builder: Any, kind: Any, data: Any, rows: Any, columns: Any) -> Typed:
    made = context.make_array(kind)(context, builder)
    size = I64(kind.dtype.bitwidth // 8)
    populate_array(made, data, (rows, columns), (builder.mul(columns, size), size), size, meminfo=None)
    return kind, made._getvalue()


def _call(context: Any, builder: Any, address: Any, given: list[Typed]) -> None:
    kinds, values = zip(*given, strict=True)
    called = context.call_conv.get_function_type(types.none, kinds)
    pointer = builder.inttoptr(address, called.as_pointer())
    context.call_conv.call_function(builder, pointer, types.none, kinds, values)
