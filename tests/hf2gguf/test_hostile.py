"""Checkpoints that mean harm, through the command: one line, exit status 1, nothing written, run or allocated."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.command import TINY, kquants

from .checkpoint.samples import save

MEMORY = 4 << 30
"""Bytes of address space that the command may have: numpy and numba map much, but a lie would take more."""


def limited() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def index(folder: Path, **weight_map: str) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def configure(folder: Path, **change: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))


def header(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    (length,) = struct.unpack_from("<Q", whole)
    entries = json.loads(whole[8 : 8 + length])
    change(entries)
    text = json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + whole[8 + length :])


class Reduce:
    def __reduce__(self) -> Any:
        return (os.system, ("touch boom",))


def poisoned(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with zipfile.ZipFile(folder / "pytorch_model.bin", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"model.embed_tokens.weight": Reduce()}, 2))


def bare_pickle(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"model.embed_tokens.weight": Reduce()}, 2))


def overlap(entries: dict[str, Any]) -> None:
    entries["lm_head.weight"]["data_offsets"] = entries["model.embed_tokens.weight"]["data_offsets"]


def enormous(entries: dict[str, Any]) -> None:
    entries["lm_head.weight"] |= {"shape": [1 << 31, 1 << 31]}


def beyond(entries: dict[str, Any]) -> None:
    entries["lm_head.weight"]["data_offsets"] = [1 << 40, (1 << 40) + 2 * 4096 * 256]


def another_shape(folder: Path) -> None:
    from safetensors.numpy import load_file

    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.0.self_attn.q_proj.weight"] = np.zeros((7, 256), np.float16)
    save(folder / "model.safetensors", tensors)


def linked(folder: Path) -> None:
    (folder / "config.json").rename(folder.parent / "config.json")
    (folder / "config.json").symlink_to("../config.json")


def billion_tokens(folder: Path) -> None:
    (folder / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": {"999999999": {"content": "x"}}}))
    configure(folder, vocab_size=10**9)


HARM: dict[str, tuple[Callable[[Path], Any], str]] = {
    "index-up": (lambda f: index(f, a="../../etc/passwd"), "../../etc/passwd"),
    "index-absolute": (lambda f: index(f, a="/etc/passwd"), "/etc/passwd"),
    "pickle-in-zip": (poisoned, "nothing was run"),
    "pickle": (bare_pickle, "zip"),
    "overlap": (lambda f: header(f, overlap), "lm_head"),
    "enormous": (lambda f: header(f, enormous), "shape"),
    "beyond": (lambda f: header(f, beyond), "cut short"),
    "a-link": (linked, "link"),
    "billion-layers": (lambda f: configure(f, num_hidden_layers=10**9), ""),
    "billion-tokens": (billion_tokens, "vocab_size"),
    "few-tokens": (lambda f: configure(f, vocab_size=100), ""),
    "many-tokens": (lambda f: configure(f, vocab_size=5000), ""),
    "billion-heads": (lambda f: configure(f, num_attention_heads=10**9), ""),
    "no-heads": (lambda f: configure(f, num_attention_heads=0), ""),
    "text-for-number": (lambda f: configure(f, hidden_size="x"), ""),
    "list-for-number": (lambda f: configure(f, num_hidden_layers=[1]), ""),
    "nested-config": (lambda f: (f / "config.json").write_text("[" * 10**6), "config.json"),
    "huge-config": (lambda f: os.truncate(f / "config.json", 1 << 40), "at most"),
    "tokenizer": (lambda f: (f / "tokenizer.model").write_bytes(b"\x0a\xff\xff\xff\xff\x0f"), "tokenizer.model"),
    "shapes": (another_shape, "q_proj"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
@pytest.mark.parametrize("name", HARM)
def test_one_line_and_nothing_else(name: str, tmp_path: Path) -> None:
    make, says = HARM[name]
    folder = tmp_path / "model"
    shutil.copytree(TINY, folder)
    make(folder)
    out = tmp_path / "out.gguf"
    result = kquants("convert", folder, "--outtype", "f16", "--outfile", out, before=limited)
    assert result.returncode == 1
    lines = result.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("kquants: ") and says in lines[0], result.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {"model", "config.json"}
    assert not list(tmp_path.rglob("boom")) and not Path("boom").exists()
