"""Which type each tensor gets: of the rules in ``rule_table``, read from the top, the first that fits wins.

Source of the facts: ``llama-quant.cpp`` of llama.cpp v0.5.0; the rules give its choices for every architecture. For
one that llama.cpp does not know the same rules hold, since they look at names and shapes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gguf_py.errors import KQuantsError
from gguf_py.layout import TensorInfo
from gguf_py.strings import to_bytes
from gguf_py.types import TensorType, tensor_type

from .filetypes import FileType
from .rule_table import (
    FALLBACK,
    KEPT,
    KEPT_GLM5_NEXT,
    KEPT_WHOLE,
    LAYERS_OF_70B,
    LOW,
    PRECISE_GLM5_NEXT,
    ROLES,
    ROLES_WITHIN,
    RULES,
    Rule,
)


@dataclass(frozen=True, slots=True)
class Model:
    """What the rules know of a model besides names and shapes."""

    architecture: str = ""
    layers: int = 0
    experts: int = 0
    queries_per_key: int = 0
    """Query heads that share one head of keys and values in the first layer."""
    is_70b: bool = False

    @classmethod
    def of(cls, metadata: Mapping[str, Any], names: Iterable[str] = ()) -> Model:
        """Read the metadata; where it does not say how many layers there are, the names of the tensors do."""
        arch = str(metadata.get("general.architecture", ""))

        def number(key: str, default: int = 0) -> int:
            value = metadata.get(f"{arch}.{key}", default)
            if hasattr(value, "__len__") and not isinstance(value, str):
                value = value[0] if len(value) else default
            try:
                return default if isinstance(value, str) else int(value)
            except (TypeError, ValueError, OverflowError):  # a list, or a number that is not finite
                return default

        layers = number("block_count") or 1 + max((layer_of(name) for name in names), default=-1)
        heads = number("attention.head_count")
        shared = number("attention.head_count_kv", heads)
        experts = number("expert_count")
        big = layers - number("nextn_predict_layers") == LAYERS_OF_70B.get(arch)
        if arch.startswith("llama"):
            big = big and heads != shared and experts != 8
        return cls(arch, layers, experts, heads // shared if shared else 0, big)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a user may ask for in place of the table's choices."""

    pure: bool = False
    """Only the file type's default, whatever the role."""
    leave_output: bool = False
    output_type: TensorType | None = None
    embedding_type: TensorType | None = None
    tensor_types: tuple[tuple[re.Pattern[str], TensorType], ...] = ()
    """The first pattern found in a tensor's name decides."""
    imatrix: bool = False
    """Whether there is an importance matrix."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A tensor's type and what chose it, in words."""

    type: TensorType
    rule: str
    fallback: bool = False
    """Whether the rows did not fit what the rule chose."""


@dataclass(frozen=True, slots=True)
class _Tensor:
    """What the conditions of the table look at. The tensor is at place ``i`` of ``n`` of its role."""

    model: Model
    role: str
    i: int
    n: int
    odd_row: bool
    experts: bool
    imatrix: bool


_CONDITIONS: dict[str, Callable[[_Tensor], bool]] = {
    "falcon": lambda t: t.model.architecture == "falcon",
    "not falcon": lambda t: t.model.architecture != "falcon",
    "imatrix": lambda t: t.imatrix,
    "no imatrix": lambda t: not t.imatrix,
    "odd row": lambda t: t.odd_row,
    "experts": lambda t: t.experts and (t.model.architecture != "bailingmoe3" or t.role in ("up", "gate", "down")),
    "4 experts": lambda t: t.model.experts >= 4,
    "8 experts exactly": lambda t: t.model.experts == 8,
    "4 queries a key": lambda t: t.model.queries_per_key >= 4,
    "first 2": lambda t: t.i < 2,
    "first 4": lambda t: t.i < 4,
    "first sixteenth": lambda t: t.i < t.n // 16,
    "first eighth": lambda t: t.i < t.n // 8,
    "middle": lambda t: t.n // 8 <= t.i < 7 * t.n // 8,
    "ends and thirds": lambda t: t.i < t.n // 8 or t.i >= 7 * t.n // 8 or (t.i - t.n // 8) % 3 == 2,
}


def layer_of(name: str) -> int:
    """The layer in a tensor's name, -1 when it names none."""
    found = re.match(r"blk\.(\d+)", name)
    return int(found[1]) if found else -1


def in_order(name: str) -> tuple[int, bytes]:
    """Sort by this to get upstream's order of tensors: by layer, then by name."""
    return layer_of(name), to_bytes(name)


def role_of(name: str) -> str:
    """What a tensor does in its model, as far as the rules tell tensors apart."""
    return ROLES.get(name) or next((role for part, role in ROLES_WITHIN.items() if part in name), "other")


def kept(info: TensorInfo, model: Model, wishes: Wishes) -> str | None:
    """Why a tensor is never quantized, in words; None when it may be."""
    name = info.name
    leading = [n for n in info.shape[:-1] if n != 1]
    if not leading:
        return "a vector"
    if name.rfind("weight") != len(name) - 6:
        return "its name does not end in weight"
    if wishes.leave_output and name == "output.weight":
        return "--leave-output-tensor"
    parts = KEPT + (KEPT_GLM5_NEXT if model.architecture == "glm5-next" else [])
    part = name if name in KEPT_WHOLE else next((part for part in parts if part in name), None)
    return None if part is None else f"{part!r} in its name"


def choose(infos: Iterable[TensorInfo], file_type: FileType, model: Model, wishes: Wishes) -> list[Choice]:
    """The type of each tensor; ``infos`` has all of a model's in the order of ``in_order``.

    Raises KQuantsError when a type that was asked for does not fit a tensor's rows.
    """
    infos = list(infos)
    roles = [role_of(info.name) for info in infos]
    tied = "output" not in roles
    state = _State(file_type, model, wishes, tied, roles.count("value"))
    return [state.choose(info, role) for info, role in zip(infos, roles, strict=True)]


@dataclass
class _State:
    """Counts the tensors of each role as they come by."""

    file_type: FileType
    model: Model
    wishes: Wishes
    tied: bool
    values: int
    seen: Counter[str] = field(default_factory=Counter)

    def choose(self, info: TensorInfo, role: str) -> Choice:
        reason = kept(info, self.model, self.wishes)
        if reason is not None:
            return Choice(info.type, f"kept: {reason}")
        asked = next((kind for pattern, kind in self.wishes.tensor_types if pattern.search(info.name)), None)
        named = asked is not None and info.name == "per_layer_token_embd.weight"
        if role == "embedding" and self.wishes.embedding_type is not None and not named:
            return _exact(info, self.wishes.embedding_type, "--token-embedding-type")
        if role == "output" and self.wishes.output_type is not None:
            return _exact(info, self.wishes.output_type, "--output-tensor-type")
        default = self.file_type.default
        if not default.quantized:
            return Choice(default, "the file type's type")
        if asked is not None:
            return _fitting(info, Choice(asked, "--tensor-type"))
        if self.wishes.pure:
            return _fitting(info, Choice(default, "--pure"))
        return _fitting(info, self._by_table(info, role))

    def _by_table(self, info: TensorInfo, role: str) -> Choice:
        if role == "embedding" and self.tied:
            role = "output"
            if self.wishes.output_type is not None:
                return Choice(self.wishes.output_type, "--output-tensor-type, the embedding is the output")
        if self.model.architecture == "glm5-next" and any(part in info.name for part in PRECISE_GLM5_NEXT):
            return Choice(tensor_type("Q8_0"), "glm5-next: at least Q8_0")
        low = self.file_type.name in LOW.split()
        odd_row = info.columns % self.file_type.default.block != 0
        experts = len(info.shape) > 2 and info.shape[-3] > 1
        tensor = _Tensor(self.model, role, *self._place(info, role, low), odd_row, experts, self.wishes.imatrix)
        rule = next((rule for rule in RULES if self._applies(rule, tensor)), None)
        kind = self.file_type.default if rule is None or rule.type is None else rule.type
        text = f"default of {self.file_type.name}" if rule is None else rule.text
        if role == "value" and self.model.is_70b and not low and kind.name in ("Q3_K", "Q4_K"):
            return Choice(tensor_type("Q5_K"), text + "; at least Q5_K in a 70B model, where it is small")
        return Choice(kind, text)

    def _place(self, info: TensorInfo, role: str, low: bool) -> tuple[int, int]:
        """Which of its role a tensor is, and of how many; with experts there are several in a layer, so it says."""
        i = self.seen[role]
        self.seen[role] += 1
        if role == "value":
            return i, self.values
        layer = layer_of(info.name)
        if self.model.experts > 1 and layer >= 0 and not low:
            i = layer
        return i, self.model.layers

    def _applies(self, rule: Rule, tensor: _Tensor) -> bool:
        return (
            rule.role in ("*", tensor.role)
            and (rule.file_types is None or self.file_type.name in rule.file_types)
            and all(_CONDITIONS[condition](tensor) for condition in rule.when)
        )


def _exact(info: TensorInfo, kind: TensorType, rule: str) -> Choice:
    if info.columns % kind.block:
        raise KQuantsError(
            f"tensor {info.name!r}: {rule} asks for {kind.name}, but its rows of {info.columns} weights do not fill "
            f"whole blocks of {kind.block}"
        )
    return Choice(kind, rule)


def _fitting(info: TensorInfo, choice: Choice) -> Choice:
    """The choice, or what takes its place where rows do not fill whole blocks."""
    if info.columns % choice.type.block == 0:
        return choice
    smaller = tensor_type(FALLBACK.get(choice.type.name, choice.type.name))
    if info.columns % smaller.block:
        smaller = tensor_type("F16")
    text = f"{choice.rule}: {choice.type.name}, but rows of {info.columns} do not fill blocks of {choice.type.block}"
    return replace(choice, type=smaller, rule=text, fallback=True)
