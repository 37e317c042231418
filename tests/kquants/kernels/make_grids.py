"""``python -m tests.kquants.kernels.make_grids`` prints the codebooks of kquants/kernels/grids.py, read out of ggml.

Nothing is copied from a table: every codeword is asked for by decoding a block that names it, and what is kept is
which points of the cube of levels occur. Codewords are numbered in the order of those points, which the script
checks, so a bitmap of the cube says it all.
"""

from __future__ import annotations

import base64
import zlib

import numpy as np
import numpy.typing as npt

from gguf_py.types import tensor_type

from ...reference import Ggml, ggml_library

LAYOUT = {  # codewords, weights in one, where a block holds a codeword's low byte and its high bits
    "IQ1_S": (2048, 8, 2, 34),
    "IQ2_XXS": (256, 8, 2, None),
    "IQ2_XS": (512, 8, 2, 3),
    "IQ2_S": (1024, 8, 2, 66),
    "IQ3_XXS": (256, 4, 2, None),
    "IQ3_S": (512, 4, 2, 66),
}


def codewords(ggml: Ggml, name: str) -> npt.NDArray[np.float32]:
    """float32[codewords, weights]: each codeword decoded with a scale of one and positive signs."""
    count, width, low, high = LAYOUT[name]
    blocks = np.zeros((count, tensor_type(name).nbytes), np.uint8)
    blocks[:, :2] = np.float16(1).reshape(1).view(np.uint8)
    blocks[:, low] = np.arange(count) & 255
    if high is not None:
        blocks[:, high] = np.arange(count) >> 8
    return ggml.dequantize(blocks, name)[:, :width]


def text(words: npt.NDArray[np.float32]) -> str:
    """The base85 text of a codebook: its points in the cube of levels as a compressed bitmap."""
    levels = np.unique(words)
    digits = np.searchsorted(levels, words)
    points = digits @ len(levels) ** np.arange(words.shape[1])
    if not (np.diff(points) > 0).all():
        raise ValueError("the codewords are not in the order of their points")
    cube = np.zeros(len(levels) ** words.shape[1], np.uint8)
    cube[points] = 1
    return base64.b85encode(zlib.compress(np.packbits(cube).tobytes(), 9)).decode()


def main() -> None:
    """Print the table."""
    library = ggml_library()
    if library is None:
        raise SystemExit("no ggml to ask: see tests/reference")
    for name in LAYOUT:
        word = text(codewords(Ggml(library), name))
        lines = [word[i : i + 108] for i in range(0, len(word), 108)]
        print(f'    "{name}": (', *(f'        "{line}"' for line in lines), "    ),", sep="\n")


if __name__ == "__main__":
    main()
