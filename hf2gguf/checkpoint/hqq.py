"""HQQ: ``(code - zero) * scale`` in the scale's own type, codes packed by halves, quarters or eighths of all groups.

The names are ``MODULE.W_q``, ``.scale``, ``.zero`` and what HQQ says of the layer, a tensor each. Source: HQQ 0.2,
``core/quantize.py``, ``core/bitpack.py``.
"""

from __future__ import annotations

from functools import partial
from math import prod

import numpy as np
from numpy.typing import NDArray

from gguf_py.errors import KQuantsError
from kquants.source import Source

from .folder import shown
from .parts import Tensors, Weights, part
from .plain import FLOATS, Floats, computed, expect, scales_of
from .stored import DTYPES, Stored

_SAID = (
    "nbits group_size shape axis packing unpack_view_dtype view_as_float quant_scale quant_zero compute_dtype"
    " channel_wise optimize round_zero stores_quant_config offload_meta"
).split()
_PACKINGS = {"8bit_u8": ("U8", 8, 1), "4bit_u8": ("U8", 4, 2), "2bit_u8": ("U8", 2, 4), "1bit_u8": ("U8", 1, 8)} | {
    "3bit_32": ("I32", 3, 10)
}
"""Number type, bits of a code and codes in a number, by the name of the packing."""


def weights(stored: Tensors) -> Weights:
    """The weights by name, decoded where they are quantized."""
    made: Weights = {}
    for name in stored:
        base, _, end = name.rpartition(".")
        if end == "W_q":
            said = {key: stored[f"{base}.{key}"] for key in _SAID if f"{base}.{key}" in stored}
            parts = stored[name], part(stored, base + ".scale"), part(stored, base + ".zero"), said
            made[base + ".weight"] = partial(_decoded, *parts)
        elif base + ".W_q" not in stored or end not in ("scale", "zero", *_SAID):
            made[name] = None
    return made


def _decoded(packed: Stored, scale: Stored, zero: Stored, said: dict[str, Stored]) -> Source:
    """A group is a row (axis 1) or a column (axis 0) of the packed matrix, whose rows in order are the weights."""
    where = f"{packed.shard.path}: the tensor {shown(packed.name)}"
    packing, shape, axis = _text(said, "packing"), _numbers(said, "shape"), _numbers(said, "axis")
    if packing not in _PACKINGS or len(shape) != 2 or axis not in ([0], [1]):
        raise KQuantsError(f"{where} is packed as {shown(packing)}, of shape {shape}, along the axis {axis}")
    kind, bits, many = _PACKINGS[packing]
    count, out, columns = prod(shape), *shape
    groups, width = prod(scale.shape), DTYPES[kind].itemsize
    size = count // max(groups, 1)
    if groups < 1 or count != groups * size or min(shape) < 1:
        raise KQuantsError(f"{where} has {groups} scales for {count} weights")
    high, wide = (groups, size) if axis == [1] else (size, groups)
    step = -(-high // many)
    if packed.strides is not None or packed.nbytes != step * wide * width:
        raise KQuantsError(f"{where} has {packed.nbytes} bytes, expected {step * wide * width} for {shape}")
    if scale.strides is not None or zero.strides is not None:
        raise KQuantsError(f"{where} has scales that do not lie one by one")
    line = packed.as_bytes()
    types = FLOATS[expect(scale, "F16 BF16 F32", scale.shape).dtype]
    expect(zero, scale.dtype, scale.shape)
    scales, zeros = scale.reshaped(1, groups), zero.reshaped(1, groups)

    def codes(first: int, last: int) -> NDArray[np.generic]:
        """Codes of the weights ``first`` to ``last``, in pieces that lie in one plane."""
        found = []
        while first < last:
            plane, at = divmod(first, step * wide)
            end = min(last - first, step * wide - at) + at
            shift = bits * (many - 1 - plane)
            numbers = line.rows(at * width, end * width).reshape(-1).view(DTYPES[kind])
            found.append((numbers >> shift) & ((1 << bits) - 1))
            first += end - at
        return np.concatenate(found)

    def rows(lo: int, hi: int) -> Floats:
        first, last = lo * columns, hi * columns
        if axis == [1]:
            low, top = first // size, -(-last // size)
            group = np.arange(first, last) // size - low
        else:
            low, top = 0, groups
            group = np.arange(first, last) % wide
        s, z = (scales_of(t, t.block(0, 1, low, top))[0][group] for t in (scales, zeros))
        off = (codes(first, last).astype(np.float32) - z).astype(scale.kind).astype(np.float32)
        found: Floats = (off * s).reshape(hi - lo, columns)
        return found

    return computed((out, columns), rows, packed, types)


def _numbers(said: dict[str, Stored], key: str) -> list[int]:
    return [int(n) for n in said[key].whole(64).reshape(-1)] if key in said else []


def _text(said: dict[str, Stored], key: str) -> str:
    """HQQ stores a text as a tensor of its characters."""
    return said[key].whole(256).astype(np.uint8).tobytes().decode("ascii", "replace") if key in said else ""
