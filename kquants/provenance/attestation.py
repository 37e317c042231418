"""The proof that a file was made from another one, as a statement that others can check: in-toto with SLSA provenance.

Form: https://in-toto.io/Statement/v1 with https://slsa.dev/provenance/v1 as predicate. The statement names digests, not
places; whoever has the same source can derive the file again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from gguf_py import KQuantsError

from .recipe import Recipe

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD = "urn:kquants:quantize:v1"
"""What kind of build the parameters belong to: ``kquants quantize`` with the options of a ``Recipe``."""
BUILDER = "urn:kquants:verify:v1"
"""Who says so: ``kquants verify`` derived the files again."""
OURS, THEIRS = "kquants", "llama_cpp"
"""Whose versions are told: of the program, and of the llama.cpp whose bytes the recipe gives."""


class Named(NamedTuple):
    """A file as a statement speaks of it; only the digest counts."""

    name: str
    sha256: str
    """In lower-case hexadecimal."""


@dataclass(frozen=True, slots=True)
class Attestation:
    """What a statement says: which files were made from which, and how."""

    files: tuple[Named, ...]
    """The file, or each shard in order."""
    source: tuple[Named, ...]
    """The same of what it was made from."""
    imatrix: Named | None
    recipe: Recipe
    versions: Mapping[str, str]
    """Of ``kquants`` and ``llama_cpp``."""


def named(path: Path) -> Named:
    """A file by its name and digest; what is no text in the name is shown as such."""
    return Named(os.fsencode(path.name).decode("utf-8", "replace"), sha256(path))


def sha256(path: str | os.PathLike[str]) -> str:
    """The digest of a file, in hexadecimal."""
    state = hashlib.sha256()
    with Path(path).open("rb") as file:
        while chunk := file.read(1 << 20):
            state.update(chunk)
    return state.hexdigest()


def statement(said: Attestation) -> dict[str, Any]:
    """The statement as JSON."""

    def resource(file: Named) -> dict[str, Any]:
        return {"name": file.name, "digest": {"sha256": file.sha256}}

    used = [("source", file) for file in said.source] + ([("imatrix", said.imatrix)] if said.imatrix else [])
    return {
        "_type": STATEMENT,
        "subject": [resource(file) for file in said.files],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD,
                "externalParameters": asdict(said.recipe),
                "resolvedDependencies": [{**resource(file), "annotations": {"role": role}} for role, file in used],
            },
            "runDetails": {"builder": {"id": BUILDER, "version": dict(said.versions)}},
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
        used = [(d["annotations"]["role"], _named(d)) for d in definition["resolvedDependencies"]]
        versions = found["predicate"]["runDetails"]["builder"]["version"]
        return Attestation(
            tuple(map(_named, found["subject"])),
            tuple(file for role, file in used if role == "source"),
            next((file for role, file in used if role == "imatrix"), None),
            Recipe.of(definition["externalParameters"]),
            {program: str(versions[program]) for program in (OURS, THEIRS)},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as fault:
        if isinstance(fault, KQuantsError):
            raise
        raise KQuantsError(f"{name} is no statement that kquants wrote: {fault!r} does not fit its form") from None


def _named(resource: dict[str, Any]) -> Named:
    return Named(str(resource.get("name", "")), str(resource["digest"]["sha256"]).lower())
