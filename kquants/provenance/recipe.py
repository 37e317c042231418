"""How a file was quantized: what the quantizer is told, what a person types, what a statement holds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from gguf_py import Field, KQuantsError, ValueType, tensor_type
from gguf_py.shards import ShardSet

from ..imatrix import Imatrix
from ..plan import Plan
from ..quantizer import Options, quantize_model
from ..rules import Wishes

OVERRIDABLE = {
    "int": ValueType.UINT32,
    "float": ValueType.FLOAT32,
    "bool": ValueType.BOOL,
    "str": ValueType.STRING,
}
"""What ``--override-kv`` calls the types that it can set."""
LONGEST = 127
"""Bytes of a text that ``--override-kv`` can set."""


@dataclass(frozen=True)
class Recipe:
    """How to quantize: what ``kquants quantize`` is told besides the files."""

    file_type: str
    pure: bool = False
    leave_output: bool = False
    output_type: str | None = None
    embedding_type: str | None = None
    tensor_types: Mapping[str, str] = field(default_factory=dict)
    """Types of single tensors, by name."""
    prune_layers: tuple[int, ...] = ()
    overrides: Mapping[str, tuple[str, Any]] = field(default_factory=dict)
    """Metadata that takes the place of the source's, by key: ``int``, ``float``, ``bool`` or ``str``, and the value."""
    include_weights: tuple[str, ...] = ()
    exclude_weights: tuple[str, ...] = ()
    keep_split: bool = False

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Recipe:
        """From what ``asdict`` gave, through JSON; raises TypeError when a value is not what it should be."""
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in told.items()}
        made = cls(**values)
        for name, default in asdict(cls("")).items():
            found = getattr(made, name)
            if not isinstance(found, str if default is None else type(default)) and found is not default:
                raise TypeError(f"{name} is {found!r}")
        overrides = {key: (str(kind), value) for key, (kind, value) in made.overrides.items()}
        try:
            for key, (kind, value) in overrides.items():
                Field.of(key, value, OVERRIDABLE[kind])
        except KQuantsError as fault:
            raise TypeError(str(fault)) from None
        return replace(made, overrides=overrides)

    def options(self, imatrix: Imatrix | None) -> Options:
        """As the quantizer takes it."""
        wishes = Wishes(
            self.pure,
            self.leave_output,
            None if self.output_type is None else tensor_type(self.output_type),
            None if self.embedding_type is None else tensor_type(self.embedding_type),
            tuple((re.compile(f"^{re.escape(n)}$"), tensor_type(t)) for n, t in self.tensor_types.items()),
        )
        return Options(
            wishes,
            None if imatrix is None else imatrix.only(self.include_weights, self.exclude_weights),
            overrides=tuple(Field.of(key, value, OVERRIDABLE[kind]) for key, (kind, value) in self.overrides.items()),
            prune_layers=self.prune_layers,
            allow_requantize=True,
            keep_split=self.keep_split,
        )

    def arguments(self) -> list[str]:
        """As the command takes it, after the names of the files."""
        said = [self.file_type]
        said += ["--pure"] if self.pure else []
        said += ["--leave-output-tensor"] if self.leave_output else []
        said += ["--output-tensor-type", self.output_type] if self.output_type else []
        said += ["--token-embedding-type", self.embedding_type] if self.embedding_type else []
        for name, kind in self.tensor_types.items():
            said += ["--tensor-type", f"^{re.escape(name)}$={kind}"]
        said += ["--prune-layers", ",".join(map(str, self.prune_layers))] if self.prune_layers else []
        for key, (kind, value) in self.overrides.items():
            said += ["--override-kv", f"{key}={kind}:{_spelled(kind, value)}"]
        for name in self.include_weights:
            said += ["--include-weights", name]
        for name in self.exclude_weights:
            said += ["--exclude-weights", name]
        return said + (["--keep-split"] if self.keep_split else [])


def _spelled(kind: str, value: Any) -> str:
    if kind == "bool":
        return "true" if value else "false"
    return str(np.float32(value)) if kind == "float" else str(value)


def planned(model: ShardSet, source: ShardSet, recipe: Recipe, imatrix: Imatrix | None) -> Plan:
    """The plan that makes ``model`` from ``source``; its path is of no matter."""
    return quantize_model(source, model.path, recipe.file_type, recipe.options(imatrix))
