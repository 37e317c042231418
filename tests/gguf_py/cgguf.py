"""ggml's own GGUF writer, called through ctypes: the real reference for headers."""

from __future__ import annotations

import ctypes as c
from pathlib import Path
from typing import Any

import numpy as np

from gguf_py import TensorInfo, ValueType
from tests.reference import Ggml

_SCALARS = {
    ValueType.UINT8: ("u8", c.c_uint8),
    ValueType.INT8: ("i8", c.c_int8),
    ValueType.UINT16: ("u16", c.c_uint16),
    ValueType.INT16: ("i16", c.c_int16),
    ValueType.UINT32: ("u32", c.c_uint32),
    ValueType.INT32: ("i32", c.c_int32),
    ValueType.FLOAT32: ("f32", c.c_float),
    ValueType.BOOL: ("bool", c.c_bool),
    ValueType.UINT64: ("u64", c.c_uint64),
    ValueType.INT64: ("i64", c.c_int64),
    ValueType.FLOAT64: ("f64", c.c_double),
    ValueType.STRING: ("str", c.c_char_p),
}


class _InitParams(c.Structure):
    _fields_ = (("mem_size", c.c_size_t), ("mem_buffer", c.c_void_p), ("no_alloc", c.c_bool))


def write_header(
    ggml: Ggml, path: Path, values: list[tuple[str, ValueType, ValueType | None, Any]], infos: list[TensorInfo]
) -> None:
    """Write a header with ``gguf_set_val_*``, ``gguf_set_arr_*``, ``gguf_add_tensor`` and ``gguf_write_to_file``."""
    lib = c.CDLL(str(ggml.library))
    lib.gguf_init_empty.restype = lib.ggml_init.restype = lib.ggml_new_tensor.restype = c.c_void_p
    lib.ggml_init.argtypes = [_InitParams]
    file = c.c_void_p(lib.gguf_init_empty())
    for key, kind, item, value in values:
        name = c.c_char_p(key.encode())
        if item is ValueType.STRING:
            texts = (c.c_char_p * len(value))(*[text.encode() for text in value])
            lib.gguf_set_arr_str(file, name, texts, c.c_size_t(len(value)))
        elif item is not None:
            data = np.ascontiguousarray(value)
            lib.gguf_set_arr_data(file, name, int(item), c.c_void_p(data.ctypes.data), c.c_size_t(len(data)))
        else:
            suffix, ctype = _SCALARS[kind]
            setter = getattr(lib, f"gguf_set_val_{suffix}")
            setter(file, name, ctype(value.encode() if isinstance(value, str) else value))
    memory = c.c_void_p(lib.ggml_init(_InitParams(1 << 20, None, True)))
    for info in infos:
        axes = (c.c_int64 * len(info.shape))(*reversed(info.shape))
        tensor = c.c_void_p(lib.ggml_new_tensor(memory, info.type.id, len(info.shape), axes))
        lib.ggml_set_name(tensor, c.c_char_p(info.name.encode()))
        lib.gguf_add_tensor(file, tensor)
    lib.gguf_write_to_file.restype = c.c_bool
    assert lib.gguf_write_to_file(file, c.c_char_p(str(path).encode()), c.c_bool(True))
    lib.gguf_free(file)
    lib.ggml_free(memory)
