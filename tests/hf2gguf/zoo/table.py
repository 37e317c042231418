"""The table, and what several families need."""

from __future__ import annotations

import json
from typing import Any

from ..models import BPE, TOKENIZERS, Model, Shapes, base

ZOO: dict[str, Model] = {}


def add(name: str, config: dict[str, Any], tensors: Shapes, tokenizer: str = "sp", **more: Any) -> None:
    """Enter a checkpoint; one with a large vocabulary is converted to F16 alone, unless it says more."""
    if tokenizer in ("gpt2", "glm", "qwen2"):
        more.setdefault("outtypes", ("f16",))
    ZOO[name] = Model(config, tensors, tokenizer, **more)


def bpe(class_: str, kind: str | None, **more: Any) -> dict[str, Any]:
    """A configuration for GPT-2's tokenizer."""
    return base(class_, kind, **{"vocab_size": BPE, "bos_token_id": 50256, "eos_token_id": 50256, **more})


def added(token_id: int, content: str, **flags: bool) -> dict[str, Any]:
    """An added token of ``tokenizer.json``."""
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": token_id, "content": content} | plain | flags


def with_tokens(*texts: str, special: bool = True) -> dict[str, str]:
    """GPT-2's tokenizer with more tokens, at ids that nothing has."""
    document = json.loads(TOKENIZERS["gpt2"]["tokenizer.json"].read_text("utf-8"))
    taken = {*document["model"]["vocab"].values(), *(t["id"] for t in document["added_tokens"])}
    free = (i for i in range(BPE) if i not in taken)
    document["added_tokens"] += [added(next(free), text, special=special) for text in texts]
    document["added_tokens"].sort(key=lambda token: token["id"])
    return {"tokenizer.json": json.dumps(document)}


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
