"""Write a GGUF file whose tensors are at hand."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .atomic import replacing, write_all
from .errors import KQuantsError
from .layout import VERSION, TensorInfo, lay_out
from .types import TensorType, tensor_type
from .values import ByteOrder, Field

if TYPE_CHECKING:
    from numpy.typing import NDArray


def write(
    path: str | os.PathLike[str],
    fields: Iterable[Field],
    tensors: Mapping[str, tuple[str | TensorType, tuple[int, ...], NDArray[Any]]],
    *,
    byteorder: ByteOrder = "little",
    version: int = VERSION,
) -> None:
    """Write a file; nothing of it is under ``path`` before all of it is.

    ``tensors`` maps names to (type, shape in NumPy order, bytes as an array of any dtype and shape), the bytes in
    the file's byte order. Raises KQuantsError as ``lay_out`` and ``replacing`` do, and when a tensor's bytes are
    more or fewer than its shape needs.
    """
    import numpy as np

    infos = [TensorInfo(name, tensor_type(kind), tuple(shape)) for name, (kind, shape, _) in tensors.items()]
    layout = lay_out(fields, infos, byteorder=byteorder, version=version)
    chunks = [np.ascontiguousarray(data).reshape(-1).view(np.uint8) for _, _, data in tensors.values()]
    for info, chunk in zip(infos, chunks, strict=True):
        if chunk.nbytes != info.nbytes:
            raise KQuantsError(
                f"tensor {info.name!r} has {chunk.nbytes:,} bytes, a {info.type} tensor of shape {info.shape} has "
                f"{info.nbytes:,}"
            )
    with replacing(path, layout.size) as handle:
        write_all(handle, layout.header, 0)
        for offset, chunk in zip(layout.offsets, chunks, strict=True):
            write_all(handle, chunk.data, offset, through=True)
