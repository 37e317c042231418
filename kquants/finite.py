"""Find weights that are not numbers before they spoil the blocks they are in, and round on the way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gguf_py.types import TensorType

from .codecs import codec
from .jit import deferred
from .recode import decode

first_not_finite = deferred("kquants.kernels.finite").first_not_finite
"""``first_not_finite(x)``: the flat index of the first NaN or infinity in float32[n, m], or -1."""

first_not_finite_half = deferred("kquants.kernels.finite").first_not_finite_half
"""``first_not_finite_half(halves, exponent)``: the same in two-byte numbers, uint8[n, 2 * m], see ``EXPONENTS``."""

round_to_half = deferred("kquants.kernels.finite").round_to_half
"""``round_to_half(x)``: float32[n, m] to the nearest float16 numbers, in place; finds what is not finite then."""

EXPONENTS = {"F16": 0x7C00, "BF16": 0x7F80}
"""The bits of a two-byte number that are all set in NaN and infinity and in no other."""

SCALES: Mapping[str, tuple[int, ...]] = {
    **dict.fromkeys("Q4_0 Q5_0 Q8_0 Q1_0 Q2_0 IQ4_NL IQ4_XS".split(), (0,)),
    **dict.fromkeys("IQ1_S IQ2_XXS IQ2_XS IQ2_S IQ3_XXS IQ3_S".split(), (0,)),
    **dict.fromkeys("Q4_1 Q5_1 Q4_K Q5_K".split(), (0, 2)),
    "Q2_K": (80, 82),
    "Q3_K": (108,),
    "Q6_K": (208,),
    "TQ1_0": (52,),
    "TQ2_0": (64,),
}
"""Where float16 scales lie in a block, of types whose weights are finite when those are and none is when one is not."""


def scales_are_finite(blocks: NDArray[np.uint8], name: str) -> bool:
    """Whether uint8[n, bytes of a block] of a type in ``SCALES`` have weights that are all finite."""
    count, nbytes = blocks.shape
    bits = EXPONENTS["F16"]
    halves = (np.ndarray((count,), "<u2", blocks.data, at, (nbytes,)) for at in SCALES[name])
    return not any(bool(((scale & bits) == bits).any()) for scale in halves)


_INTEGERS = {"I8", "I16", "I32", "I64"}


def first_weight_not_finite(blocks: NDArray[np.uint8], kind: TensorType) -> int:
    """The index of the first weight of uint8[n, bytes of a block] that is NaN or infinite, or -1.

    Decodes only where the scales do not tell. Raises KQuantsError when a type that has to be decoded cannot be.
    """
    name = kind.name
    if name in _INTEGERS or (name in SCALES and scales_are_finite(blocks, name)):
        return -1
    if name in EXPONENTS:
        return int(first_not_finite_half(blocks.reshape(1, -1), EXPONENTS[name]))
    if name == "F32":
        floats = blocks.reshape(-1).view(np.float32)
    else:
        floats = np.empty(len(blocks) * kind.block, np.float32)
        decode(blocks.reshape(-1), kind, floats)
    return int(first_not_finite(floats.reshape(1, -1)))


def kernels(kinds: Iterable[TensorType]) -> list[Any]:
    """What ``first_weight_not_finite`` runs for types, unless a scale is not finite."""
    found: list[Any] = []
    for kind in kinds:
        if kind.name in EXPONENTS:
            found.append(first_not_finite_half)
        elif kind.name not in SCALES and kind.name not in _INTEGERS:
            found += [codec(kind).kernel("decode") if kind.name != "F32" else None, first_not_finite]
    return [kernel for kernel in dict.fromkeys(found) if kernel is not None]
