# mypy: disable-error-code="misc,untyped-decorator,no-untyped-call,attr-defined"
"""The two types of kernels: ``Lanes``, treated alike by one instruction, and ``Scratch``, some of them on the stack."""

from __future__ import annotations

import os
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model

from ...machine_code import processor


def _default_width() -> int:
    """Lanes that fill two registers of this processor, or four: one step's wait is the other's work."""
    asked = os.environ.get("KQUANTS_LANES")
    if asked:
        if asked not in ("8", "16", "32"):
            raise ValueError(f"KQUANTS_LANES is {asked!r}; expected 8, 16 or 32")
        return int(asked)
    return 32 if "+avx512f" in processor()[1].split(",") else 16


HALF = "+f16c" in processor()[1].split(",")
"""Whether the processor converts between float16 and float32 itself; to the same bits as ``numerics`` does."""

ROUND = "+sse4.1" in processor()[1].split(",")
"""Whether the processor rounds to integers in one instruction; ``numerics`` needs two."""

operation: Any = intrinsic  # untyped on purpose: a caller passes two arguments fewer than the definition names
LANES = _default_width()
"""How many blocks are encoded side by side. The bytes do not depend on it, only the speed does."""

ELEMENT = {
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
I32 = ir.IntType(32)
I64 = ir.IntType(64)


class Lanes(types.Type):
    """``width`` numbers of the Numba scalar type ``element``; LLVM's ``<width x element>``."""

    def __init__(self, element: Any, width: int) -> None:
        self.element, self.width = element, width
        super().__init__(name=f"Lanes({element}, {width})")

    @property
    def vector(self) -> Any:
        """The LLVM type."""
        return ir.VectorType(ELEMENT[self.element], self.width)


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


def literal(value: Any) -> int:
    return int(value.literal_value)


@operation
def opaque(typingctx: Any, n: Any) -> Any:
    """The number, of which the compiler is told nothing: a loop up to it stays a loop and is not spelled out."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.asm(ir.FunctionType(I64, [I64]), "", "=r,0", args, side_effect=False)

    return types.intp(types.intp), emit
