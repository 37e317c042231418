"""A model's configuration as the architecture pages see it: flat, defaults filled, rope parameters in order.

Upstream reads ``config.json`` through transformers' configuration classes, which fill in what a file leaves out;
the pages' ``[defaults]`` hold those facts, and this module does the rest of what the classes do to rope parameters.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from gguf_py import KQuantsError

from .definition import Definition, class_of, page_of
from .expression import Scope, evaluate

_TEXT = ("llm_config", "lm_config", "language_config", "lfm")
_KEEPS_ITS_NAME = (
    "StepVLForConditionalGeneration",
    "Sarashina2VisionForCausalLM",
    "Exaone4_5_ForConditionalGeneration",
    "Step3p7ForConditionalGeneration",
    "KimiK3ForConditionalGeneration",
    "DeepseekOCRForCausalLM",
    "DeepseekOCR2ForCausalLM",
    "UnlimitedOCRForCausalLM",
)
"""Classes whose text part is not the model that its own ``architectures`` names."""

_WRAPPERS = {
    whole: text
    for text, wholes in {
        "cohere2": "aya_vision cohere2_vision",
        "deepseek_v3": "kimi_k25",
        "gemma": "paligemma",
        "gemma3_text": "gemma3 shieldgemma2",
        "gemma3n_text": "gemma3n",
        "gemma4_text": "gemma4",
        "gemma4_unified_text": "gemma4_unified",
        "glm4v_moe_text": "glm4v_moe",
        "glm4v_text": "glm46v glm4v glmga",
        "glm5_next_text": "glm5_next",
        "glm_ocr_text": "glm_ocr",
        "granite": "granite_speech granite_speech_plus",
        "granite4_vision_text": "granite4_vision",
        "hunyuan_vl_text": "hunyuan_vl",
        "hyperclovax": "hyperclovax_vision_v2",
        "lfm2": "lfm2_vl",
        "lfm3": "lfm3_vl",
        "llama": """deepseek_vl deepseek_vl_hybrid glmasr idefics3 janus llava llava_next llava_next_video perception_lm
            smolvlm video_llava vipllava voxtral""",
        "llama4_text": "llama4",
        "mistral": "idefics2 mistral3",
        "muse_glimmer_text": "muse_glimmer",
        "nemotron_h": "nemo_speechlm nemotron_h_omni",
        "paddleocr_vl_text": "paddleocr_vl",
        "qwen2": """audioflamingo3 fast_vlm got_ocr2 internvl llava_onevision ovis2 pp_chart2table qwen2_audio vibevoice
            vibevoice_asr video_llama_3""",
        "qwen2_5_vl_text": "qwen2_5_vl",
        "qwen2_vl_text": "qwen2_vl",
        "qwen3": "lighton_ocr moss_transcribe_diarize qianfan_ocr qwen3_asr",
        "qwen3_5_moe_text": "qwen3_5_moe",
        "qwen3_5_text": "jev minicpm_ocr minicpmv4_6 minicpmv4_7 qwen3_5",
        "qwen3_vl_moe_text": "qwen3_vl_moe",
        "qwen3_vl_text": "cosmos3_omni qwen3_vl",
        "": "blip-2 exaone4_5 florence2 fuyu instructblip instructblipvideo qwen2_5_omni qwen3_omni_moe",
    }.items()
    for whole in wholes.split()
}
"""Types of multimodal models that transformers knows, and what their text part is where it does not say its type.

Of other multimodal models transformers does not fill in what the text part leaves out.
"""

_GLOBAL_THETA = ("global_rope_theta", "rope_global_theta", "rope_theta_global", "rope_theta", "rotary_emb_base")
_LOCAL_THETA = ("local_rope_theta", "rope_local_theta", "rope_theta_local", "swa_rope_theta", "rope_local_base_freq")
_HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads")
_PARTIAL = ("partial_rotary_factor", "rope_pct", "rope_percent", "rotary_pct")


def text_config(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The part about the language model, whatever a multimodal configuration calls it; empty if there is none."""
    for key in _TEXT:
        if isinstance(raw.get(key), dict):
            return dict(raw[key])
    whole = raw["thinker_config"] if isinstance(raw.get("thinker_config"), dict) else raw
    text = whole.get("text_config") or {}
    if not isinstance(text, dict):
        raise KQuantsError(f"config.json has a {type(text).__name__} as text_config, expected an object")
    return dict(text)


def model_class(raw: Mapping[str, Any], where: object) -> str:
    """The class that the configuration names first, the text part's before the whole's."""
    named = _first_class(raw)
    if named is None and "ssm_cfg" in raw:  # Mamba before transformers knew it
        named = f"{raw['ssm_cfg'].get('layer', 'Mamba')}ForCausalLM"
    if named not in _KEEPS_ITS_NAME:
        text = text_config(raw)
        named = _first_class(text) or (named if named and page_of(named) else class_of(text.get("model_type"))) or named
    if named is None:
        near = class_of(raw.get("model_type"))
        hint = f", such as {near} for the model_type {raw['model_type']!r}" if near else ""
        raise KQuantsError(f"{where}: config.json lacks 'architectures', expected the name of a model class{hint}")
    return named


def _first_class(raw: Mapping[str, Any]) -> str | None:
    named = raw.get("architectures")
    return str(named[0]) if isinstance(named, list) and named and named[0] else None


def scope(raw: Mapping[str, Any], definition: Definition, **more: Any) -> Scope:
    """The names that the definition's expressions may use; raises KQuantsError for a missing or unfit key."""
    text = text_config(raw)
    config = {**raw, **text}
    whole = str(raw.get("model_type"))
    if text and not text.get("model_type") and _WRAPPERS.get(whole):
        config["model_type"] = _WRAPPERS[whole]
    kind = config.get("model_type") if not text or whole in _WRAPPERS else None
    if not text and f"{kind}_text" in definition.defaults:  # from before the text model had a part of its own
        kind = f"{kind}_text"
    # What the whole's type fills in of the text part stands above what the text part's own type does.
    kinds = ("any", kind, raw.get("model_type") if text else None)
    defaults = {k: v for of in kinds for k, v in definition.defaults.get(str(of), {}).items()}
    by_kind = defaults.get("rope_by_kind")
    if config.get("rope_scaling") and not by_kind and any(str(of) in definition.defaults for of in kinds[1:]):
        config["rope_parameters"] = config["rope_scaling"]  # of both, and of the default, transformers takes this
    own = definition.defaults.get(str(kind), {}) if text else {}  # of the text part: they hide what the whole says
    for key, default in defaults.items():
        derived = isinstance(default, str) and default.startswith("=")
        said = key in (text if key in own else config)
        if not said or (config[key] is None and (derived or isinstance(default, dict))):
            config[key] = evaluate(default[1:], Scope(config)) if derived else default
            if key in _HEADS and not text:  # and no tensor has a shape that tells
                lacks = f"config.json lacks {key}; {config[key]} is taken, as transformers does for {kind}"
                warnings.warn(f"{more.get('folder', 'checkpoint')}: {lacks}", stacklevel=2)
        elif key == "num_key_value_heads" and config[key] is None:  # whatever number it has where it is left out
            config[key] = config.get("num_attention_heads")
    if by_kind:
        config["rope_parameters"] = _by_kind(config, by_kind)
    rope = _rope(config)
    over = {"rope": rope, "rope_full": rope.get("full_attention", rope), **more}
    return Scope(config, definition.derived, over)


def _rope(config: Mapping[str, Any]) -> dict[str, Any]:
    """Rope parameters in one mapping, or one for each kind of attention, from wherever the file has them."""
    found = config.get("rope_parameters", config.get("rope_scaling"))
    if found is not None and not isinstance(found, dict):
        raise KQuantsError(f"config.json has a {type(found).__name__} as its rope's parameters, expected an object")
    rope = dict(found or {})

    def first(keys: tuple[str, ...]) -> Any:
        return next((config[key] for key in keys if key in config), None)

    nested = [dict(v) if isinstance(v, dict) else v for v in rope.values()]
    if "full_attention" in rope or "sliding_attention" in rope:
        rope = dict(zip(rope, nested, strict=True))
        for part in rope.values():
            if isinstance(part, dict):
                _complete(part, config)
                if (partial := first(_PARTIAL)) is not None:
                    part.setdefault("partial_rotary_factor", partial)
        return rope
    theta, local = first(_GLOBAL_THETA), first(_LOCAL_THETA)
    if isinstance(theta, list) and len(theta) == 2 and all(isinstance(t, (int, float)) for t in theta):
        theta, local = map(float, theta)  # Step 3.5 has one for each kind of attention
    for key, value in (
        ("rope_theta", theta),
        ("partial_rotary_factor", first(_PARTIAL)),
        ("sliding_attention", None if local is None else {"rope_theta": local}),
    ):
        if value is not None:
            rope.setdefault(key, value)
    _complete(rope, config)
    if "original_max_position_embeddings" in config:
        rope.setdefault("original_max_position_embeddings", config["original_max_position_embeddings"])
    return rope


def _by_kind(config: Mapping[str, Any], thetas: Mapping[str, str]) -> dict[str, Any]:
    """Rope parameters for each kind of attention, whose ``thetas`` lie under these keys, as such classes make them.

    What lies beside them does not count, and the type in an old ``rope_scaling`` only as ``rope_type``.
    """
    given, scaling = config.get("rope_parameters"), config.get("rope_scaling")
    rope = dict(given) if isinstance(given, dict) else {}
    for kind, theta in thetas.items():
        part = rope.get(kind) or {"rope_type": "default"}
        if isinstance(part, dict):
            more = scaling if isinstance(scaling, dict) and kind == "full_attention" else {}
            rope[kind] = {"rope_theta": config.get(theta)} | part | more
    return rope


def _complete(rope: dict[str, Any], config: Mapping[str, Any]) -> None:
    if "rope_type" not in rope and rope.get("type") is not None:
        rope["rope_type"] = rope["type"]
    if rope.get("rope_type") in ("llama3", "yarn", "longrope"):
        original = config.get("original_max_position_embeddings", config.get("max_position_embeddings"))
        if original is not None:
            rope.setdefault("original_max_position_embeddings", original)
