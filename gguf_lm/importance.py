"""How much each column of each matrix matters: the squares of what it is multiplied with, as a text goes through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .model import Floats, Model
from .windows import BATCH, cut


@dataclass(frozen=True)
class Importance:
    """A measurement so far: by tensor, the ``sums`` of the squares of ``rows`` rows, float64[columns]."""

    sums: Mapping[str, npt.NDArray[np.float64]]
    rows: int
    windows: int


def importance(
    model: Model, ids: Sequence[int], *, ctx: int = 512, bos: int | None = None, most: int | None = None
) -> Iterator[Importance]:
    """Measure the layers of ``model`` on the token ids of a text; yields the result so far after each batch of windows.

    No more than ``most`` windows are looked at, all tokens of each; the output layer is not. Source: ``llama-imatrix``.
    Raises KQuantsError as ``windows.cut`` does.
    """
    sums: dict[str, npt.NDArray[np.float64]] = {}

    def add(name: str, x: Floats) -> None:
        rows = x.reshape(-1, x.shape[-1])
        sums[name] = sums.get(name, 0.0) + np.einsum("ij,ij->j", rows, rows, dtype=np.float64)

    _, inputs = cut(model, ids, ctx, bos)
    inputs = inputs[:most]
    for start in range(0, len(inputs), BATCH):
        done = min(start + BATCH, len(inputs))
        model.watch = add
        try:
            model.hidden(inputs[start:done])
        finally:
            model.watch = None
        yield Importance(dict(sums), done * ctx, done)
