"""The codebooks of IQ1 to IQ3, the lists their encoders search, and the independence of the bytes from the lanes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

import kquants
from kquants.codecs import codec
from kquants.kernels.grids import CODES, grid, neighbours

from ...command import ROOT
from ...reference import Ggml
from ..codecs import inputs
from ..codecs.naive.codebooks import near
from . import make_grids

NAMES = list(make_grids.LAYOUT)
TYPES = [*NAMES, "IQ1_M"]


@pytest.mark.parametrize("name", NAMES)
def test_codebooks_are_those_of_ggml(ggml: Ggml, name: str) -> None:
    """Every codeword, asked for by decoding a block that names it."""
    words = make_grids.codewords(ggml, name)
    values = grid(name).values
    shift, unit = (np.float32(0.125), 1) if name == "IQ1_S" else (np.float32(0), words.min() / values.min())
    np.testing.assert_array_equal(words - shift, values * unit)


@pytest.mark.parametrize("name", NAMES)
def test_lists_are_what_a_plain_search_finds(name: str) -> None:
    """The whole lists of 100 points, in order; and the short ones leave out exactly what lies beyond another."""
    table, width = neighbours(name), grid(name).digits.shape[1]
    top, bits = (2, 2) if width == 8 else (7, 4)
    rng = np.random.default_rng(1)
    for point in rng.integers(0, top + 1, (100, width)):
        code = int(packed(point, bits))
        short, whole = (table.near[0, table.start[r, code] : table.start[r, code + 1]].tolist() for r in (0, 1))
        if table.number[code] >= 0:
            assert short == whole == [code]
            assert (grid(name).digits[table.number[code]] == point).all()
            continue
        digits = near(name, tuple(point.tolist()))
        assert whole == [packed(d, bits) for d in digits]
        moves = digits - point
        within = [[(m * n >= 0).all() and (abs(m) <= abs(n)).all() for m in moves] for n in moves]
        assert short == [c for c, row in zip(whole, within, strict=True) if sum(row) == 1]  # within itself alone


def packed(digits: np.ndarray, bits: int) -> int:
    return int(((digits if bits == 2 else 2 * digits + 1) << bits * np.arange(len(digits))).sum())


def test_single_steps_are_whole_lists() -> None:
    """Where IQ2_S' steps name any codeword, they name the list of a code, in its order."""
    table = neighbours("IQ2_S")
    moves = [-(1 << 2 * i) for i in range(7, -1, -1)] + [1 << 2 * i for i in range(8)]
    assert len(table.steps) == CODES
    for code in np.flatnonzero(table.steps):
        named = [code + m for bit, m in enumerate(moves) if table.steps[code] >> bit & 1]
        assert named == table.near[0, table.start[1, code] : table.start[1, code + 1]].tolist()
    assert np.count_nonzero(table.steps) > 2500


@pytest.mark.parametrize("name", ["IQ3_XXS", "IQ3_S"])
def test_the_first_eight_of_every_list(name: str) -> None:
    table = neighbours(name)
    for row in range(2):
        for code in range(1, CODES, 2):
            whole = table.near[0, table.start[row, code] : table.start[row, code + 1]].tolist()
            pairs = table.firsts[CODES // 2 * row + code // 2].tolist()
            eight = [half for pair in pairs for half in (pair & 0xFFFF, pair >> 16 & 0xFFFF)]
            assert not whole or eight == (whole + 8 * whole[:1])[:8]


@pytest.mark.parametrize("name", ["IQ1_S", "IQ2_XXS", "IQ2_XS"])
def test_an_importance_matrix_is_demanded(name: str) -> None:
    assert not hasattr(codec(name), "encode")
    with pytest.raises(kquants.KQuantsError, match=name):
        kquants.quantize(np.ones((1, 256), np.float32), name)


def digest() -> str:
    """Of all codebook types' bytes for the catalogue, with and without an importance matrix."""
    x = np.concatenate([rows[:1] for rows in inputs.rows(512).values()])
    found = hashlib.sha256()
    for name in TYPES:
        found.update(kquants.quantize(x, name, inputs.importance(512)["some zeros"]).tobytes())
        if hasattr(codec(name), "encode"):
            found.update(kquants.quantize(x, name).tobytes())
    return found.hexdigest()


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [{"KQUANTS_LANES": "8"}, {"KQUANTS_LANES": "16"}, {"KQUANTS_LANES": "32"}, {"NUMBA_CPU_NAME": "x86-64"}],
    ids=str,
)
def test_bytes_do_not_depend_on_the_lanes(settings: dict[str, str]) -> None:
    """Compiles anew for each width, and for a processor without AVX; then the cache has it."""
    code = "from tests.kquants.kernels.test_grids import digest; print(digest())"
    command, environment = [sys.executable, "-c", code], {**os.environ, **settings}
    made = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    assert made.stdout.strip() == digest()
