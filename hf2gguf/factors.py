"""Weights that stay NVFP4 and the factors that go with them, before all other tensors, as upstream writes them.

A factor follows its weight: what becomes of rows does not touch it, experts that are stacked have one each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gguf_py import KQuantsError
from kquants.source import Source

from .checkpoint import DecodedTensors
from .definition import Definition
from .expression import Scope, pipeline
from .numbers import constant
from .tensors import map_tensors

_FOLLOWED = ("stack", "when", "once")
"""Operations that matter to a factor too."""


def map_all(
    tensors: DecodedTensors, definition: Definition, scope: Scope, where: object
) -> Iterator[tuple[str, Source]]:
    """The GGUF tensors in upstream's order; raises KQuantsError as ``map_tensors`` does."""
    if tensors.kept != "NVFP4":
        yield from map_tensors(tensors, definition, scope, where)
        return
    kept, others = tensors.apart()
    mapped = dict(map_tensors(kept, replace(definition, generate={}), scope, where))
    factors = tensors.factors
    scales = _mapped({name: f.scale for name, f in factors.items()}, definition, scope, where)
    input_scales = _mapped({name: f.input_scale for name, f in factors.items()}, definition, scope, where)
    for name, source in mapped.items():
        yield name, source
        for end, found in (("scale", scales), ("input_scale", input_scales)):
            numbers = found[name]
            if len(numbers) > 1 and source.shape[0] != len(numbers):
                raise KQuantsError(f"{where}: {name} joins NVFP4 weights, each of which has a scale of its own")
            if not _trivial(numbers):
                yield f"{name.removesuffix('.weight')}.{end}", constant(numbers.tolist())
    yield from map_tensors(others, definition, scope, where)


def wide(tensors: DecodedTensors, definition: Definition, scope: Scope, where: object) -> list[str]:
    """The GGUF names, sorted, of NVFP4 weights whose activations are not to be quantized to four bits."""
    flags = {name: constant([float(f.wide)]) for name, f in tensors.factors.items()}
    return sorted(name for name, numbers in _mapped(flags, definition, scope, where).items() if numbers.any())


def _trivial(numbers: NDArray[np.float32]) -> bool:
    if len(numbers) == 1:
        return bool(abs(float(numbers[0]) - 1) < 1e-6)
    return bool(np.allclose(numbers, 1, atol=1e-6))


def _mapped(
    factors: Mapping[str, Source], definition: Definition, scope: Scope, where: object
) -> dict[str, NDArray[np.float32]]:
    """Factors by the GGUF names of their weights, float32[n]."""
    bare = {text: _bare(target) for text, target in definition.tensors.items()}
    found = map_tensors(factors, replace(definition, tensors=bare, generate={}), scope, where)
    return {name: source.rows(0, source.count).view(np.float32).reshape(-1) for name, source in found}


def _bare(target: str | list[str] | tuple[str, ...]) -> str | list[str]:
    """The target without the operations on rows."""
    if not isinstance(target, str):
        return [str(_bare(one)) for one in target]
    name, steps = pipeline(target)
    return " | ".join([name, *(f"{op}({', '.join(texts)})" for op, texts in steps if op in _FOLLOWED)])
