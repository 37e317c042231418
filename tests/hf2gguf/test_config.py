"""Which model class a configuration is taken for, above all when the text model is a part of something larger."""

from __future__ import annotations

import re
from typing import Any

import pytest

from gguf_py import KQuantsError
from hf2gguf import definition
from hf2gguf.config import model_class

EYED = {"architectures": ["SmolVLMForConditionalGeneration"], "model_type": "smolvlm"}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"architectures": ["LlamaForCausalLM"]}, "LlamaForCausalLM"),
        (EYED | {"text_config": {"architectures": ["VLlama3ForCausalLM"]}}, "VLlama3ForCausalLM"),
        (EYED | {"text_config": {"model_type": "llama"}}, "LlamaForCausalLM"),  # transformers 5 names no class here
        ({"architectures": ["UnheardOf"], "llm_config": {"model_type": "qwen3"}}, "Qwen3ForCausalLM"),
        ({"architectures": ["UnheardOf"], "llm_config": {"model_type": "unheard_of"}}, "UnheardOf"),
        (
            {"architectures": ["DeepseekOCRForCausalLM"], "language_config": {"architectures": ["DeepseekV2"]}},
            "DeepseekOCRForCausalLM",
        ),
    ],
)
def test_model_class(config: dict[str, Any], expected: str) -> None:
    assert model_class(config, "here") == expected


@pytest.mark.parametrize("name", definition.NO_TEXT)
def test_what_is_no_text_model_is_said_to_be_none(name: str) -> None:
    assert name not in definition.classes()
    with pytest.raises(KQuantsError, match=re.escape(f"{name} is a")):
        definition.find(name)


def test_an_unknown_architecture_is_told_what_is_near_and_where_one_of_its_own_goes() -> None:
    with pytest.raises(KQuantsError, match=r"'LlamaForCausalLn'.*LlamaForCausalLM.*spec/convert.md.*--architecture my"):
        definition.find("LlamaForCausalLn")
