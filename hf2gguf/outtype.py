"""Which type each tensor is written in, for the output types of upstream's converter.

Source: the rules at the end of upstream's ``prepare_tensors``; they look at a tensor's GGUF name and its dimensions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gguf_py import TensorType, tensor_type

OUTTYPES = {"f32": 0, "f16": 1, "bf16": 32, "q8_0": 7, "tq1_0": 36, "tq2_0": 37}
"""The output types of upstream's converter and the file type (``general.file_type``) of each."""

_ALWAYS_F32 = re.compile(
    r"token_types\.weight|position_embd\.weight|posnet\.\d+\.norm[12]\.weight"
    r"|blk\.\d+\.(ffn_gate_inp|ffn_gate_inp_shexp|ssm_conv1d(_[qkv])?|shortconv\.conv"
    r"|time_mix_(first|w1|w2|decay_w1|decay_w2|lerp_fused)|altup_(correct|predict)_coef|indexer\.proj)\.weight"
)
_NOT_TERNARY = re.compile(
    r"(token_embd|per_layer_token_embd|output)\.weight|blk\.\d+\.(altup_router|laurel_[lr])\.weight"
)


def target_type(
    name: str, shape: tuple[int, ...], outtype: str, forced: Mapping[str, str], stored: str | None = None
) -> TensorType:
    """The type of the tensor ``name``; ``forced`` maps patterns of names to types that an architecture insists on.

    The type ``outtype`` there means the output's own, whatever the rules below would say; ``stored`` the number type
    that the checkpoint has, Q8_0 for FP8.
    """
    if len(shape) <= 1 or name.endswith("_norm.weight"):
        return tensor_type("F32")
    for pattern, type_ in forced.items():
        if re.fullmatch(pattern, name):
            own = {"F8_E4M3": "Q8_0", "F32": "F32", "BF16": "BF16"}.get(str(stored), outtype)
            return _fitting({"outtype": outtype, "stored": own}.get(type_, type_), shape)
    if _ALWAYS_F32.fullmatch(name) or not name.endswith((".weight", ".lora_a", ".lora_b")):
        return tensor_type("F32")
    if outtype.startswith("tq") and _NOT_TERNARY.fullmatch(name):
        return tensor_type("F16")
    return _fitting(outtype, shape)


def _fitting(type_: str, shape: tuple[int, ...]) -> TensorType:
    """The type, or F16 where a row does not fill whole blocks."""
    wanted = tensor_type(type_)
    return wanted if shape[-1] % wanted.block == 0 else tensor_type("F16")
