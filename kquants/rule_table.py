"""The table of rules, and the lists beside it: which tensor type a role gets in a file type. All of it is data.

Source of the facts: ``llama-quant.cpp`` of llama.cpp v0.5.0.
"""

from __future__ import annotations

from dataclasses import dataclass

from gguf_py.types import TensorType, tensor_type

LOW = "IQ1_S IQ1_M IQ2_XXS IQ2_XS IQ2_S IQ2_M"
_NAMES = {"LOW": LOW, "LOW3": f"{LOW} IQ3_XXS"}

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

ROLES = {
    "output.weight": "output",
    "token_embd.weight": "embedding",
    "per_layer_token_embd.weight": "embedding",
}
ROLES_WITHIN = {
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

KEPT = """
    _norm.weight ffn_gate_inp.weight ffn_gate_tid2eid.weight altup laurel per_layer_model_proj ssm_conv1d
    shortconv.conv.weight indexer.k_proj.weight indexer.q_proj.weight attn_rel_b.weight
    time_mix_first.weight time_mix_w0.weight time_mix_w1.weight time_mix_w2.weight time_mix_v0.weight
    time_mix_v1.weight time_mix_v2.weight time_mix_a0.weight time_mix_a1.weight time_mix_a2.weight time_mix_g1.weight
    time_mix_g2.weight time_mix_decay_w1.weight time_mix_decay_w2.weight time_mix_lerp_fused.weight
    .position_embd sam.pos_embd sam.neck. sam.net_ .rel_pos .patch_embd .patch_merger a.rvq.codebook mm.a.code_embd
""".split()
"""What a name must not hold to be quantized: small or sensitive tensors, and what is looked up by position."""

KEPT_WHOLE = ("position_embd.weight", "token_types.weight")
KEPT_GLM5_NEXT = """
    hc_ indexer.attn_q_b indexer.attn_k indexer.proj indexer_compressor_gate indexer_compressor_ape ssm_f_a.weight
    ssm_f_b.weight ssm_g_a.weight ssm_g_b.weight ssm_beta.weight attn_kv_a_mqa.weight attn_k_b.weight attn_v_b.weight
""".split()
PRECISE_GLM5_NEXT = ("attn_q_a", "attn_q_b", "nextn.eh_proj")

_FALLBACKS = {
    "IQ4_NL": "IQ1_S IQ1_M IQ2_XXS IQ2_XS IQ2_S IQ3_XXS IQ3_S IQ4_XS",
    "Q4_0": "Q1_0 Q2_0 Q2_K Q3_K TQ1_0 TQ2_0",
    "Q5_0": "Q4_K",
    "Q5_1": "Q5_K",
    "Q8_0": "Q6_K",
    "MXFP4": "NVFP4",
}
FALLBACK = {name: smaller for smaller, names in _FALLBACKS.items() for name in names.split()}
"""For rows that fill no whole blocks: the type of about the same size with blocks of 32. Upstream gives up on Q1_0 and
NVFP4 there."""

LAYERS_OF_70B = {"llama": 80, "llama-embed": 80, "qwen2": 80, "deci": 80, "olmo": 80, "jais2": 68}


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of the table; ``type`` None stands for the file type's default."""

    role: str
    file_types: frozenset[str] | None
    when: tuple[str, ...]
    type: TensorType | None
    text: str


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
