"""Where a checkpoint says how its weights were quantized: ``config.json``, or a file of the tool that did it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Folder(Protocol):
    """What reads a JSON object of a checkpoint's folder."""

    def json(self, name: str) -> dict[str, Any] | None: ...


_ALONE = (("quantize_config.json", "gptq", "bits"), ("quant_config.json", "awq", "w_bit"))
"""Files of older AutoGPTQ and AutoAWQ, their methods, and a key by which they are known."""


def quantization(folder: Folder) -> Mapping[str, Any] | None:
    """The settings with their ``quant_method``, or None when no weight is quantized."""
    config = folder.json("config.json") or folder.json("params.json") or {}
    found = _in_config(config)
    modelopt = folder.json("hf_quant_config.json") or {}
    producer, said = modelopt.get("producer"), modelopt.get("quantization")
    if isinstance(producer, Mapping) and (found is None or found["quant_method"] == "modelopt"):
        more = {key: value for key, value in (said if isinstance(said, Mapping) else {}).items() if value}
        return {"quant_method": str(producer.get("name")).lower()} | dict(found or {}) | more
    if found is not None:
        return found
    for name, method, key in _ALONE:
        alone = folder.json(name)
        if alone is not None and key in alone:
            return {"quant_method": method} | alone
    return {"quant_method": "quanto"} if folder.json("quanto_qmap.json") is not None else None


def _in_config(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    own = config.get("quantization")
    if isinstance(own, Mapping) and own.get("qformat_weight") == "fp8_e4m3":  # Mistral's own form
        return {"quant_method": "fp8"}
    for level in (config, config.get("text_config")):
        for key in ("quantization_config", "compression_config"):
            found = level.get(key) if isinstance(level, Mapping) else None
            if isinstance(found, Mapping) and found.get("quant_method") is not None:
                return found
    return None
