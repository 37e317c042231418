"""``llama-quantize`` as a process: ``python -m bench.llama_quantize IN.gguf OUT.gguf TYPE THREADS``.

Calls ``llama_model_quantize`` of the prebuilt llama.cpp and prints the seconds the call took, so that a benchmark
charges llama.cpp neither for Python's start nor for loading the library.
"""

from __future__ import annotations

import ctypes
import sys
import time

from tests.reference import FILE_TYPES, prebuilt
from tests.reference.child import load


def main(source: str, target: str, kind: str, threads: str) -> None:
    """Quantize and print the seconds."""
    folder = prebuilt()
    if folder is None:
        sys.exit("the prebuilt llama.cpp is missing: python -m tests.reference fetch")
    lib = load(folder)
    params = lib.llama_model_quantize_default_params()
    params.nthread, params.ftype = int(threads), FILE_TYPES[kind.upper()]
    start = time.perf_counter()
    if lib.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(params)):
        sys.exit("llama_model_quantize failed")
    print(time.perf_counter() - start)


if __name__ == "__main__":
    main(*sys.argv[1:])
