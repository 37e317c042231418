"""Powers in F32 as PyTorch takes them, to the bit: upstream's rope factors are made of them.

PyTorch hands whole vectors to Sleef's ``powf`` (error below one unit in the last place, "u10"), which is the
exponential of a logarithm times the exponent, each a sum of two F32, with fused multiply-adds; a rest of fewer than
sixteen goes to the C library, whose result is the nearest number.
Facts: SLEEF (Shibata and Petrogalli, 2019), its constants and the order of its operations.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Single = NDArray[np.float32]
Double = tuple[Single, Single]
"""A number as the sum of two F32, of which the second is small."""

_LANES = 16
_F = np.float32
_LN2: Double = (np.array(0.69314718246459960938, _F), np.array(-1.904654323148236017e-09, _F))
_TWO_THIRDS: Double = (np.array(0.66666662693023681640625, _F), np.array(3.69183861259614332084311e-09, _F))
_LOG = [_F(c) for c in (0.240320354700088500976562, 0.285112679004669189453125, 0.400007992982864379882812)]
_EXP = [
    _F(c)
    for c in (
        0.00136324646882712841033936,
        0.00836596917361021041870117,
        0.0416710823774337768554688,
        0.166665524244308471679688,
        0.499999850988388061523438,
    )
]


def power(base: float, exponents: Single) -> Single:
    """``base`` to each of ``exponents``: float32[n]; ``base`` is a positive, normal F32."""
    whole = len(exponents) // _LANES * _LANES
    exact = (np.float64(_F(base)) ** exponents[whole:].astype(np.float64)).astype(_F)
    bases = np.full(whole, base, _F)
    return np.concatenate([_exp(_times(_log(bases), exponents[:whole])), exact])


def _fma(a: Single, b: Single, c: Single | np.float32) -> Single:
    """One rounding for a product and a sum (F64 holds the product, and rounds its sum where it hardly matters)."""
    return np.asarray(a.astype(np.float64) * b.astype(np.float64) + np.asarray(c, np.float64), _F)


def _polynomial(x: Single, coefficients: list[np.float32]) -> Single:
    value = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value = _fma(value, x, coefficient)
    return value


def _times(a: Double, b: Single) -> Double:
    high = a[0] * b
    return high, _fma(a[1], b, _fma(a[0], b, -high))


def _product(a: Double, b: Double) -> Double:
    high = a[0] * b[0]
    return high, _fma(a[0], b[1], _fma(a[1], b[0], _fma(a[0], b[0], -high)))


def _square(a: Double) -> Double:
    high = a[0] * a[0]
    return high, _fma(a[0] + a[0], a[1], _fma(a[0], a[0], -high))


def _quotient(a: Double, b: Double) -> Double:
    inverse = _F(1) / b[0]
    high = a[0] * inverse
    rest = _fma(-b[1], inverse, _fma(-b[0], inverse, _F(1)))
    return high, _fma(high, rest, _fma(a[1], inverse, _fma(inverse, a[0], -high)))


def _sum(a: Double, b: Double) -> Double:
    """The sum, ``a`` being the larger."""
    high = a[0] + b[0]
    return high, a[0] - high + b[0] + a[1] + b[1]


def _any_sum(a: Double, b: Double) -> Double:
    """The sum, whichever is larger."""
    high = a[0] + b[0]
    added = high - a[0]
    return high, (a[0] - (high - added)) + (b[0] - added) + (a[1] + b[1])


def _log(x: Single) -> Double:
    _, exponent = np.frexp(x * _F(1 / 0.75))
    m = np.ldexp(x, 1 - exponent)
    zero, one = np.zeros_like(m), np.ones_like(m)
    ratio = _quotient(_any_sum((-one, zero), (m, zero)), _any_sum((one, zero), (m, zero)))
    square = _square(ratio)
    series = _any_sum(_times(square, _polynomial(square[0], _LOG)), _TWO_THIRDS)
    whole = _sum(_times(_LN2, np.asarray(exponent - 1, _F)), (ratio[0] * _F(2), ratio[1] * _F(2)))
    return _sum(whole, _product(_product(square, ratio), series))


def _exp(x: Double) -> Single:
    steps = np.rint((x[0] + x[1]) * _F(1.442695040888963407))
    zero, one = np.zeros_like(steps), np.ones_like(steps)
    x = _any_sum(x, (steps * _F(-0.693145751953125), zero))
    x = _any_sum(x, (steps * _F(-1.428606765330187045e-06), zero))
    high = x[0] + x[1]
    x = high, x[0] - high + x[1]
    x = _sum((one, zero), _sum(x, _times(_square(x), _polynomial(x[0], _EXP))))
    return np.asarray(np.ldexp(x[0] + x[1], steps.astype(np.int32)), _F)
