"""``llama-quantize`` as a process: ``python -m bench.llama_quantize IN.gguf OUT.gguf TYPE THREADS [IMATRIX]``.

Calls ``llama_model_quantize`` of the prebuilt llama.cpp and prints the seconds the call took, so that a benchmark
charges llama.cpp neither for Python's start nor for loading the library and the importance matrix.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from kquants import imatrix
from tests.kquants.models import overrides
from tests.reference import FILE_TYPES, prebuilt
from tests.reference.child import load, quantize


def main(source: str, target: str, kind: str, threads: str, importance: str = "") -> None:
    """Quantize and print the seconds."""
    folder = prebuilt()
    if folder is None:
        sys.exit("the prebuilt llama.cpp is missing: python -m tests.reference fetch")
    lib = load(folder)
    request: dict[str, Any] = {"source": source, "target": target}
    request["params"] = {"nthread": int(threads), "ftype": FILE_TYPES[kind.upper()]}
    arrays: dict[str, Any] = {}
    if importance:
        loaded = imatrix.load(importance)
        arrays |= loaded.entries
        request |= {"imatrix": {name: name for name in arrays}, "kv_overrides": overrides(loaded)}
    start = time.perf_counter()
    if quantize(lib, request, arrays)["status"]:
        sys.exit("llama_model_quantize failed")
    print(time.perf_counter() - start)


if __name__ == "__main__":
    main(*sys.argv[1:])
