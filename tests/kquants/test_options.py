"""Every option of llama-quantize against llama.cpp's bytes, and what it cannot do: any architecture, several files."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from kquants_cli.main import kquants as command

import gguf_py
from gguf_py import KQuantsError, tensor_type
from kquants import imatrix
from kquants.choosing import best_that_fits
from kquants.execute import execute
from kquants.filetypes import FILE_TYPES
from kquants.quantizer import Options, quantize_model, quantize_models
from kquants.rules import Wishes
from tests.command import done, kquants
from tests.reference import Llama

from . import models
from .models import IMATRIX, MODELS, TinyModel
from .options import (
    CASES,
    COMPARED,
    DIGESTS,
    REQUANTIZED,
    digest,
    reference,
    write_inputs,
    write_quantized,
    write_shards,
)

EXPECTED: dict[str, dict[str, str | None]] = json.loads(DIGESTS.read_text())


@pytest.fixture(autouse=True)
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder: an output names its importance matrix as it was named."""
    monkeypatch.chdir(tmp_path)


def quantize(*arguments: str | Path) -> None:
    """Run the command in this process, which is quick."""
    command.main(["quantize", "--quiet", *map(str, arguments)], standalone_mode=False)


@pytest.mark.parametrize("name", COMPARED)
def test_an_option_has_upstreams_bytes(name: str) -> None:
    write_inputs(MODELS[name], Path())
    wrong = []
    for label, case in CASES.items():
        expected = EXPECTED[label][name]
        if expected is None:
            with pytest.raises(KQuantsError):
                quantize(*case.arguments, "in.gguf", "out.gguf", case.kind)
            continue
        quantize(*case.arguments, "in.gguf", "out.gguf", case.kind)
        wrong += [label] * (digest(Path("out.gguf")) != expected)
    assert not wrong


@pytest.mark.upstream
@pytest.mark.parametrize("label", ["tensor types", "exclude"])
def test_the_digests_are_those_of_llama_cpp(llama: Llama, label: str) -> None:
    write_inputs(MODELS["llama-untied"], Path())
    assert reference(llama, CASES[label], "llama-untied") == EXPECTED[label]["llama-untied"]


@pytest.mark.parametrize("source", FILE_TYPES)
def test_requantizing_has_upstreams_bytes(source: str) -> None:
    write_quantized(source, Path("in.gguf"))
    for kind in REQUANTIZED:
        quantize("--allow-requantize", "in.gguf", "out.gguf", kind)
        assert digest(Path("out.gguf")) == EXPECTED[f"from {source}"][kind]


@pytest.mark.parametrize("name", COMPARED)
def test_shards_are_kept_or_joined_as_upstream_does(name: str) -> None:
    MODELS[name].write(Path("in.gguf"))
    shards = write_shards()
    assert len(shards) > 1
    for named in (shards[0], shards[-1]):
        quantize("--keep-split", named, "ours.gguf", "Q4_K_M")
        ours = sorted(Path().glob("ours-*"))
        assert len(ours) == len(shards) and digest(*ours) == EXPECTED["keep split"][name]
        quantize(named, "whole.gguf", "Q4_K_M")
        assert digest(Path("whole.gguf")) == EXPECTED["joined"][name]


def test_the_older_form_of_importance_matrix_gives_the_same_tensors() -> None:
    write_inputs(MODELS["llama-untied"], Path())
    made = []
    for name in (IMATRIX, "imatrix.dat"):
        quantize("--imatrix", name, "in.gguf", "out.gguf", "IQ2_M")
        with gguf_py.open("out.gguf") as file:
            made.append({t.name: t.data.tobytes() for t in file.tensors.values()})
            assert file.metadata["quantize.imatrix.file"] == name
    assert made[0] == made[1]


def test_both_forms_of_importance_matrix_are_read() -> None:
    model = MODELS["llama-untied"]
    write_inputs(model, Path())
    for name in (IMATRIX, "imatrix.dat"):
        loaded = imatrix.load(name)
        assert loaded.datasets == ("speeches.txt",) and loaded.chunks == 42
        for tensor, values in model.importance().entries.items():
            assert (loaded.entries[tensor] == values).all()
    some = loaded.only(["attn_v", "ffn_up"], [])
    assert set(some.entries) == {n for n in loaded.entries if "attn_v" in n or "ffn_up" in n}
    assert set(loaded.only([], ["attn"]).entries) == {n for n in loaded.entries if "attn" not in n}


def test_several_types_from_one_reading_are_those_of_several_runs(tmp_path: Path) -> None:
    MODELS["mixtral-8"].write(tmp_path / "in.gguf")
    names = ["Q4_K_M", "Q8_0", "IQ4_XS", "F32"]
    quantize(tmp_path / "in.gguf", tmp_path / "all-{type}.gguf", ",".join(names).lower())
    for name in names:
        quantize(tmp_path / "in.gguf", tmp_path / "one.gguf", name)
        assert (tmp_path / "one.gguf").read_bytes() == (tmp_path / f"all-{name}.gguf").read_bytes()


def test_an_unknown_architecture_gets_generic_rules(tmp_path: Path) -> None:
    shapes = {"double_blocks.0.img_attn.qkv.weight": (8, 256), "conv.weight": (4, 4, 3, 3), "img_in.bias": (8,)}
    TinyModel("flux", {"blk.0.x.weight": (4, 256), **shapes}).write(tmp_path / "in.gguf")
    quantize(tmp_path / "in.gguf", tmp_path / "out.gguf", "Q4_K_M")
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
    for kind in ("F16", "BF16"):  # the better of two that are as large is what the weights are already
        quantize("--pure", tmp_path / "in.gguf", tmp_path / f"{kind}.gguf", kind)
        with gguf_py.open(tmp_path / f"{kind}.gguf") as model:
            assert best_that_fits(model, lambda name: str(tmp_path / name), Options(), 10**9, None).file_type == kind


def test_dry_run_says_everything_and_writes_nothing(tmp_path: Path) -> None:
    MODELS["llama-untied"].write(tmp_path / "in.gguf")
    said = done("quantize", "--dry-run", "--explain", tmp_path / "in.gguf", tmp_path / "out.gguf", "IQ2_XS")
    assert "token_embd.weight" in said and "embedding of IQ1_S IQ1_M IQ2_XXS IQ2_XS" in said
    assert "an importance matrix (--imatrix) will be needed" in said and "bits per weight" in said
    assert [p.name for p in tmp_path.iterdir()] == ["in.gguf"]


def test_dry_run_tells_when_there_is_too_little_room(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    MODELS["llama-untied"].write(Path("in.gguf"))
    for free, said in ((10**6, "1.0 MB are free\n"), (10**5, "100.0 kB are free: too little\n")):
        monkeypatch.setattr("shutil.disk_usage", lambda path, free=free: SimpleNamespace(free=free))
        command.main(["quantize", "--dry-run", "in.gguf", "{type}.gguf", "Q8_0,Q4_0"], standalone_mode=False)
        told = capsys.readouterr().out
        assert told.startswith("Q8_0.gguf:\n") and "\nQ4_0.gguf:\n" in told and told.endswith(f"are needed, {said}")


@pytest.mark.parametrize("width", ["80", "120"])
def test_nothing_of_a_reason_is_cut(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: str
) -> None:
    MODELS["llama-untied"].write(Path("in.gguf"))
    monkeypatch.setenv("COLUMNS", width)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    command.main(["quantize", "--dry-run", "--explain", "in.gguf", "Q4_K_M"], standalone_mode=False)
    lines = capsys.readouterr().out.splitlines()[1:-2]
    assert max(map(len, lines)) <= int(width)
    assert not any("…" in line for line in lines)
    assert " ".join(lines).split().count("thirds") > 10


def test_wrong_usage_is_told_from_failure() -> None:
    MODELS["llama-untied"].write(Path("in.gguf"))
    for arguments, said in {
        ("out.gguf",): "Missing argument 'TYPE'",
        ("out.gguf", "Q4_K_M,Q8_0"): "{type}",
        ("out.gguf", "Q4_K_M", "--include-weights", "a", "--exclude-weights", "b"): "cannot be used together",
        ("out.gguf", "--bpw", "-4"): "--bpw",
    }.items():
        result = kquants("quantize", "in.gguf", *arguments)
        assert result.returncode == 2 and said in result.stderr
    result = kquants("quantize", "in.gguf", "out.gguf", "Q4_KM")
    assert result.returncode == 1 and "did you mean Q4_K_M?" in result.stderr
    result = kquants("quantize", "in.gguf", "out.gguf", "q4")
    assert result.returncode == 1 and "did you mean Q4_K_M, Q4_K_S, Q4_1 or Q4_0?" in result.stderr
    result = kquants("quantize", "in.gguf", "out.gguf", "best")
    assert result.returncode == 1 and "'best', expected one of F32, F16, BF16, Q8_0, Q6_K, Q5_K_M" in result.stderr
    result = kquants("quantize", "--dry-run", "in.gguf", "nowhere/out.gguf", "Q4_K_M")
    assert result.returncode == 1 and "there is no folder" in result.stderr and not result.stdout


@pytest.mark.parametrize(("kind", "name"), [("q4_k", "Q4_K"), ("Q4_K_M", "Q4_K_M"), ("7", "Q8_0"), ("copy", "COPY")])
def test_without_a_name_the_output_has_the_types_beside_the_input(tmp_path: Path, kind: str, name: str) -> None:
    (tmp_path / "models").mkdir()
    MODELS["llama-untied"].write(tmp_path / "models" / "in.gguf")
    quantize(tmp_path / "models" / "in.gguf", kind)
    assert sorted(p.name for p in (tmp_path / "models").iterdir()) == [f"ggml-model-{name}.gguf", "in.gguf"]


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


def test_overrides_are_what_llama_quantize_makes_of_them() -> None:
    """An integer loses its sign; a text may have 127 bytes."""
    MODELS["llama-untied"].write(Path("in.gguf"))
    given = {"a": "int:-7", "b": "float:0.5", "c": "bool:true", "d": "str:" + "x" * 127}
    options = [word for key, value in given.items() for word in ("--override-kv", f"{key}={value}")]
    done("quantize", *options, "in.gguf", "out.gguf", "F16")
    with gguf_py.open("out.gguf") as file:
        fields = [file.fields[key] for key in given]
    assert [(f.type.name, f.value) for f in fields] == [
        ("UINT32", 7),
        ("FLOAT32", 0.5),
        ("BOOL", True),
        ("STRING", "x" * 127),
    ]


def test_a_pattern_that_fits_no_tensor_is_told() -> None:
    MODELS["llama-untied"].write(Path("in.gguf"))
    said = done("quantize", "--tensor-type", "attn_z=q8_0", "in.gguf", "out.gguf", "Q4_K_M")
    assert "note: no tensor has 'attn_z' in its name" in said


WRONG = {
    "a bad regular expression": (["--tensor-type", "attn_(=q8_0"], "no regular expression"),
    "a bad tensor type": (["--tensor-type", "attn=q9_0"], "q9_0"),
    "a type for sums alone": (["--tensor-type", "attn=q8_1"], "no weights are kept as Q8_1"),
    "a type of integers": (["--token-embedding-type", "i8"], "--token-embedding-type: no weights are kept as I8"),
    "a missing layer": (["--prune-layers", "3,99"], "99"),
    "a layer that is no number": (["--prune-layers", "x"], "--prune-layers"),
    "a bad override": (["--override-kv", "a.b=int:x"], "a.b=int:x"),
    "a long override": (["--override-kv", "a.b=str:" + "ü" * 64], "KEY=str:TEXT (127 bytes) is expected"),
    "a pattern that is none": (["--tensor-type", "=q8_0"], "a pattern, = and a tensor type"),
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
    write_inputs(MODELS["rows-of-32"], tmp_path)
    MODELS["llama-untied"].write(tmp_path / "in.gguf")
    result = kquants(
        "quantize", "--imatrix", tmp_path / "imatrix.gguf", tmp_path / "in.gguf", tmp_path / "out.gguf", "Q4_K_M"
    )
    assert result.returncode == 1 and "another model" in result.stderr and not (tmp_path / "out.gguf").exists()


@pytest.mark.parametrize(("kind", "bad"), [("Q2_K_S", "Q2_K"), ("IQ2_XXS", "IQ2_XXS")])
def test_garbage_is_refused(tmp_path: Path, kind: str, bad: str) -> None:
    MODELS["llama-untied"].write(tmp_path / "in.gguf")
    with gguf_py.open(tmp_path / "in.gguf") as model, pytest.raises(KQuantsError, match=f"garbage as {bad} without"):
        quantize_model(model, tmp_path / "out.gguf", kind)


def test_requantizing_must_be_asked_for(tmp_path: Path) -> None:
    MODELS["llama-untied"].write(tmp_path / "in.gguf")
    quantize(tmp_path / "in.gguf", tmp_path / "q.gguf", "Q8_0")
    result = kquants("quantize", tmp_path / "q.gguf", tmp_path / "out.gguf", "Q4_K_M")
    assert result.returncode == 1 and "--allow-requantize" in result.stderr


@pytest.mark.parametrize("name", ["in.gguf", "link.gguf", IMATRIX])
def test_what_is_read_is_not_written(tmp_path: Path, name: str) -> None:
    write_inputs(MODELS["llama-untied"], tmp_path)
    (tmp_path / "link.gguf").hardlink_to(tmp_path / "in.gguf")
    before = (tmp_path / name).read_bytes()
    with pytest.raises(KQuantsError, match=f"{name} is an input: quantize to another name"):
        quantize("--imatrix", tmp_path / IMATRIX, tmp_path / "in.gguf", tmp_path / name, "Q4_K_M")
    assert (tmp_path / name).read_bytes() == before


def test_a_process_of_its_own_has_the_same_bytes() -> None:
    """In a new process kernels are loaded from the disk, and nothing else has brought Numba in."""
    write_inputs(MODELS["llama-untied"], Path())
    expected = json.loads(models.DIGESTS.read_text())["llama-untied"]
    kinds = [kind for kind in FILE_TYPES if f"{kind} imatrix" in expected]
    done("quantize", "--imatrix", IMATRIX, "in.gguf", "{type}.gguf", ",".join(kinds))
    assert {k: digest(Path(f"{k}.gguf")) for k in kinds} == {k: expected[f"{k} imatrix"] for k in kinds}
