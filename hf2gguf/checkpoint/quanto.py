"""Optimum Quanto: eight bits, a scale a row. Weights of fewer bits say nothing of their shape and are not read.

The names are ``MODULE.weight._data`` and ``._scale``. Arithmetic: the scale's type. Source: optimum-quanto 0.2.7.
"""

from __future__ import annotations

from functools import partial

from gguf_py.errors import KQuantsError

from .folder import shown
from .parts import Tensors, Weights, bases, part, without
from .plain import FLOATS
from .scaled import scaled


def weights(stored: Tensors) -> Weights:
    """The weights by name, decoded where they are quantized."""
    few = next((name for name in stored if name.endswith("._data._data")), None)
    if few is not None:
        raise KQuantsError(
            f"{stored[few].shard.path}: {shown(few)} is a weight of Quanto with two or four bits, expected eight"
        )
    made: Weights = {}
    quantized = set(bases(stored, "._data"))
    for name in stored:
        base = name.removesuffix("._data")
        if name != base:
            data, scale = stored[name], part(stored, base + "._scale")
            made[base] = partial(scaled, data, scale, type_name=FLOATS.get(scale.dtype, "F32"))
        elif name.removesuffix("._scale") not in quantized:
            made[name] = None
    return without(made, ".input_scale", ".output_scale")
