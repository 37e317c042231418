"""TQ1_0: 256 weights share one scale; a weight is ``d * (t - 1)`` with t 0, 1 or 2, five of them in a byte.

    byte  0                   32                  48                 52       54
          | t of weights 0..  | t of weights 160..| t of weights 240..| d: f16 |

A byte is a fraction of 256: its digits after the point, in base 3, are the t of its weights, so that the decoder gets
one by multiplying by 3 and taking what carries out of the byte. With n bytes in a group (32, 16, 4), byte i holds
weights i, i + n, i + 2n ... of that group: five, and in the last group four, with a digit 0 behind them. The encoder
rounds the fraction up, without which the last digit would be lost. The scale is the largest magnitude.

Source of the facts: ``block_tq1_0`` in ggml-common.h, ``quantize_row_tq1_0_ref`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import DECODE, ENCODE, inlined, kernel
from ..kernels.lanes import as_type, fill, load, store
from ..kernels.numerics import half_at, half_of
from ..kernels.onepass import peak_of_256, reciprocal, trits

F32 = np.float32


@inlined
def _write_digits(fraction: Any, digits: int, step: int, d: Any, out: Any, b: int, at: int) -> None:
    """The weights of a group of bytes, ``digits`` for each byte, every digit's weights ``step`` after the last's."""
    for k in range(digits):
        # What carries out of three times the byte: 1 from 86 on, 2 from 171 on.
        t = as_type(fraction > 85, np.int8) + as_type(fraction > 170, np.int8) - 1
        store(out, b, at + step * k, as_type(t, np.float32) * d)
        fraction = fraction + fraction + fraction


@kernel(DECODE)
def decode(blocks: Any, out: Any) -> None:
    """uint8[n, 54] to float32[n, 256]."""
    for b in range(blocks.shape[0]):
        d = half_at(blocks, b, 52)
        _write_digits(load(blocks, b, 0, 32), 5, 32, d, out, b, 0)
        _write_digits(load(blocks, b, 32, 16), 5, 16, d, out, b, 160)
        _write_digits(load(blocks, b, 48, 4), 4, 4, d, out, b, 240)


@inlined
def _fraction(number: Any) -> Any:
    """A number of five base-3 digits as 256ths of 3**5, rounded up."""
    return as_type((as_type(number, np.uint16) * 256 + 242) / 243, np.uint8)


@kernel(ENCODE)
def encode(x: Any, out: Any) -> None:
    """float32[n, 256] to uint8[n, 54]."""
    for b in range(x.shape[0]):
        d = peak_of_256(x, b)
        inverse = reciprocal(d)
        number = fill(32, np.uint8(0))
        for k in range(5):
            number = number * 3 + trits(load(x, b, 32 * k, 32) * inverse)
        store(out, b, 0, _fraction(number))
        middle = fill(16, np.uint8(0))
        for k in range(5):
            middle = middle * 3 + trits(load(x, b, 160 + 16 * k, 16) * inverse)
        store(out, b, 32, _fraction(middle))
        last = fill(4, np.uint8(0))
        for k in range(4):
            last = last * 3 + trits(load(x, b, 240 + 4 * k, 4) * inverse)
        store(out, b, 48, _fraction(last * 3))
        store(out, b, 52, half_of(d))
