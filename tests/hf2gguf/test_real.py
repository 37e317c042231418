"""A real checkpoint, MiniLM's, whole: the digests of what upstream's converter writes from it.

They are of the folder that ``checkpoint`` below makes, converted by ``convert_hf_to_gguf.py all-MiniLM-L6-v2
--outtype T --outfile F`` of llama.cpp v0.5.0.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hf2gguf.convert import prepare
from hf2gguf.files import Shape, plan
from kquants.execute import execute
from tests.reference import locate

from .make_digests import digest

DIGESTS = {
    "f32": "d7789a32f129eb1c40149073cdfdda11c538029695c7ff52eac04ae4af1130bb",
    "f16": "8965e38d1d0f59d5f5f49dfa54efd76060bab80149844361d21935302ecef37e",
    "q8_0": "5f3eb40585ffd5a467cd4c2d8072def5f33a40151cd30ba2f6982e027d697a2d",
}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """The files of the package under the model's own name, with the pooling that it leaves out."""
    source = locate.minilm()
    if source is None:
        pytest.skip("MiniLM's checkpoint was not fetched (python -m tests.reference fetch)")
    folder = tmp_path / "all-MiniLM-L6-v2"
    folder.mkdir()
    for path in source.iterdir():
        if path.is_file():
            shutil.copyfile(path, folder / path.name)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling/config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    return folder


@pytest.mark.parametrize("outtype", DIGESTS)
def test_minilm(checkpoint: Path, outtype: str, tmp_path: Path) -> None:
    out = tmp_path / "out.gguf"
    execute(plan(prepare(checkpoint, outtype), out, Shape()))
    assert digest(out) == DIGESTS[outtype]
