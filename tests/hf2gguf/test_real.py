"""Real checkpoints, whole: the bytes of upstream's converter, whose digests ``make_real`` wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hf2gguf.convert import prepare
from hf2gguf.files import Shape, plan
from kquants.execute import execute

from .make_digests import digest
from .make_real import DIGESTS
from .real import REAL

EXPECTED: dict[str, str] = json.loads(DIGESTS.read_text())


@pytest.mark.parametrize("name", REAL)
def test_same_bytes(name: str, tmp_path: Path) -> None:
    make, outtypes, fetch = REAL[name]
    folder = make(tmp_path) or pytest.skip(f"needs `{fetch}`")
    for outtype in outtypes:
        out = tmp_path / "out.gguf"
        execute(plan(prepare(folder, outtype), out, Shape()))
        assert digest(out) == EXPECTED[f"{name} {outtype}"], outtype
