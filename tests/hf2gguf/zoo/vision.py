"""Checkpoints of the text parts of multimodal models."""

from __future__ import annotations

from typing import Any

from ..models import (
    BPE,
    HEADS,
    HIDDEN,
    SIZE,
    SP,
    WIDE,
    Shapes,
    attention,
    base,
    ends,
    experts,
    gated,
    layers,
    linear,
    llama,
    norm,
    qk_norms,
    two_norms,
)
from . import table
from .gemma import four_norms
from .table import bpe, with_tokens


def add(name: str, config: dict[str, Any], tensors: Shapes, tokenizer: str = "gpt2", **more: Any) -> None:
    """Enter a checkpoint; its text model is tried in one type."""
    table.add(name, config, tensors, tokenizer, **{"outtypes": ("bf16",), **more})


def part(kind: str, class_: str | None = None, **more: Any) -> dict[str, Any]:
    """The configuration of a text model inside another."""
    made = bpe(class_ or "", kind, **more)
    return made if class_ else {k: v for k, v in made.items() if k != "architectures"}


def within(tensors: Shapes, prefix: str = "language_model.") -> Shapes:
    """Tensors named as parts of a larger model."""
    return {prefix + name: shape for name, shape in tensors.items()}


def inner(tensors: Shapes, into: str = "model.language_model.") -> Shapes:
    """Tensors of the decoder moved inside ``model``; the head stays outside."""
    return {name.replace("model.", into): shape for name, shape in tensors.items()}


# fmt: off
EYE = linear("model.vision_model.encoder.layers.0.mlp.fc1", 32, 32) | linear("model.connector.proj", HIDDEN, 32)

add("tiny-janus", {"architectures": ["JanusForConditionalGeneration"], "model_type": "janus", "text_config":
    part("llama")}, inner(llama(BPE)) | EYE | linear("model.aligner.fc1", 32, 32) | linear("model.vqmodel.conv", 8, 8)
    | linear("model.generation_head.proj_out", 8, 8))
add("tiny-sarashina2-vision", base("Sarashina2VisionForCausalLM", "sarashina2_vision", text_config=base(
    "LlamaForCausalLM", "llama")), within(llama(), "llm.") | norm("norm", bias=True)
    | linear("visual.blocks.0.attn.qkv", 96, 32), "sp")


def lfm2(p: str) -> Shapes:
    """A convolution in the first layer, attention in the second."""
    made = norm(f"{p}.operator_norm") | norm(f"{p}.ffn_norm") | linear(f"{p}.feed_forward.w1", 256, HIDDEN)
    made |= linear(f"{p}.feed_forward.w2", HIDDEN, 256) | linear(f"{p}.feed_forward.w3", 256, HIDDEN)
    if p.endswith("0"):
        made |= linear(f"{p}.conv.in_proj", 3 * HIDDEN, HIDDEN) | linear(f"{p}.conv.out_proj", HIDDEN, HIDDEN)
        return made | {f"{p}.conv.conv.weight": (HIDDEN, 1, 3)}
    made |= {n.replace("o_proj", "out_proj"): s for n, s in attention(p).items()}
    return made | norm(f"{p}.self_attn.q_layernorm", SIZE) | norm(f"{p}.self_attn.k_layernorm", SIZE)


LFM2 = {"norm_eps": 1e-5, "rms_norm_eps": ..., "conv_L_cache": 3, "block_multiple_of": 256,
        "block_ffn_dim_multiplier": 1.0, "block_auto_adjust_ff_dim": True, "block_ff_dim": 96, "intermediate_size": 96,
        "layer_types": ["conv", "full_attention"]}
LFM2_TENSORS = {"model.embed_tokens.weight": (BPE, HIDDEN)} | norm("model.embedding_norm") | layers(lfm2)
add("lfm2-embedding", bpe("Lfm2Model", "lfm2", **LFM2), {n.removeprefix("model."): s for n, s in LFM2_TENSORS.items()})
POOLING = {"modules.json": '[{"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]',
           "1_Pooling/config.json": '{"pooling_mode_cls_token": true}'}
add("lfm2-bidirectional", bpe("Lfm2BidirectionalModel", "lfm2", **LFM2), {n.removeprefix("model."): s for n, s in
    LFM2_TENSORS.items()}, files=POOLING)
add("tiny-lfm2-vl", {"architectures": ["Lfm2VlForConditionalGeneration"], "model_type": "lfm2_vl", "text_config":
    part("lfm2", "Lfm2ForCausalLM", **LFM2)}, inner(LFM2_TENSORS) | {n.replace("vision_model", "vision_tower"): s for
    n, s in EYE.items() if "connector" not in n} | linear("model.multi_modal_projector.linear_1", HIDDEN, 32))
add("tiny-smolvlm", {"architectures": ["SmolVLMForConditionalGeneration"], "model_type": "smolvlm", "text_config":
    part("llama", "VLlama3ForCausalLM", rope_theta=100000, num_attention_heads=HEADS)}, inner(llama(BPE, tied=True),
    "model.text_model.") | EYE)
add("tiny-internvl", {"architectures": ["InternVLChatModel"], "model_type": "internvl_chat", "llm_config":
    part("qwen2", "Qwen2ForCausalLM", rope_theta=1e6)}, within(llama(BPE, bias=True)) | linear("mlp1.1", HIDDEN, 32)
    | linear("vision_model.encoder.layers.0.attn.qkv", 96, 32))
QWEN3: Shapes = ends(BPE, tied=True) | layers(lambda p: two_norms(p) | attention(p) | qk_norms(p) | gated(p))
add("tiny-lighton-ocr", {"architectures": ["LightOnOCRForConditionalGeneration"], "model_type": "lighton_as_written",
    "text_config": part("qwen3", "Qwen3ForCausalLM", head_dim=SIZE)}, inner(QWEN3)
    | linear("model.vision_encoder.transformer.layers.0.attention.q_proj", 32, 32)
    | linear("model.vision_projection.linear_1", 32, 32))
add("tiny-step3-vl", {"architectures": ["StepVLForConditionalGeneration"], "model_type": "step3_vl", "text_config":
    part("qwen3", "Qwen3ForCausalLM", head_dim=SIZE)}, inner(QWEN3) | linear("vit_large_projector", 32, 32)
    | linear("model.vision_model.transformer.resblocks.0.mlp.c_fc", 32, 32))
SECTIONS = {"rope_type": "default", "mrope_section": [2, 1, 1], "partial_rotary_factor": 0.5, "rope_theta": 10000}
GLM = {"eos_token_id": [50256], "pad_token_id": 50256, "bos_token_id": ...}


def glm(p: str, bias: bool = False) -> Shapes:
    """GLM-4's layer."""
    made = two_norms(p) | norm(f"{p}.post_self_attn_layernorm") | norm(f"{p}.post_mlp_layernorm")
    made |= attention(p, bias=bias) | linear(f"{p}.mlp.gate_up_proj", 2 * WIDE, HIDDEN)
    return made | linear(f"{p}.mlp.down_proj", HIDDEN, WIDE)


def further(p: str) -> Shapes:
    """What a layer that predicts the next token but one has besides."""
    made = linear(f"{p}.eh_proj", HIDDEN, 2 * HIDDEN) | norm(f"{p}.enorm") | norm(f"{p}.hnorm")
    made |= linear(f"{p}.embed_tokens", BPE, HIDDEN) | norm(f"{p}.shared_head.norm")
    return made | linear(f"{p}.shared_head.head", BPE, HIDDEN)


add("tiny-glm-ocr", {"architectures": ["GlmOcrForConditionalGeneration"], "model_type": "glm_ocr", "text_config":
    part("glm_ocr_text", head_dim=SIZE, rope_parameters=SECTIONS, num_nextn_predict_layers=1, **GLM)}, inner(ends(BPE)
    | layers(glm, 3) | further("model.layers.2")) | linear("model.visual.blocks.0.attn.qkv", 96, 32), "glm")
add("tiny-glm4v", {"architectures": ["Glm4vForConditionalGeneration"], "model_type": "glm4v", "text_config":
    part("glm4v_text", head_dim=SIZE, rope_scaling=SECTIONS, **GLM)}, inner(ends(BPE) | layers(lambda p: glm(p, True)))
    | linear("model.visual.blocks.0.attn.qkv", 96, 32), "glm")


def exaone4(p: str) -> Shapes:
    """Norms behind both halves."""
    made = norm(f"{p}.post_attention_layernorm") | norm(f"{p}.post_feedforward_layernorm")
    return made | attention(p) | qk_norms(p) | gated(p)


add("tiny-exaone4-5", {"architectures": ["Exaone4_5_ForConditionalGeneration"], "model_type": "exaone4_5",
    "text_config": part("exaone4", "Exaone4ForCausalLM", head_dim=SIZE, sliding_window=128, num_nextn_predict_layers=1,
    layer_types=["sliding_attention", "full_attention"], rope_parameters={"rope_theta": 1e6, "rope_type": "llama3",
    "factor": 16.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192})},
    inner(ends(BPE) | layers(exaone4)) | exaone4("mtp.layers.0") | linear("mtp.fc", HIDDEN, 2 * HIDDEN)
    | norm("mtp.norm") | norm("mtp.pre_fc_norm_embedding") | norm("mtp.pre_fc_norm_hidden")
    | linear("model.visual.blocks.0.attn.qkv", 96, 32))
XDROPE = {"type": "xdrope", "alpha": 1000.0, "factor": 1.0, "rope_theta": 10000.0, "xdrope_section": [2, 2, 2, 2]}
HUNYUAN = ends(BPE) | layers(lambda p: two_norms(p) | attention(p) | gated(p)
    | norm(f"{p}.self_attn.query_layernorm", SIZE) | norm(f"{p}.self_attn.key_layernorm", SIZE))
add("tiny-hunyuan-ocr", bpe("HunYuanVLForConditionalGeneration", "hunyuan_vl_as_written", rope_scaling=XDROPE,
    rope_theta=10000.0, head_dim=SIZE, pad_token_id=-1, eod_token_id=50256, num_experts=1, tie_word_embeddings=True),
    HUNYUAN | linear("vit.layers.0.mlp.dense_h_to_4h", 32, 32))
add("tiny-hunyuan-vl", {"architectures": ["HunYuanVLForConditionalGeneration"], "model_type": "hunyuan_vl",
    "text_config": part("hunyuan_vl_text", head_dim=SIZE, eod_token_id=50256, rope_parameters={"rope_type": "dynamic",
    "alpha": 1000.0, "factor": 1.0, "rope_theta": 10000.0, "mrope_section": [2, 2, 2, 2]})}, inner(HUNYUAN)
    | linear("vit.layers.0.mlp.dense_h_to_4h", 32, 32))
add("tiny-paddleocr", base("PaddleOCRVLForConditionalGeneration", "paddleocr_as_written", head_dim=SIZE,
    rope_scaling={"mrope_section": [4, 2, 2], "rope_type": "default"}, rope_theta=500000.0), llama()
    | linear("mlp_AR.linear_1", 32, 32) | linear("visual.vision_model.encoder.layers.0.mlp.fc1", 32, 32), "sp")
OCR = {"qk_nope_head_dim": 0, "qk_rope_head_dim": 0, "kv_lora_rank": None, "q_lora_rank": None, "v_head_dim": 0,
       "n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "first_k_dense_replace": 1,
       "n_shared_experts": 2, "num_key_value_heads": HEADS, "use_mla": False, "topk_method": "greedy", "n_group": 1,
       "topk_group": 1, "rms_norm_eps": ...}
OCR_TENSORS: Shapes = ends(BPE) | layers(lambda p: two_norms(p) | attention(p, groups=HEADS) | (gated(p) if
    p.endswith("0") else experts(p, 4) | gated(p, 64, "mlp.shared_experts")))
add("tiny-deepseek-ocr", bpe("DeepseekOCRForCausalLM", "DeepseekVLV2", **OCR) | {"language_config":
    part("deepseek_v2", "DeepseekV2ForCausalLM", **OCR)}, OCR_TENSORS | linear("model.sam_model.blocks.0.attn.qkv", 96,
    32) | {"model.image_newline": (64,), "model.view_seperator": (64,)} | linear("model.projector.layers", 64, 32))
add("tiny-unlimited-ocr", bpe("UnlimitedOCRForCausalLM", "unlimited_as_written", **OCR, sliding_window_size=128),
    OCR_TENSORS)
add("tiny-granite4-vision", {"architectures": ["Granite4VisionForConditionalGeneration"], "model_type":
    "granite4_as_written", "deepstack_layer_map": [[-2, 0], [1, 2]], "spatial_target_layers": [3],
    "spatial_vision_layer": -1, "vision_config": {"num_hidden_layers": 4}, "text_config": part("granite",
    "GraniteForCausalLM",
    num_hidden_layers=4, embedding_multiplier=12.0, logits_scaling=8.0)}, inner(ends(BPE, tied=True)
    | layers(lambda p: two_norms(p) | attention(p) | gated(p), 4)) | linear("model.layerwise_projectors.0.norm", 8, 8)
    | linear("model.spatial_projectors.0.norm", 8, 8) | {"model.image_newline": (64,)})
add("tiny-granite-speech", {"architectures": ["GraniteSpeechForConditionalGeneration"], "model_type":
    "granite_as_written", "text_config": part("granite", "GraniteForCausalLM", embedding_multiplier=12.0,
    logits_scaling=8.0)}, within(llama(BPE)) | linear("encoder.layers.0.ff1.up_proj", 32, 32)
    | linear("projector.linear", 32, 32))
IM_END = {"tokenizer_config.json": '{"added_tokens_decoder": {"17": {"content": "<|im_end|>", "special": true}}}'}
MROPE = {"rope_type": "default", "mrope_section": [4, 2, 2], "mrope_interleaved": True, "rope_theta": 1e6}
VOCAB = {"vocab_size": SP, "bos_token_id": 1, "eos_token_id": 2}


def omni(kind: str, **more: Any) -> dict[str, Any]:
    """The configuration of a thinker."""
    return {"text_config": part(kind, head_dim=SIZE, rope_scaling=MROPE, **{**VOCAB, **more}), "vision_config":
        {"deepstack_visual_indexes": [0]}, "audio_config": {}}


add("tiny-qwen3-asr", {"architectures": ["Qwen3ASRForConditionalGeneration"], "model_type": "qwen3_asr_as_written",
    "thinker_config": omni("qwen3")}, within(ends(SP, tied=True) | layers(lambda p: two_norms(p) | attention(p)
    | qk_norms(p) | gated(p)), "thinker.") | linear("thinker.audio_tower.layers.0.fc1", 32, 32), "sp",
    files=IM_END)
add("tiny-qwen3-omni", {"architectures": ["Qwen3OmniMoeForConditionalGeneration"], "model_type":
    "qwen3_omni_as_written", "thinker_config": omni("qwen3_omni_moe_text", vocab_size=BPE, num_experts=4,
    num_experts_per_tok=2, moe_intermediate_size=32)}, within(ends(BPE) | layers(lambda p: two_norms(p)
    | attention(p) | qk_norms(p)
    | experts(p, 4)), "thinker.") | linear("talker.model.layers.0.mlp.gate", 32, 32)
    | linear("code2wav.decoder.0.conv", 32, 32), "gpt2")
add("tiny-muse-glimmer", {"architectures": ["MuseGlimmerForConditionalGeneration"], "model_type": "muse_glimmer",
    "text_config": part("muse_glimmer_text", head_dim=SIZE, num_hidden_layers=4), "vision_config": {"patch_size": 14}},
    inner(ends(BPE) | layers(lambda p: four_norms(p) | attention(p) | linear(f"{p}.self_attn.gate_proj", HIDDEN,
    HIDDEN) | gated(p), 4)) | linear("model.vision_tower.layers.0.mlp.fc1", 32, 32), files=with_tokens("<|eot|>"))
