"""Write files from tensors that lie in other files: the bytes are copied by the system, not through Python."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from .atomic import copy_range, replacing, write_all
from .errors import KQuantsError
from .file import GGUFFile, Tensor
from .layout import Layout, lay_out, stated_alignment
from .values import Field

_PAGE = 4096
"""A write within one such piece of a file is done whole or not at all, even when the process is killed."""


def write_layouts(outputs: Sequence[tuple[Path, Layout]], tensors: Mapping[str, Tensor]) -> None:
    """Write files of the given layouts, each tensor's bytes copied from the file that ``tensors`` has it in.

    No output has its name before all are whole; they get their names from the last to the first.
    """
    with contextlib.ExitStack() as stack:
        for path, layout in outputs:
            handle = stack.enter_context(replacing(path, layout.size))
            write_all(handle, layout.header, 0)
            for info, offset in zip(layout.infos, layout.offsets, strict=True):
                tensor = tensors[info.name]
                _copy(tensor.file, tensor.offset, handle, offset, tensor.nbytes, f"tensor {info.name!r}")


def plan_rewrite(file: GGUFFile, fields: Iterable[Field] | None = None) -> Layout:
    """Layout of the same file with other metadata: the data stays as it is, gaps and order included.

    With the file's own fields, the default, the layout is the file's. Should the fields change the alignment, the
    tensors are laid out anew, one behind the other.
    """
    fields = list(file.fields.values() if fields is None else fields)
    infos = [t.info for t in file.tensors.values()]
    same = stated_alignment(fields) == file.alignment
    offsets = [t.offset - file.data_offset for t in file.tensors.values()] if same else None
    pad = file.data_offset % file.alignment == 0
    return lay_out(fields, infos, byteorder=file.byteorder, version=file.version, offsets=offsets, pad=pad)


def rewrite(file: GGUFFile, path: str | os.PathLike[str], fields: Iterable[Field] | None = None) -> None:
    """Write the file again, with other metadata or, by default, byte for byte.

    ``path`` may be the file itself: it is replaced when its successor is whole.
    """
    fields = None if fields is None else list(fields)
    layout = plan_rewrite(file, fields)
    if fields is not None and stated_alignment(fields) != file.alignment:
        write_layouts([(Path(path), layout)], file.tensors)
        return
    rest = file.size - file.data_offset
    with replacing(path, len(layout.header) + rest) as handle:
        write_all(handle, layout.header, 0)
        _copy(file, file.data_offset, handle, len(layout.header), rest, "the tensor data")


def change_in_place(file: GGUFFile, layout: Layout) -> bool:
    """Turn the file's header into the layout's where it lies, if that cannot break the file; say whether it did.

    It can be done when the new header is as long as the old one, padding included, and all that changes lies
    within one page of the file.
    """
    span = in_place_span(file, layout)
    if span is None:
        return False
    low, high = span
    with Path(file.path).open("r+b") as handle:
        write_all(handle.fileno(), layout.header[low:high], low)
        os.fsync(handle.fileno())
    return True


def in_place_span(file: GGUFFile, layout: Layout) -> tuple[int, int] | None:
    """First and last offset of what would change in place, or None when a new file is needed."""
    if len(layout.header) != file.data_offset:
        return None
    import numpy as np

    old, new = (np.frombuffer(header, np.uint8) for header in (file.header, layout.header))
    changed = np.flatnonzero(old != new)
    if not len(changed):
        return 0, 0
    low, last = int(changed[0]), int(changed[-1])
    return (low, last + 1) if low // _PAGE == last // _PAGE else None


def _copy(file: GGUFFile | None, offset: int, handle: int, at: int, size: int, what: str) -> None:
    """Copy bytes of a file that is open; raises KQuantsError, naming file and ``what``, when they are gone."""
    if file is None or file.input is None:
        raise KQuantsError(f"{what} is of no file that is open, and cannot be copied")
    copy_range(file.input.handle, offset, handle, at, size, f"{what} of {file.input.path}")
