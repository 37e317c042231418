"""The proof that a file was made from another one, as a statement that others can check: in-toto with SLSA provenance.

Form: https://in-toto.io/Statement/v1 with https://slsa.dev/provenance/v1 as predicate. The statement names digests, not
places; whoever has the same source can derive the file again.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gguf_py import KQuantsError

from .recipe import Recipe

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD = "urn:kquants:quantize:v1"
"""What kind of build the parameters belong to: ``kquants quantize`` with the options of a ``Recipe``."""


@dataclass(frozen=True, slots=True)
class Attestation:
    """What a statement says: SHA-256 digests in hexadecimal, and how the file was made."""

    files: tuple[str, ...]
    """Of the file, or of each shard in order."""
    source: tuple[str, ...]
    """The same of what it was made from."""
    imatrix: str | None
    recipe: Recipe


def sha256(path: str | os.PathLike[str]) -> str:
    """The digest of a file, in hexadecimal."""
    state = hashlib.sha256()
    with Path(path).open("rb") as file:
        while chunk := file.read(1 << 20):
            state.update(chunk)
    return state.hexdigest()


def statement(said: Attestation, names: dict[str, str], versions: dict[str, str]) -> dict[str, Any]:
    """The statement as JSON; ``names`` maps digests to file names, ``versions`` programs to theirs."""

    def resource(role: str, digest: str) -> dict[str, Any]:
        return {"name": names[digest], "digest": {"sha256": digest}, "annotations": {"role": role}}

    used = [resource("source", digest) for digest in said.source]
    used += [resource("imatrix", said.imatrix)] if said.imatrix else []
    return {
        "_type": STATEMENT,
        "subject": [{"name": names[digest], "digest": {"sha256": digest}} for digest in said.files],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD,
                "externalParameters": asdict(said.recipe),
                "resolvedDependencies": used,
            },
            "runDetails": {"builder": {"id": "urn:kquants", "version": versions}},
        },
    }


def read(path: str | os.PathLike[str]) -> Attestation:
    """Read a statement; raises KQuantsError when it is not one of ours."""
    name = os.fspath(path)
    try:
        found = json.loads(Path(path).read_text("utf-8"))
    except OSError as fault:
        raise KQuantsError(f"cannot open {name}: {(fault.strerror or str(fault)).lower()}") from None
    except ValueError as fault:
        raise KQuantsError(f"{name} is no JSON: {fault}") from None
    try:
        if (found["_type"], found["predicateType"]) != (STATEMENT, PREDICATE):
            raise KQuantsError(f"{name} is no in-toto statement of provenance, its type is {found['_type']!r}")
        definition = found["predicate"]["buildDefinition"]
        if definition["buildType"] != BUILD:
            raise KQuantsError(f"{name} is about a build of type {definition['buildType']!r}, expected {BUILD!r}")
        used = [(d["annotations"]["role"], _digest(d)) for d in definition["resolvedDependencies"]]
        return Attestation(
            tuple(map(_digest, found["subject"])),
            tuple(digest for role, digest in used if role == "source"),
            next((digest for role, digest in used if role == "imatrix"), None),
            Recipe.of(definition["externalParameters"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as fault:
        if isinstance(fault, KQuantsError):
            raise
        raise KQuantsError(f"{name} is no statement that kquants wrote: {fault!r} does not fit its form") from None


def _digest(resource: dict[str, Any]) -> str:
    return str(resource["digest"]["sha256"]).lower()
