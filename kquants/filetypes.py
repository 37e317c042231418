"""File types: the recipes by name and number, each with the tensor type that most tensors get.

Source of the facts: ``llama_ftype`` and the table of llama-quantize, llama.cpp v0.5.0. NVFP4 is numbered there, but
llama-quantize does not make it; here it is every matrix as NVFP4.
"""

from __future__ import annotations

from dataclasses import dataclass

from gguf_py.errors import KQuantsError
from gguf_py.types import FILE_TYPES as NUMBERS
from gguf_py.types import TensorType, tensor_type


@dataclass(frozen=True, slots=True)
class FileType:
    """A recipe: ``id`` is what ``general.file_type`` says, ``default`` what a tensor gets that no rule picks out."""

    id: int
    name: str
    default: TensorType
    about: str

    def __str__(self) -> str:
        return self.name


_TABLE = """
    F32       F32     every weight as it was trained
    F16       F16     half precision, what most models are converted to first
    BF16      BF16    half the bytes of F32 with its range
    Q8_0      Q8_0    as good as F16 for every purpose
    Q6_K      Q6_K    hardly to be told from F16
    Q5_K_M    Q5_K    small loss; the more sensitive half of the values in Q6_K
    Q5_K_S    Q5_K    small loss
    Q5_1      Q5_1    the older scheme with a minimum; Q5_K_M is better
    Q5_0      Q5_0    the older scheme; Q5_K_S is better
    Q4_K_M    Q4_K    the usual choice: a good model in a third of the room
    Q4_K_S    Q4_K    a little smaller than Q4_K_M
    Q4_1      Q4_1    the older scheme with a minimum; Q4_K_M is better
    Q4_0      Q4_0    the older scheme; fast everywhere
    IQ4_NL    IQ4_NL  4 bits on a curve, rows of any multiple of 32
    IQ4_XS    IQ4_XS  4 bits on a curve, smaller than Q4_K_S and as good
    NVFP4     NVFP4   4-bit floats, a scale for 16 weights
    MXFP4_MOE MXFP4   4-bit floats for experts, Q8_0 for everything else
    Q3_K_L    Q3_K    3 bits, sensitive tensors in Q5_K
    Q3_K_M    Q3_K    3 bits, sensitive tensors in Q4_K or Q5_K
    IQ3_M     IQ3_S   3 bits from a codebook, sensitive tensors in Q4_K
    IQ3_S     IQ3_S   3 bits from a codebook
    Q3_K_S    Q3_K    3 bits everywhere
    IQ3_XS    IQ3_S   3.3 bits from a codebook
    IQ3_XXS   IQ3_XXS 3.06 bits from a codebook
    Q2_K      Q2_K    2 bits, sensitive tensors in Q3_K or Q4_K; loses much
    Q2_K_S    Q2_K    2 bits
    IQ2_M     IQ2_S   2.7 bits from a codebook
    IQ2_S     IQ2_XS  2.5 bits from a codebook
    IQ2_XS    IQ2_XS  2.31 bits from a codebook
    IQ2_XXS   IQ2_XXS 2.06 bits from a codebook
    IQ1_M     IQ1_M   1.75 bits from a codebook
    IQ1_S     IQ1_S   1.56 bits from a codebook
    Q2_0      Q2_0    2 bits, for models trained to them
    Q1_0      Q1_0    1 bit, for models trained to it
    TQ2_0     TQ2_0   three values in 2 bits, for ternary models
    TQ1_0     TQ1_0   three values in 1.6 bits, for ternary models
"""


FILE_TYPES: dict[str, FileType] = {
    name: FileType(NUMBERS[name], name, tensor_type(default), about)
    for name, default, about in (line.split(maxsplit=2) for line in _TABLE.strip().splitlines())
}
"""File types by name, in the order of quality, best first."""

ALIASES = {"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M"}
"""Other names of file types."""

COPY = "COPY"
"""In place of a file type: every tensor stays as it is."""

GUESSED = 1024
"""Added to a file type's number when upstream inferred it from the tensors, because the metadata does not say."""

_BY_ID = {kind.id: kind for kind in FILE_TYPES.values()}


def file_type(key: str | int) -> FileType:
    """The file type of a name (any case), an alias or a number; raises KQuantsError, suggesting the nearest name."""
    if isinstance(key, str) and not key.isdecimal():
        name = key.upper()
        found = FILE_TYPES.get(ALIASES.get(name, name))
    else:
        found = _BY_ID.get(int(key))
    if found is None:
        near = _nearest(str(key).upper())
        known = f" (did you mean {near}?)" if near else f", expected one of {', '.join(FILE_TYPES)} or {COPY}"
        raise KQuantsError(f"unknown file type {str(key)!r}{known}")
    return found


def _nearest(name: str) -> str | None:
    """The names that begin so, best first, else the one most like ``name``; None when none is like it."""
    if begun := [known for known in FILE_TYPES if name and known.startswith(name)]:
        return " or ".join([", ".join(begun[:-1])] * (len(begun) > 1) + begun[-1:])
    import difflib

    likeness = {known: difflib.SequenceMatcher(None, name, known).ratio() for known in (*FILE_TYPES, *ALIASES, COPY)}
    best = max(likeness, key=lambda known: likeness[known])
    return best if likeness[best] >= 0.6 else None
