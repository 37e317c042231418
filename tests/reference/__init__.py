"""llama.cpp v0.5.0 as the judge: its codecs in this process, its models and quantizer in a child process.

``python -m tests.reference fetch`` brings the prebuilt libraries into ``.reference/``; the environment variable
``KQUANTS_REFERENCE`` names a folder that already holds them. Tests ask for the fixtures ``ggml`` and ``llama``.
"""

from .ggml import Ggml
from .llama import FILE_TYPES, Llama, ReferenceFailed
from .locate import PREBUILT, fetch, ggml_libraries, ggml_library, minilm, prebuilt

__all__ = [
    "FILE_TYPES",
    "PREBUILT",
    "Ggml",
    "Llama",
    "ReferenceFailed",
    "fetch",
    "ggml_libraries",
    "ggml_library",
    "minilm",
    "prebuilt",
]
