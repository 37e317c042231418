"""A conversion that is killed and goes on: the same bytes, and nothing of a run from another checkpoint is kept."""

from __future__ import annotations

import json
import os
import random
from dataclasses import replace
from pathlib import Path

import pytest

from hf2gguf import definition
from hf2gguf.convert import Converted, prepare
from hf2gguf.files import Shape, plan
from kquants import journal, pieces
from kquants.execute import execute
from kquants.plan import Plan
from tests.command import sha256
from tests.kquants.test_interrupted import run_until

from .models import write
from .zoo import ZOO

pytestmark = pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="kills at calls that are made on Linux")


def planned(made: Converted, path: Path, quantized: str | None) -> Plan:
    return plan(made, path, Shape(max_tensors=12), quantized)


@pytest.mark.parametrize(("outtype", "quantized"), [("bf16", None), ("f16", "Q4_K_M")])
def test_killed_and_gone_on_with(
    outtype: str, quantized: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_EVERY", 0)
    monkeypatch.setattr(pieces, "PIECE", 1 << 13)
    folder = write(ZOO["llama-1"], tmp_path / "model")
    made = tmp_path / "made"
    made.mkdir()
    whole = planned(prepare(folder, outtype), made / "m.gguf", quantized)
    execute(whole)
    expected = {path.name: sha256(path) for path in made.iterdir()}
    assert len(expected) == 2
    draw = random.Random(1)
    for _ in range(8):
        for path in made.iterdir():
            path.unlink()
        assert run_until(whole, draw.randrange(10, 40), draw.random(), stay=True, resume=False, recorded=True)
        # Gone on with by another process, which reads the checkpoint anew.
        assert execute(planned(prepare(folder, outtype), made / "m.gguf", quantized), resume=True).skipped
        assert {path.name: sha256(path) for path in made.iterdir()} == expected


def test_another_checkpoint_is_another_run(tmp_path: Path) -> None:
    folder = write(ZOO["llama-1"], tmp_path / "model")
    page = definition.find("LlamaForCausalLM", folder)

    def word(page: definition.Definition = page) -> str | None:
        return journal.digest(planned(prepare(folder, "f16", definition=page), tmp_path / "m.gguf", None), 1)

    words = [word(), word(), word(replace(page, rename=(*page.rename, ("never", "once"))))]
    weights, config = folder / "model.safetensors", folder / "config.json"
    os.utime(weights, ns=(1, 1))
    words.append(word())
    config.write_text(json.dumps(json.loads(config.read_text()) | {"unused": 1}))
    words.append(word())
    assert None not in words and len(set(words)) == 4
