"""Find weights that are not numbers before they spoil the blocks they are in."""

from __future__ import annotations

from .jit import deferred

first_not_finite = deferred("kquants.kernels.finite").first_not_finite
"""``first_not_finite(x)``: the flat index of the first NaN or infinity in float32[n, m], or -1."""
