"""Granite, without its state spaces."""

from __future__ import annotations

from ..models import BPE, HIDDEN, SIZE, WIDE, Shapes, attention, ends, layers, linear, llama, two_norms
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


def switched(p: str) -> Shapes:
    """A layer of Granite Switch with three adapters of rank 4."""
    q, f, made = f"{p}.self_attn", f"{p}.shared_mlp", two_norms(p)
    for name, inside, parts in ((f"{q}.qkv_proj", HIDDEN, (HIDDEN, 32, 32)), (f"{q}.o_proj", HIDDEN, (HIDDEN,)),
            (f"{f}.input_linear", HIDDEN, (WIDE, WIDE)), (f"{f}.output_linear", WIDE, (HIDDEN,))):  # fmt: skip
        made |= linear(f"{name}.base_layer", sum(parts), inside)
        for slot, rows in enumerate(parts):
            many = f"_slices.{slot}" if len(parts) > 1 else ""
            made |= {f"{name}.lora_A{many}": (3, 1, 4, inside), f"{name}.lora_B{many}": (3, 1, rows, 4)}
    return made


add("tiny-granite-switch", bpe("GraniteSwitchForCausalLM", "granite_switch_as_written", num_hidden_layers=3,
    num_adapters=3, max_lora_rank=4, adapter_token_ids=[50001, 50002, 50003], adapter_substitute_token_ids=[1, 2, 3],
    shared_intermediate_size=WIDE, num_local_experts=0, num_experts_per_tok=2, embedding_multiplier=12.0,
    logits_scaling=8.0, residual_multiplier=0.22, attention_multiplier=0.015625, head_dim=SIZE), ends(BPE)
    | layers(switched) | {"model.switch.adapter_token_ids": (3,)}, "gpt2")  # fmt: skip
