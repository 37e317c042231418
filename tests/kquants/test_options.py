"""Every option of llama-quantize against llama.cpp itself, and what it cannot do: any architecture, several files."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gguf_py
from gguf_py import Field, KQuantsError, ValueType, tensor_type
from kquants import imatrix
from kquants.choosing import best_that_fits, parse_size
from kquants.execute import execute
from kquants.quantizer import Options, quantize_model, quantize_models
from kquants.rules import Wishes
from tests.command import done, kquants
from tests.reference import Llama

from .models import MODELS, TinyModel

UINT32, FLOAT32, BOOL, STRING = ValueType.UINT32, ValueType.FLOAT32, ValueType.BOOL, ValueType.STRING
TYPES = [("attn_v", "Q8_0"), (r"blk\.[0-3]\..*down", "Q6_K"), ("attn", "IQ4_NL"), ("ffn_up", "F16")]
OVERRIDES = {
    "llama.attention.head_count_kv": 1,
    "general.name": "other",
    "x.y": 0.25,
    "x.z": True,
    "llama.block_count": 32,
}

CASES: dict[str, tuple[str, list[str], dict[str, Any]]] = {
    "pure": ("Q4_K_M", ["--pure"], {"pure": True}),
    "leave output": ("Q4_K_M", ["--leave-output-tensor"], {"quantize_output_tensor": False}),
    "output": ("Q4_K_S", ["--output-tensor-type", "q8_0"], {"output_tensor_type": "Q8_0"}),
    "embedding": ("Q3_K_M", ["--token-embedding-type", "Q5_1"], {"token_embedding_type": "Q5_1"}),
    "tensor types": (
        "Q4_K_M",
        [word for pattern, kind in TYPES for word in ("--tensor-type", f"{pattern}={kind.lower()}")],
        {"tensor_types": TYPES},
    ),
    "prune": ("Q4_K_M", ["--prune-layers", "9,2,3"], {"prune_layers": [2, 3, 9]}),
    "prune first": ("Q2_K", ["--prune-layers", "0"], {"prune_layers": [0]}),
    "override": (
        "Q3_K_M",
        [
            word
            for key, value in OVERRIDES.items()
            for word in ("--override-kv", f"{key}={type(value).__name__}:{str(value).lower()}")
        ],
        {"kv_overrides": OVERRIDES},
    ),
    "copy": ("COPY", [], {"only_copy": True}),
}


@pytest.mark.upstream
@pytest.mark.parametrize("name", ["llama-untied", "llama-tied-gqa"])
@pytest.mark.parametrize("case", CASES)
def test_an_option_has_upstreams_bytes(tmp_path: Path, llama: Llama, name: str, case: str) -> None:
    kind, arguments, parameters = CASES[case]
    MODELS[name].write(tmp_path / "in.gguf")
    done("quantize", *arguments, tmp_path / "in.gguf", tmp_path / "ours.gguf", kind)
    llama.quantize(tmp_path / "in.gguf", tmp_path / "theirs.gguf", "F32" if kind == "COPY" else kind, **parameters)
    assert (tmp_path / "ours.gguf").read_bytes() == (tmp_path / "theirs.gguf").read_bytes()


@pytest.mark.upstream
@pytest.mark.parametrize("source", ["Q8_0", "Q4_K_M", "Q5_0", "IQ4_XS", "TQ2_0"])
def test_requantizing_has_upstreams_bytes(tmp_path: Path, llama: Llama, source: str) -> None:
    MODELS["llama-untied"].write(tmp_path / "in.gguf")
    done("quantize", tmp_path / "in.gguf", tmp_path / "q.gguf", source)
    for kind in ("Q3_K_M", "F16", "F32"):
        done("quantize", "--allow-requantize", tmp_path / "q.gguf", tmp_path / "ours.gguf", kind)
        llama.quantize(tmp_path / "q.gguf", tmp_path / "theirs.gguf", kind, allow_requantize=True)
        assert (tmp_path / "ours.gguf").read_bytes() == (tmp_path / "theirs.gguf").read_bytes()


@pytest.mark.upstream
def test_shards_are_kept_or_joined_as_upstream_does(tmp_path: Path, llama: Llama) -> None:
    MODELS["mixtral-8"].write(tmp_path / "in.gguf")
    done("split", tmp_path / "in.gguf", tmp_path / "part", "--split-max-tensors", "50")
    shards = sorted(tmp_path.glob("part-*.gguf"))
    assert len(shards) > 2
    done("quantize", "--keep-split", shards[1], tmp_path / "ours.gguf", "Q4_K_M")
    llama.quantize(shards[0], tmp_path / "theirs", "Q4_K_M", keep_split=True)
    ours, theirs = (sorted(tmp_path.glob(f"{who}-*.gguf")) for who in ("ours", "theirs"))
    assert [p.read_bytes() for p in ours] == [p.read_bytes() for p in theirs] and len(ours) == len(shards)
    done("quantize", shards[-1], tmp_path / "whole.gguf", "Q4_K_M")
    llama.quantize(shards[0], tmp_path / "reference.gguf", "Q4_K_M")
    assert (tmp_path / "whole.gguf").read_bytes() == (tmp_path / "reference.gguf").read_bytes()


def write_imatrices(model: TinyModel, place: Path) -> None:
    """The model's importance matrix in both forms; counts of 4 and 8 calls, which divide exactly."""
    entries = model.importance().entries
    tensors = {}
    for name, values in entries.items():
        tensors[f"{name}.in_sum2"] = (tensor_type("F32"), values.shape, values * np.float32(4))
        tensors[f"{name}.counts"] = (tensor_type("F32"), (1,), np.array([4], np.float32))
    fields = [
        Field.of("general.type", "imatrix"),
        Field.of("imatrix.datasets", ["speeches.txt"]),
        Field.of("imatrix.chunk_count", 42, UINT32),
        Field.of("imatrix.chunk_size", 512, UINT32),
    ]
    gguf_py.write(place / "imatrix.gguf", fields, tensors)
    parts = [struct.pack("<i", len(entries))]
    for name, values in entries.items():
        parts += [struct.pack("<i", len(name)), name.encode(), struct.pack("<ii", 8, values.size)]
        parts.append((values * np.float32(8)).tobytes())
    parts += [struct.pack("<ii", 42, 12), b"speeches.txt"]
    (place / "imatrix.dat").write_bytes(b"".join(parts))


def test_both_forms_of_importance_matrix_are_read(tmp_path: Path) -> None:
    model = MODELS["llama-untied"]
    write_imatrices(model, tmp_path)
    for name in ("imatrix.gguf", "imatrix.dat"):
        loaded = imatrix.load(tmp_path / name)
        assert loaded.datasets == ("speeches.txt",) and loaded.chunks == 42
        for tensor, values in model.importance().entries.items():
            assert (loaded.entries[tensor] == values).all()
    some = loaded.only(["attn_v", "ffn_up"], [])
    assert set(some.entries) == {n for n in loaded.entries if "attn_v" in n or "ffn_up" in n}
    assert set(loaded.only([], ["attn"]).entries) == {n for n in loaded.entries if "attn" not in n}


@pytest.mark.upstream
@pytest.mark.parametrize("select", [[], ["--include-weights", "attn_v"], ["--exclude-weights", "ffn"]])
def test_the_command_takes_importance_matrices(tmp_path: Path, llama: Llama, select: list[str]) -> None:
    model = MODELS["llama-untied"]
    model.write(tmp_path / "in.gguf")
    write_imatrices(model, tmp_path)
    path = tmp_path / "imatrix.gguf"
    loaded = imatrix.load(path).only(
        select[1:] if "--include-weights" in select else [], select[1:] if "--exclude-weights" in select else []
    )
    told = {
        "quantize.imatrix.file": str(path)[:127],
        "quantize.imatrix.dataset": "speeches.txt",
        "quantize.imatrix.entries_count": len(loaded.entries),
        "quantize.imatrix.chunks_count": 42,
    }
    done("quantize", "--imatrix", path, *select, tmp_path / "in.gguf", tmp_path / "ours.gguf", "Q4_K_M")
    llama.quantize(tmp_path / "in.gguf", tmp_path / "theirs.gguf", "Q4_K_M", imatrix=loaded.entries, kv_overrides=told)
    assert (tmp_path / "ours.gguf").read_bytes() == (tmp_path / "theirs.gguf").read_bytes()


def test_several_types_from_one_reading_are_those_of_several_runs(tmp_path: Path) -> None:
    MODELS["mixtral-8"].write(tmp_path / "in.gguf")
    names = ["Q4_K_M", "Q8_0", "IQ4_XS", "F32"]
    done("quantize", tmp_path / "in.gguf", tmp_path / "all-{type}.gguf", ",".join(names).lower())
    for name in names:
        done("quantize", tmp_path / "in.gguf", tmp_path / "one.gguf", name)
        assert (tmp_path / "one.gguf").read_bytes() == (tmp_path / f"all-{name}.gguf").read_bytes()


def test_an_unknown_architecture_gets_generic_rules(tmp_path: Path) -> None:
    shapes = {"double_blocks.0.img_attn.qkv.weight": (8, 256), "conv.weight": (4, 4, 3, 3), "img_in.bias": (8,)}
    TinyModel("flux", {"blk.0.x.weight": (4, 256), **shapes}).write(tmp_path / "in.gguf")
    done("quantize", tmp_path / "in.gguf", tmp_path / "out.gguf", "Q4_K_M")
    with gguf_py.open(tmp_path / "out.gguf") as file:
        types = {name: tensor.type.name for name, tensor in file.tensors.items()}
        assert types["double_blocks.0.img_attn.qkv.weight"] == "Q4_K"
        assert types["conv.weight"] == "F16" and types["img_in.bias"] == "F32"


def test_the_best_type_that_fits_is_chosen(tmp_path: Path) -> None:
    MODELS["llama-untied"].write(tmp_path / "in.gguf")
    with gguf_py.open(tmp_path / "in.gguf") as model:
        sizes = {
            name: quantize_model(model, tmp_path / "x", name).size for name in ("Q6_K", "Q5_K_M", "Q5_K_S", "Q4_K_M")
        }
        for name, size in sizes.items():
            chosen = best_that_fits(model, lambda kind: str(tmp_path / kind), Options(), size, None)
            assert chosen.file_type == name and chosen.plan.size == size
        chosen = best_that_fits(model, lambda kind: str(tmp_path / kind), Options(), None, 5.0)
        assert sum(out.bpw for out in chosen.plan.outputs) <= 5.0
        with pytest.raises(KQuantsError, match="no file type is small enough"):
            best_that_fits(model, lambda kind: str(tmp_path / kind), Options(), 1000, None)
    assert [parse_size(text) for text in ("4.5GiB", "700MB", "12")] == [4831838208, 700000000, 12]


def test_dry_run_says_everything_and_writes_nothing(tmp_path: Path) -> None:
    MODELS["llama-untied"].write(tmp_path / "in.gguf")
    said = done("quantize", "--dry-run", "--explain", tmp_path / "in.gguf", tmp_path / "out.gguf", "IQ2_XS")
    assert "token_embd.weight" in said and "embedding of IQ1_S IQ1_M IQ2_XXS IQ2_XS" in said
    assert "an importance matrix (--imatrix) will be needed" in said and "bits a weight" in said
    assert [p.name for p in tmp_path.iterdir()] == ["in.gguf"]


def test_the_plan_tells_the_size_of_the_file(tmp_path: Path) -> None:
    MODELS["rows-of-32"].write(tmp_path / "in.gguf")
    with gguf_py.open(tmp_path / "in.gguf") as model:
        plan = quantize_models(model, [(tmp_path / "a", "Q4_K_M"), (tmp_path / "b", "Q2_K")])
        execute(plan, threads=2)
    assert plan.size == sum((tmp_path / name).stat().st_size for name in "ab")
    assert any("need another type" in note for note in plan.notes)


def test_a_pattern_that_names_a_type_beats_the_table(tmp_path: Path) -> None:
    MODELS["llama-untied"].write(tmp_path / "in.gguf")
    wishes = Wishes(tensor_types=((re.compile("attn_k"), tensor_type("Q5_0")),))
    with gguf_py.open(tmp_path / "in.gguf") as model:
        items = quantize_model(model, tmp_path / "x", "Q4_K_M", Options(wishes)).outputs[0].items
    assert {item.info.type.name for item in items if "attn_k." in item.info.name} == {"Q5_0"}


WRONG = {
    "a bad regular expression": (["--tensor-type", "attn_(=q8_0"], "no regular expression"),
    "a bad tensor type": (["--tensor-type", "attn=q9_0"], "q9_0"),
    "a missing layer": (["--prune-layers", "3,99"], "99"),
    "a layer that is no number": (["--prune-layers", "x"], "--prune-layers"),
    "a bad override": (["--override-kv", "a.b=int:x"], "a.b=int:x"),
    "no such importance matrix": (["--imatrix", "nowhere.gguf"], "nowhere.gguf"),
    "what needs an importance matrix": (["--output-tensor-type", "iq2_xxs"], "importance matrix"),
    "nothing small enough": (["--max-size", "1kB"], "small enough"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_done_is_one_line(tmp_path: Path, case: str) -> None:
    arguments, said = WRONG[case]
    MODELS["llama-untied"].write(tmp_path / "in.gguf")
    kind = [] if "--max-size" in arguments else ["Q4_K_M"]
    result = kquants("quantize", *arguments, tmp_path / "in.gguf", tmp_path / "out.gguf", *kind)
    assert result.returncode == 1, result.stdout + result.stderr
    assert said in result.stderr and len(result.stderr.splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["in.gguf"]


def test_an_importance_matrix_of_another_model_is_refused(tmp_path: Path) -> None:
    MODELS["llama-untied"].write(tmp_path / "in.gguf")
    write_imatrices(MODELS["rows-of-32"], tmp_path)
    result = kquants(
        "quantize", "--imatrix", tmp_path / "imatrix.gguf", tmp_path / "in.gguf", tmp_path / "out.gguf", "Q4_K_M"
    )
    assert result.returncode == 1 and "another model" in result.stderr and not (tmp_path / "out.gguf").exists()


def test_requantizing_must_be_asked_for(tmp_path: Path) -> None:
    MODELS["llama-untied"].write(tmp_path / "in.gguf")
    done("quantize", tmp_path / "in.gguf", tmp_path / "q.gguf", "Q8_0")
    result = kquants("quantize", tmp_path / "q.gguf", tmp_path / "out.gguf", "Q4_K_M")
    assert result.returncode == 1 and "--allow-requantize" in result.stderr
    assert kquants("quantize", tmp_path / "in.gguf", tmp_path / "in.gguf", "Q4_K_M").returncode == 1
