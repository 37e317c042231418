"""The weights: each is a finite number, which the scales of its block mostly tell."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from gguf_py import ShardSet, Tensor
from gguf_py.strings import quoted

from .faults import Faults, NotApplicable, counted, tensors_of


def finite(model: ShardSet, progress: Callable[[Tensor], None]) -> Faults:
    """Weights that are NaN or infinite, the first of each tensor; ``progress`` is told each before it is read."""
    from ..figures import decodes, in_chunks

    skipped = 0
    for t in tensors_of(model):
        progress(t)
        if not decodes(t):
            skipped += 1
            continue
        bad = [at for at in in_chunks(partial(_first_not_finite, t), t.count) if at >= 0]
        if bad:
            place = ", ".join(str(i) for i in np.unravel_index(bad[0], t.shape or (1,)))
            yield f"tensor {quoted(t.name)}: the weight at [{place}] is not a finite number"
    if skipped == len(model.tensors):
        raise NotApplicable("no weights that can be decoded here")
    left_out = f" ({skipped} cannot be decoded here)" if skipped else ""
    return f"every scale and weight of {counted(len(model.tensors) - skipped, 'tensor')} is finite{left_out}"


def _first_not_finite(t: Tensor, lo: int, hi: int) -> int:
    """Index of the first of some weights that is not finite, or -1; decoded only where the scales do not tell."""
    from ..figures import blocks, reader
    from ..finite import EXPONENTS, SCALES, first_not_finite, first_not_finite_half, scales_are_finite

    kind = t.type.name
    if kind in SCALES and scales_are_finite(blocks(t, lo, hi), kind):
        return -1
    if kind in EXPONENTS:
        at = int(first_not_finite_half(blocks(t, lo, hi).reshape(1, -1), EXPONENTS[kind]))
    else:
        at = int(first_not_finite(reader(t)(lo, hi).weights().reshape(1, -1)))
    return lo + at if at >= 0 else -1
