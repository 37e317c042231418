"""I8: whole numbers, two's complement, in one byte. Read only: ggml quantizes nothing to them."""

from __future__ import annotations

from ..kernels.plain import decoder

decode = decoder("<i1")
