"""The bytes of tensors in a big-endian file: every number of several bytes the other way round.

Source: ``gguf_convert_endian.py`` of gguf-py in llama.cpp v0.5.0, which says where the numbers of a block lie. For
types that it does not know there is no file of upstream's to be equal to, and none is written.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from gguf_py.errors import KQuantsError
from gguf_py.layout import TensorInfo
from gguf_py.types import TensorType

from .source import Bytes

PLAIN = frozenset("F64 F32 F16 BF16 I8 I16 I32 I64".split())
"""Types whose blocks are one number."""

HALVES: dict[str, tuple[int, ...]] = {
    "Q1_0": (0,),
    "Q4_0": (0,),
    "Q8_0": (0,),
    "Q4_K": (0, 2),
    "Q6_K": (208,),
    "TQ2_0": (64,),
    "MXFP4": (),
    "NVFP4": (),
}
"""Where in a block of these types its 16-bit numbers begin; all else in it is single bytes."""


def check(infos: Iterable[TensorInfo]) -> None:
    """Raise KQuantsError for the first tensor of a type that has no big-endian form."""
    for info in infos:
        if info.type.name not in PLAIN and info.type.name not in HALVES:
            raise KQuantsError(
                f"tensor {info.name!r} would be {info.type.name}, of which llama.cpp's tools know no big-endian form, "
                f"only of {', '.join(HALVES)}"
            )


def swapped(kind: TensorType, data: Bytes) -> Bytes:
    """Whole blocks, uint8[n bytes], in the other byte order; new memory."""
    if kind.name in PLAIN:
        return np.ascontiguousarray(data).view(f"u{kind.nbytes}").byteswap().view(np.uint8)
    turned = data.copy()
    blocks = turned.reshape(-1, kind.nbytes)
    for at in HALVES[kind.name]:
        blocks[:, [at, at + 1]] = blocks[:, [at + 1, at]]
    return turned


def swapped_numbers(kind: TensorType, data: Bytes) -> Bytes:
    """What upstream's converter does on a little-endian machine: blocks and BF16, bytes to NumPy, stay as they are."""
    return data if kind.quantized or kind.name == "BF16" else swapped(kind, data)
