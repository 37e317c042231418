"""GGUF files: header, metadata, tensor table, alignment, shards. Needs NumPy and nothing else.

``open`` reads, ``write`` writes; ``lay_out`` says where everything goes before a byte is written.
"""

from . import atomic
from .copying import rewrite
from .errors import KQuantsError
from .file import GGUFFile, Metadata, Tensor
from .layout import Layout, TensorInfo, lay_out
from .reader import open
from .shards import ShardSet, open_shards
from .strings import Strings
from .types import TENSOR_TYPES, TensorType, ValueType, tensor_type
from .values import Field
from .writer import write

__all__ = [
    "TENSOR_TYPES",
    "Field",
    "GGUFFile",
    "KQuantsError",
    "Layout",
    "Metadata",
    "ShardSet",
    "Strings",
    "Tensor",
    "TensorInfo",
    "TensorType",
    "ValueType",
    "atomic",
    "lay_out",
    "open",
    "open_shards",
    "rewrite",
    "tensor_type",
    "write",
]
