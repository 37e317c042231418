"""Metadata in the making: an ordered set of typed keys, in which a key set again keeps its place.

What a key's type is stands here once; values come as Python numbers, whatever JSON happened to spell.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from gguf_py import Field, KQuantsError, ValueType

_FLOATS = """
    activation.situ_beta activation.situ_linear_beta adapters.router_gain attention.clamp_kqv
    attention.compress_rope_freq_base attention.group_norm_epsilon attention.layer_norm_epsilon
    attention.layer_norm_rms_epsilon attention.max_alibi_bias attention.output_scale attention.scale
    attention.temperature_scale attention.value_scale attn_logit_softcapping embedding_scale expert_group_scale
    expert_weights_scale final_logit_softcapping hyper_connection.epsilon hyper_connection.magnitude
    kda.gate_lower_bound logit_scale residual_scale rope.freq_base rope.freq_base_swa rope.scaling.alpha
    rope.scaling.attn_factor rope.scaling.factor rope.scaling.yarn_attn_factor rope.scaling.yarn_beta_fast
    rope.scaling.yarn_beta_slow rope.scaling.yarn_ext_factor rope.scaling.yarn_log_multiplier
    router_logit_softcapping
    general.sampling.top_p general.sampling.min_p general.sampling.xtc_probability general.sampling.xtc_threshold
    general.sampling.temp general.sampling.penalty_repeat general.sampling.mirostat_tau
    general.sampling.mirostat_eta
""".split()
SHARED = ("general.", "tokenizer.", "split.", "diffusion.", "xielu.")
"""Prefixes of keys that belong to no architecture."""
_TEXTS = ("type", "layout", "activation", "name")
"""How an architecture's keys end whose values are texts."""
_SIGNED = "general.sampling.top_k general.sampling.penalty_last_n general.sampling.mirostat".split()
_SINGLE = frozenset("block_count context_length embedding_length vocab_size".split()) | {
    key for key in _FLOATS if key.endswith("epsilon") or key.startswith(("rope.freq", "rope.scaling"))
}
"""Keys of one number, where a list would be written but no program would read it."""
_KNOWN = dict.fromkeys(_FLOATS, ValueType.FLOAT32) | dict.fromkeys(_SIGNED, ValueType.INT32)


_WIDE = ("ple.layer_multipliers", "ple.head_offsets", "ple.head_vocab_sizes")
"""Lists of whole numbers that 32 bits do not hold."""


class Fields:
    """Typed metadata in the order of first setting; iterates over :class:`gguf_py.Field`."""

    def __init__(self, architecture: str) -> None:
        self.architecture = architecture
        self._fields: dict[str, Field] = {}

    def set(self, key: str, value: Any) -> None:
        """Set ``key``; None, an empty text and an empty list set nothing, as in upstream's writer.

        A key without one of the common prefixes belongs to the architecture: ``block_count`` is
        ``llama.block_count``. Raises KQuantsError when the value does not fit the key's type.
        """
        if value is None or (isinstance(value, (str, list, tuple)) and not value):
            return
        if key in _SINGLE and isinstance(value, (list, tuple)):
            raise KQuantsError(f"metadata key {key!r}: one number is expected, found {str(value)[:60]}")
        known, wide = _KNOWN.get(key), key in _WIDE
        if not key.startswith(SHARED):
            key = f"{self.architecture}.{key}"
        if isinstance(value, float) and not math.isfinite(value):
            raise KQuantsError(f"metadata key {key!r}: a finite number is expected, found {value}")
        if isinstance(value, (list, tuple)):
            self.add([Field.of(key, list(value), None, ValueType.UINT64 if wide else None)])
            return
        self.add([Field.of(key, value, known or _type(key, value))])

    def add(self, fields: Iterable[Field]) -> None:
        """Set ready-made fields."""
        for field in fields:
            self._fields[field.key] = field

    def get(self, key: str) -> Any:
        """The value of ``key`` (the architecture's, if it has no common prefix), or None."""
        field = self._fields.get(key) or self._fields.get(f"{self.architecture}.{key}")
        return None if field is None else field.value

    def remove(self, key: str) -> None:
        """Forget ``key``."""
        self._fields.pop(key, None)
        self._fields.pop(f"{self.architecture}.{key}", None)

    def __iter__(self) -> Iterator[Field]:
        return iter(self._fields.values())


def _type(key: str, value: Any) -> ValueType:
    if isinstance(value, bool) and not key.endswith(("_count", "_length")):
        return ValueType.BOOL
    if isinstance(value, str) and (key.startswith(SHARED) or key.endswith(_TEXTS)):
        return ValueType.STRING
    if isinstance(value, int) and not isinstance(value, bool):
        return ValueType.UINT32
    raise KQuantsError(f"metadata key {key!r}: a whole number or a truth value is expected, found {value!r}")
