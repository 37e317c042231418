"""What the quantizer writes is proved: every file type, and every option read off the file."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from kquants_cli.main import kquants as main

import gguf_py
from gguf_py import Field, KQuantsError, ValueType, shards, tensor_type
from kquants.filetypes import FILE_TYPES
from kquants.imatrix import Imatrix
from kquants.provenance.recipe import Recipe
from kquants.quantizer import Options
from kquants.rules import Wishes

from .small import SHAPES, flip, proof, quantized

Q8, Q6, Q5, Q3 = (tensor_type(name) for name in ("Q8_0", "Q6_K", "Q5_K", "Q3_K"))
NEEDS_IMATRIX = ("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "Q2_K_S", "IQ3_XS", "IQ2_M")
NAMED = Field.of("general.name", "another name")
WAYS = {
    "as it is": Options(),
    "pure": Options(Wishes(pure=True)),
    "pure but for the output": Options(Wishes(pure=True, output_type=Q6)),
    "output left": Options(Wishes(leave_output=True), overrides=(NAMED,)),
    "output and embedding": Options(Wishes(output_type=Q8, embedding_type=Q5)),
    "a role": Options(Wishes(tensor_types=((re.compile("attn_v"), Q6),))),
    "a layer less": Options(Wishes(leave_output=True), prune_layers=(0,), overrides=(NAMED,)),
}


@pytest.mark.parametrize("kind", FILE_TYPES)
def test_what_the_quantizer_writes_is_proved(tmp_path: Path, source: Path, matrix: Imatrix, kind: str) -> None:
    """Every file type, without an importance matrix where it can be, with one, and with one for some tensors."""
    proved = []
    for number, (way, options) in enumerate(WAYS.items()):
        matrices = [None, matrix, matrix.only((), ("attn_",))]
        turn = 1 if kind in NEEDS_IMATRIX else number % 3
        for used in [matrices[turn]] if number else matrices:
            try:
                path = quantized(source, tmp_path / "out.gguf", kind, replace(options, imatrix=used))
            except KQuantsError as fault:
                assert "importance matrix" in str(fault)  # which this type cannot be written without
                continue
            found = proof(path, source, None if used is None else replace(matrix, path="elsewhere.gguf"))
            assert found.holds, (way, found)
            assert (found.recipe.file_type, found.tensors) == (kind, len(SHAPES) - 8 * len(options.prune_layers)), way
            proved.append((way, used))
    expected = {way for way in WAYS if kind not in NEEDS_IMATRIX or "pure" not in way}  # it has no output's columns
    assert {way for way, _ in proved} >= expected
    assert ((next(iter(WAYS)), None) in proved) == (kind not in NEEDS_IMATRIX)


@pytest.mark.parametrize(
    ("wishes", "recipe"),
    [
        (Wishes(), Recipe("Q4_K_M")),
        (Wishes(pure=True), Recipe("Q4_K_M", pure=True)),
        (Wishes(leave_output=True), Recipe("Q4_K_M", leave_output=True)),
        (Wishes(output_type=Q8), Recipe("Q4_K_M", output_type="Q8_0")),
        (Wishes(embedding_type=Q5), Recipe("Q4_K_M", embedding_type="Q5_K")),
        (Wishes(output_type=Q8, embedding_type=Q5), Recipe("Q4_K_M", output_type="Q8_0", embedding_type="Q5_K")),
        (
            Wishes(tensor_types=((re.compile(r"blk\.1\.attn_q"), Q3), (re.compile("ffn_gate"), Q8))),
            Recipe("Q4_K_M", tensor_types={f"blk.{i}.{n}": t for i, n, t in
                   ((0, "ffn_gate.weight", "Q8_0"), (1, "attn_q.weight", "Q3_K"), (1, "ffn_gate.weight", "Q8_0"))}),
        ),
    ],
)  # fmt: skip
def test_options_are_read_off_the_file(tmp_path: Path, source: Path, wishes: Wishes, recipe: Recipe) -> None:
    path = quantized(source, tmp_path / "out.gguf", "Q4_K_M", Options(wishes))
    found = proof(path, source)
    assert found.holds, found
    assert found.recipe == recipe


def test_a_copy_with_numbers_of_every_kind_is_proved(tmp_path: Path) -> None:
    """As a user runs it: kernels are looked for, and these types have none; nobody stated a file type."""
    kinds = {"I8": "i1", "I16": "<i2", "I32": "<i4", "I64": "<i8", "F64": "<f8", "F32": "<f4", "F16": "<f2"}
    tensors: dict[str, Any] = {name: (name, (2, 3), np.arange(6, dtype=dtype)) for name, dtype in kinds.items()}
    gguf_py.write(tmp_path / "in.gguf", [Field.of("general.architecture", "x")], tensors)
    given = ["quantize", str(tmp_path / "in.gguf"), str(tmp_path / "out.gguf"), "COPY"]
    assert CliRunner().invoke(main, given, standalone_mode=False).exception is None
    found = proof(tmp_path / "out.gguf", tmp_path / "in.gguf")
    assert found.holds and found.recipe == Recipe("COPY"), found


@pytest.mark.parametrize(
    ("options", "recipe"),
    [
        (Options(prune_layers=(0,)), Recipe("Q4_K_M", prune_layers=(0,))),
        (Options(prune_layers=(1,)), Recipe("Q4_K_M", prune_layers=(1,))),
        (
            Options(
                overrides=(
                    Field.of("general.name", "other name"),
                    Field.of("llama.context_length", 77, ValueType.UINT32),
                    Field.of("x.scale", 0.1, ValueType.FLOAT32),
                    Field.of("x.on", False, ValueType.BOOL),
                ),
                prune_layers=(0,),
            ),
            Recipe(
                "Q4_K_M",
                prune_layers=(0,),
                overrides={
                    "general.name": ("str", "other name"),
                    "llama.context_length": ("int", 77),
                    "x.scale": ("float", float(np.float32(0.1))),
                    "x.on": ("bool", False),
                },
            ),
        ),
    ],
)
def test_layers_and_metadata_are_read_off_the_file(
    tmp_path: Path, source: Path, options: Options, recipe: Recipe
) -> None:
    path = quantized(source, tmp_path / "out.gguf", "Q4_K_M", options)
    found = proof(path, source)
    assert found.holds, found
    assert found.recipe == recipe
    assert Recipe.of(json.loads(json.dumps(asdict(recipe)))) == recipe


@pytest.mark.parametrize(
    ("include", "exclude"), [((), ("ffn_down",)), (("attn_v",), ()), ((), ("attn_",)), ((), ("blk.0.", "ffn_gate"))]
)
def test_where_the_matrix_was_used_is_read_off_the_file(
    tmp_path: Path, source: Path, matrix: Imatrix, include: tuple[str, ...], exclude: tuple[str, ...]
) -> None:
    path = quantized(source, tmp_path / "out.gguf", "Q4_K_M", Options(imatrix=matrix.only(include, exclude)))
    found = proof(path, source, matrix)
    assert found.holds, found
    assert set(found.recipe.include_weights) == set(include) and set(found.recipe.exclude_weights) == set(exclude)


def test_a_set_is_proved_from_a_set(tmp_path: Path, source: Path) -> None:
    """Whichever shard is named, however the files came apart; a bit of any of them is found."""
    whole = quantized(source, tmp_path / "whole.gguf", "Q4_K_M")
    with gguf_py.open(whole) as file, gguf_py.open(source) as origin:
        split = shards.split(file, tmp_path / "split", shards.plan_split(file, max_tensors=6))
        sources = shards.split(origin, tmp_path / "source", shards.plan_split(origin, max_tensors=7))
    with gguf_py.open_shards(split[0]) as model:
        shards.merge(model, tmp_path / "merged.gguf")
    quantized(sources[0], tmp_path / "kept", "Q4_K_M", Options(keep_split=True))
    kept = sorted(tmp_path.glob("kept-*"))
    assert len(split) == len(sources) == len(kept) == 3
    for path, packing in ((split[2], "split"), (tmp_path / "merged.gguf", "merged"), (kept[1], "as quantized")):
        found = proof(path, sources[1])
        assert found.holds and found.packing == packing, found
        assert found.recipe == Recipe("Q4_K_M", keep_split=path in kept)
    for path in (split[1], kept[2]):
        with gguf_py.open(path) as file:
            tensor = list(file.tensors.values())[-1]
            flip(path, file.data_offset - 1, 0)
        assert proof(path, sources[0]).padding, path
        flip(path, file.data_offset - 1, 0)
        flip(path, tensor.offset, 3)
        assert [d.tensor for d in proof(path, sources[0]).departures] == [tensor.name]
