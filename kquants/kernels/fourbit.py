"""The two tables behind the 4-bit types whose values are not evenly spaced, and the searches on them.

*E2M1*, the 4-bit float of MXFP4 and NVFP4: a sign, two exponent bits, one mantissa bit. The table has twice the value,
so that it is whole; blocks halve their scale in return. *IQ4*, of IQ4_NL and IQ4_XS: sixteen values, denser around
zero, as weights are.

Source of the facts: ``kvalues_fp4`` and ``kvalues_iq4nl`` in ggml-common.h, ``best_index_mxfp4``, ``best_index_int8``
and ``quantize_row_iq4_nl_impl`` in ggml-quants.c.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import inlined
from .lanes import as_bits, as_float, as_type, select, zero_of

F32 = np.float32

E2M1 = np.array([0, 1, 2, 3, 4, 6, 8, 12], np.float32)

IQ4 = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.int8)
_VALUE = IQ4.astype(np.float32)
_MIDDLE = (_VALUE[1:] + _VALUE[:-1]) / 2
_STEP = np.diff(IQ4.astype(np.int16)).astype(np.int8)


@inlined
def e2m1_value(code: Any) -> Any:
    """Twice the value of each uint8 lane's E2M1 code, as float32 lanes; code 8, negative zero, gives 0."""
    size = code & 7
    twice = size + as_type(size > 4, np.uint8) + as_type(size > 5, np.uint8) + 3 * as_type(size > 6, np.uint8)
    signed = as_type(twice, np.int8)
    return as_type(select(code > 7, -signed, signed), np.float32)


@inlined
def closest_e2m1(v: Any, d: Any) -> Any:
    """The codes whose values times ``d`` are closest to float32 lanes, the smaller of equals, as uint8 lanes.

    A value of the other sign is never closer than zero, so magnitudes are compared and the sign is set afterwards.
    """
    size = abs(v)
    best = size
    code = as_bits(v) & 0
    for k in range(1, 8):
        error = abs(E2M1[k] * d - size)
        code = select(error < best, k, code)
        best = select(error < best, error, best)
    return as_type(select((v < 0.0) & (code > 0), code + 8, code), np.uint8)


@inlined
def iq4_value(code: Any) -> Any:
    """The value of each uint8 lane's code, as float32 lanes: from the least upward, a step for each code passed."""
    value = as_type(code & 0, np.int8) + IQ4[0]
    for k in range(15):
        value = value + (as_type(code > k, np.int8) * _STEP[k])
    return as_type(value, np.float32)


@inlined
def closest_iq4(x: Any) -> Any:
    """The table's value closest to float32 lanes, the greater of equals, the greatest for NaN; float32 lanes."""
    value = as_float(as_bits(x) & 0) + _VALUE[15]
    for k in range(14, -1, -1):
        value = select(x < _MIDDLE[k], _VALUE[k], value)
    return value


@inlined
def closest_iq4_code(x: Any) -> Any:
    """Which value ``closest_iq4`` takes: uint8 lanes."""
    code = (as_bits(x) & 0) + 15
    for k in range(14, -1, -1):
        code = select(x < _MIDDLE[k], np.int32(k), code)
    return as_type(code, np.uint8)


@inlined
def fit_iq4_scale(x: Any, at: int, weight: Any) -> Any:
    """Fit ``x = scale * value`` with the table's values to the 32 weights at ``x[at]``.

    The first guess puts the weight of largest magnitude on the table's end of the same sign; fifteen more put it on
    the other end or up to seven steps beside it. Each gives values; the least-squares scale of the values that explain
    most of the weighted square is kept. 0 for a block of (nearly) nothing. ``weight`` says how much an error counts.
    """
    peak = zero_of(x)
    largest = peak
    for i in range(32):
        size = abs(x[at + i])
        peak = select(size > largest, x[at + i], peak)
        largest = select(size > largest, size, largest)
    sum_qx, sum_qq = _sums(x, at, weight, F32(1) / (-peak / _VALUE[0]))
    scale = select(sum_qq > 0.0, sum_qx / sum_qq, F32(0))
    best = scale * sum_qx
    for k in range(-7, 8):
        sum_qx, sum_qq = _sums(x, at, weight, F32(_VALUE[0] + F32(k)) / peak)
        better = (sum_qq > 0.0) & (sum_qx * sum_qx > best * sum_qq)
        scale = select(better, sum_qx / sum_qq, scale)
        best = select(better, scale * sum_qx, best)
    return select(largest < F32(1e-15), F32(0), scale)


@inlined
def _sums(x: Any, at: int, weight: Any, inverse: Any) -> Any:
    sum_qx = zero_of(x)
    sum_qq = sum_qx
    for i in range(32):
        v = x[at + i]
        q = closest_iq4(inverse * v)
        wq = weight[i] * q
        sum_qx = sum_qx + wq * v
        sum_qq = sum_qq + wq * q
    return sum_qx, sum_qq
