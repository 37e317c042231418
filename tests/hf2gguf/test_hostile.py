"""Checkpoints that mean harm, through the command: one line, exit status 1, nothing written, run or allocated.

Memory is measured: no lie may take more than an honest conversion takes, and a little.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.command import TINY

from .checkpoint.samples import save
from .checkpoint.test_torch import archive, described, many, name, number, tensor, text

MEASURED = """
import atexit, pathlib, re, sys
from kquants_cli.main import main
sys.argv[0] = "kquants"
status = pathlib.Path("/proc/self/status")
peak = lambda: print(re.search(r"VmHWM:\\s*(\\d+) kB", status.read_text())[1])
atexit.register(peak)
main()
"""
"""The command, which prints its highest resident memory in kB at last."""

MORE = 16 << 10
"""What a lie may cost beside an honest conversion, kB."""


def run(folder: Path, out: Path, *options: str) -> tuple[int, str, int]:
    """Exit status, standard error and peak memory in kB of a conversion."""
    command = [
        sys.executable,
        "-c",
        MEASURED,
        "convert",
        folder,
        "--outtype",
        "f16",
        "--outfile",
        out,
        "--quiet",
        *options,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"NO_COLOR": "1"})
    return done.returncode, done.stderr, int(done.stdout.split()[-1])


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> int:
    """The peak of an honest conversion, kB."""
    status, _, peak = run(TINY, tmp_path_factory.mktemp("honest") / "out.gguf")
    assert status == 0
    return peak


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


def doubled(folder: Path) -> None:
    """A shape of tuples in tuples: a few bytes that would print as a million million."""
    nest = b")" + b"q\x00h\x00\x86" * 40
    storage = b"(" + text("storage") + name("torch", "HalfStorage") + text("0") + text("cpu") + number(4) + b"tQ"
    lie = name("torch._utils", "_rebuild_tensor_v2") + b"(" + storage + number(0) + nest + many((1,)) + b"\x89)tR"
    (folder / "model.safetensors").unlink()
    archive(folder / "pytorch_model.bin", described({"a": lie}), {"0": np.zeros(4, np.float16)})


def unending(folder: Path) -> None:
    """Ten million lists, one a byte."""
    (folder / "model.safetensors").unlink()
    archive(folder / "pytorch_model.bin", b"\x80\x02" + b"N0" * (5 << 20) + b"}.", {})


def repeated(folder: Path) -> None:
    """A tensor of a million million weights that are all the same two bytes."""
    lie = tensor("HalfStorage", "0", 4, (1 << 20, 1 << 20), (0, 0))
    (folder / "model.safetensors").unlink()
    archive(folder / "pytorch_model.bin", described({"a": lie}), {"0": np.zeros(4, np.float16)})


def long_header(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(struct.pack("<Q", 1 << 60) + path.read_bytes()[8:])


def high_id(folder: Path) -> None:
    """A vocabulary whose token has a number of ten digits."""
    (folder / "tokenizer.model").unlink()
    model = {"type": "BPE", "vocab": {"a": 0, "b": 4_000_000_000}, "merges": []}
    (folder / "tokenizer.json").write_text(json.dumps({"version": "1.0", "added_tokens": [], "model": model}))


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
    "pickle-doubles": (doubled, "no row of numbers"),
    "pickle-unending": (unending, "opcodes"),
    "pickle-repeats": (repeated, "repeats elements"),
    "header": (long_header, "header"),
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
    "high-id": (high_id, "4000000000"),
    "modules": (lambda f: (f / "modules.json").write_text("3"), "modules.json"),
    "shapes": (another_shape, "q_proj"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="reads peak memory where Linux says it")
@pytest.mark.parametrize("name", HARM)
def test_one_line_and_nothing_else(name: str, honest: int, tmp_path: Path) -> None:
    make, says = HARM[name]
    folder = tmp_path / "model"
    shutil.copytree(TINY, folder)
    make(folder)
    status, stderr, peak = run(folder, tmp_path / "out.gguf")
    assert status == 1
    lines = stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("kquants: ") and says in lines[0], stderr
    assert peak < honest + MORE
    assert {path.name for path in tmp_path.iterdir()} <= {"model", "config.json"}
    assert not list(tmp_path.rglob("boom")) and not Path("boom").exists()
