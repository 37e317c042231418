"""An architecture file of one's own: it is taken whole, or one sentence says what in it does not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import gguf_py
from gguf_py import KQuantsError
from hf2gguf import definition
from hf2gguf.convert import prepare
from hf2gguf.form import FORM
from tests.command import done, kquants

from .models import write
from .zoo import ZOO


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('base = "lama"', "did you mean llama"),
        ("[tensor]", "did you mean tensors"),
        ("base = ", "is no TOML"),
        ("classes = 'x'", "classes is a list, found 'x'"),
        ("drop = 'abc'", "drop is a list, found 'abc'"),
        ("drop = ['(']", "drop, item 1, is a regular expression"),
        ("rename = ['a']", "rename, item 1, is a pair"),
        ("architecture = 5", "architecture is a text, found 5"),
        ("[metadata]\nx = 5", "metadata, 'x', is an expression"),
        ('[metadata]\nx = "5 +"', "metadata, 'x', does not fit: '5 +'"),
        ("[tensors]\nx = 5", "tensors, 'x', is a GGUF name"),
        ('[tensors]\nx = "y | reshape(1"', "tensors, 'x', does not fit"),
        ('[types]\nx = "F17"', "types, 'x', does not fit: unknown tensor type 'F17'"),
        ("[defaults]\nx = 1", "defaults, 'x', is a table"),
    ],
)
def test_what_does_not_have_the_form(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "my.toml"
    path.write_text(text)
    with pytest.raises(KQuantsError) as fault:
        definition.load(path)
    assert str(fault.value).startswith(f"{path}: ") and words in str(fault.value)


def test_the_form_is_the_definition() -> None:
    fields = set(definition.Definition.__dataclass_fields__) - {"name"}
    assert fields | {"base", "first"} == set(FORM)


def test_a_model_that_has_no_page(tmp_path: Path) -> None:
    """A class of one's own, whose queries have a name of their own: refused, then taken with four lines."""
    llama = ZOO["tiny-llama"]
    config = llama.config | {"architectures": ["MyForCausalLM"], "model_type": "my_model"}
    tensors = {name.replace("self_attn.q_proj", "attn.wq"): shape for name, shape in llama.tensors.items()}
    folder = write(replace(llama, config=config, tensors=tensors), tmp_path / "tiny-llama")
    refused = kquants("convert", folder, "--outfile", tmp_path / "f.gguf")
    assert refused.returncode == 1 and refused.stderr.count("\n") == 1
    for words in ("'MyForCausalLM'", "--list-architectures", str(definition.PAGES), "--architecture my_arch.toml"):
        assert words in refused.stderr
    page = tmp_path / "my.toml"
    page.write_text('base = "llama"')
    placeless = kquants("convert", folder, "--outfile", tmp_path / "f.gguf", "--architecture", page)
    assert placeless.returncode == 1 and "attn.wq.weight' has no place in a llama model" in placeless.stderr
    page.write_text('base = "llama"\n[tensors]\n"model.layers.{i}.attn.wq" = "blk.{i}.attn_q | permute(heads)"\n')
    done("convert", folder, "--outtype", "f16", "--outfile", tmp_path / "f.gguf", "--architecture", page)
    with gguf_py.open(tmp_path / "f.gguf") as file:
        assert file.metadata["general.architecture"] == "llama"
        assert len(file.tensors) == len(tensors) and file.tensors["blk.1.attn_q.weight"].shape == (64, 64)
    with pytest.raises(KQuantsError, match="did you mean permute"):
        page.write_text(page.read_text().replace("permute(", "permut("))
        prepare(folder, "f16", definition=definition.load(page))
