"""Make ``fixtures/gguf`` with upstream's own tools; run once, its results are committed.

    python -m tests.gguf_py.make_fixtures path/to/llama-gguf-split

It needs the Python package ``gguf`` 0.19.0 (its writer and its ``gguf-new-metadata``) and ``llama-gguf-split`` of
llama.cpp v0.5.0, which compiles alone against the prebuilt libraries in seconds.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "gguf"

SPLITS: dict[str, list[str]] = {
    "by-3": ["--split-max-tensors", "3"],
    "by-1": ["--split-max-tensors", "1"],
    "by-3-first-empty": ["--split-max-tensors", "3", "--no-tensor-first-split"],
    "one": [],
}
EDITS: dict[str, list[str]] = {
    "name": ["--general-name", "Another, longer name"],
    "description": ["--general-description", "What was not there before"],
    "template": ["--chat-template", "{{ messages }}"],
    "templates": ["--chat-template", '[{"name": "default", "template": "A"}, {"name": "tool_use", "template": "B"}]'],
    "pre": ["--pre-tokenizer", "gpt-2"],
    "remove": ["--remove-metadata", "general.author", "--remove-metadata", "llama.rope.freq_base"],
    "special": ["--special-token", "eos", "c", "--special-token-by-id", "padding", "1"],
    "many": [
        "--general-name",
        "x",
        "--chat-template",
        "T",
        "--special-token-by-id",
        "bos",
        "2",
        "--pre-tokenizer",
        "p",
    ],
}


def all_types(path: Path, big: bool) -> None:
    """A file with every metadata type, nested arrays, an alignment of 64 and tensors of several types."""
    import gguf

    order = gguf.GGUFEndian.BIG if big else gguf.GGUFEndian.LITTLE
    writer = gguf.GGUFWriter(path, "test", endianess=order)
    writer.add_custom_alignment(64)
    kinds = gguf.GGUFValueType
    for name, value in {
        "uint8": 255, "int8": -128, "uint16": 65535, "int16": -32768, "uint32": 2**32 - 1, "int32": -(2**31),
        "float32": 0.1, "bool": True, "string": "Grüße, 世界 🦙", "uint64": 2**64 - 1, "int64": -(2**63),
        "float64": 0.1,
    }.items():  # fmt: skip
        writer.add_key_value(f"one.{name}", value, kinds[name.upper()])
        writer.add_key_value(f"many.{name}", [value, value], kinds.ARRAY, kinds[name.upper()])
    writer.add_key_value("one.empty", "", kinds.STRING)
    writer.add_array("nested.int32", [[1, 2], [3], [4, 5, 6]])
    writer.add_array("nested.string", [["a", "bb"], ["ccc"]])
    writer.add_array("nested.deep", [[[1.0], [2.0, 3.0]], [[4.0]]])
    random = np.random.default_rng(7)
    writer.add_tensor("f32", random.standard_normal((3, 5), np.float32))
    writer.add_tensor("f16", random.standard_normal((2, 3, 7), np.float32).astype(np.float16))
    writer.add_tensor("i32", np.arange(9, dtype=np.int32))
    writer.add_tensor("f64", random.standard_normal((2, 1, 2, 2)))
    if not big:
        writer.add_tensor("q8_0", random.integers(0, 256, (4, 68), np.uint8), raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def model(path: Path) -> None:
    """A small Llama-shaped file to split and to edit."""
    import gguf

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("A name")
    writer.add_author("nobody")
    writer.add_context_length(64)
    writer.add_rope_freq_base(10000.0)
    writer.add_file_type(1)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(["a", "b", "c", "ü"])
    writer.add_token_scores([0.0, -1.0, -2.0, -3.0])
    writer.add_token_types([1, 1, 3, 1])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_chat_template([{"name": "default", "template": "old"}, {"name": "rag", "template": "older"}])
    random = np.random.default_rng(8)
    for i, shape in enumerate([(4, 8), (8,), (1, 8), (8, 8), (3, 2, 8), (5,), (2, 3)]):
        writer.add_tensor(f"blk.{i}.weight", random.standard_normal(shape, np.float32).astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main(splitter: str) -> None:
    """Write the files and ``digests.json``: what upstream's tools make of ``model.gguf``."""
    FIXTURES.mkdir(parents=True, exist_ok=True)
    all_types(FIXTURES / "all-types.gguf", big=False)
    all_types(FIXTURES / "all-types-big.gguf", big=True)
    source = FIXTURES / "model.gguf"
    model(source)
    digests: dict[str, Any] = {"split": {}, "merge": {}, "edit": {}}
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        for case, options in SPLITS.items():
            subprocess.run([splitter, "--split", *options, str(source), str(scratch / case)], check=True)
            parts = sorted(scratch.glob(f"{case}-0*.gguf"))
            digests["split"][case] = {p.name: _digest(p) for p in parts}
            merged = scratch / f"{case}.gguf"
            subprocess.run([splitter, "--merge", str(parts[0]), str(merged)], check=True)
            digests["merge"][case] = _digest(merged)
        for case, options in EDITS.items():
            edited = scratch / f"edit-{case}.gguf"
            tool = Path(sys.executable).with_name("gguf-new-metadata")
            subprocess.run([str(tool), "--force", *options, str(source), str(edited)], check=True)
            digests["edit"][case] = _digest(edited)
    (FIXTURES / "digests.json").write_text(json.dumps(digests, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
