"""Metadata of a type or a size that nobody expects: told in a line or shown as it is, by every command that looks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import gguf_py
from cli.main import kquants
from gguf_py import Field, KQuantsError, ValueType

HUGE = np.uint32(2**32 - 1)
NUMBERS = ("block_count", "context_length", "embedding_length", "feed_forward_length", "expert_count", "vocab_size")
ODD: dict[str, dict[str, Any]] = {
    "kinds of tokens that are no whole numbers": {"tokenizer.ggml.token_type": np.array([np.nan, 1], np.float32)},
    "a kind of token": {"tokenizer.ggml.token_type": 3},
    "a text for a vocabulary": {"tokenizer.ggml.tokens": "abc"},
    "numbers for a vocabulary": {"tokenizer.ggml.tokens": np.array([1, 2], np.int32)},
    "arrays for a vocabulary": {"tokenizer.ggml.tokens": [[1, 2], [3]]},
    "a number for merges": {"tokenizer.ggml.tokens": ["a"], "tokenizer.ggml.merges": 5},
    "numbers for merges": {"tokenizer.ggml.tokens": ["a"], "tokenizer.ggml.merges": np.array([1], np.int32)},
    "a text for an id": {"tokenizer.ggml.tokens": ["a"], "tokenizer.ggml.bos_token_id": "x"},
    "a number for a template": {"tokenizer.chat_template": 5, "general.name": 7, "general.license": ["a", "b"]},
    "a number for an architecture": {"general.architecture": 9},
    "texts for numbers": {f"llama.{name}": "many" for name in (*NUMBERS, "attention.head_count")},
    "numbers below nothing": {f"llama.{name}": -5 for name in (*NUMBERS, "attention.head_count")},
    "numbers beyond all": {f"llama.{name}": HUGE for name in (*NUMBERS, "attention.head_count")},
    "file types": {"general.file_type": -5, "general.quantization_version": "x"},
    "no number": {"llama.rope.freq_base": float("inf"), "general.file_type": "x"},
    "no name of an architecture": {"general.architecture": float("nan")},
    "numbers that are none": {f"llama.{name}": float("nan") for name in (*NUMBERS, "attention.head_count")},
    "lists of lists for numbers": {f"llama.{name}": [[1], [2]] for name in (*NUMBERS, "attention.head_count")},
    "numbers for names": {"tokenizer.ggml.tokens": ["a"], "tokenizer.ggml.model": [1, 2], "general.name": [1, 2]},
    "numbers for places": {"split.no": [1, 2]},
    "a set of texts": {"split.count": "x", "split.no": "y", "split.tensors.count": "z"},
}


@pytest.mark.parametrize("name", ODD)
def test_odd_metadata(tmp_path: Path, name: str) -> None:
    path, page = tmp_path / "odd.gguf", tmp_path / "page.html"
    fields = {"general.architecture": "llama", **ODD[name]}
    weights = np.ones((2, 256), np.float32)
    tensors: dict[str, Any] = {f"blk.{i}.attn_q.weight": ("F32", (2, 256), weights) for i in (0, 10**18)}
    gguf_py.write(path, [Field.of(k, v) for k, v in fields.items()], tensors)
    for words in (
        ["inspect"],
        ["inspect", "--json"],
        ["verify"],
        ["verify", "--source", path],
        ["report", "-o", page],
        ["quantize", "Q8_0", "--dry-run"],
        ["edit", "--special-token", "bos", "a", "--dry-run"],
        ["imatrix", tmp_path / "imatrix.gguf", "--file", __file__],
        ["perplexity", "--file", __file__],
    ):
        given = [words[0], path, *words[1:]]
        result = CliRunner().invoke(kquants, [str(word) for word in given], standalone_mode=False)
        assert result.exception is None or isinstance(result.exception, (SystemExit, KQuantsError)), words
    assert page.exists() or name == "a set of texts"  # which is refused: no shard says so


def test_what_is_no_vocabulary_is_named(tmp_path: Path) -> None:
    fields = [Field.of("general.architecture", "x"), Field.of("tokenizer.ggml.tokens", [1], item=ValueType.INT32)]
    gguf_py.write(tmp_path / "f", fields, {})
    result = CliRunner().invoke(kquants, ["verify", str(tmp_path / "f")], standalone_mode=False)
    assert result.exit_code == 1
    assert "tokenizer.ggml.tokens is ARRAY of INT32, expected ARRAY of STRING" in " ".join(result.output.split())
