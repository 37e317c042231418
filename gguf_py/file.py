"""What an open GGUF file is: its metadata, its tensors, and where their bytes lie."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .errors import KQuantsError
from .input import InputFile
from .layout import TensorInfo
from .values import NATIVE, ByteOrder, Field

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PLAIN = {"F32": "f4", "F16": "f2", "BF16": "u2", "F64": "f8", "I8": "i1", "I16": "i2", "I32": "i4", "I64": "i8"}


@dataclass(frozen=True, slots=True)
class Tensor(TensorInfo):
    """A tensor of a file that is open; its weights stay in the file until they are looked at."""

    offset: int = 0
    """Of its first byte, from the beginning of the file."""
    file: GGUFFile | None = None

    @property
    def input(self) -> InputFile:
        """Where it is read from; raises KQuantsError when the file is closed or only its header is here."""
        if self.file is None or self.file.input is None:
            raise KQuantsError(f"tensor {self.name!r}: only the header of this file is here, or the file is closed")
        return self.file.input

    @property
    def data(self) -> NDArray[np.uint8]:
        """The bytes as they are in the file, a read-only view: the shape's leading axes, then bytes of a row.

        They are mapped into memory. Should the file be cut short while they are looked at, the system ends the process:
        ``read_into`` and ``to_numpy`` raise then.
        """
        import numpy as np  # here, so that looking at a header does not wait for it

        flat = np.frombuffer(self.input.mapped(), np.uint8, self.nbytes, self.offset)
        return flat.reshape(*self.shape[:-1], self.row_bytes)

    def read_into(self, out: NDArray[np.uint8], lo: int = 0) -> None:
        """Fill uint8[n] with the bytes from ``lo`` of the tensor on; raises KQuantsError when they are gone."""
        self.input.read_into(out, self.offset + lo)

    def to_numpy(self) -> NDArray[np.float32]:
        """The weights as float32, of the tensor's shape, decoded whole."""
        import numpy as np

        data = np.empty(self.nbytes, np.uint8)
        self.read_into(data)
        byteorder = self.file.byteorder if self.file is not None else NATIVE
        plain = _PLAIN.get(self.type.name)
        if plain is None:
            if byteorder != "little":
                raise KQuantsError(f"tensor {self.name!r}: {self.type} blocks of a big-endian file are not decoded")
            kquants = importlib.import_module("kquants")  # here, not above: a file opens without the codecs
            decoded: NDArray[np.float32] = kquants.dequantize(data, self.type.name)
            return decoded.reshape(self.shape)
        numbers = data.view(("<" if byteorder == "little" else ">") + plain)
        if self.type.name == "BF16":
            return (numbers.astype(np.uint32) << 16).view(np.float32).reshape(self.shape)
        return numbers.astype(np.float32, copy=False).reshape(self.shape)

    @property
    def info(self) -> TensorInfo:
        """Name, type and shape alone."""
        return TensorInfo(self.name, self.type, self.shape)

    def __repr__(self) -> str:
        return f"Tensor({self.name!r}, {self.type}, {self.shape}, {self.nbytes:,} bytes at {self.offset:,})"


class Metadata(Mapping[str, Any]):
    """The values of a file's metadata by key, in file order; each decoded when it is first asked for."""

    def __init__(self, fields: Mapping[str, Field]) -> None:
        """Show the values of ``fields``."""
        self._fields = fields

    def __getitem__(self, key: str) -> Any:
        return self._fields[key].value

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Metadata({{{', '.join(f'{k!r}: {self[k]!r}' for k in self)}}})"

    def _repr_html_(self) -> str:
        from .html import keys

        return keys(self._fields)


@dataclass(frozen=True, eq=False)
class GGUFFile:
    """A file that is open for reading; a context manager. What was taken from it stays valid after ``close``."""

    path: Path | str
    version: int
    byteorder: ByteOrder
    alignment: int
    fields: Mapping[str, Field]
    """Metadata by key in file order, with types; ``metadata`` has the values alone."""
    tensors: Mapping[str, Tensor]
    """Tensors by name in file order."""
    data_offset: int
    """Where the tensor data begins: the header's end, padded to the alignment unless the file ends there."""
    size: int
    """Of the file in bytes."""
    header: memoryview
    """The bytes before ``data_offset``."""
    input: InputFile | None = None
    """Where tensors are read from; None when only the header was read, or after ``close``."""

    @property
    def metadata(self) -> Metadata:
        """Values by key in file order."""
        return Metadata(self.fields)

    def close(self) -> None:
        """Let go of the file; views that were taken keep their part of it alive."""
        object.__setattr__(self, "input", None)

    def __enter__(self) -> GGUFFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return (
            f"<GGUF v{self.version} {self.byteorder}-endian: {os.fspath(self.path)}, {len(self.fields)} metadata keys, "
            f"{len(self.tensors)} tensors, {self.size:,} bytes>"
        )

    def _repr_html_(self) -> str:
        from .html import page

        return page(self)
