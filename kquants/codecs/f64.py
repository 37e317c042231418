"""F64: IEEE 754 binary64, little-endian; decoding rounds to the nearest float32."""

from __future__ import annotations

from ..kernels.plain import decoder, encoder

decode = decoder("<f8")
encode = encoder("<f8")
