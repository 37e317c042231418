"""Which type each tensor gets: a table of rules by role, read from the top, the first that fits wins.

Source of the facts: ``llama-quant.cpp`` of llama.cpp v0.5.0; the table gives its choices for every architecture. For
one that llama.cpp does not know the same table holds, since it looks at names and shapes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gguf_py.errors import KQuantsError
from gguf_py.layout import TensorInfo
from gguf_py.types import TensorType, tensor_type

from .filetypes import FileType

# --------------------------------------------------------------------------------------------------- the table

_LOW = "IQ1_S IQ1_M IQ2_XXS IQ2_XS IQ2_S IQ2_M"
_NAMES = {"LOW": _LOW, "LOW3": f"{_LOW} IQ3_XXS"}

_TABLE = """
# role      | file types                               | when                              | type

# The last layer decides between words; models that tie it to the embedding have it under that name.
  output    | MXFP4_MOE                                |                                   | Q8_0
  output    | *                                        | falcon                            | Q8_0
  output    | *                                        | odd row                           | Q8_0
  output    | LOW3                                     |                                   | Q5_K
  output    | Q8_0                                     |                                   | Q8_0
  output    | *                                        |                                   | Q6_K

  *         | MXFP4_MOE                                | experts                           | MXFP4
  *         | MXFP4_MOE                                |                                   | Q8_0

  embedding | IQ1_S IQ1_M IQ2_XXS IQ2_XS               |                                   | Q2_K
  embedding | IQ2_S IQ2_M IQ3_XXS                      |                                   | IQ3_S
  embedding | TQ1_0 TQ2_0 Q2_0                         |                                   | Q4_K

# Values are the most sensitive; where many queries share them they are small too, and more bits cost nothing.
  value     | LOW                                      | 4 queries a key                   | Q4_K
  value     | LOW                                      | 4 experts                         | Q4_K
  value     | IQ2_S IQ2_M                              |                                   | IQ3_S
  value     | LOW                                      |                                   | Q2_K
  value     | *                                        | 8 experts exactly                 | Q8_0
  value     | Q2_K                                     | 4 queries a key                   | Q4_K
  value     | Q2_K                                     |                                   | Q3_K
  value     | Q2_K_S                                   | 4 queries a key                   | Q4_K
  value     | IQ3_XXS IQ3_XS IQ3_S                     | 4 queries a key                   | Q4_K
  value     | IQ3_XXS                                  | no imatrix                        | IQ3_S
  value     | IQ3_M                                    |                                   | Q4_K
  value     | Q3_K_M                                   | first 2                           | Q5_K
  value     | Q3_K_M                                   |                                   | Q4_K
  value     | Q3_K_L                                   |                                   | Q5_K
  value     | IQ4_NL IQ4_XS                            | 4 queries a key                   | Q5_K
  value     | Q4_K_M Q5_K_M                            | ends and thirds                   | Q6_K
  value     | Q4_K_S                                   | first 4                           | Q5_K

  key       | LOW                                      | 8 experts exactly                 | Q4_K
  key       | LOW                                      |                                   | -
  key       | *                                        | 8 experts exactly                 | Q8_0
  key       | IQ3_XS                                   |                                   | IQ3_XXS
  key       | IQ3_XXS                                  |                                   | IQ2_S

  query     | IQ3_XS                                   |                                   | IQ3_XXS
  query     | IQ3_XXS                                  |                                   | IQ2_S

# What leaves the feed-forward part is added to the stream that all later layers read.
  down      | IQ2_S IQ2_M                              | first eighth                      | IQ3_S
  down      | LOW                                      | first eighth                      | Q2_K
  down      | Q2_K                                     |                                   | Q3_K
  down      | Q2_K_S                                   | first eighth                      | Q4_K
  down      | IQ3_XXS                                  | no imatrix, first eighth          | Q4_K
  down      | IQ3_XXS                                  | no imatrix                        | Q3_K
  down      | Q3_K_M                                   | first sixteenth                   | Q5_K
  down      | Q3_K_M                                   | not falcon                        | Q4_K
  down      | Q3_K_M                                   | ends and thirds                   | Q4_K
  down      | IQ3_M                                    | first eighth                      | Q4_K
  down      | IQ3_M                                    | 8 experts exactly, ends and thirds | Q4_K
  down      | Q3_K_L                                   | falcon                            | Q4_K
  down      | Q3_K_L                                   |                                   | Q5_K
  down      | Q4_K_M                                   | falcon, first sixteenth           | Q6_K
  down      | Q4_K_M                                   | falcon, ends and thirds           | Q5_K
  down      | Q4_K_M                                   | not falcon, ends and thirds       | Q6_K
  down      | IQ4_NL IQ4_XS                            | no imatrix, first eighth          | Q5_K
  down      | Q5_K_M                                   | ends and thirds                   | Q6_K
  down      | Q4_K_S                                   | not falcon, first eighth          | Q5_K
  down      | Q4_0                                     | imatrix, first eighth             | Q4_1
  down      | Q5_0                                     | imatrix, first eighth             | Q5_1

  attention | LOW                                      | 8 experts exactly                 | Q5_K
  attention | IQ1_S IQ1_M                              |                                   | IQ2_XXS
  attention | IQ2_S IQ2_M                              |                                   | IQ3_S
  attention | Q3_K_L                                   | falcon                            | Q4_K
  attention | *                                        | falcon                            | -
  attention | Q2_K Q3_K_S Q3_K_M Q4_K_S Q4_K_M         | 8 experts exactly                 | Q5_K
  attention | IQ3_XXS IQ3_XS IQ3_S IQ3_M IQ4_NL IQ4_XS | 8 experts exactly                 | Q5_K
  attention | *                                        | 8 experts exactly                 | -
  attention | Q2_K                                     |                                   | Q3_K
  attention | IQ3_XXS                                  |                                   | IQ3_S
  attention | Q3_K_M IQ3_M                             |                                   | Q4_K
  attention | Q3_K_L                                   |                                   | Q5_K

  gate      | IQ3_XS                                   | middle                            | IQ3_XXS
  up        | IQ3_XS                                   | middle                            | IQ3_XXS
"""

_ROLES = {
    "output.weight": "output",
    "token_embd.weight": "embedding",
    "per_layer_token_embd.weight": "embedding",
}
_ROLES_WITHIN = {
    "attn_qkv.weight": "value",
    "attn_kv_b.weight": "value",
    "attn_v.weight": "value",
    "attn_k.weight": "key",
    "attn_q.weight": "query",
    "attn_output.weight": "attention",
    "ffn_up": "up",
    "ffn_gate": "gate",
    "ffn_down": "down",
}
"""Roles by what a name holds, the first that fits; any other tensor is ``other`` and gets the file type's default."""

_KEPT = """
    _norm.weight ffn_gate_inp.weight ffn_gate_tid2eid.weight altup laurel per_layer_model_proj ssm_conv1d
    shortconv.conv.weight indexer.k_proj.weight indexer.q_proj.weight attn_rel_b.weight
    time_mix_first.weight time_mix_w0.weight time_mix_w1.weight time_mix_w2.weight time_mix_v0.weight
    time_mix_v1.weight time_mix_v2.weight time_mix_a0.weight time_mix_a1.weight time_mix_a2.weight time_mix_g1.weight
    time_mix_g2.weight time_mix_decay_w1.weight time_mix_decay_w2.weight time_mix_lerp_fused.weight
    .position_embd sam.pos_embd sam.neck. sam.net_ .rel_pos .patch_embd .patch_merger a.rvq.codebook mm.a.code_embd
""".split()
"""What a name must not hold to be quantized: small or sensitive tensors, and what is looked up by position."""

_KEPT_WHOLE = ("position_embd.weight", "token_types.weight")
_KEPT_GLM5_NEXT = """
    hc_ indexer.attn_q_b indexer.attn_k indexer.proj indexer_compressor_gate indexer_compressor_ape ssm_f_a.weight
    ssm_f_b.weight ssm_g_a.weight ssm_g_b.weight ssm_beta.weight attn_kv_a_mqa.weight attn_k_b.weight attn_v_b.weight
""".split()
_PRECISE_GLM5_NEXT = ("attn_q_a", "attn_q_b", "nextn.eh_proj")

_FALLBACKS = {
    "IQ4_NL": "IQ1_S IQ1_M IQ2_XXS IQ2_XS IQ2_S IQ3_XXS IQ3_S IQ4_XS",
    "Q4_0": "Q1_0 Q2_0 Q2_K Q3_K TQ1_0 TQ2_0",
    "Q5_0": "Q4_K",
    "Q5_1": "Q5_K",
    "Q8_0": "Q6_K",
    "MXFP4": "NVFP4",
}
_FALLBACK = {name: smaller for smaller, names in _FALLBACKS.items() for name in names.split()}
"""For rows that fill no whole blocks: the type of about the same size with blocks of 32. Upstream gives up on Q1_0 and
NVFP4 there."""

_LAYERS_OF_70B = {"llama": 80, "llama-embed": 80, "qwen2": 80, "deci": 80, "olmo": 80, "jais2": 68}


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
            return int(value) if isinstance(value, (int, float)) or hasattr(value, "__int__") else default

        layers = number("block_count") or 1 + max((layer_of(name) for name in names), default=-1)
        heads = number("attention.head_count")
        shared = number("attention.head_count_kv", heads)
        experts = number("expert_count")
        big = layers - number("nextn_predict_layers") == _LAYERS_OF_70B.get(arch)
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
class Rule:
    """A row of the table; ``type`` None stands for the file type's default."""

    role: str
    file_types: frozenset[str] | None
    when: tuple[str, ...]
    type: TensorType | None
    text: str


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


def _parse(table: str) -> list[Rule]:
    rules = []
    for line in table.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        role, types, when, chosen = (cell.strip() for cell in line.split("|"))
        names = None if types == "*" else frozenset(" ".join(_NAMES.get(t, t) for t in types.split()).split())
        conditions = tuple(c.strip() for c in when.split(",") if c.strip())
        text = f"{role} of {types if names else 'any file type'}" + (f", {when}" if when else "")
        rules.append(Rule(role, names, conditions, None if chosen == "-" else tensor_type(chosen), text))
    return rules


RULES = _parse(_TABLE)


def layer_of(name: str) -> int:
    """The layer in a tensor's name, -1 when it names none."""
    found = re.match(r"blk\.(\d+)", name)
    return int(found[1]) if found else -1


def in_order(name: str) -> tuple[int, bytes]:
    """Sort by this to get upstream's order of tensors: by layer, then by name."""
    return layer_of(name), name.encode()


def role_of(name: str) -> str:
    """What a tensor does in its model, as far as the rules tell tensors apart."""
    return _ROLES.get(name) or next((role for part, role in _ROLES_WITHIN.items() if part in name), "other")


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
    parts = _KEPT + (_KEPT_GLM5_NEXT if model.architecture == "glm5-next" else [])
    part = name if name in _KEPT_WHOLE else next((part for part in parts if part in name), None)
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
        if self.model.architecture == "glm5-next" and any(part in info.name for part in _PRECISE_GLM5_NEXT):
            return Choice(tensor_type("Q8_0"), "glm5-next: at least Q8_0")
        low = self.file_type.name in _LOW.split()
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
    smaller = tensor_type(_FALLBACK.get(choice.type.name, choice.type.name))
    if info.columns % smaller.block:
        smaller = tensor_type("F16")
    text = f"{choice.rule}: {choice.type.name}, but rows of {info.columns} do not fill blocks of {choice.type.block}"
    return replace(choice, type=smaller, rule=text, fallback=True)
