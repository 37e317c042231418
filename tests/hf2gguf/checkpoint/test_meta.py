"""Meta's model-parallel files: slices put together are the matrix that upstream reads from one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gguf_py import KQuantsError
from hf2gguf import checkpoint
from tests.hf2gguf.models import values, write
from tests.hf2gguf.test_architectures import EXPECTED, convert
from tests.hf2gguf.zoo import ZOO

from .test_torch import archive, described
from .test_torch import plain as entry

MODEL = ZOO["llama-by-meta"]
Arrays = dict[str, NDArray[Any]]


def whole() -> Arrays:
    """The checkpoint's tensors, BF16, in the order of safetensors."""
    return {name: values(name, MODEL.tensors[name], MODEL.dtype) for name in sorted(MODEL.tensors)}


def sliced(name: str, array: NDArray[Any], count: int, embedding: int) -> list[NDArray[Any]]:
    """What each of ``count`` files holds of a tensor."""
    if array.ndim == 1:
        return [array] * count
    by_columns = name.endswith(("wo.weight", "w2.weight"))
    axis = embedding if name == "tok_embeddings.weight" else int(by_columns)
    return [np.ascontiguousarray(part) for part in np.split(array, count, axis)]


def parts(folder: Path, count: int, embedding: int = 1) -> Path:
    """The checkpoint in ``count`` files; ``embedding`` is the axis that cuts the embedding."""
    write(MODEL, folder)
    (folder / "model.safetensors").unlink()
    cut = {name: sliced(name, array, count, embedding) for name, array in whole().items()}
    buffer = np.ones(8, np.float32)
    for i in range(count):
        arrays = {name: slices[i] for name, slices in cut.items()} | {"rope.freqs": buffer}
        save(folder / f"consolidated.{i:02}.pth", arrays)
    return folder


def save(path: Path, arrays: Arrays) -> None:
    keys = {name: str(key) for key, name in enumerate(arrays)}
    entries = described({name: entry(array, keys[name]) for name, array in arrays.items()})
    archive(path, entries, {keys[name]: array for name, array in arrays.items()})


@pytest.mark.parametrize(("count", "embedding"), [(1, 1), (2, 1), (2, 0), (8, 1)])
def test_slices_give_what_the_whole_gives(count: int, embedding: int, tmp_path: Path) -> None:
    folder = parts(tmp_path / "llama-by-meta", count, embedding)
    found = convert(folder, tmp_path / "out", "--outtype", "f16")
    assert found == EXPECTED["llama-by-meta --outtype f16"]


def test_any_rows_of_slices(tmp_path: Path) -> None:
    with checkpoint.open(parts(tmp_path / "m", 4)) as opened:
        for name, array in whole().items():
            stored = opened.stored[name]
            if array.ndim == 2:
                high = len(array)
                for lo, hi in ((0, high), (0, 0), (3, 3), (high // 4 - 1, high // 2 + 1)):
                    assert stored.rows(lo, hi).tobytes() == array[lo:hi].tobytes(), (name, lo, hi)
                assert stored.block(0, high, 1, 3).tobytes() == array[:, 1:3].tobytes()


def changed(folder: Path, name: str, shape: tuple[int, ...] | None) -> None:
    """Two files, the second of which has another slice of one tensor, or none."""
    arrays = {"norm.weight": np.zeros(64, np.float32), "layers.0.attention.wq.weight": np.zeros((32, 64), np.float32)}
    for i in range(2):
        save(folder / f"consolidated.{i:02}.pth", arrays)
        arrays.pop(name, None)
        arrays |= {name: np.zeros(shape, np.float32)} if shape else {}


def test_slices_that_do_not_fit(tmp_path: Path) -> None:
    folder = parts(tmp_path / "m", 2)
    for shape, says in ((None, "01.pth: lacks its slice of 'layers"), ((31, 64), r"is F32 \[31, 64\], expected F32")):
        changed(folder, "layers.0.attention.wq.weight", shape)
        with checkpoint.open(folder) as opened, pytest.raises(KQuantsError, match=says):
            _ = opened.stored
    (folder / "consolidated.01.pth").rename(folder / "consolidated.02.pth")
    with checkpoint.open(folder) as opened, pytest.raises(KQuantsError, match=r"01\.pth: is missing"):
        _ = opened.stored
