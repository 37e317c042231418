"""The numbers of GGUF: block codecs with ggml's bits, file types and the quantizer.

>>> import numpy as np
>>> import kquants
>>> x = np.linspace(-1, 1, 512, dtype=np.float32).reshape(2, 256)
>>> blocks = kquants.quantize(x, "Q4_K")
>>> blocks.shape, blocks.dtype
((2, 144), dtype('uint8'))
>>> bool(np.abs(kquants.dequantize(blocks, "Q4_K") - x).max() < 0.03)
True
"""

from gguf_py.errors import KQuantsError

from .arrays import dequantize, quantize, types

__all__ = ["KQuantsError", "dequantize", "quantize", "types"]
