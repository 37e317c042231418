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
    """Index of the first of some weights that is not finite, or -1."""
    from ..figures import blocks
    from ..finite import first_weight_not_finite

    at = first_weight_not_finite(blocks(t, lo, hi), t.type)
    return lo + at if at >= 0 else -1
