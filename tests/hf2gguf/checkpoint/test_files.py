"""Whole checkpoints with quantized weights: the bytes of upstream's converter, whose digests ``make_files`` wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.hf2gguf.test_architectures import convert

from .make_files import DIGESTS
from .whole import FILES, OUTTYPES, write

EXPECTED: dict[str, str] = json.loads(DIGESTS.read_text())


@pytest.mark.parametrize("name", FILES)
def test_same_bytes(name: str, tmp_path: Path) -> None:
    folder = write(name, tmp_path / "Tiny-Encoded")
    for outtype in OUTTYPES:
        found = convert(folder, tmp_path / outtype, "--outtype", outtype)
        assert found == {"m.gguf": EXPECTED[f"{name} {outtype}"]}, outtype
