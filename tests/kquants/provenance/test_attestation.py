"""Statements of provenance: their form, what of them is checked again, and that nothing can be changed in them."""

from __future__ import annotations

import json
import re
import struct
from dataclasses import fields as dataclass_fields
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from kquants_cli.main import kquants as main

from gguf_py import KQuantsError
from kquants.imatrix import Imatrix, load
from kquants.provenance.attestation import Attestation, Named, read, sha256, statement
from kquants.provenance.recipe import Recipe
from kquants.quantizer import Options
from tests.command import TINY, done
from tests.command import kquants as command

from .small import flip, quantized

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
    refused = command("verify", q4, "--source", f16, "--attest", tmp_path / "nowhere" / "said.json")
    assert refused.returncode == 1 and "there is no folder" in refused.stderr and not refused.stdout
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
