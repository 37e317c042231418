"""Every option of llama-quantize, as our command takes it and as ``llama_model_quantize`` does, and what that writes.

``python -m tests.kquants.options`` writes ``options.json``: SHA-256 of what llama.cpp v0.5.0 writes for each option and
model, and of what it makes of files of every type. Where it refuses, there is none.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import gguf_py
from gguf_py import Field, ValueType, tensor_type
from gguf_py.shards import plan_split, split
from kquants.execute import execute
from kquants.quantizer import Options, quantize_model
from tests.reference import FILE_TYPES, Llama, ReferenceFailed, prebuilt

from .models import IMATRIX, MODELS, TinyModel, overrides

DIGESTS = Path(__file__).with_name("options.json")
COMPARED = ("llama-untied", "llama-tied-gqa", "mixtral-8", "rows-of-32", "gemma3n")
"""The models that every option is tried on."""


@dataclass(frozen=True)
class Case:
    """A file type, the arguments of our command, and the parameters of ``Llama.quantize`` that mean the same."""

    kind: str
    arguments: Sequence[str] = ()
    parameters: dict[str, Any] | None = None
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    weighted: bool = False
    """Whether there is an importance matrix: then what is in- and excluded means its entries."""


TYPES = [("attn_v", "Q8_0"), (r"blk\.[0-3]\..*down", "Q6_K"), ("attn", "IQ4_NL"), ("ffn_up", "F16")]
KEYS = {
    "llama.attention.head_count_kv": 1,
    "general.name": "other",
    "x.y": 0.25,
    "x.z": True,
    "llama.block_count": 32,
}
_TYPES = [f"{pattern}={kind.lower()}" for pattern, kind in TYPES]
_KEYS = [f"{key}={type(value).__name__}:{str(value).lower()}" for key, value in KEYS.items()]


def _each(option: str, values: Sequence[str]) -> list[str]:
    return [word for value in values for word in (option, value)]


CASES = {
    "pure": Case("Q4_K_M", ["--pure"], {"pure": True}),
    "leave output": Case("Q4_K_M", ["--leave-output-tensor"], {"quantize_output_tensor": False}),
    "output": Case("Q4_K_S", ["--output-tensor-type", "q8_0"], {"output_tensor_type": "Q8_0"}),
    "embedding": Case("Q3_K_M", ["--token-embedding-type", "Q5_1"], {"token_embedding_type": "Q5_1"}),
    "output and embedding": Case(
        "Q5_K_M",
        ["--output-tensor-type", "f16", "--token-embedding-type", "q4_0"],
        {"output_tensor_type": "F16", "token_embedding_type": "Q4_0"},
    ),
    "tensor types": Case("Q4_K_M", _each("--tensor-type", _TYPES), {"tensor_types": TYPES}),
    "tensor types in a file": Case("Q2_K", ["--tensor-type-file", "types.txt"], {"tensor_types": TYPES}),
    "tensor types and pure": Case(
        "Q6_K", ["--pure", "--tensor-type", _TYPES[0]], {"pure": True, "tensor_types": TYPES[:1]}
    ),
    "prune": Case("Q4_K_M", ["--prune-layers", "9,2,3"], {"prune_layers": [2, 3, 9]}),
    "prune first": Case("Q2_K", ["--prune-layers", "0"], {"prune_layers": [0]}),
    "override": Case("Q3_K_M", _each("--override-kv", _KEYS), {"kv_overrides": KEYS}),
    "copy": Case("COPY", [], {"only_copy": True}),
    "threads": Case("Q4_K_M", ["--threads", "3"]),
    "imatrix": Case("Q4_K_M", ["--imatrix", IMATRIX], weighted=True),
    "include": Case("Q4_K_M", ["--imatrix", IMATRIX, "--include-weights", "attn_v"], include=["attn_v"], weighted=True),
    "exclude": Case(
        "Q4_0",
        ["--imatrix", IMATRIX, "--exclude-weights", "ffn", "--exclude-weights", "attn_k"],
        exclude=["ffn", "attn_k"],
        weighted=True,
    ),
    "imatrix and prune": Case(
        "IQ3_XXS", ["--imatrix", IMATRIX, "--prune-layers", "1,4"], {"prune_layers": [1, 4]}, weighted=True
    ),
    "imatrix and pure": Case("IQ2_XS", ["--imatrix", IMATRIX, "--pure"], {"pure": True}, weighted=True),
}
REQUANTIZED = ("Q3_K_M", "F32")
"""What files of every type are made into: one that encodes, and one that shows the decoded weights."""


def write_inputs(model: TinyModel, place: Path) -> None:
    """The model, a file of tensor types, and the importance matrix in both forms; 4 and 8 calls divide exactly."""
    model.write(place / "in.gguf")
    (place / "types.txt").write_text(" ".join(_TYPES[:2]) + "\n" + "\n".join(_TYPES[2:]) + "\n")
    entries = model.importance().entries
    tensors = {}
    for name, values in entries.items():
        tensors[f"{name}.in_sum2"] = (tensor_type("F32"), values.shape, values * np.float32(4))
        tensors[f"{name}.counts"] = (tensor_type("F32"), (1,), np.array([4], np.float32))
    fields = [
        Field.of("general.type", "imatrix"),
        Field.of("imatrix.datasets", ["speeches.txt"]),
        Field.of("imatrix.chunk_count", 42, ValueType.UINT32),
        Field.of("imatrix.chunk_size", 512, ValueType.UINT32),
    ]
    gguf_py.write(place / IMATRIX, fields, tensors)
    parts = [struct.pack("<i", len(entries))]
    for name, values in entries.items():
        parts += [struct.pack("<i", len(name)), name.encode(), struct.pack("<ii", 8, values.size)]
        parts.append((values * np.float32(8)).tobytes())
    parts += [struct.pack("<ii", 42, 12), b"speeches.txt"]
    (place / "imatrix.dat").write_bytes(b"".join(parts))


def write_quantized(kind: str, path: Path) -> None:
    """A small model as a file of a type."""
    model = MODELS["llama-f32"]
    model.write(path.with_suffix(".whole"))
    with gguf_py.open(path.with_suffix(".whole")) as opened:
        execute(quantize_model(opened, path, kind, Options(imatrix=model.importance())))


def reference(llama: Llama, case: Case, name: str) -> str | None:
    """The digest of what llama.cpp writes for a case from the ``in.gguf`` of this folder; None when it refuses."""
    parameters = dict(case.parameters or {})
    if case.weighted:
        importance = MODELS[name].importance().only(case.include, case.exclude)
        parameters |= {"imatrix": importance.entries, "kv_overrides": overrides(importance)}
    source, target = Path("in.gguf").absolute(), Path("out.gguf").absolute()
    try:
        llama.quantize(source, target, "F32" if case.kind == "COPY" else case.kind, **parameters)
    except ReferenceFailed:
        return None
    return digest(target)


def digest(*paths: Path) -> str:
    """SHA-256 of files, one behind the other."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def write_shards() -> list[Path]:
    """``in.gguf`` in shards of 50 tensors."""
    with gguf_py.open("in.gguf") as model:
        return split(model, "part", plan_split(model, max_tensors=50))


def main() -> None:
    """Let llama.cpp do it all and write the digests."""
    folder = prebuilt()
    assert folder is not None, "the prebuilt llama.cpp is missing: python -m tests.reference fetch"
    llama = Llama(folder.resolve())
    table: dict[str, dict[str, str | None]] = {case: {} for case in CASES}
    table |= {"keep split": {}, "joined": {}}
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        for name in COMPARED:
            write_inputs(MODELS[name], Path())
            for label, case in CASES.items():
                table[label][name] = reference(llama, case, name)
            shards = [path.absolute() for path in write_shards()]
            llama.quantize(shards[0], shards[0].with_name("theirs"), "Q4_K_M", keep_split=True)
            table["keep split"][name] = digest(*sorted(Path().glob("theirs-*")))
            llama.quantize(shards[0], shards[0].with_name("out.gguf"), "Q4_K_M")
            table["joined"][name] = digest(Path("out.gguf"))
            for path in (*Path().glob("theirs-*"), *shards):
                path.unlink()
        for kind in FILE_TYPES:
            write_quantized(kind, Path("in.gguf"))
            made = {to: reference(llama, Case(to, (), {"allow_requantize": True}), "") for to in REQUANTIZED}
            table[f"from {kind}"] = made
    DIGESTS.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
