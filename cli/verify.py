"""``kquants verify``: is a file whole and sane, and was it made from that source?"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gguf_py.errors import KQuantsError

from . import arguments

if TYPE_CHECKING:
    from kquants.imatrix import Imatrix
    from kquants.provenance import Proof
    from kquants.provenance.attestation import Attestation
    from kquants.provenance.departures import Departure
    from kquants.sanity import Check

EPILOG = """\b
Examples:
  kquants verify model-q4_k_m.gguf
  kquants verify model-q4_k_m.gguf --source model-f16.gguf
  kquants verify model-iq3_s.gguf --source model-f16.gguf --imatrix imatrix.gguf --attest model-iq3_s.intoto.json
  kquants verify model-iq3_s.gguf --attestation model-iq3_s.intoto.json
"""
STYLES = {"passed": "green", "failed": "red", "not applicable": "dim"}
DETAILS = {"passed": "", "failed": "", "not applicable": "dim"}
MOST = 12
"""Departing tensors that are listed; the rest is counted."""


@click.command(epilog=EPILOG)
@click.argument("file", type=arguments.FILE)
@click.option(
    "--source", type=arguments.FILE, help="What FILE is said to be quantized from: derive every tensor again."
)
@click.option("--imatrix", type=arguments.FILE, help="The importance matrix it was quantized with.")
@click.option("--attest", type=arguments.FILE, help="Write the proof here, as an in-toto statement (with --source).")
@click.option(
    "--attestation", type=arguments.FILE, help="Check FILE (and --source, --imatrix) against such a statement."
)
@arguments.threads
@arguments.as_json
def command(
    file: Path,
    source: Path | None,
    imatrix: Path | None,
    attest: Path | None,
    attestation: Path | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Check that FILE is whole and sane: one line a check, exit status 1 when one fails.

    With --source, derive every tensor again and prove that FILE is, byte for byte, what quantizing SOURCE gives. The
    file type and the options are read off FILE.

    FILE and SOURCE may be any shard of a set: then the whole set is meant.
    """
    if attest and not source:
        raise click.UsageError("--attest needs --source: only what was derived again can be attested.")
    if imatrix and not source:
        raise click.UsageError("--imatrix needs --source.")
    from gguf_py.atomic import check_target
    from kquants.sanity import check_file

    from .progress import checking

    if attest:
        check_target(attest)  # now, and not when everything has been derived
    stated = _stated(attestation)
    with checking() as progress:
        checks = check_file(file, progress)
        whole = _shards(file) if checks[0].outcome == "passed" else [file]
        checks += [] if stated is None else _compared(stated, whole, source, imatrix)
    sound = all(check.outcome != "failed" for check in checks)
    proof = None
    if source is not None and checks[0].outcome == "passed":
        proof = _prove(file, source, imatrix, stated, threads, as_json)
    if as_json:
        from .show import json_text

        click.echo(json_text(_document(file, checks, proof)))
    else:
        _show_checks(checks)
        if proof is not None and source is not None:
            _show_proof(file, source, imatrix, proof)
    good = sound and (proof is None or proof.holds)
    if good and proof is not None and attest is not None and source is not None:
        _attest(attest, file, source, imatrix, proof)
    sys.exit(0 if good else 1)


def _prove(
    file: Path, source: Path, imatrix: Path | None, stated: Attestation | None, threads: int | None, quiet: bool
) -> Proof:
    import gguf_py
    from kquants.imatrix import load
    from kquants.provenance import prove

    from .progress import reporting

    matrix: Imatrix | None = None if imatrix is None else load(imatrix)
    recipe = None if stated is None else stated.recipe
    with (
        gguf_py.open_shards(file) as model,
        gguf_py.open_shards(source) as origin,
        reporting(quiet, stderr=True) as progress,
    ):
        return prove(model, origin, matrix, recipe, threads, progress)


# ------------------------------------------------------------------------------------------------------ attestations


def _stated(path: Path | None) -> Attestation | None:
    if path is None:
        return None
    from kquants.provenance.attestation import read

    return read(path)


def _shards(source: Path) -> list[Path]:
    import gguf_py

    with gguf_py.open_shards(source) as opened:
        return [Path(file.path) for file in opened.files]


def _compared(stated: Attestation, files: list[Path], source: Path | None, imatrix: Path | None) -> list[Check]:
    """What was given against what a statement speaks of."""
    from kquants.provenance.attestation import OURS, THEIRS, sha256
    from kquants.sanity import Check

    from .main import LLAMA_CPP

    pairs = [
        ("file", files, stated.files, ""),
        ("source", _shards(source) if source else None, stated.source, "--source"),
        ("imatrix", [imatrix] if imatrix else None, (stated.imatrix,) if stated.imatrix else (), "--imatrix"),
    ]
    checks = []
    for what, paths, said, option in pairs:
        expected = [known.sha256 for known in said]
        if paths is None:
            if said:
                told = f"{', '.join(known.name for known in said)} is not given, as {option}, and not compared"
                checks.append(Check(f"attested {what}", "not applicable", told))
            continue
        found = [sha256(path) for path in paths]
        same = found == expected
        told = f"SHA-256 is {', '.join(found)}" + ("" if same else f", attested is {', '.join(expected) or 'none'}")
        checks.append(Check(f"attested {what}", "passed" if same else "failed", told))
    theirs = stated.versions[THEIRS]
    told = f"the bytes of llama.cpp {theirs}" + ("" if theirs == LLAMA_CPP else f", here they are those of {LLAMA_CPP}")
    told += f"; said by kquants {stated.versions[OURS]}"
    return [*checks, Check("attested version", "passed" if theirs == LLAMA_CPP else "failed", told)]


def _attest(path: Path, file: Path, source: Path, imatrix: Path | None, proof: Proof) -> None:
    from importlib.metadata import version

    from gguf_py.atomic import replacing, write_all
    from kquants.provenance.attestation import OURS, THEIRS, Attestation, named, statement

    from .main import LLAMA_CPP
    from .show import json_text, one_line

    files, sources = _shards(file), _shards(source)
    if any(path.exists() and path.samefile(read) for read in [*files, *sources, *([imatrix] if imatrix else [])]):
        raise KQuantsError(f"{path} is one of the files that are read: write the statement to another name")
    said = Attestation(
        tuple(map(named, files)),
        tuple(map(named, sources)),
        named(imatrix) if imatrix else None,
        proof.recipe,
        {OURS: version("kquants"), THEIRS: LLAMA_CPP},
    )
    text = (json_text(statement(said)) + "\n").encode()
    with replacing(path, len(text)) as handle:
        write_all(handle, text, 0)
    click.echo(f"{one_line(str(path))}: written", err=True)


# ----------------------------------------------------------------------------------------------------------- showing


def _show_checks(checks: list[Check]) -> None:
    from .show import visible
    from .terminal import Table, Terminal

    shown = Table(("outcome", "check", "detail"), fold=("detail",), headed=False)
    for check in checks:
        mark = {"passed": "ok", "failed": "FAILED", "not applicable": "-"}[check.outcome]
        style = STYLES[check.outcome]
        shown.add((f"{mark:6}", style), (check.name, style), (visible(check.detail), DETAILS[check.outcome]))
    Terminal().put(shown)


def _commands(file: Path, source: Path, imatrix: Path | None, proof: Proof) -> list[str]:
    """What makes the file from the source, as a person would type it."""
    import shlex

    from gguf_py.shards import prefix_of

    made = [*proof.recipe.arguments(), *(["--imatrix", str(imatrix)] if imatrix else [])]
    prefix = prefix_of(file) or str(file)
    target = {"split": f"{prefix}.gguf"}.get(proof.packing, prefix if proof.recipe.keep_split else str(file))
    commands = [shlex.join(["kquants", "quantize", str(source), target, *made])]
    if proof.packing == "split":
        commands.append(shlex.join(["kquants", "split", target, prefix, "…"]))
    elif proof.packing == "merged":
        commands.append("# then split, and merged again")
    return commands


def _show_proof(file: Path, source: Path, imatrix: Path | None, proof: Proof) -> None:
    from .diff import key_cells
    from .show import counted, visible
    from .terminal import Terminal

    out = Terminal()
    commands = [f"  {visible(command)}" for command in _commands(file, source, imatrix, proof)]
    out.print()
    if proof.holds:
        again = f"{counted(proof.tensors, 'tensor')} derived again"
        out.print(f"proved: {visible(str(file))} is, byte for byte, what this gives ({again})")
        out.print(*commands, style="bold")
        return
    out.print(f"NOT what this gives: {visible(str(file))}", style="red")
    out.print(*commands, style="bold")
    for header in proof.header:
        out.print(f"{header.what}: expected {visible(header.before)}, found {visible(header.after)}")
    for change in proof.keys:
        key, before, after = key_cells(change)
        out.print(f"metadata key {key}: expected {before or 'nothing'}, found {after or 'nothing'}")
    if proof.padding:
        out.print(visible(proof.padding))
    if proof.departures:
        _show_departures(proof)


def _show_departures(proof: Proof) -> None:
    from .show import ROOMY, counted, visible
    from .terminal import Table, Terminal

    out = Terminal()
    first = proof.departures[0]
    at = "" if first.first_block is None else f", from block {first.first_block:,} on"
    several = len(proof.departures) > 1
    departing = f"{len(proof.departures)} of {counted(proof.tensors, 'tensor')} depart{'' if several else 's'}"
    out.print(f"{departing}{', the first is' if several else ':'} {visible(first.tensor)}{at}")
    numbers = ("blocks", "error", "expected")
    long = max(len(visible(d.tensor)) for d in proof.departures[:MOST]) > 40  # others stay whole where there is room
    fold = ("tensor", "what it is") if long or out.width < ROOMY else ("what it is",)
    shown = Table(("tensor", "what it is", *numbers), right=numbers, fold=fold)
    for d in proof.departures[:MOST]:
        shown.add(visible(d.tensor), d.verdict, *_figures(d))
    out.put(shown)
    if len(proof.departures) > MOST:
        out.print(f"… and {len(proof.departures) - MOST:,} more")


def _figures(d: Departure) -> list[str]:
    errors = ["" if e is None else f"{e:.3%}" for e in (d.error, d.expected_error)]
    return [f"{d.blocks:,} of {d.of:,}" if d.of else "", *errors]


def _document(file: Path, checks: list[Check], proof: Proof | None) -> dict[str, Any]:
    from .show import plain

    document: dict[str, Any] = {
        "file": str(file),
        "passed": all(check.outcome != "failed" for check in checks) and (proof is None or proof.holds),
        "checks": [asdict(check) for check in checks],
    }
    if proof is not None:
        document["proof"] = {
            "holds": proof.holds,
            "recipe": asdict(proof.recipe),
            "tensors": proof.tensors,
            "departures": [asdict(d) for d in proof.departures],
            "metadata": [
                {"key": k.key, **{s: None if f is None else plain(f.value) for s, f in _sides(k.before, k.after)}}
                for k in proof.keys
            ],
            "header": [asdict(change) for change in proof.header],
            "padding": proof.padding,
            "packing": proof.packing,
        }
    return document


def _sides(before: Any, after: Any) -> list[tuple[str, Any]]:
    return [("expected", before), ("found", after)]
