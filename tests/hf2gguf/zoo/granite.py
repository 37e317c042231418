"""Granite, without its state spaces."""

from __future__ import annotations

from ..models import BPE, HIDDEN, WIDE, Shapes, attention, ends, layers, linear, llama, two_norms
from .table import add, bpe

add("tiny-granite", bpe("GraniteForCausalLM", "granite", embedding_multiplier=12.0, logits_scaling=8.0,
    residual_multiplier=0.22, attention_multiplier=0.015625), llama(BPE, tied=True), "gpt2")  # fmt: skip


def granite_moe(p: str) -> Shapes:
    """Fused experts."""
    made = linear(f"{p}.block_sparse_moe.router.layer", 4, HIDDEN) | two_norms(p) | attention(p)
    made |= {f"{p}.block_sparse_moe.input_linear.weight": (4, 2 * WIDE, HIDDEN)}
    return made | {f"{p}.block_sparse_moe.output_linear.weight": (4, HIDDEN, WIDE)}


add("tiny-granitemoe", bpe("GraniteMoeForCausalLM", "granitemoe", num_local_experts=4, num_experts_per_tok=2),
    ends(BPE, tied=True) | layers(granite_moe), "gpt2")  # fmt: skip
add("tiny-granitemoe-shared", bpe("GraniteMoeSharedForCausalLM", "granitemoeshared", num_local_experts=4,
    num_experts_per_tok=2, shared_intermediate_size=32), ends(BPE, tied=True) | layers(lambda p: granite_moe(p)
    | linear(f"{p}.shared_mlp.input_linear", 64, HIDDEN) | linear(f"{p}.shared_mlp.output_linear", HIDDEN, 32)),
    "gpt2")  # fmt: skip
