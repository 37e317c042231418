"""Qwen 3's rerankers, which are known by a name or a card: of the output, two rows remain."""

from __future__ import annotations

import json

from ..models import BPE, SIZE, TOKENIZERS, attention, ends, gated, layers, qk_norms, two_norms
from .table import add, bpe

LAYERS = layers(lambda p: two_norms(p) | attention(p) | qk_norms(p) | gated(p))
_tokenizer = json.loads(TOKENIZERS["gpt2"]["tokenizer.json"].read_text("utf-8"))
_tokenizer["model"]["vocab"] |= {"yes": 8505, "no": 3919}
ANSWERS = {"tokenizer.json": json.dumps(_tokenizer)}
# fmt: off
add("Tiny-Qwen3-Reranker-1M", bpe("Qwen3ForCausalLM", "qwen3", head_dim=SIZE, tie_word_embeddings=True),
    ends(BPE, tied=True) | LAYERS, "gpt2", files=ANSWERS)
add("ranker-by-card", bpe("Qwen3ForCausalLM", "qwen3", head_dim=SIZE, tie_word_embeddings=False), ends(BPE) | LAYERS,
    "gpt2", files={"README.md": "Made of\n\n# Qwen3-Reranker-4B\n"} | ANSWERS, outtypes=("bf16",))
