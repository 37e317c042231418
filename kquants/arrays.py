"""Quantize and dequantize NumPy arrays: any leading shape, in parallel by rows, without a copy of the whole."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from gguf_py.errors import KQuantsError
from gguf_py.types import TENSOR_TYPES, TensorType, tensor_type

from .codecs import codec
from .recode import encoder, takes_weights

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

_CHUNK = 1 << 17
"""Weights that one thread takes at a time: with their blocks they fit in a core's second-level cache."""


def types() -> dict[str, TensorType]:
    """Every tensor type by name, each with ``id``, ``block`` (weights a block), ``nbytes`` (bytes a block), ``bpw``."""
    return dict(TENSOR_TYPES)


def quantize(
    x: npt.ArrayLike,
    type: str | int | TensorType,
    imatrix: npt.ArrayLike | None = None,
    threads: int | None = None,
    out: Bytes | None = None,
) -> Bytes:
    """Encode weights ``x[..., columns]`` as blocks: uint8 ``[..., bytes a row]``, the bytes that ggml writes.

    ``x`` is float32, float16, bfloat16 (``ml_dtypes``) or another real type, which is rounded to float32. ``imatrix``
    is the importance of each column; types whose encoder takes none ignore it, as ggml does. ``threads`` (all cores
    if None) do not change the bytes. ``out`` receives them when given: C-contiguous uint8 of the result's shape.

    Raises KQuantsError for an unknown type, one without an encoder, one that demands an importance matrix when there is
    none, a row that does not fill whole blocks, shapes that do not fit, and NaN or infinity, naming the first.
    """
    kind = tensor_type(type)
    given, x = x, _array(x)
    if x.ndim == 0:
        raise KQuantsError(f"cannot encode {given.__class__.__name__} as {kind.name}: an array of rows is expected")
    columns = x.shape[-1]
    shape = (*x.shape[:-1], kind.row_bytes(columns))
    result: Bytes = _destination(out, shape, np.uint8)
    weights = None if imatrix is None else _importance(imatrix, columns)
    if not takes_weights(kind):
        weights = None
    encode = encoder(kind, weighted=weights is not None)
    if x.size == 0:
        return result

    from .finite import first_not_finite

    rows = np.ascontiguousarray(x).reshape(-1, columns)
    blocks = result.reshape(len(rows), -1)
    if weights is None:  # blocks know nothing of rows
        rows, blocks = rows.reshape(-1, kind.block), blocks.reshape(-1, kind.nbytes)

    def work(lo: int, hi: int) -> int | None:
        part = _as_float32(rows[lo:hi])
        bad = first_not_finite(part)
        if bad >= 0:
            return lo * rows.shape[1] + int(bad)
        encode(part, blocks[lo:hi]) if weights is None else encode(part, weights, blocks[lo:hi])
        return None

    bad = _in_parallel(work, len(rows), rows.shape[1], threads)
    if bad is not None:
        place = tuple(int(i) for i in np.unravel_index(bad, x.shape))
        raise KQuantsError(
            f"cannot encode as {kind.name}: the weight at {place} is {x[place]}, expected a finite float32"
        )
    return result


def dequantize(
    blocks: npt.ArrayLike,
    type: str | int | TensorType,
    threads: int | None = None,
    out: Floats | None = None,
) -> Floats:
    """Decode blocks ``uint8[..., bytes a row]`` to float32 weights ``[..., columns]``, to the bit as ggml does.

    ``out`` receives them when given: C-contiguous float32 of the result's shape. Raises KQuantsError for an unknown
    type, bytes that are not uint8 or do not fill whole blocks, and shapes that do not fit.
    """
    kind = tensor_type(type)
    blocks = _array(blocks)
    if blocks.dtype != np.uint8 or blocks.ndim == 0:
        raise KQuantsError(
            f"{kind.name} blocks are uint8 of shape [..., bytes a row], found {blocks.dtype}{blocks.shape}"
        )
    count, rest = divmod(blocks.shape[-1], kind.nbytes)
    if rest:
        raise KQuantsError(f"a row of {blocks.shape[-1]} bytes does not fill whole {kind.name} blocks of {kind.nbytes}")
    result: Floats = _destination(out, (*blocks.shape[:-1], count * kind.block), np.float32)
    decode = getattr(codec(kind), "decode", None)
    if decode is None:
        raise KQuantsError(f"tensor type {kind.name} cannot be decoded")
    flat = np.ascontiguousarray(blocks).reshape(-1, kind.nbytes)
    weights = result.reshape(-1, kind.block)
    _in_parallel(lambda lo, hi: decode(flat[lo:hi], weights[lo:hi]), len(flat), kind.block, threads)
    return result


def _array(given: npt.ArrayLike) -> npt.NDArray[Any]:
    try:
        return np.asarray(given)
    except ValueError:
        raise KQuantsError("rows of several lengths make no array") from None


def _importance(imatrix: npt.ArrayLike, columns: int) -> Floats:
    given = _array(imatrix)
    if given.shape != (columns,):
        raise KQuantsError(f"an importance matrix of shape {given.shape} does not fit rows of {columns} weights")
    weights = _as_float32(np.ascontiguousarray(given))
    if not np.isfinite(weights).all():
        raise KQuantsError(
            f"the importance of column {np.flatnonzero(~np.isfinite(weights))[0]} is not a finite number"
        )
    return weights


def _destination(out: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    if out is None:
        return np.empty(shape, dtype)
    if out.shape != shape or out.dtype != dtype or not out.flags.c_contiguous or not out.flags.writeable:
        raise KQuantsError(f"out is {out.dtype}{out.shape}, expected a writable, C-contiguous {np.dtype(dtype)}{shape}")
    return out


def _as_float32(part: npt.NDArray[Any]) -> Floats:
    """A few rows as float32; no copy if they are that already."""
    if part.dtype == np.float32:
        return part
    if part.dtype == np.float16 or part.dtype.name == "bfloat16":
        wide = np.empty(part.shape, np.float32)
        codec("F16" if part.dtype == np.float16 else "BF16").decode(part.view(np.uint8), wide)
        return wide
    if not part.dtype.name.startswith(("float", "int", "uint", "bool")):  # those of ml_dtypes, too
        raise KQuantsError(f"weights of type {part.dtype} are not real numbers")
    with np.errstate(over="ignore"):
        return part.astype(np.float32)


def _in_parallel(work: Callable[[int, int], int | None], rows: int, columns: int, threads: int | None) -> int | None:
    """Call ``work(lo, hi)`` on pieces of ``rows`` rows until one gives a number: the least of those given, or None."""
    if threads is not None and threads < 1:
        raise KQuantsError(f"{threads} threads were asked for, expected at least 1")
    step = max(1, _CHUNK // max(1, columns))
    starts = range(0, rows, step)
    turn = itertools.count()
    found: list[int] = []

    def take_turns(_: int) -> None:
        # Pieces are taken in order and finished once taken: no earlier fault is missed when one ends the work.
        while not found and (k := next(turn)) < len(starts):
            fault = work(starts[k], min(rows, starts[k] + step))
            if fault is not None:
                found.append(fault)

    workers = min(threads or cores(), len(starts))
    if workers <= 1:
        take_turns(0)
    else:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(take_turns, range(workers)))
    return min(found, default=None)


def cores() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
