"""The same bytes whatever the lane width and the processor's features: each in a process of its own."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys

import numpy as np
import pytest

import kquants
from gguf_py.types import TENSOR_TYPES
from kquants.codecs import codec

from . import inputs

X86 = platform.machine() in ("x86_64", "AMD64")


def digests() -> dict[str, str]:
    """By type, the digest of what is encoded and decoded from rows on which roundings differ."""
    x = np.concatenate([rows[:1] for rows in inputs.rows(256).values()])[:-1]  # an odd count of blocks
    weights = inputs.importance(256)["measured"]
    found = {}
    for name in TENSOR_TYPES:
        encoders = [hasattr(codec(name), k) for k in ("encode", "encode_weighted")]
        digest = hashlib.sha256()
        for present, imatrix in zip(encoders, (None, weights), strict=True):
            if present:
                blocks = kquants.quantize(x, name, imatrix)
                digest.update(blocks)
                digest.update(kquants.dequantize(blocks, name))
        if any(encoders):
            found[name] = digest.hexdigest()
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [
        pytest.param({"KQUANTS_LANES": "8", "NUMBA_CPU_NAME": "generic"}, id="8 lanes, no AVX at all"),
        pytest.param(
            {"KQUANTS_LANES": "16", "NUMBA_CPU_NAME": "x86-64-v3"},
            id="16 lanes, AVX2 without AVX-512",
            marks=pytest.mark.skipif(not X86, reason="names an x86 processor"),
        ),
        pytest.param({"KQUANTS_LANES": "32"}, id="32 lanes, this processor"),
    ],
)
def test_same_bytes(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", __name__],
        env={**os.environ, "NUMBA_CPU_FEATURES": "", **environment}
        if "NUMBA_CPU_NAME" in environment
        else {**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == digests()


if __name__ == "__main__":
    json.dump(digests(), sys.stdout)
