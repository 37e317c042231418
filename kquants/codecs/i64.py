"""I64: whole numbers, two's complement, in 8 bytes, little-endian. Read only: ggml quantizes nothing to them."""

from __future__ import annotations

from ..kernels.plain import decoder

decode = decoder("<i8")
