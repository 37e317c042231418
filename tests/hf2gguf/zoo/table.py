"""The table, and what several families need."""

from __future__ import annotations

from typing import Any

from ..models import BPE, Model, Shapes, base

ZOO: dict[str, Model] = {}


def add(name: str, config: dict[str, Any], tensors: Shapes, tokenizer: str = "sp", **more: Any) -> None:
    """Enter a checkpoint; one with a large vocabulary is converted to F16 alone, unless it says more."""
    if tokenizer in ("gpt2", "glm", "qwen2"):
        more.setdefault("outtypes", ("f16",))
    ZOO[name] = Model(config, tensors, tokenizer, **more)


def bpe(class_: str, kind: str | None, **more: Any) -> dict[str, Any]:
    """A configuration for GPT-2's tokenizer."""
    return base(class_, kind, **{"vocab_size": BPE, "bos_token_id": 50256, "eos_token_id": 50256, **more})


CARD = """---
license: [mit, other]
license_name: own
language:
- en
- no
tags: [speech]
datasets:
- someone/some-data-v2
- https://huggingface.co/datasets-org/other-7B
base_model: acme/Small-Llama-1B-Chat-v0.3
pipeline_tag: text-generation
model_creator: Someone Else
---
# A card
"""
LLAMA3 = {
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
    "rope_type": "llama3",
}
POOLING = {"modules.json": '[{"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]'}
