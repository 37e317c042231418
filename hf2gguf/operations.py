"""The operations that an architecture's page can name, each taking a source and its arguments."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import Any

from gguf_py import KQuantsError
from kquants.source import Source

from . import arithmetic, transform
from .numbers import as_f32, as_i32, constant

OPERATIONS: dict[str, Callable[..., Source]] = {
    "reshape": transform.reshape,
    "squeeze": transform.squeeze,
    "permute": transform.permute,
    "unpermute": transform.unpermute,
    "parted": transform.parted,
    "rows": transform.rows,
    "picked": transform.picked,
    "regrouped": transform.regrouped,
    "strided": transform.strided,
    "half": transform.half,
    "padded": transform.padded,
    "columns": transform.columns,
    "column_half": transform.column_half,
    "column_stride": transform.column_stride,
    "column_parted": transform.column_parted,
    "repeated": transform.repeated,
    "filled": lambda source, size, number: constant([float(number)] * int(size)),
    "transpose": transform.transpose,
    "add": arithmetic.add,
    "mul": arithmetic.mul,
    "negate_half": arithmetic.negate_half,
    "neg_exp": arithmetic.neg_exp,
    "centered": arithmetic.centered,
    "ternary": arithmetic.ternary,
    "f32": as_f32,
    "i32": as_i32,
}


def apply(name: str, source: Source, arguments: Sequence[Any]) -> Source:
    """The named operation on a source; raises KQuantsError when there is none, or for arguments that do not fit."""
    if name not in OPERATIONS:
        near = difflib.get_close_matches(name, [*OPERATIONS, "stack", "concat", "when", "once", "unless_same"], 1)
        raise KQuantsError(f"there is no operation {name!r}{f' (did you mean {near[0]}?)' if near else ''}")
    try:
        return OPERATIONS[name](source, *arguments)
    except KQuantsError:
        raise
    except (TypeError, ValueError, ArithmeticError, IndexError) as fault:
        raise KQuantsError(f"{name}({', '.join(map(repr, arguments))}) does not fit: {fault}") from fault
