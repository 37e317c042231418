"""ggml's own codecs, called through ctypes on NumPy arrays."""

from __future__ import annotations

import ctypes
import faulthandler
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gguf_py.types import TensorType, tensor_type

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

ROW_ONLY = ("Q8_1", "Q8_K")
"""Types of which ggml exports the row functions but which ggml_quantize_chunk does not know."""


class _Traits(ctypes.Structure):
    _fields_ = (
        ("type_name", ctypes.c_char_p),
        ("blck_size", ctypes.c_int64),
        ("blck_size_interleave", ctypes.c_int64),
        ("type_size", ctypes.c_size_t),
        ("is_quantized", ctypes.c_bool),
        ("to_float", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)),
        ("from_float_ref", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)),
    )


class Ggml:
    """The functions of one ``libggml-base.so``."""

    def __init__(self, library: Path) -> None:
        self.library = library
        self._lib = ctypes.CDLL(str(library))
        self._lib.ggml_get_type_traits.restype = ctypes.POINTER(_Traits)
        self._lib.ggml_quantize_requires_imatrix.restype = ctypes.c_bool
        chunk = self._lib.ggml_quantize_chunk
        chunk.restype = ctypes.c_size_t
        chunk.argtypes = [ctypes.c_int, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 3, ctypes.c_void_p]

    def requires_imatrix(self, name: str) -> bool:
        """Whether ggml refuses to encode this type without an importance matrix."""
        return bool(self._lib.ggml_quantize_requires_imatrix(tensor_type(name).id))

    def row_function(self, name: str) -> Any:
        """An exported ``void f(const void *, void *, int64_t)`` such as ``quantize_row_q4_K_ref``, by its name."""
        function = getattr(self._lib, name)
        function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
        function.restype = None
        return function

    def quantize(
        self, x: npt.ArrayLike, name: str, imatrix: npt.ArrayLike | None = None, out: Bytes | None = None
    ) -> Bytes:
        """Encode float32 rows ``x[..., columns]``; uint8 ``[..., row bytes]``. ``imatrix``: one float32 a column."""
        kind = tensor_type(name)
        x = np.ascontiguousarray(x, np.float32)
        columns = x.shape[-1]
        if out is None:
            out = np.zeros((*x.shape[:-1], kind.row_bytes(columns)), np.uint8)
        if x.size == 0:
            return out
        if kind.name in ROW_ONLY:
            self.row_function(f"quantize_row_{_c_name(kind)}_ref")(x.ctypes.data, out.ctypes.data, x.size)
            return out
        weights = None if imatrix is None else np.ascontiguousarray(imatrix, np.float32)
        if weights is not None and weights.shape != (columns,):
            raise ValueError(f"an importance matrix of shape {weights.shape} for {columns} columns")
        pointer = None if weights is None else weights.ctypes.data
        self._lib.ggml_quantize_chunk(kind.id, x.ctypes.data, out.ctypes.data, 0, x.size // columns, columns, pointer)
        return out

    def quantize_isolated(self, x: npt.ArrayLike, name: str, imatrix: npt.ArrayLike | None = None) -> Bytes | None:
        """As ``quantize``, in a forked process: None where ggml's assertions abort it."""
        into, outof = os.pipe()
        child = os.fork()
        if child == 0:
            faulthandler.disable()  # pytest's would report the abort that is expected here
            os.environ["GGML_NO_BACKTRACE"] = "1"  # an abort would start a debugger on itself
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            with os.fdopen(outof, "wb") as pipe:
                pipe.write(self.quantize(x, name, imatrix).tobytes())
            os._exit(0)
        os.close(outof)
        with os.fdopen(into, "rb") as pipe:
            data = pipe.read()
        if os.waitpid(child, 0)[1] != 0:
            return None
        shape = np.shape(x)
        return np.frombuffer(data, np.uint8).reshape(*shape[:-1], tensor_type(name).row_bytes(shape[-1]))

    def dequantize(self, blocks: npt.ArrayLike, name: str, out: Floats | None = None) -> Floats:
        """Decode uint8 rows ``[..., row bytes]``; float32 ``[..., columns]``. Q8_1 has no decoder in ggml."""
        kind = tensor_type(name)
        blocks = np.ascontiguousarray(blocks, np.uint8)
        if out is None:
            out = np.zeros((*blocks.shape[:-1], blocks.shape[-1] // kind.nbytes * kind.block), np.float32)
        if kind.name == "F32":
            return blocks.view(np.float32)
        if kind.name == "Q8_K":
            decode = self.row_function("dequantize_row_q8_K")
        else:
            decode = self._lib.ggml_get_type_traits(kind.id).contents.to_float
        decode(blocks.ctypes.data, out.ctypes.data, out.size)
        return out


def _c_name(kind: TensorType) -> str:
    """The C spelling in function names: lower case but for the K that closes the K-quants."""
    name = kind.name.lower()
    return name[:-1] + "K" if name.endswith("_k") else name
