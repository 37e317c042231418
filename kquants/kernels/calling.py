# mypy: disable-error-code="misc,untyped-decorator,no-untyped-call,attr-defined"
"""A kernel that calls another, whichever it is given: by the address that ``Kernel.address`` tells."""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.np.arrayobj import populate_array

from .lanes.vectors import I64, operation

_BLOCKS = types.Array(types.uint8, 2, "C", readonly=True, aligned=False)
_WEIGHTS = types.Array(types.float32, 2, "C", aligned=False)


@operation
def decode_at(typingctx: Any, decode: Any, blocks: Any, first: Any, count: Any, out: Any, block: Any) -> Any:
    """Call the kernel of ``jit.DECODE`` at an address with ``blocks[first : first + count]``, of ``block`` weights.

    They come to lie at the beginning of ``out``, one after another, whatever its shape.
    """

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        address, given, row, rows, room, columns = args
        source, target = (context.make_array(t)(context, builder, a) for t, a in ((blocks, given), (out, room)))
        width = cgutils.unpack_tuple(builder, source.shape, 2)[1]
        start = builder.gep(source.data, [builder.mul(row, width)])

        def view(kind: Any, data: Any, across: Any, size: int) -> Any:
            made = context.make_array(kind)(context, builder)
            strides = (builder.mul(across, I64(size)), I64(size))
            populate_array(made, data, (rows, across), strides, I64(size), meminfo=None)
            return made._getvalue()

        kinds = (_BLOCKS, _WEIGHTS)
        called = context.call_conv.get_function_type(types.none, kinds)
        given = (view(_BLOCKS, start, width, 1), view(_WEIGHTS, target.data, columns, 4))
        pointer = builder.inttoptr(address, called.as_pointer())
        context.call_conv.call_function(builder, pointer, types.none, kinds, given)
        return context.get_dummy_value()

    return types.none(decode, blocks, types.intp, types.intp, out, types.intp), emit
