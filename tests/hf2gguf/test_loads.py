"""llama.cpp itself reads what we write: one file of each checkpoint of the zoo, and finite logits from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hf2gguf.convert import prepare
from hf2gguf.files import Shape, plan
from kquants.execute import execute
from tests.reference.llama import Llama

from .models import write
from .siblings import SIBLINGS
from .zoo import ZOO

OWN = ("mistral-own-v13", "mistral-own-fp8", "mistral-own-mixture", "mistral-own-pieces-v3")
MODELS = ZOO | {name: SIBLINGS[name] for name in OWN}

WITHOUT_LOGITS = {
    "tiny-bert", "bert-ranker", "tiny-xlm-roberta", "tiny-nomic-bert", "nomic-experts", "tiny-distilbert",
    "tiny-modernbert", "tiny-eurobert", "tiny-roberta", "tiny-llama-embed", "tiny-embeddinggemma", "tiny-t5",
    "tiny-t5-encoder", "tiny-jina-bert", "tiny-neobert", "neobert-ranker", "tiny-jina-v5", "t5-tied",
    "xlm-json", "xlm-json-added", "xlm-json-saved-anew", "xlm-json-alone", "nomic-json",
}  # fmt: skip
"""Encoders: what they give is not asked for in this way."""
NOT_AS_SMALL = {
    "tiny-phi3": "takes a vocabulary of this type for Phi 3's own",
    "phi3-long": "takes a vocabulary of this type for Phi 3's own",
    "tiny-deepseek-v2-lite": "knows a model without low-rank queries by its 27 layers",
    "tiny-minicpm3": "has values of as many numbers as a head",
    "tiny-plm": "has keys of one size",
    "qwen3.5-multimodal": "turns 32 numbers of a head unless the file says otherwise",
    "tiny-cogvlm": "asks for the experts that see, which upstream's converter leaves out",
    "tiny-qwen": "asks for an epsilon that upstream's converter writes under another name",
    "qwen-with-ids": "asks for an epsilon that upstream's converter writes under another name",
    "tiny-plamo2": "takes the rope's size from the first layer, which has no heads, and never comes to an end",
    "plamo2-half": "takes the rope's size from the first layer, which has no heads, and never comes to an end",
    "command-r-plus": "looks for norms of queries and keys by its 64 layers",
    "starcoder2-plain": "asks for biases",
    "tiny-glm5.3": "does not know the architecture, which its converter does",
    "tiny-llama4": "aborts while it lays out the graph of a model this small",
}
"""Shapes that llama.cpp does not take, though they are upstream's converter's to the byte."""


@pytest.mark.upstream
@pytest.mark.parametrize("name", [name for name in MODELS if name not in WITHOUT_LOGITS and name not in NOT_AS_SMALL])
def test_finite_logits(name: str, llama: Llama, tmp_path: Path) -> None:
    folder, out = write(MODELS[name], tmp_path / name), tmp_path / "out.gguf"
    execute(plan(prepare(folder, "f16"), out, Shape()))
    logits = llama.logits(out, [1, 2, 3])
    assert logits.shape[0] == 3 and np.isfinite(logits).all() and np.abs(logits).max() > 0
