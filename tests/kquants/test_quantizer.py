"""The quantizer against llama.cpp: the same file, byte for byte, for every model, file type and option."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

import gguf_py
from gguf_py import KQuantsError
from kquants.execute import execute
from kquants.filetypes import FILE_TYPES
from kquants.quantizer import Options, quantize_model

from .models import DIGESTS, MODELS

EXPECTED: dict[str, dict[str, str]] = json.loads(DIGESTS.read_text())


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "imatrix"])
def test_every_file_type_has_upstreams_bytes(tmp_path: Path, name: str, weighted: bool) -> None:
    MODELS[name].write(tmp_path / "in.gguf")
    options = Options(imatrix=MODELS[name].importance() if weighted else None)
    wrong = []
    compared = 0
    with gguf_py.open(tmp_path / "in.gguf") as model:
        for file_type in FILE_TYPES:
            expected = EXPECTED[name].get(file_type + (" imatrix" if weighted else ""))
            if expected is None:
                continue
            plan = quantize_model(model, tmp_path / "out.gguf", file_type, options)
            execute(plan, threads=1 + compared % 3)
            compared += 1
            if digest(tmp_path / "out.gguf") != expected:
                wrong.append(file_type)
    assert not wrong
    assert compared >= 25


def test_without_an_importance_matrix_what_would_be_garbage_is_refused(tmp_path: Path) -> None:
    model = MODELS["llama-untied"]
    model.write(tmp_path / "in.gguf")
    refused = set()
    with gguf_py.open(tmp_path / "in.gguf") as opened:
        for file_type in FILE_TYPES:
            try:
                quantize_model(opened, tmp_path / "out.gguf", file_type)
            except KQuantsError as fault:
                assert "importance matrix" in str(fault)
                refused.add(file_type)
    assert refused == set(FILE_TYPES) - set(EXPECTED["llama-untied"]) - {"NVFP4"}
