"""llama.cpp itself reads what we write: one file of each checkpoint of the zoo, and finite numbers from it."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import gguf_py
from hf2gguf.checkpoint import MISTRAL, MISTRAL_MOE
from hf2gguf.config import model_class, scope
from hf2gguf.convert import prepare
from hf2gguf.definition import Definition, classes, load
from hf2gguf.expression import evaluate
from hf2gguf.files import Shape, plan
from kquants.execute import execute
from tests.reference.llama import Llama, ReferenceFailed

from .models import Model, write
from .siblings import SIBLINGS
from .zoo import ZOO

OWN = ("mistral-own-v13", "mistral-own-fp8", "mistral-own-mixture", "mistral-own-pieces-v3")
MODELS = ZOO | {name: SIBLINGS[name] for name in OWN}

pytestmark = pytest.mark.filterwarnings("ignore:.*unknown vocabulary", "ignore:.*config.json lacks")

REFUSED = {
    "tiny-glm5.3": "unknown model architecture: 'glm5-next'",
    "tiny-cogvlm": "tensor 'blk.0.vis_attn_qkv.weight' not found",  # the expert that sees, which upstream leaves out
    "tiny-qwen": "key not found in model: qwen.attention.layer_norm_rms_epsilon",  # upstream writes it without rms
    "starcoder2-plain": "tensor 'blk.0.attn_output.bias' not found",
    "command-r-plus": "wrong number of tensors",  # knows it by its 64 layers
    "qwen3.5-multimodal": "GGML_ASSERT(sect_dims <= ne0)",  # turns 32 numbers of a head that has 16
}
"""What llama.cpp does not take, and what it says; the files are upstream's converter's to the byte."""
ENDLESS = ("tiny-plamo2", "plamo2-half")
"""llama.cpp turns no numbers of a head, for ever: it takes how many from the first layer, which has no heads."""
NEVER = {"cogvlm", "glm5-next", "plamo2"}
"""The architectures that no checkpoint can be of which it gives anything for."""
ALONE = ("tiny-plm",)
"""Whose values it lays out for one token at a time."""
LOADED = [name for name in MODELS if name not in REFUSED and name not in ENDLESS]
EMBED = {"bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "jina-bert-v2", "eurobert", "t5encoder",
    "gemma-embedding", "llama-embed"}  # fmt: skip
"""Architectures without an output layer."""


def converted(name: str, place: Path) -> Path:
    """The checkpoint as a GGUF file."""
    out = place / "out.gguf"
    execute(plan(prepare(write(MODELS[name], place / name), "f16"), out, Shape()))
    return out


@pytest.mark.upstream
@pytest.mark.parametrize("name", LOADED)
def test_finite_numbers(name: str, llama: Llama, tmp_path: Path) -> None:
    out = converted(name, tmp_path)
    with gguf_py.open(out) as file:
        ranks = any(tensor.startswith("cls.") for tensor in file.tensors)
        embeds = file.metadata["general.architecture"] in EMBED
    tokens = [1] if name in ALONE else [1, 2, 3]
    if ranks or embeds:
        given = llama.embeddings(out, tokens, rank=ranks)
    else:
        given = llama.logits(out, tokens)
        assert len(given) == len(tokens)
    assert np.isfinite(given).all() and np.abs(given).max() > 0


@pytest.mark.upstream
@pytest.mark.parametrize("name", REFUSED)
def test_what_it_refuses(name: str, llama: Llama, tmp_path: Path) -> None:
    with pytest.raises(ReferenceFailed, match=re.escape(REFUSED[name])):
        llama.logits(converted(name, tmp_path), [1, 2, 3])


@cache
def page_of(class_: str) -> Definition:
    """The page for a model class."""
    return load(classes()[class_])


def architecture(name: str, model: Model) -> str:
    """What the checkpoint's file says it is."""
    config = {"architectures": [MISTRAL_MOE if "moe" in model.config else MISTRAL]} | model.config
    class_ = model_class(config, name)
    page = page_of(class_)
    if not page.architecture.startswith("="):
        return page.architecture
    shapes = {tensor: list(shape) for tensor, shape in model.tensors.items()}
    return str(evaluate(page.architecture[1:], scope(config, page, model_class=class_, shapes=shapes)))


def choices(text: str) -> set[str]:
    """What an architecture's name may be: the ends of an expression that chooses, or the text itself."""
    if not text.startswith("="):
        return {text}
    ends: list[ast.expr] = [ast.parse(text[1:], mode="eval").body]
    while isinstance(ends[-1], ast.IfExp):
        ends[-1:] = [ends[-1].body, ends[-1].orelse]
    return {ast.literal_eval(end) for end in ends}


def test_every_architecture_is_loaded() -> None:
    written = {name for class_ in classes() for name in choices(page_of(class_).architecture)}
    loaded = {architecture(name, MODELS[name]) for name in LOADED}
    assert written - loaded == NEVER
