"""Phi."""

from __future__ import annotations

import json

from ..models import (
    BPE,
    GROUPS,
    HEADS,
    HIDDEN,
    SIZE,
    SP,
    WIDE,
    Shapes,
    attention,
    base,
    ends,
    layers,
    linear,
    mixtral,
    norm,
    two_norms,
)
from .table import add, bpe

add("tiny-phi2", bpe("PhiForCausalLM", "phi", partial_rotary_factor=0.4, layer_norm_eps=1e-5, rms_norm_eps=...,
    num_key_value_heads=HEADS), linear("lm_head", BPE, HIDDEN, True) | {"model.embed_tokens.weight": (BPE, HIDDEN)}
    | norm("model.final_layernorm", bias=True) | layers(lambda p: norm(f"{p}.input_layernorm", bias=True)
    | {n.replace("o_proj", "dense"): s for n, s in attention(p, groups=HEADS, bias=True).items()}
    | {f"{p}.self_attn.dense.bias": (HIDDEN,)} | linear(f"{p}.mlp.fc1", 256, HIDDEN, True)
    | linear(f"{p}.mlp.fc2", HIDDEN, 256, True)), "gpt2")  # fmt: skip


def phi3(p: str) -> Shapes:
    """Fused projections."""
    rows = (HEADS + 2 * GROUPS) * SIZE
    made = (
        two_norms(p) | linear(f"{p}.self_attn.qkv_proj", rows, HIDDEN) | linear(f"{p}.self_attn.o_proj", HIDDEN, HIDDEN)
    )
    return made | linear(f"{p}.mlp.gate_up_proj", 2 * WIDE, HIDDEN) | linear(f"{p}.mlp.down_proj", HIDDEN, WIDE)


# llama.cpp looks for the end of a text under this name where a model is called phi3.
ENDED = {"added_tokens.json": json.dumps({"<|endoftext|>": SP, "<|assistant|>": SP + 1})}
add("tiny-phi3", base("Phi3ForCausalLM", "phi3", original_max_position_embeddings=512, sliding_window=256,
    vocab_size=SP + 8), ends(SP + 8) | layers(phi3), files=ENDED)  # fmt: skip
add("phi3-long", base("Phi3ForCausalLM", "phi3", original_max_position_embeddings=512, max_position_embeddings=16384,
    sliding_window=None, vocab_size=SP + 8, rope_scaling={"type": "longrope", "long_factor": [1.0 + i / 3 for i in
    range(8)], "short_factor": [1.0 + i / 7 for i in range(8)]}), ends(SP + 8) | layers(phi3), files=ENDED)  # fmt: skip
add("tiny-phi4", bpe("Phi3ForCausalLM", "phi3", original_max_position_embeddings=512, sliding_window=None),
    ends(BPE) | layers(phi3), "gpt2", files={"tokenizer_config.json":
    '{"tokenizer_class": "GPT2Tokenizer", "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}'})  # fmt: skip
add("tiny-phimoe", base("PhiMoEForCausalLM", "phimoe", num_local_experts=4, num_experts_per_tok=2,
    original_max_position_embeddings=512), linear("lm_head", SP, HIDDEN, True)
    | {"model.embed_tokens.weight": (SP, HIDDEN)} | norm("model.norm", bias=True)
    | layers(lambda p: two_norms(p, bias=True) | attention(p, bias=True) | {f"{p}.self_attn.o_proj.bias": (HIDDEN,)}
    | mixtral(p, 4, WIDE)))  # fmt: skip
