"""The same bytes whatever the lanes, the processor's features, the threads and the number of rows."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from llvmlite import binding

import kquants
from gguf_py.types import TENSOR_TYPES
from kquants.codecs import codec
from kquants.kernels.lanes import LANES

from . import inputs
from .digests import digests
from .test_against_ggml import ALL, CODEBOOK, NUMBERS, ONE_PASS, WEIGHTED

Floats = npt.NDArray[np.float32]

X86 = platform.machine() in ("x86_64", "AMD64")
FEATURES = binding.get_host_cpu_features() if X86 else {}
ROOT = Path(__file__).resolve().parents[3]

MACHINES = {
    "8 lanes, SSE2 alone": {"KQUANTS_LANES": "8", "NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": ""},
    "32 lanes, no AVX-512": {"KQUANTS_LANES": "32", "NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma"},
}
if LANES != 16:
    MACHINES["16 lanes"] = {"KQUANTS_LANES": "16"}

FAMILIES = {
    "simple": NUMBERS + ONE_PASS,
    "weighted": [name for name in WEIGHTED if not name.endswith("_K")],
    "K": [name for name in WEIGHTED if name.endswith("_K")],
    "IQ1 and IQ2": [name for name in CODEBOOK if name < "IQ3"],
    "IQ3": [name for name in CODEBOOK if name > "IQ3"],
}


@pytest.mark.slow
@pytest.mark.skipif(not X86, reason="the processors named here are x86-64's")
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("machine", MACHINES)
def test_lanes_and_processors(machine: str, family: str) -> None:
    settings = MACHINES[machine]
    for feature in settings.get("NUMBA_CPU_FEATURES", "").replace("+", "").split(","):
        if feature and not FEATURES.get(feature):
            pytest.skip(f"this processor has no {feature}")
    names = FAMILIES[family]
    command = [sys.executable, "-m", "tests.kquants.codecs.digests", *names]
    run = subprocess.run(command, cwd=ROOT, env=os.environ | settings, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == {name: digests(name) for name in names}


def a_few_rows(name: str, count: int) -> Floats:
    """Rows of three blocks, so that neither rows nor blocks come in multiples of the lanes."""
    rng = np.random.default_rng(5)
    return rng.standard_normal((count, 3 * TENSOR_TYPES[name].block), np.float32)


@pytest.mark.parametrize("name", ALL)
def test_any_number_of_rows(name: str) -> None:
    x = a_few_rows(name, 45)
    imatrix = inputs.importance(x.shape[1])["measured"]
    for weights in (None, imatrix):
        if weights is None and not hasattr(codec(name), "encode"):
            continue
        whole = kquants.quantize(x, name, weights)
        for count in range(1, 35):
            found = kquants.quantize(x[45 - count :], name, weights, threads=1)
            assert (found == whole[45 - count :]).all(), f"{count} rows"
    decoded = kquants.dequantize(whole, name)
    for count in range(1, 35):
        assert (kquants.dequantize(whole[:count], name) == decoded[:count]).all()


@pytest.mark.parametrize("name", ALL)
def test_any_number_of_threads(name: str) -> None:
    columns = 1024
    x = np.random.default_rng(6).standard_normal((1100, columns), np.float32)
    imatrix = inputs.importance(columns)["measured"] if codec_takes_importance(name) else None
    alone = kquants.quantize(x, name, imatrix, threads=1)
    decoded = kquants.dequantize(alone, name, threads=1)
    for threads in (2, 3, 5, 8):
        assert (kquants.quantize(x, name, imatrix, threads=threads) == alone).all()
        assert (kquants.dequantize(alone, name, threads=threads) == decoded).all()


def codec_takes_importance(name: str) -> bool:
    return hasattr(codec(name), "encode_weighted")


@pytest.mark.parametrize("name", ALL)
def test_writes_nothing_beside_its_place(name: str) -> None:
    """A kernel given the middle rows of an array leaves the others as they were."""
    kind = TENSOR_TYPES[name]
    x = a_few_rows(name, 21).reshape(-1, kind.block)[:21]
    out = np.full((23, kind.nbytes), 0xA5, np.uint8)
    imatrix = np.ones(kind.block, np.float32)
    if hasattr(codec(name), "encode"):
        codec(name).encode(x, out[1:22])
    else:
        codec(name).encode_weighted(x, imatrix, out[1:22])
    assert (out[[0, 22]] == 0xA5).all()
    weights = np.full((23, kind.block), 7, np.float32)
    codec(name).decode(out[1:22], weights[1:22])
    assert (weights[[0, 22]] == 7).all()
