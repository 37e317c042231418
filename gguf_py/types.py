"""Every tensor type and metadata value type a GGUF file can hold, each fact once.

Source: the enumerations ``ggml_type`` and ``gguf_type`` of llama.cpp v0.5.0 and the block structures of ggml.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from .errors import KQuantsError


class ValueType(IntEnum):
    """The type of a metadata value, as numbered in the file."""

    UINT8 = 0
    INT8 = 1
    UINT16 = 2
    INT16 = 3
    UINT32 = 4
    INT32 = 5
    FLOAT32 = 6
    BOOL = 7
    STRING = 8
    ARRAY = 9
    UINT64 = 10
    INT64 = 11
    FLOAT64 = 12


@dataclass(frozen=True, slots=True, eq=False)
class TensorType:
    """How a tensor's weights are stored: ``block`` weights in ``nbytes`` bytes, along a row.

    A type equals its name, so that ``tensor.type == "Q4_K"`` says what it seems to say.
    """

    id: int
    name: str
    block: int
    nbytes: int

    @property
    def bpw(self) -> float:
        """Bits per weight."""
        return 8 * self.nbytes / self.block

    @property
    def quantized(self) -> bool:
        """Whether a block shares scales, that is, whether it is not a plain number type."""
        return self.block > 1

    def row_bytes(self, columns: int) -> int:
        """Bytes of a row of ``columns`` weights; raises KQuantsError when they do not fill whole blocks."""
        blocks, rest = divmod(columns, self.block)
        if rest:
            raise KQuantsError(f"a row of {columns} weights does not fill whole {self.name} blocks of {self.block}")
        return blocks * self.nbytes

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return self.name == other
        return self.id == other.id if isinstance(other, TensorType) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.name)

    def __str__(self) -> str:
        return self.name


_TABLE = """
    F32 0 1 4        F16 1 1 2        BF16 30 1 2      F64 28 1 8
    I8 24 1 1        I16 25 1 2       I32 26 1 4       I64 27 1 8
    Q1_0 41 128 18   Q2_0 42 64 18
    Q4_0 2 32 18     Q4_1 3 32 20     Q5_0 6 32 22     Q5_1 7 32 24     Q8_0 8 32 34     Q8_1 9 32 36
    Q2_K 10 256 84   Q3_K 11 256 110  Q4_K 12 256 144  Q5_K 13 256 176  Q6_K 14 256 210  Q8_K 15 256 292
    IQ1_S 19 256 50  IQ1_M 29 256 56
    IQ2_XXS 16 256 66  IQ2_XS 17 256 74  IQ2_S 22 256 82  IQ3_XXS 18 256 98  IQ3_S 21 256 110
    IQ4_NL 20 32 18  IQ4_XS 23 256 136
    TQ1_0 34 256 54  TQ2_0 35 256 66  MXFP4 39 32 17   NVFP4 40 64 36
""".split()

TENSOR_TYPES: dict[str, TensorType] = {
    name: TensorType(int(id_), name, int(block), int(nbytes))
    for name, id_, block, nbytes in zip(*(_TABLE[i::4] for i in range(4)), strict=True)
}
"""Tensor types by name: id in the file, weights a block, bytes a block."""

_BY_ID = {t.id: t for t in TENSOR_TYPES.values()}


def tensor_type(key: str | int | TensorType) -> TensorType:
    """The tensor type of a name (any case), an id, or itself; raises KQuantsError for one that does not exist."""
    if isinstance(key, TensorType):
        return key
    found = TENSOR_TYPES.get(key.upper()) if isinstance(key, str) else _BY_ID.get(key)
    if found is None or isinstance(key, (bool, float)):  # which equal integers
        import difflib

        near = difflib.get_close_matches(key.upper(), TENSOR_TYPES, 1) if isinstance(key, str) else []
        known = f" (did you mean {near[0]}?)" if near else f", expected one of {', '.join(TENSOR_TYPES)}"
        raise KQuantsError(f"unknown tensor type {key!r}{known}")
    return found


_FILE_TYPES = """
    0 F32      1 F16      2 Q4_0     3 Q4_1     7 Q8_0     8 Q5_0     9 Q5_1     10 Q2_K    11 Q3_K_S  12 Q3_K_M
    13 Q3_K_L  14 Q4_K_S  15 Q4_K_M  16 Q5_K_S  17 Q5_K_M  18 Q6_K    19 IQ2_XXS 20 IQ2_XS  21 Q2_K_S  22 IQ3_XS
    23 IQ3_XXS 24 IQ1_S   25 IQ4_NL  26 IQ3_S   27 IQ3_M   28 IQ2_S   29 IQ2_M   30 IQ4_XS  31 IQ1_M   32 BF16
    36 TQ1_0   37 TQ2_0   38 MXFP4_MOE  39 NVFP4  40 Q1_0  41 Q2_0
""".split()

FILE_TYPES: dict[str, int] = {name: int(id_) for id_, name in zip(_FILE_TYPES[::2], _FILE_TYPES[1::2], strict=True)}
"""File types by name: what the metadata key ``general.file_type`` says. Source: ``llama_ftype`` of llama.cpp v0.5.0."""
