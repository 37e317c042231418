"""Meta's own files: ``consolidated.00.pth`` and those after it, each with a slice of every matrix.

Which way a matrix is cut is in Meta's ``llama/model.py``: the projections that end a block by columns, all others by
rows; vectors stand whole in every file. The embedding is cut by columns up to Llama 2 and by rows since.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gguf_py.errors import KQuantsError

from .folder import shown
from .stored import Stored

FILE = re.compile(r"consolidated\.\d\d\.pth")
_BY_COLUMNS = re.compile(r".*\.(attention\.wo|feed_forward\.w2)\.weight")
_EMBEDDING, _NORM = "tok_embeddings.weight", "norm.weight"
_MADE_ANEW = "rope.freqs"
"""A buffer of every program's own, which no model file has a place for."""


@dataclass(frozen=True, slots=True)
class Joined(Stored):
    """A matrix in slices of one shape, which are side by side where it is cut ``by_columns``."""

    slices: tuple[Stored, ...] = ()
    by_columns: bool = False

    def rows(self, lo: int, hi: int) -> NDArray[np.uint8]:
        """Rows ``lo`` to ``hi``, uint8[hi - lo, row bytes], and no more of any slice."""
        if self.by_columns:
            return np.concatenate([part.rows(lo, hi) for part in self.slices], axis=1)
        high = self.slices[0].shape[0]
        cuts = [[min(max(row - i * high, 0), high) for row in (lo, hi)] for i in range(len(self.slices))]
        return np.concatenate([part.rows(*cut) for part, cut in zip(self.slices, cuts, strict=True)])

    def block(self, lo: int, hi: int, first: int, last: int) -> NDArray[np.generic]:
        """Columns ``first`` to ``last`` of rows ``lo`` to ``hi``, [hi - lo, last - first]."""
        return self.values(lo, hi)[:, first:last]


def joined(folder: Path, files: Mapping[str, Mapping[str, Stored]]) -> dict[str, Stored]:
    """The tensors of which every file holds a slice, in the first one's order.

    Raises KQuantsError when a file, or a file's slice, is missing or does not fit the others.
    """
    for i, file in enumerate(sorted(files)):
        if file != f"consolidated.{i:02}.pth":
            raise KQuantsError(f"{folder / f'consolidated.{i:02}.pth'}: is missing, but {file} is there")
    names = dict.fromkeys(name for tensors in files.values() for name in tensors)
    return {name: _whole(name, folder, files) for name in names if name != _MADE_ANEW}


def _whole(name: str, folder: Path, files: Mapping[str, Mapping[str, Stored]]) -> Stored:
    slices: list[Stored] = []
    for file, tensors in files.items():
        part = tensors.get(name)
        if part is None:
            raise KQuantsError(f"{folder / file}: lacks its slice of {shown(name)}")
        if slices and (part.dtype, part.shape) != (slices[0].dtype, slices[0].shape):
            raise KQuantsError(
                f"{folder / file}: its slice of {shown(name)} is {part.dtype} {list(part.shape)},"
                f" expected {slices[0].dtype} {list(slices[0].shape)} as in {slices[0].shard.path.name}"
            )
        slices.append(part)
    first = slices[0]
    if len(slices) == 1 or len(first.shape) != 2:
        return first
    norm = next(iter(files.values())).get(_NORM)
    narrow = norm is not None and norm.shape != first.shape[1:]
    by_columns = narrow if name == _EMBEDDING else bool(_BY_COLUMNS.fullmatch(name))
    high, wide = first.shape
    shape = (high, wide * len(slices)) if by_columns else (high * len(slices), wide)
    return Joined(name, first.dtype, shape, first.shard, first.offset, None, tuple(slices), by_columns)
