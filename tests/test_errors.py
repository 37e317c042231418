"""Every input that cannot be used: one line that says why, exit status 1, and nothing left behind."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .command import TINY, done, kquants

Arguments = list[str | Path]
Case = Callable[[Path], tuple[Arguments, list[str]]]


def copy_of_tiny(place: Path) -> Path:
    """A checkpoint of its own, to be spoiled."""
    return Path(shutil.copytree(TINY, place / "model"))


def change_config(model: Path, **values: Any) -> None:
    """Set keys of config.json."""
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, **values}))


def converting(model: Path) -> Arguments:
    """Arguments that convert a checkpoint to a file beside it."""
    return ["convert", model, "--outtype", "f16", "--outfile", model.parent / "out.gguf"]


def no_config(place: Path) -> tuple[Arguments, list[str]]:
    model = copy_of_tiny(place)
    (model / "config.json").unlink()
    return converting(model), [str(model), "config.json"]


def no_folder(place: Path) -> tuple[Arguments, list[str]]:
    return converting(place / "nowhere"), ["nowhere"]


def broken_config(place: Path) -> tuple[Arguments, list[str]]:
    model = copy_of_tiny(place)
    (model / "config.json").write_text('{"architectures": [')
    return converting(model), ["config.json"]


def unknown_architecture(place: Path) -> tuple[Arguments, list[str]]:
    model = copy_of_tiny(place)
    change_config(model, architectures=["LlamoForCausalLM"])
    return converting(model), ["LlamoForCausalLM", "LlamaForCausalLM", "--list-architectures", "--architecture"]


def missing_shard(place: Path) -> tuple[Arguments, list[str]]:
    model = copy_of_tiny(place)
    first, second = (f"model-0000{i}-of-00002.safetensors" for i in (1, 2))
    (model / "model.safetensors").rename(model / first)
    index = {"metadata": {}, "weight_map": {"model.norm.weight": first, "lm_head.weight": second}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    return converting(model), [second]


def truncated_safetensors(place: Path) -> tuple[Arguments, list[str]]:
    model = copy_of_tiny(place)
    whole = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    return converting(model), ["model.safetensors"]


def lying_safetensors_header(place: Path) -> tuple[Arguments, list[str]]:
    model = copy_of_tiny(place)
    whole = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes((1 << 62).to_bytes(8, "little") + whole[8:])
    return converting(model), ["model.safetensors"]


def no_tokenizer(place: Path) -> tuple[Arguments, list[str]]:
    model = copy_of_tiny(place)
    (model / "tokenizer.model").unlink()
    return converting(model), [str(model), "tokenizer"]


def spoil_with_nan(model: Path, name: str) -> None:
    """Make one weight of a BF16 tensor NaN."""
    path = model / "model.safetensors"
    data = bytearray(path.read_bytes())
    length = int.from_bytes(data[:8], "little")
    start, _ = json.loads(data[8 : 8 + length])[name]["data_offsets"]
    at = 8 + length + start + 2 * 77
    data[at : at + 2] = (0x7FC0).to_bytes(2, "little")
    path.write_bytes(data)


def nan_on_the_way_to_q4(place: Path) -> tuple[Arguments, list[str]]:
    model = copy_of_tiny(place)
    spoil_with_nan(model, "model.layers.2.mlp.up_proj.weight")
    return ["convert", model, "--outtype", "q4_k_m", "--outfile", place / "out.gguf"], ["blk.2.ffn_up.weight"]


def nan_in_a_gguf_file(place: Path) -> tuple[Arguments, list[str]]:
    f16 = place / "f16.gguf"
    done("convert", TINY, "--outtype", "f16", "--outfile", f16)
    import gguf_py

    with gguf_py.open(f16) as file:
        at = file.tensors["blk.1.attn_q.weight"].offset + 2 * 300
    with f16.open("r+b") as raw:
        raw.seek(at)
        raw.write(np.float16(np.nan).tobytes())
    return ["quantize", f16, place / "out.gguf", "Q4_K_M"], ["blk.1.attn_q.weight"]


def not_gguf(place: Path) -> tuple[Arguments, list[str]]:
    (place / "in.gguf").write_bytes(b"PK\x03\x04" + bytes(100))
    return ["quantize", place / "in.gguf", place / "out.gguf", "Q4_K_M"], ["in.gguf", "not a GGUF file"]


def not_gguf_inspected(place: Path) -> tuple[Arguments, list[str]]:
    (place / "in.gguf").write_text("hello")
    return ["inspect", place / "in.gguf"], ["in.gguf", "not a GGUF file"]


def nothing_there(place: Path) -> tuple[Arguments, list[str]]:
    return ["inspect", place / "in.gguf"], ["in.gguf", "no such file"]


def truncated_gguf(place: Path) -> tuple[Arguments, list[str]]:
    done("convert", TINY, "--outtype", "f16", "--outfile", place / "in.gguf")
    with (place / "in.gguf").open("r+b") as file:
        file.truncate(5_000_000)
    return ["quantize", place / "in.gguf", place / "out.gguf", "Q4_K_M"], ["in.gguf", "5,000,000"]


def unknown_file_type(place: Path) -> tuple[Arguments, list[str]]:
    done("convert", TINY, "--outtype", "f16", "--outfile", place / "in.gguf")
    return ["quantize", place / "in.gguf", place / "out.gguf", "Q4_KM"], ["Q4_KM", "Q4_K_M"]


def unknown_outtype(place: Path) -> tuple[Arguments, list[str]]:
    return ["convert", TINY, "--outtype", "q4_k_n", "--outfile", place / "out.gguf"], ["q4_k_n", "Q4_K_M"]


def no_folder_to_write_to(place: Path) -> tuple[Arguments, list[str]]:
    return ["convert", TINY, "--outfile", place / "nowhere" / "out.gguf"], ["nowhere"]


CASES: list[Case] = [
    no_config,
    no_folder,
    broken_config,
    unknown_architecture,
    missing_shard,
    truncated_safetensors,
    lying_safetensors_header,
    no_tokenizer,
    nan_on_the_way_to_q4,
    nan_in_a_gguf_file,
    not_gguf,
    not_gguf_inspected,
    nothing_there,
    truncated_gguf,
    unknown_file_type,
    unknown_outtype,
    no_folder_to_write_to,
]


def listing(place: Path) -> set[Path]:
    """Everything below a folder."""
    return set(place.rglob("*"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_one_line_and_nothing_left(tmp_path: Path, case: Case) -> None:
    arguments, said = case(tmp_path)
    before = listing(tmp_path)
    result = kquants(*arguments)
    assert result.returncode == 1, result.stdout + result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("kquants: "), result.stderr
    for words in said:
        assert words.lower() in lines[0].lower(), lines[0]
    assert listing(tmp_path) == before


@pytest.mark.parametrize("command", ["convert", "quantize"])
def test_full_disk(tmp_path: Path, command: str) -> None:
    """A limit on the size of files stands in for the full disk: writing fails in the same place, and says so."""
    f16, out = tmp_path / "f16.gguf", tmp_path / "out.gguf"
    done("convert", TINY, "--outtype", "f16", "--outfile", f16)
    arguments: Arguments = (
        ["convert", TINY, "--outtype", "f32", "--outfile", out]
        if command == "convert"
        else ["quantize", f16, out, "F32"]
    )
    out.write_bytes(b"what was there before")
    before = listing(tmp_path)
    result = kquants(*arguments, before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (15_000_000, 15_000_000)))
    assert result.returncode == 1, result.stderr
    assert len(result.stderr.splitlines()) == 1 and "out.gguf: the file is larger" in result.stderr
    assert listing(tmp_path) == before
    assert out.read_bytes() == b"what was there before"


@pytest.mark.parametrize("arguments", [["quantise"], ["quantize"], ["convert"], ["inspect", "--nonsense"]])
def test_wrong_usage_is_status_2(arguments: list[str]) -> None:
    result = kquants(*arguments)
    assert result.returncode == 2
    assert result.stderr.startswith("Usage: kquants")
