"""Find weights that are not numbers before they spoil the blocks they are in, and round on the way."""

from __future__ import annotations

from .jit import deferred

first_not_finite = deferred("kquants.kernels.finite").first_not_finite
"""``first_not_finite(x)``: the flat index of the first NaN or infinity in float32[n, m], or -1."""

first_not_finite_half = deferred("kquants.kernels.finite").first_not_finite_half
"""``first_not_finite_half(halves, exponent)``: the same in two-byte numbers, uint8[n, 2 * m], see ``EXPONENTS``."""

round_to_half = deferred("kquants.kernels.finite").round_to_half
"""``round_to_half(x)``: float32[n, m] to the nearest float16 numbers, in place; finds what is not finite then."""

EXPONENTS = {"F16": 0x7C00, "BF16": 0x7F80}
"""The bits of a two-byte number that are all set in NaN and infinity and in no other."""
