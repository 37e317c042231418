"""Proving where a file comes from: true for what the quantizer writes, false for a single bit that is not so."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from dataclasses import fields as dataclass_fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from kquants_cli.main import kquants as main

import gguf_py
from gguf_py import Field, KQuantsError, ValueType, shards, tensor_type
from kquants.attestation import Attestation, Named, read, sha256, statement
from kquants.execute import execute
from kquants.filetypes import FILE_TYPES
from kquants.imatrix import Imatrix, load
from kquants.provenance import ANOTHER_ARITHMETIC, DAMAGED, OTHER_WEIGHTS, OTHERWISE, Proof, prove
from kquants.quantizer import Options, quantize_model
from kquants.recipe import Recipe
from kquants.rules import Wishes
from tests.command import TINY, done
from tests.command import kquants as command

COLUMNS = 512
LAYERS = 2
SHAPES = {
    "token_embd.weight": (64, COLUMNS),
    "output_norm.weight": (COLUMNS,),
    "output.weight": (64, COLUMNS),
    **{
        f"blk.{i}.{role}": shape
        for i in range(LAYERS)
        for role, shape in {
            "attn_norm.weight": (COLUMNS,),
            "attn_q.weight": (32, COLUMNS),
            "attn_k.weight": (16, COLUMNS),
            "attn_v.weight": (16, COLUMNS),
            "attn_output.weight": (16, COLUMNS),
            "ffn_gate.weight": (16, COLUMNS),
            "ffn_down.weight": (16, COLUMNS),
        }.items()
    },
    "blk.0.attn_q.bias": (5,),  # of twenty bytes, so that padding follows
}


def write_source(path: Path, seed: int = 7) -> Path:
    """A small model in F16, with names and metadata that the rules look at."""
    rng = np.random.default_rng(seed)
    fields: dict[str, Any] = {
        "general.architecture": "llama",
        "general.name": "small",
        "general.file_type": np.uint32(1),
        "llama.block_count": np.uint32(LAYERS),
        "llama.attention.head_count": np.uint32(4),
        "llama.attention.head_count_kv": np.uint32(2),
    }
    tensors: dict[str, Any] = {}
    for name, shape in SHAPES.items():
        weights = rng.standard_normal(shape, np.float32) * np.float32(0.05)
        kind, stored = ("F32", weights) if len(shape) == 1 else ("F16", weights.astype(np.float16))
        tensors[name] = (kind, shape, stored)
    gguf_py.write(path, [Field.of(k, v) for k, v in fields.items()], tensors)
    return path


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model in F16."""
    return write_source(tmp_path_factory.mktemp("provenance") / "source.gguf")


@pytest.fixture(scope="module")
def matrix() -> Imatrix:
    """An importance matrix for it."""
    rng = np.random.default_rng(3)
    entries = {name: rng.random(COLUMNS, np.float32) + np.float32(0.1) for name in SHAPES if name.startswith("blk")}
    return Imatrix("somewhere/imatrix.gguf", entries, ("text.txt",), 10)


def quantized(source: Path, path: Path, kind: str, options: Options | None = None) -> Path:
    """Quantize the model."""
    with gguf_py.open_shards(source) as opened:
        execute(quantize_model(opened, path, kind, options), threads=2)
    return path


def proof(path: Path, source: Path, imatrix: Imatrix | None = None) -> Proof:
    """Derive it again, the recipe read off the file."""
    with gguf_py.open_shards(path) as model, gguf_py.open_shards(source) as origin:
        return prove(model, origin, imatrix, threads=2)


def flip(path: Path, byte: int, bit: int) -> None:
    """Change one bit of a file."""
    with path.open("r+b") as file:
        file.seek(byte)
        (old,) = file.read(1)
        file.seek(byte)
        file.write(bytes([old ^ (1 << bit)]))


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


@pytest.mark.parametrize("kind", ["Q4_K_M", "Q8_0", "IQ3_S", "Q2_K", "F32"])
def test_a_single_bit_is_found_and_its_tensor_named(tmp_path: Path, source: Path, kind: str) -> None:
    """A hundred bits in all, anywhere in the tensors' data."""
    rng = np.random.default_rng(11)
    path = quantized(source, tmp_path / "out.gguf", kind)
    with gguf_py.open(path) as file:
        tensors = list(file.tensors.values())
    for _ in range(20):
        tensor = tensors[int(rng.integers(len(tensors)))]
        byte, bit = int(rng.integers(tensor.nbytes)), int(rng.integers(8))
        flip(path, tensor.offset + byte, bit)
        found = proof(path, source)
        (departure,) = found.departures
        assert not found.holds and not found.keys and not found.header and not found.padding
        assert (departure.tensor, departure.blocks) == (tensor.name, 1)
        assert departure.first_block == byte // tensor.type.nbytes
        flip(path, tensor.offset + byte, bit)
    assert proof(path, source).holds


def parts_of_header(path: Path) -> Iterator[tuple[str, int, int, str, str]]:
    """What each byte of a header is: the part, where it begins and ends, whose it is, and which one of how many."""
    data = path.read_bytes()
    tensors, keys = struct.unpack_from("<QQ", data, 8)
    yield from [("magic", 0, 4, "", ""), ("version", 4, 8, "", ""), ("count", 8, 16, "", ""), ("count", 16, 24, "", "")]
    at = 24
    for number in range(1, keys + tensors + 1):
        nth = f"{number} of {keys}" if number <= keys else f"{number - keys} of {tensors}"
        end = at + 8 + int.from_bytes(data[at : at + 8], "little")
        name = data[at + 8 : end].decode()
        yield from [
            ("length", at, at + 8, name, nth),
            ("name", at + 8, end, name, nth),
            ("type", end, end + 4, name, nth),
        ]
        code, at = int.from_bytes(data[end : end + 4], "little"), end + 4
        if number > keys:
            end = at + 8 * code
            yield from [("size", at, end, name, nth), ("type", end, end + 4, name, nth)]
            yield from [("offset", end + 4, end + 12, name, nth)]
            at = end + 12
        elif ValueType(code) is ValueType.STRING:
            end = at + 8 + int.from_bytes(data[at : at + 8], "little")
            yield from [("length", at, at + 8, name, nth), ("value", at + 8, end, name, nth)]
            at = end
        else:
            yield "value", at, at + 4, name, nth
            at += 4
    yield "padding", at, at + -at % 32, "", ""


def test_a_bit_of_the_header_is_found_and_its_key_or_tensor_named(tmp_path: Path, source: Path) -> None:
    """A bit of each part: where the file can be read no more, the error says behind what, or at which one."""
    path = quantized(source, tmp_path / "out.gguf", "Q4_K_M")
    rng = np.random.default_rng(12)
    seen = {"read": 0, "refused": 0}
    for part, start, end, owner, nth in parts_of_header(path):
        byte, bit = int(rng.integers(start, end)), int(rng.integers(8))
        flip(path, byte, bit)
        where = f"bit {bit} of byte {byte}, in the {part} of {owner!r}"
        try:
            found = proof(path, source)
        except KQuantsError as fault:
            seen["refused"] += 1
            assert str(path) in str(fault) and (owner in str(fault) or nth in str(fault)), f"{where}: {fault}"
        else:
            seen["read"] += 1
            assert not found.holds, where
            said: set[str | None] = {key.key for key in found.keys} | {d.tensor for d in found.departures}
            said |= {change.what for change in found.header} | {found.padding}
            at = f"the header is written in another way from byte {byte:,} on"
            assert (owner or {"count": "number of tensors", "version": "version"}.get(part, at)) in said, (
                f"{where}: {found}"
            )
            if part == "type":
                assert all(d.verdict != OTHER_WEIGHTS for d in found.departures), f"{where}: {found}"
        flip(path, byte, bit)
    assert min(seen.values()) > 30, seen
    assert proof(path, source).holds


def test_bytes_between_and_behind_the_tensors_are_found(tmp_path: Path, source: Path) -> None:
    path = quantized(source, tmp_path / "out.gguf", "Q4_K_M")
    with gguf_py.open(path) as file:
        odd = file.tensors["blk.0.attn_q.bias"]
    for byte in range(odd.offset + odd.nbytes, odd.offset + 32):
        flip(path, byte, byte % 8)
        found = proof(path, source)
        assert found.padding == "the padding behind tensor 'blk.0.attn_q.bias' is not zero" and not found.departures
        flip(path, byte, byte % 8)
    assert proof(path, source).holds
    with path.open("ab") as longer:
        longer.write(bytes(32))
    found = proof(path, source)
    assert not found.holds and found.padding and not found.departures


def spoil(path: Path, name: str, change: Callable[[Any], None]) -> None:
    """Change the blocks of one tensor: uint8[blocks, bytes of one]."""
    with gguf_py.open(path) as file:
        t = file.tensors[name]
        blocks = t.data.reshape(-1, t.type.nbytes).copy()
        offset = t.offset
    change(blocks)
    with path.open("r+b") as raw:
        raw.seek(offset)
        raw.write(blocks.tobytes())


def test_another_arithmetic_is_told_from_damage_and_other_weights(
    tmp_path: Path, source: Path, matrix: Imatrix
) -> None:
    clean = quantized(source, tmp_path / "clean.gguf", "Q4_K_M", Options(Wishes(pure=True))).read_bytes()
    path, name = tmp_path / "out.gguf", "blk.0.attn_q.weight"

    def verdict() -> str:
        (departure,) = proof(path, source).departures
        assert departure.tensor == name
        return departure.verdict

    def one_step(blocks: Any) -> None:
        """One weight of three blocks goes to the level beside its own."""
        for block in (5, 17, 40):
            low = blocks[block, 60] & 15
            blocks[block, 60] = (blocks[block, 60] & 0xF0) | (low + 1 if low < 15 else 14)

    def scale(blocks: Any) -> None:
        blocks[9, 1] ^= 0x40  # the exponent of a super-block's scale

    path.write_bytes(clean)
    spoil(path, name, one_step)
    assert verdict() == ANOTHER_ARITHMETIC
    path.write_bytes(clean)
    spoil(path, name, scale)
    assert verdict() == DAMAGED
    other = quantized(
        write_source(tmp_path / "other.gguf", seed=8), tmp_path / "q.gguf", "Q4_K_M", Options(Wishes(pure=True))
    )
    found = proof(other, source)
    assert {d.verdict for d in found.departures if "norm" not in d.tensor} == {OTHER_WEIGHTS}
    assert [d.tensor for d in found.departures] == list(gguf_py.open(other).tensors)
    weighted = quantized(source, tmp_path / "w.gguf", "Q4_K_M", Options(imatrix=matrix))
    other_matrix = replace(matrix, entries={k: v[::-1].copy() for k, v in matrix.entries.items()})
    verdicts = {d.verdict for d in proof(weighted, source, other_matrix).departures}
    assert verdicts == {OTHERWISE}


def test_metadata_that_was_changed_is_named(tmp_path: Path, source: Path) -> None:
    path = quantized(source, tmp_path / "out.gguf", "Q4_K_M")
    data = path.read_bytes()
    path.write_bytes(data.replace(b"small", b"large", 1))
    found = proof(path, source)
    (change,) = found.keys
    assert (change.key, change.before and change.before.value, change.after and change.after.value) == (
        "general.name",
        "small",
        "large",
    )
    assert not found.departures


def test_a_file_type_that_is_misstated_is_named(tmp_path: Path, source: Path) -> None:
    path = quantized(source, tmp_path / "out.gguf", "Q4_K_S")
    with gguf_py.open(path) as file:
        at = file.data_offset
    data = path.read_bytes()
    key = data.index(b"general.file_type") + len("general.file_type") + 4
    assert key < at and data[key] == FILE_TYPES["Q4_K_S"].id
    path.write_bytes(data[:key] + bytes([FILE_TYPES["Q6_K"].id]) + data[key + 1 :])
    found = proof(path, source)
    assert [change.key for change in found.keys] == ["general.file_type"] and not found.departures
    assert found.recipe == Recipe("Q4_K_S")


def test_the_matrix_is_asked_for_and_refused(tmp_path: Path, source: Path, matrix: Imatrix) -> None:
    with_matrix = quantized(source, tmp_path / "with.gguf", "Q4_K_M", Options(imatrix=matrix))
    without = quantized(source, tmp_path / "without.gguf", "Q4_K_M")
    with pytest.raises(KQuantsError, match=r"somewhere/imatrix\.gguf.*--imatrix"):
        proof(with_matrix, source)
    with pytest.raises(KQuantsError, match="does not say"):
        proof(without, source, matrix)
    assert proof(with_matrix, source, matrix).holds
    fewer = replace(matrix, entries={k: v for k, v in matrix.entries.items() if "attn_q" not in k})
    assert {k.key for k in proof(with_matrix, source, fewer).keys} == {"quantize.imatrix.entries_count"}


def test_another_model_is_refused(tmp_path: Path, source: Path) -> None:
    other = tmp_path / "other.gguf"
    gguf_py.write(other, [Field.of("general.architecture", "x")], {"t": ("F32", (4,), np.ones(4, np.float32))})
    with pytest.raises(KQuantsError, match="another model"):
        proof(other, source)


# ------------------------------------------------------------------------------------------------------ attestations


SAID = Attestation(
    (Named("f.gguf", "aa"),),
    (Named("s-1.gguf", "bb"), Named("s-2.gguf", "aa")),  # the last is the same file as the first
    Named("i.gguf", "dd"),
    Recipe("Q4_K_M", output_type="Q8_0", tensor_types={"a.weight": "Q3_K"}),
    {"kquants": "1", "llama_cpp": "v0.5.0"},
)


def test_a_statement_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "statement.json"
    path.write_text(json.dumps(statement(SAID)))
    assert read(path) == SAID


def test_a_statement_has_the_form_of_in_toto() -> None:
    """As its specification says: https://github.com/in-toto/attestation/tree/main/spec/v1, https://slsa.dev/provenance."""
    said = statement(SAID)
    assert (
        said["_type"] == "https://in-toto.io/Statement/v1" and said["predicateType"] == "https://slsa.dev/provenance/v1"
    )
    assert set(said) == {"_type", "subject", "predicateType", "predicate"}
    definition, details = said["predicate"]["buildDefinition"], said["predicate"]["runDetails"]
    assert set(said["predicate"]) == {"buildDefinition", "runDetails"} and set(details) == {"builder"}
    assert set(definition) == {"buildType", "externalParameters", "resolvedDependencies"}
    assert set(details["builder"]) == {"id", "version"}
    for uri in (definition["buildType"], details["builder"]["id"]):
        assert re.fullmatch(r"urn:[a-z0-9][a-z0-9-]{1,31}:[a-z0-9:]+", uri)  # RFC 8141: a namespace, then what is named
    resources = [*said["subject"], *definition["resolvedDependencies"]]
    assert all(set(r) - {"annotations"} == {"name", "digest"} and set(r["digest"]) == {"sha256"} for r in resources)
    roles = [r["annotations"]["role"] for r in definition["resolvedDependencies"]]
    assert roles == ["source", "source", "imatrix"]
    own = (*definition["externalParameters"], *details["builder"]["version"])
    assert not any(character in key for key in own for character in ".$ ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "no JSON"),
        ("[]", "does not fit"),
        ('{"_type": "https://in-toto.io/Statement/v1", "predicateType": "x"}', "no in-toto statement of provenance"),
        ('{"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://slsa.dev/provenance/v1"}', "fit"),
    ],
)
def test_what_is_no_statement(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(KQuantsError, match=words):
        read(tmp_path / "s.json")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("file_type", 4),
        ("pure", "yes"),
        ("overrides", {"a": ["int", "x"]}),
        ("overrides", {"a": ["any", 1]}),
        ("new", 1),
    ],
)
def test_a_recipe_that_is_none(tmp_path: Path, key: str, value: Any) -> None:
    said = statement(SAID)
    said["predicate"]["buildDefinition"]["externalParameters"][key] = value
    (tmp_path / "s.json").write_text(json.dumps(said))
    with pytest.raises(KQuantsError, match="no statement that kquants wrote"):
        read(tmp_path / "s.json")


def verify(*arguments: str | Path) -> tuple[int, str]:
    """Run the command in this process: its exit status, and what it says."""
    result = CliRunner().invoke(main, ["verify", *map(str, arguments)], standalone_mode=False)
    fault = result.exception
    if isinstance(fault, KQuantsError):
        return 1, str(fault)
    assert fault is None or isinstance(fault, SystemExit), fault
    return result.exit_code, result.output


BUILT = ("predicate", "buildDefinition")
MADE = (*BUILT, "externalParameters")
ZEROS = "0" * 64
TAMPERINGS: dict[tuple[str | int, ...], tuple[Any, str]] = {
    ("_type",): ("https://in-toto.io/Statement/v0.1", "no in-toto statement"),
    ("predicateType",): ("https://slsa.dev/provenance/v0.2", "no in-toto statement"),
    ("subject", 0, "digest", "sha256"): (ZEROS, "FAILED attested file"),
    ("subject",): ([], "FAILED attested file"),
    (*BUILT, "buildType"): ("urn:other:v1", "a build of type"),
    (*BUILT, "resolvedDependencies", 0, "digest", "sha256"): (ZEROS, "FAILED attested source"),
    (*BUILT, "resolvedDependencies", 1, "digest", "sha256"): (ZEROS, "FAILED attested imatrix"),
    (*BUILT, "resolvedDependencies", 1, "annotations", "role"): ("source", "FAILED attested source"),
    (*BUILT, "resolvedDependencies"): ([], "FAILED attested source"),
    ("predicate", "runDetails", "builder", "version", "llama_cpp"): ("v0.4.0", "FAILED attested version"),
    ("predicate", "runDetails", "builder", "version"): ({}, "no statement that kquants wrote"),
    (*MADE, "file_type"): ("Q5_K_M", "NOT what this gives"),
    (*MADE, "pure"): (True, "NOT what this gives"),
    (*MADE, "leave_output"): (True, "NOT what this gives"),
    (*MADE, "output_type"): ("Q8_0", "NOT what this gives"),
    (*MADE, "embedding_type"): ("Q8_0", "NOT what this gives"),
    (*MADE, "tensor_types"): ({"blk.1.attn_q.weight": "Q8_0"}, "NOT what this gives"),
    (*MADE, "prune_layers"): ([0], "NOT what this gives"),
    (*MADE, "overrides"): ({"general.name": ["str", "other"]}, "NOT what this gives"),
    (*MADE, "include_weights"): (["attn_v"], "NOT what this gives"),
    (*MADE, "exclude_weights"): (["attn_v"], "NOT what this gives"),
    (*MADE, "unknown"): (True, "no statement that kquants wrote"),
}
"""Where a statement is changed, to what, and what is then said. (``keep_split`` means nothing for a single file.)"""


def test_a_statement_that_was_tampered_with_is_refused(tmp_path: Path, source: Path, matrix: Imatrix) -> None:
    measured, file, said = tmp_path / "m.dat", tmp_path / "q.gguf", tmp_path / "said.json"
    parts = [struct.pack("<i", len(matrix.entries))]
    for name, values in matrix.entries.items():
        parts += [struct.pack("<i", len(name)), name.encode(), struct.pack("<ii", 1, values.size), values.tobytes()]
    measured.write_bytes(b"".join(parts))
    quantized(source, file, "Q4_K_M", Options(imatrix=load(measured)))
    given = ("--source", source, "--imatrix", measured)
    status, text = verify(file, *given, "--attest", said)
    assert status == 0, text
    fields = {name.name for name in dataclass_fields(Recipe)}
    assert {place[-1] for place in TAMPERINGS if place[:-1] == MADE} == fields - {"keep_split"} | {"unknown"}
    status, text = verify(file, *given, "--attestation", said)
    assert status == 0 and text.count("ok attested") == 0 and len(re.findall("ok +attested", text)) == 4, text
    status, text = verify(file, "--attestation", said)
    assert status == 0 and re.search("- +attested source +source.gguf is not given, as --source", text), text
    other = tmp_path / "tampered.json"
    for place, (value, words) in TAMPERINGS.items():
        document = json.loads(said.read_text())
        part = document
        for step in place[:-1]:
            part = part[step]
        assert part.get(place[-1]) != value
        part[place[-1]] = value
        other.write_text(json.dumps(document))
        status, text = verify(file, *given, "--attestation", other)
        assert status == 1 and words in re.sub(" +", " ", text), (place, text)


def test_attest_and_check_again(tmp_path: Path) -> None:
    f16, q4, said = tmp_path / "f16.gguf", tmp_path / "q4.gguf", tmp_path / "q4.intoto.json"
    done("convert", TINY, "--outtype", "f16", "--outfile", f16)
    done("quantize", f16, q4, "Q4_K_M")
    out = done("verify", q4, "--source", f16, "--attest", said)
    assert "proved: " in out and "kquants quantize" in out
    document = json.loads(said.read_text())
    assert document["subject"][0]["digest"]["sha256"] == sha256(q4)
    document = json.loads(done("verify", q4, "--attestation", said, "--source", f16, "--json"))
    assert document["passed"] and document["proof"]["holds"]
    refused = command("verify", f16, "--attestation", said)
    assert refused.returncode == 1 and "FAILED  attested file" in refused.stdout
    refused = command("verify", q4, "--attestation", said, "--source", q4)
    assert refused.returncode == 1 and "FAILED  attested source" in refused.stdout
    refused = command("verify", q4, "--source", f16, "--attest", f16)
    assert refused.returncode == 1 and f"{f16} is one of the files that are read" in refused.stderr
    copy = tmp_path / "copy.gguf"
    done("quantize", f16, copy, "COPY")
    done("verify", copy, "--source", f16, "--attest", tmp_path / "copy.json")
    document = json.loads((tmp_path / "copy.json").read_text())
    named = [*document["subject"], *document["predicate"]["buildDefinition"]["resolvedDependencies"]]
    assert [file["name"] for file in named] == ["copy.gguf", "f16.gguf"], "of one digest, and yet two files"
    flip(q4, q4.stat().st_size - 100, 3)
    refused = command("verify", q4, "--attestation", said)
    assert refused.returncode == 1 and "FAILED  attested file" in refused.stdout
    refused = command("verify", q4, "--source", f16, "--attest", tmp_path / "second.json")
    assert refused.returncode == 1 and not (tmp_path / "second.json").exists()
    assert "NOT what this gives" in refused.stdout and "blk.3.ffn_up.weight" in refused.stdout
