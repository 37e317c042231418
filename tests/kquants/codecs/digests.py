"""``python -m tests.kquants.codecs.digests NAME...``: what this process makes of fixed inputs, as digests in JSON.

Run with other environment variables, it is kquants on another processor, or with other lanes.
"""

from __future__ import annotations

import hashlib
import json
import sys

import numpy as np

import kquants
from gguf_py.types import TENSOR_TYPES
from kquants.codecs import codec

from . import inputs


def digests(name: str) -> dict[str, str]:
    """SHA-256 of what each kernel of a type makes of a row of every kind, and of random blocks."""
    x = np.concatenate([rows[:1] for rows in inputs.rows(512).values()])
    imatrix = inputs.importance(512)["some zeros"]
    module = codec(name)
    made = {"decode": kquants.dequantize(inputs.random_blocks(203, TENSOR_TYPES[name].nbytes), name)}
    if hasattr(module, "encode"):
        made["encode"] = kquants.quantize(x, name)
    if hasattr(module, "encode_weighted"):
        made["encode_weighted"] = kquants.quantize(x, name, imatrix)
    return {kernel: hashlib.sha256(result.tobytes()).hexdigest() for kernel, result in made.items()}


if __name__ == "__main__":
    json.dump({name: digests(name) for name in sys.argv[1:]}, sys.stdout)
