"""Vocabularies of real models, taken back: the tokenizer gives llama.cpp's ids, whoever wrote the file and when."""

from __future__ import annotations

from pathlib import Path

import pytest

from hf2gguf.export import Exported
from tests.files import real_files

from .test_export import exported
from .tokenizer.test_ids import expected, strings

WORDS = ("tokens", "merges", "scores", "bos_token_id", "eos_token_id", "unknown_token_id", "padding_token_id")
"""What of a vocabulary comes back, although today's converter says other things of it than those before."""


def taken_back(name: str, folder: Path) -> Exported:
    """Export an upstream vocabulary."""
    path = next(iter(real_files(f"ggml-vocab-{name}.gguf")), None)
    return exported(path or pytest.skip("needs `python -m tests.files fetch`"), folder)


@pytest.mark.parametrize("name", ["bert-bge", "deepseek-llm", "falcon", "gpt-2", "phi-3"])
def test_same_ids(name: str, tmp_path: Path) -> None:
    from tokenizers import Tokenizer

    found = taken_back(name, tmp_path / "Model")
    assert found.older and not found.exact
    changed = {k.key for k in found.keys if k.before is not None and k.after is not None}
    assert not changed & {f"tokenizer.ggml.{word}" for word in WORDS}
    tokenizer = Tokenizer.from_file(str(tmp_path / "Model" / "tokenizer.json"))
    for text, ids in zip(strings(name), expected(name), strict=True):
        assert tokenizer.encode(text, add_special_tokens=False).ids == ids, text


def test_one_of_today_comes_back_whole(tmp_path: Path) -> None:
    """Gemma 4's, half a million merges, in a folder of the name that it was converted from."""
    found = taken_back("gemma-4", tmp_path / "47b6801b24d15ff9bcd8c96dfaea0be9ed3a0301")
    assert found.exact, found
