"""Gemma."""

from __future__ import annotations

from ..models import Shapes, attention, base, ends, gated, layers, linear, norm, qk_norms, two_norms
from .table import POOLING, add

add("tiny-gemma", base("GemmaForCausalLM", "gemma", head_dim=32), ends(tied=True)
    | layers(lambda p: two_norms(p) | attention(p, size=32) | gated(p)), outtypes=("f16", "f32"))  # fmt: skip
add("gemma-half", base("GemmaForCausalLM", "gemma", head_dim=32), ends(tied=True)
    | layers(lambda p: two_norms(p) | attention(p, size=32) | gated(p)), dtype="F16")  # fmt: skip


def four_norms(p: str) -> Shapes:
    """Norms on both sides of both halves."""
    return two_norms(p) | norm(f"{p}.pre_feedforward_layernorm") | norm(f"{p}.post_feedforward_layernorm")


add("tiny-gemma2", base("Gemma2ForCausalLM", "gemma2", head_dim=32, sliding_window=128, attn_logit_softcapping=50.0,
    final_logit_softcapping=30.0), ends(tied=True) | layers(lambda p: four_norms(p) | attention(p, size=32)
    | gated(p)))  # fmt: skip
GEMMA3 = {"head_dim": 32, "sliding_window": 128, "rope_theta": 1e6, "rope_local_base_freq": 10000.0}


def gemma3(p: str) -> Shapes:
    """A layer of Gemma 3."""
    return four_norms(p) | attention(p, size=32) | qk_norms(p, 32, 32) | gated(p)


GEMMA3_TENSORS = ends(tied=True) | layers(gemma3)
add("tiny-gemma3", base("Gemma3ForCausalLM", "gemma3_text", **GEMMA3, rope_scaling={"factor": 8.0,
    "rope_type": "linear"}), GEMMA3_TENSORS)  # fmt: skip
add("gemma3-multimodal", {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3",
    "text_config": {k: v for k, v in base("", "gemma3_text", **GEMMA3).items() if k != "architectures"},
    "vision_config": {"hidden_size": 32, "model_type": "siglip_vision_model"}},
    {f"language_model.{n}": s for n, s in GEMMA3_TENSORS.items()}
    | linear("vision_tower.vision_model.encoder.layers.0.mlp.fc1", 32, 32)
    | {"multi_modal_projector.mm_input_projection_weight": (32, 64)})  # fmt: skip
# Every sixth layer sees the whole text; llama.cpp runs no encoder without such a layer.
add("tiny-embeddinggemma", base("Gemma3TextModel", "gemma3_text", **GEMMA3, num_hidden_layers=6),
    {n.removeprefix("model."): s for n, s in (ends(tied=True) | layers(gemma3, 6)).items()}, files=POOLING
    | {"1_Pooling/config.json": '{"pooling_mode_mean_tokens": true}'})  # fmt: skip
