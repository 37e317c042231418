"""Checkpoints for the class names that the zoo leaves out: one of the zoo's, as that class publishes it.

A name that only says the same again has its page's checkpoint with another name in ``config.json``; a larger model, or
an older form of the same, has the configuration and the tensors' names that come with it.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from dataclasses import replace
from typing import Any

from .models import BPE, HEADS, HIDDEN, LAYERS, SIZE, SP, WIDE, Model, Shapes, layers, linear, norm
from .zoo import ZOO
from .zoo.mixing import world

SIBLINGS: dict[str, Model] = {}
"""By the name of the class, which is the folder's too."""

_SIZED = {"llama": "Llama", "mistral": "Mistral", "mixtral": "Mixtral", "qwen2": "Qwen2", "qwen3": "Qwen3", "gemma":
    "Gemma", "gemma2": "Gemma2", "granite": "Granite", "phi3": "Phi3", "smollm3": "SmolLM3", "ernie4_5": "Ernie4_5_",
    "gemma3n_text": "Gemma3n", "ministral3": "Ministral3", "arcee": "Arcee"}  # fmt: skip
SIZED = {
    f"sizes-of-{kind}": Model(
        {"architectures": ["LlavaForConditionalGeneration"], "model_type": "llava", "text_config": {
            "architectures": [f"{class_}ForCausalLM"], "model_type": kind, "vocab_size": SP}},
        norm("language_model.model.norm"), outtypes=(),
    )
    for kind, class_ in _SIZED.items()
}  # fmt: skip
"""The text part of a larger model, which leaves out what the class of its type says: of these the vocabulary alone."""

_SAYS = ("architectures", "model_type", "vocab_size", "decoder_start_token_id")
_LEFT_OUT = """tiny-afmoe tiny-apertus tiny-bert tiny-bitnet tiny-bloom tiny-chameleon tiny-cohere2moe
    tiny-deepseek-v2-lite tiny-deepseek-v3.2 tiny-distilbert tiny-exaone-moe tiny-glm4moe tiny-glm4moe-lite tiny-glm5
    tiny-granite-swa tiny-granitemoe-shared tiny-granitemoe-swa tiny-hrm-text tiny-hunyuan3 tiny-hunyuan4 tiny-jais2
    tiny-jamba tiny-laguna tiny-lfm2 tiny-mellum tiny-nemotron tiny-olmoe tiny-qwen3next tiny-solar-open
    tiny-starcoder tiny-t5 tiny-xlm-roberta""".split()
SIZED |= {
    name.replace("tiny", "sizes-of-whole", 1): replace(ZOO[name], outtypes=(), tensors=norm("model.norm"),
        config={key: value for key, value in ZOO[name].config.items() if key in _SAYS})
    for name in _LEFT_OUT
}  # fmt: skip
SIZED["sizes-of-whole-roberta"] = replace(ZOO["tiny-roberta"], outtypes=(), tensors=norm("model.norm"),
    config={"architectures": ["RobertaModel"], "model_type": "roberta", "vocab_size": BPE})  # fmt: skip
"""And models that are no part of a larger one."""

_UNTYPED = """gemma3-multimodal tiny-glm-ocr tiny-glm4v tiny-hunyuan-vl tiny-janus tiny-llama4
    tiny-muse-glimmer tiny-qwen3vl tiny-qwen3vlmoe""".split()
SIZED |= {
    f"sizes-in-{name}": replace(ZOO[name], outtypes=(), tensors=norm("model.norm"), config={
        key: value for key, value in ZOO[name].config.items() if key in _SAYS} | {
        "text_config": {"vocab_size": ZOO[name].config["text_config"]["vocab_size"]}})
    for name in _UNTYPED
}  # fmt: skip
"""And text parts that do not say their type, which the whole's tells."""

OUTER = ("architectures", "vision_config", "text_config")


def sibling(
    class_: str,
    of: str,
    *renamed: tuple[str, str],
    kind: str | None = None,
    inside: str = "",
    whole: dict[str, Any] | None = None,
    beside: Shapes | None = None,
    without: str = "$^",
    files: dict[str, str] | None = None,
    **changed: Any,
) -> None:
    """Enter a variation of the checkpoint ``of``, ``changed`` in keys of its text model (left out where ``...``).

    ``kind`` is the model's type, that of the whole where the text model's configuration lies ``inside`` a key of it;
    ``whole`` is laid over the outermost. Tensors are ``renamed`` by patterns, left out by the pattern ``without``, and
    there are more ``beside`` them; ``files`` are in place of the checkpoint's.
    """
    model = ZOO[of]
    text = model.config | model.config.get("text_config", {}) | changed
    config = {k: v for k, v in text.items() if v is not ... and k not in OUTER}
    for key in reversed(inside.split()):
        config = {key: config}
    tensors = {name: shape for name, shape in model.tensors.items() if not re.search(without, name)}
    for pattern, text in renamed:
        tensors = {re.sub(pattern, text, name): shape for name, shape in tensors.items()}
    SIBLINGS[class_] = replace(
        model,
        config={"architectures": [class_]} | config | ({"model_type": kind} if kind else {}) | (whole or {}),
        tensors=tensors | (beside or {}),
        files=model.files if files is None else files,
        outtypes=("f16",),
    )


TEXT = "text_config"
BELOW = ("^", "language_model.")
WITHIN = (r"^model\.", "model.language_model.")
"""Where a larger model keeps the text model's tensors, two ways."""
BARE = (r"^model\.", "")
"""A decoder without its head, whose tensors have no prefix."""
TOWER = {"vision_tower.blocks.0.attn.qkv.weight": (8, 8), "multi_modal_projector.linear_1.weight": (8, 8)}
VISUAL = {"model.visual.blocks.0.attn.qkv.weight": (8, 8)}
SIGLIP = {"model.vision_tower.vision_tower.proj.weight": (8, 8), "model.mm_projector.0.weight": (8, 8)}
EAR = {"audio_tower.layers.0.fc1.weight": (8, 8), "multi_modal_projector.linear.weight": (8, 8)}


def ear(kind: str) -> dict[str, Any]:
    """The configuration of an encoder of sound."""
    return {"audio_config": {"model_type": kind}}


# Qwen
sibling("AudioFlamingo3ForConditionalGeneration", "qwen2-untied", BELOW, inside=TEXT, kind="audioflamingo3",
    whole=ear("audioflamingo3_encoder"), beside=EAR)  # fmt: skip
sibling("Qwen2AudioForConditionalGeneration", "qwen2-untied", BELOW, inside=TEXT, kind="qwen2_audio",
    whole=ear("qwen2_audio_encoder"), beside=EAR)  # fmt: skip
sibling("DotsOCRForCausalLM", "qwen2-untied", kind="dots_ocr", whole={"vision_config": {"embed_dim": 8}}, beside=TOWER)
sibling("KORMoForCausalLM", "qwen2-untied", ("input_layernorm", "pre_attention_layernorm"),
    ("post_attention_layernorm", "pre_mlp_layernorm"), kind="kormo")  # fmt: skip
sibling("Qwen2VLModel", "tiny-qwen2vl", BARE)
sibling("Qwen2_5_VLForConditionalGeneration", "tiny-qwen2vl", kind="qwen2_5_vl")
sibling("Qwen2_5OmniModel", "tiny-qwen2vl", (r"^(model|lm_head|visual)", r"thinker.\1"), kind="qwen2_5_omni",
    inside="thinker_config text_config", model_type="qwen2_5_omni_text", beside={"talker.model.norm.weight": (8,),
    "token2wav.code2wav_dit_model.proj_out.weight": (8, 8)})  # fmt: skip
sibling("Qwen3Model", "tiny-qwen3", BARE)
sibling("Qwen3_5MoeForCausalLM", "tiny-qwen3.5moe", (r"language_model\.", ""), kind="qwen3_5_moe_text_as_written")
sibling("Qwen4ExpForConditionalGeneration", "tiny-qwen4", WITHIN, inside=TEXT, kind="qwen4_exp_as_written",
    beside=VISUAL)  # fmt: skip

# DeepSeek
SEEN = {"vision_tower.encoder.blocks.0.wqkv.weight": (8, 8)} | TOWER
sibling("KimiVLForConditionalGeneration", "tiny-deepseek-v3", BELOW, inside=TEXT, kind="kimi_vl", beside=SEEN)
sibling("KimiK25ForConditionalGeneration", "tiny-kimi-k2", BELOW, inside=TEXT, kind="kimi_k25", beside=SEEN)
DENSE = dict.fromkeys(("n_routed_experts", "num_experts_per_tok", "moe_intermediate_size", "first_k_dense_replace",
    "n_shared_experts", "routed_scaling_factor", "scoring_func", "n_group", "topk_group", "norm_topk_prob",
    "num_nextn_predict_layers"), ...)  # fmt: skip
YOUTU: dict[str, Any] = {"without": r"layers\.(1\.mlp|2)\.", "beside": {
    f"model.layers.1.mlp.{n}_proj.weight": (WIDE, HIDDEN) for n in ("gate", "up")}
    | {"model.layers.1.mlp.down_proj.weight": (HIDDEN, WIDE)}}  # fmt: skip
sibling("YoutuForCausalLM", "tiny-deepseek-v3", kind="youtu", rms_norm_eps=..., **DENSE, **YOUTU)
YOUTU["beside"] |= {"siglip2.vision_model.head.weight": (8, 8), "merger.mlp.0.weight": (8, 8)}
sibling("YoutuVLForConditionalGeneration", "tiny-deepseek-v3", kind="youtu_vl", **DENSE, **YOUTU)
sibling("DeepseekOCR2ForCausalLM", "tiny-deepseek-ocr", beside={"model.qwen2_model.layers.0.mlp.up.weight": (8, 8)})
sibling("Dots3NoteForCausalLM", "tiny-dots3")
sibling("Dots3NoteTextForCausalLM", "tiny-dots3")

# Llama
sibling("LLaMAForCausalLM", "llama-1")
sibling("IQuestCoderForCausalLM", "tiny-llama", kind="iquestcoder", head_dim=SIZE, rms_norm_eps=...)
sibling("LlamaModel", "tiny-llama", BARE)
sibling("LlavaForConditionalGeneration", "tiny-mistral", BELOW, inside=TEXT, kind="llava", beside=TOWER)
sibling("VoxtralForConditionalGeneration", "tiny-llama", BELOW, inside=TEXT, kind="voxtral", head_dim=SIZE,
    whole=ear("voxtral_encoder"), beside=EAR)  # fmt: skip
sibling("Mistral3ForConditionalGeneration", "tiny-mistral", BELOW, inside=TEXT, kind="mistral3", beside=TOWER)
sibling("Llama4ForCausalLM", "tiny-llama4", (r"language_model\.", ""), kind="llama4_text")
sibling("BaiChuanForCausalLM", "tiny-baichuan")

# Encoders
LABELS: dict[str, Any] = {"id2label": {"0": "a", "1": "b", "2": "c"}, "label2id": {"a": 0, "b": 1, "c": 2}}
ONE: dict[str, Any] = {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
SCORED = linear("classifier.dense", HIDDEN, HIDDEN, True) | linear("classifier.out_proj", 1, HIDDEN, True)
FILLED = {"cls.predictions.bias": (30522,)} | linear("cls.predictions.transform.dense", HIDDEN, HIDDEN, True)
HEAD = linear("head.dense", HIDDEN, HIDDEN) | norm("head.norm")
sibling("BertForMaskedLM", "tiny-bert", ("^", "bert."), ("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias",
    "LayerNorm.beta"), files={}, beside=FILLED | {"cls.seq_relationship.weight": (2, HIDDEN),
    "bert.embeddings.position_ids": (1, 128)})  # fmt: skip
sibling("CamembertModel", "tiny-bert", kind="camembert", layer_norm_eps=...)
sibling("DistilBertForMaskedLM", "tiny-distilbert", ("^", "distilbert."), beside=linear("vocab_transform", HIDDEN,
    HIDDEN, True) | norm("vocab_layer_norm", bias=True) | {"vocab_projector.bias": (30522,)})  # fmt: skip
sibling("DistilBertForSequenceClassification", "tiny-distilbert", ("^", "distilbert."), beside=linear("pre_classifier",
    HIDDEN, HIDDEN, True) | linear("classifier", 3, HIDDEN, True), **LABELS)  # fmt: skip
sibling("RobertaForSequenceClassification", "tiny-roberta", beside=SCORED, **ONE)
sibling("XLMRobertaForSequenceClassification", "tiny-xlm-roberta", ("^", "roberta."), without="pooler", beside=SCORED,
    files={}, **ONE)  # fmt: skip
sibling("JinaBertForMaskedLM", "tiny-jina-bert", ("^", "bert."), ("gated_layers", "up_gated_layer"),
    (r"mlp\.wo", "mlp.down_layer"), beside=FILLED)  # fmt: skip
sibling("ModernBertForMaskedLM", "tiny-modernbert", ("^", "model."), beside=HEAD)
sibling("ModernBertForSequenceClassification", "tiny-modernbert", ("^", "model."), beside=HEAD
    | linear("classifier", 3, HIDDEN, True), **LABELS)  # fmt: skip
sibling("NeoBERT", "tiny-neobert", BARE)
sibling("T5WithLMHeadModel", "t5-tied")
sibling("MT5ForConditionalGeneration", "tiny-t5", kind="mt5", layer_norm_epsilon=..., num_decoder_layers=...)
sibling("UMT5ForConditionalGeneration", "tiny-t5", kind="umt5")
sibling("UMT5Model", "tiny-t5", kind="umt5")

# Mixtures and hybrids
sibling("modeling_sarvam_moe.SarvamMoEForCausalLM", "tiny-sarvam")
sibling("modeling_grove_moe.GroveMoeForCausalLM", "tiny-grovemoe")
sibling("BailingMoeV3VLForConditionalGeneration", "tiny-ling3", BELOW, inside=TEXT, kind="bailing_vl_as_written",
    mrope_section=[1, 1, 2], beside={"vision.blocks.0.attn.qkv.weight": (8, 8), "linear_proj.0.weight": (8, 8)},
    )  # fmt: skip
sibling("BambaForCausalLM", "tiny-granite-hybrid", (r"model\.norm", "model.final_layernorm"),
    ("post_attention_layernorm", "pre_ff_layernorm"), ("shared_mlp.output_linear", "feed_forward.down_proj"),
    kind="bamba", without="input_linear", beside={f"model.layers.{i}.feed_forward.{n}_proj.weight": (WIDE, HIDDEN)
    for i in range(LAYERS) for n in ("gate", "up")}, layer_types=..., attn_layer_indices=[1], attn_rotary_emb=8,
    **dict.fromkeys(("shared_intermediate_size", "num_local_experts", "embedding_multiplier", "logits_scaling",
    "residual_multiplier", "attention_multiplier"), ...))  # fmt: skip
sibling("ExaoneMoeForCausalLM", "tiny-exaone-moe")
sibling("Glm4vMoeForConditionalGeneration", "tiny-glm4moe", WITHIN, inside=TEXT, kind="glm4v_moe", beside=VISUAL,
    model_type="glm4v_moe_text", rope_parameters={"rope_type": "default", "mrope_section": [2, 1, 1], "rope_theta":
    10000.0, "partial_rotary_factor": 0.5}, rms_norm_eps=..., partial_rotary_factor=...)  # fmt: skip
sibling("KimiLinearModel", "tiny-kimi-linear")
sibling("LLaDAMoEModel", "tiny-llada-moe")
sibling("LFM2ForCausalLM", "tiny-lfm2", layer_types=..., full_attn_idxs=[1])
sibling("MiMoV2ForCausalLM", "tiny-mimo2")
sibling("MiniMaxM1ForCausalLM", "tiny-minimax-text", kind="minimax_m1")
sibling("MiniMaxM3SparseForConditionalGeneration", "tiny-minimax-m3", BELOW, inside=TEXT, kind="minimax_as_written",
    beside=TOWER)  # fmt: skip
sibling("Step3p7ForConditionalGeneration", "tiny-step3.5", inside=TEXT, kind="step_as_written",
    beside={"vision_model.conv1.weight": (8, 8), "vit_large_projector.weight": (8, 8)})  # fmt: skip
sibling("FalconMambaForCausalLM", "tiny-mamba", kind="falcon_mamba")
sibling("MambaLMHeadModel", "tiny-mamba", ("embeddings", "embedding"), d_model=HIDDEN, n_layer=LAYERS, ssm_cfg={},
    pad_vocab_size_multiple=8, beside={"lm_head.weight": (BPE, HIDDEN)}, **dict.fromkeys(("model_type", "hidden_size",
    "num_hidden_layers", "conv_kernel", "state_size", "intermediate_size", "time_step_rank", "layer_norm_epsilon"),
    ...))  # fmt: skip

# Others
sibling("BloomModel", "tiny-bloom", ("^", "transformer."))
sibling("ChameleonForCausalLM", "tiny-chameleon")
sibling("ChatGLMForConditionalGeneration", "tiny-chatglm")
sibling("RWForCausalLM", "tiny-falcon-7b", kind="RefinedWebModel", n_layer=LAYERS, n_head=4, num_hidden_layers=...,
    num_attention_heads=..., num_kv_heads=...)  # fmt: skip
sibling("Gemma3nForConditionalGeneration", "tiny-gemma3n", WITHIN, inside=TEXT, kind="gemma3n", beside={
    "model.vision_tower.timm_model.conv_stem.conv.weight": (8, 8), "model.embed_audio.embedding.weight": (8, 8),
    "model.audio_tower.conformer.0.norm.weight": (8,), "model.embed_vision.embedding.weight": (8, 8)})  # fmt: skip
sibling("Gemma4UnifiedForConditionalGeneration", "gemma4-mixture", inside=TEXT, kind="gemma4_unified",
    model_type="gemma4_unified_text", rms_norm_eps=..., files=ZOO["gemma4-mixture"].files
    | {"generation_config.json": '{"suppress_tokens": [5, 7]}'})  # fmt: skip
sibling("StableLMEpochForCausalLM", "tiny-stablelm", kind="stablelm_epoch", rope_pct=0.25, norm_eps=1e-5,
    partial_rotary_factor=..., layer_norm_eps=...)  # fmt: skip
sibling("LlavaStableLMEpochForCausalLM", "tiny-stablelm", kind="llava_stablelm_epoch", beside=SIGLIP)
sibling("OLMoForCausalLM", "tiny-olmo", kind="hf_olmo")
sibling("PLaMo2ForCausalLM", "tiny-plamo2")
sibling("PLaMo3ForCausalLM", "tiny-plamo3")
sibling("Phi4ForCausalLMV", "tiny-phi3", kind="phi4-siglip", rope_theta=10000.0, beside=SIGLIP)

# Checkpoints without a chat template, for which upstream has one in its source tree, a copy of which is in the folder
OWN = "{{ of upstream's tree }}\n"
UNTEMPLATED = {"tokenizer_config.json": '{"tokenizer_class": "GPT2Tokenizer", "eos_token": "<|endoftext|>"}'}
for name, of, template, beside_it in (
    ("rwkv-templated", "tiny-rwkv6", "llama-cpp-rwkv-world", world()),
    ("kimi-k3-templated", "tiny-kimi-k3", "Kimi-K3", UNTEMPLATED),
    ("deepseek-v4-templated", "tiny-deepseek-v4", "deepseek-ai-DeepSeek-V4", UNTEMPLATED),
    ("deepseek-v4-0731", "tiny-deepseek-v4", "deepseek-ai-DeepSeek-V4-Flash-0731", UNTEMPLATED),
    ("minimax-templated", "tiny-minimax-text", "MiniMax-M1", {}),
):
    SIBLINGS[name] = replace(ZOO[of], files=beside_it | {f"{template}.jinja": OWN}, outtypes=("f16",))


def tekken(version: str, *specials: str) -> dict[str, str]:
    """A small ``tekken.json``: the bytes and some pairs, behind special tokens."""
    tokens = [bytes([i]) for i in range(256)] + [a + b for a in (b" ", b"t", b"h", b"e") for b in (b"t", b"h", b"e")]
    vocab = [{"rank": i, "token_bytes": b64encode(t).decode(), "token_str": None} for i, t in enumerate(tokens)]
    config = {"pattern": r"\p{L}+|\P{L}", "num_vocab_tokens": len(vocab), "default_vocab_size": len(vocab) + 24,
        "default_num_special_tokens": 24, "version": version}  # fmt: skip
    said = [{"rank": i, "token_str": token, "is_control": True} for i, token in enumerate(specials)]
    return {"tekken.json": json.dumps({"config": config, "vocab": vocab, "special_tokens": said or None})}


# Mistral's own form
PARAMS: dict[str, Any] = {"dim": HIDDEN, "n_layers": LAYERS, "head_dim": SIZE, "hidden_dim": WIDE, "n_heads": 4,
    "n_kv_heads": 2, "rope_theta": 1000000.0, "norm_eps": 1e-5, "vocab_size": 292, "tied_embeddings": False,
    "max_position_embeddings": 4096}  # fmt: skip
META = {n: tuple(292 if d == SP else d for d in s) for n, s in ZOO["llama-by-meta"].tensors.items()}
YARN = {"original_max_position_embeddings": 1024, "factor": 4, "beta": 32, "alpha": 1, "apply_scale": False}
SPECIALS = """<unk> <s> </s> [INST] [/INST] [AVAILABLE_TOOLS] [/AVAILABLE_TOOLS] [TOOL_RESULTS] [/TOOL_RESULTS]
    [TOOL_CALLS] [IMG] <pad> [IMG_BREAK] [IMG_END] [PREFIX] [MIDDLE] [SUFFIX] [SYSTEM_PROMPT] [/SYSTEM_PROMPT]
    [TOOL_CONTENT] [ARGS] [CALL_ID]""".split()
PICTURE = {"vision_encoder.transformer.layers.0.attention.wq.weight": (8, 8), "patch_merger.merging_layer.weight":
    (8, 8), "vision_language_adapter.w_in.weight": (8, 8)}  # fmt: skip
SCALED = {n.replace(".weight", f".qscale_{what}"): () for n in META if ".attention.w" in n or ".feed_forward.w" in n
    for what in ("act", "weight")}  # fmt: skip
for name, params, tensors, files, dtypes in (
    ("mistral-own-v3", {}, {}, tekken("v3"), {}),
    ("mistral-own-v7", {}, PICTURE, tekken("v7", *SPECIALS) | {"chat_template.jinja": OWN}, {}),
    ("mistral-own-v11", {}, {}, tekken("v11", *SPECIALS) | {"Mistral-Small-3.2-24B-Instruct-2506.jinja": OWN}, {}),
    ("mistral-own-v13", {"yarn": YARN, "llama_4_scaling": {"original_max_position_embeddings": 1024, "beta": 0.1}},
        {}, tekken("v13", *SPECIALS) | {"unsloth-mistral-Devstral-Small-2507.jinja": OWN}, {}),
    ("mistral-own-fp8", {"quantization": {"qformat_weight": "fp8_e4m3"}, "yarn": YARN | {"apply_scale": True}},
        SCALED, tekken("v3"), {"qscale_act": "F32", "qscale_weight": "F32"}
        | {n: "F8_E4M3" for n in META if n.replace(".weight", ".qscale_weight") in SCALED}),
):  # fmt: skip
    SIBLINGS[name] = Model(PARAMS | params, META | tensors, "none", files=files, outtypes=("f16",), dtypes=dtypes)
for name, tokenizer, files in (
    ("mistral-own-pieces-v1", "sp-v1", {}),
    ("mistral-own-pieces-v3", "sp-v3", {}),
    ("mistral-own-pieces-v7", "sp-v7", {"chat_template.jinja": OWN}),
):
    SIBLINGS[name] = Model(
        PARAMS | {"vocab_size": SP}, ZOO["llama-by-meta"].tensors, tokenizer, files=files, outtypes=("f16",)
    )

QUERY, LATENT, TURNED = 32, 16, 8


def mlp(p: str, wide: int) -> Shapes:
    """A gated feed-forward layer in Mistral's names."""
    return linear(f"{p}.w1", wide, HIDDEN) | linear(f"{p}.w2", HIDDEN, wide) | linear(f"{p}.w3", wide, HIDDEN)


def latent(p: str) -> Shapes:
    """A layer with latent attention; experts in all but the first."""
    made = (
        norm(f"{p}.attention_norm")
        | norm(f"{p}.ffn_norm")
        | norm(f"{p}.attention.q_a_norm", QUERY)
        | norm(f"{p}.attention.kv_a_norm", LATENT)
        | linear(f"{p}.attention.wq_a", QUERY, HIDDEN)
        | linear(f"{p}.attention.wq_b", HEADS * (SIZE + TURNED), QUERY)
        | linear(f"{p}.attention.wkv_a_with_mqa", LATENT + TURNED, HIDDEN)
        | linear(f"{p}.attention.wkv_b", HEADS * 2 * SIZE, LATENT)
        | linear(f"{p}.attention.wo", HIDDEN, HEADS * SIZE)
    )
    if p.endswith(".0"):
        return made | mlp(f"{p}.feed_forward", WIDE)
    for part in ("shared_experts", *(f"experts.{e}" for e in range(4))):
        made |= mlp(f"{p}.{part}", 32)
    return made | linear(f"{p}.gate", 4, HIDDEN)


EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "num_shared_experts": 1, "expert_hidden_dim": 32,
    "first_k_dense_replace": 1, "route_every_n": 1, "routed_scale": 1.5, "num_expert_groups": 1,
    "num_expert_groups_per_tok": 1}  # fmt: skip
SIBLINGS["mistral-own-mixture"] = Model(PARAMS | {"n_kv_heads": HEADS, "q_lora_rank": QUERY, "kv_lora_rank": LATENT,
    "qk_rope_head_dim": TURNED, "qk_nope_head_dim": SIZE, "v_head_dim": SIZE, "moe": EXPERTS, "yarn": YARN,
    "llama_4_scaling": {"original_max_position_embeddings": 1024, "beta": 0.1}}, PICTURE | {n: META[n] for n in
    ("tok_embeddings.weight", "output.weight", "norm.weight")} | layers(latent, prefix="layers"), "none",
    files=tekken("v13", *SPECIALS) | {"chat_template.jinja": OWN}, outtypes=("f16",))  # fmt: skip

# What configurations leave out, or say in another way
SAID: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("qwen2-without-groups", "qwen2-untied", {"num_key_value_heads": None}),
    ("gpt-oss-said-nothing", "tiny-gpt-oss", {"rope_scaling": None}),
    ("apertus-said-otherwise", "tiny-apertus", {"rope_scaling": {"type": "linear", "factor": 2.0}}),
    ("gemma3-scaled-by-type", "tiny-gemma3", {"rope_scaling": {"type": "linear", "factor": 2.0}}),
    ("olmo3-by-default", "tiny-olmo3", {"layer_types": None, "rope_theta": 10000.0}),
    ("bert-with-one-label", "tiny-bert", {"num_labels": 1}),
    ("ernie-without-head-size", "tiny-ernie", {"head_dim": None}),
    ("qwen3vl-without-eyes", "tiny-qwen3vl", {"vision_config": ...}),
    (
        "nomic-as-a-class",
        "tiny-nomic-bert",
        {
            "model_type": "nomic_bert",
            "hidden_size": HIDDEN,
            "num_attention_heads": HEADS,
            "num_hidden_layers": LAYERS,
            "intermediate_size": WIDE,
        },
    ),
    ("hrm-as-a-class", "hrm-trained", {"model_type": "hrm_text", "head_dim": SIZE}),
    (
        "cohere2moe-by-pattern",
        "tiny-cohere2moe",
        {"layer_types": ..., "mlp_layer_types": ..., "first_k_dense_replace": 1, "sliding_window_pattern": 2},
    ),
    ("glm-left-out", "tiny-glm", {"intermediate_size": ...}),
    ("seed-oss-left-out", "tiny-seed-oss", {"intermediate_size": ...}),
    ("hunyuan-left-out", "tiny-hunyuan", {"intermediate_size": ...}),
    ("hunyuan-moe-left-out", "tiny-hunyuan-moe", {"intermediate_size": ...}),
    ("modernbert-left-out", "tiny-modernbert", {"intermediate_size": ...}),
    ("cohere2-head-null", "tiny-cohere2", {"head_dim": None}),
    ("kimi-linear-head-null", "tiny-kimi-linear", {"head_dim": None}),
    ("deepseek3-head-null", "tiny-deepseek-v3", {"head_dim": None}),
    ("glm5.3-tied-above", "tiny-glm5.3", {"tie_word_embeddings": True}),  # its text part says nothing, and so no
    ("qwen2vl-left-out", "tiny-qwen2vl", {"rms_norm_eps": ..., "rope_theta": ..., "max_position_embeddings": ...}),
)
for name, of, said in SAID:
    told = {key: value for key, value in (ZOO[of].config | said).items() if value is not ...}
    SIBLINGS[name] = replace(ZOO[of], config=told, outtypes=("f16",))

# And decoders that were saved otherwise: without the head, or with the rope beside the layers
SIBLINGS["gemma2-without-its-head"] = replace(ZOO["tiny-gemma2"], outtypes=("f16",), tensors={
    re.sub(*BARE, name): shape for name, shape in ZOO["tiny-gemma2"].tensors.items()})  # fmt: skip
SIBLINGS["falcon-with-its-rope"] = replace(ZOO["tiny-falcon-7b"], outtypes=("f16",),
    tensors={"transformer.rotary_emb.inv_freq": (SIZE // 2,)} | ZOO["tiny-falcon-7b"].tensors)  # fmt: skip
SIBLINGS["hunyuan-with-a-bias"] = replace(
    ZOO["tiny-hunyuan"],
    config=ZOO["tiny-hunyuan"].config | {"tie_word_embeddings": True},
    tensors=ZOO["tiny-hunyuan"].tensors | {"lm_head.weight": (BPE, HIDDEN), "lm_head.bias": (BPE,)},
    outtypes=("f16",),
)
SIBLINGS |= {f"{of}-head-null": replace(SIBLINGS[f"{of}ForCausalLM"], config=SIBLINGS[f"{of}ForCausalLM"].config | {
    "head_dim": None}) for of in ("Youtu", "IQuestCoder")}  # fmt: skip
SIBLINGS |= {f"{of}-prefix-null": replace(ZOO[f"tiny-{of}"], outtypes=("f16",), files={"tokenizer_config.json":
    '{"add_prefix_space": null}'}) for of in ("internlm3", "ernie", "pangu")}  # fmt: skip
