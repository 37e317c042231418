"""The checkpoints by name: what each architecture is tried with. The name is the folder's, and so the model's.

A module a family; each enters its own into the table.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from .table import ZOO

for module in iter_modules(__path__):
    import_module(f"{__name__}.{module.name}")

OPTIONS: list[tuple[str, tuple[str, ...]]] = [
    ("tiny-llama", ("--vocab-only",)),
    ("tiny-qwen3", ("--vocab-only",)),
    *((name, ("--vocab-only",)) for name in ("tiny-apertus", "phi3-long", "tiny-talkie", "tiny-qwen4", "mimo2-packed")),
    ("tiny-llama", ("--outtype", "f16", "--bigendian")),
    ("tiny-llama", ("--outtype", "bf16", "--bigendian")),
    ("tiny-llama", ("--outtype", "q8_0", "--bigendian")),
    ("tiny-llama", ("--outtype", "f16", "--model-name", "A Name")),
    ("tiny-mixtral", ("--outtype", "f16", "--split-max-tensors", "7")),
    ("tiny-mixtral", ("--outtype", "f16", "--split-max-size", "300K")),
    ("tiny-mixtral", ("--outtype", "f16", "--split-max-size", "300K", "--no-tensor-first-split")),
    ("tiny-mixtral", ("--outtype", "f16", "--split-max-size", "1G")),
]
"""Runs with other options than the type, also compared with upstream's."""

__all__ = ["OPTIONS", "ZOO"]
