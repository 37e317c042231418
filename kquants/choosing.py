"""The best file type that fits into a size or a number of bits a weight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gguf_py.errors import KQuantsError
from gguf_py.file import GGUFFile
from gguf_py.shards import ShardSet

from .plan import Plan
from .quantizer import Options, quantize_model

CANDIDATES = """
    F32 BF16 F16 Q8_0 Q6_K Q5_K_M Q5_K_S Q4_K_M Q4_K_S IQ4_XS Q3_K_L IQ3_M Q3_K_M IQ3_S IQ3_XS Q3_K_S IQ3_XXS
    Q2_K Q2_K_S IQ2_M IQ2_S IQ2_XS IQ2_XXS IQ1_M IQ1_S
""".split()
"""File types for any model, best first; the older schemes are worse than a smaller one of these."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The plan for the file type that was chosen, and why it was."""

    plan: Plan
    file_type: str
    reason: str


def best_that_fits(
    model: GGUFFile | ShardSet,
    path: Callable[[str], str],
    options: Options,
    most_bytes: int | None,
    most_bpw: float | None,
) -> Chosen:
    """The first of the candidates whose files are small enough; raises KQuantsError when none is.

    A type that is larger than what the model has is left out, as are BF16 where the weights are F16, which would round
    them and save nothing, and a type that needs an importance matrix when there is none.
    """
    skipped: list[str] = []
    smallest = ""
    present = sum(t.nbytes for t in model.tensors.values())
    weights = max(1, sum(t.count for t in model.tensors.values()))
    halves = {t.type.name for t in model.tensors.values()} & {"F16", "BF16"}
    for name in CANDIDATES:
        if name == "BF16" and halves == {"F16"}:
            continue
        try:
            plan = quantize_model(model, path(name), name, options)
        except KQuantsError as fault:
            if "importance matrix" not in str(fault):
                raise
            skipped.append(name)
            continue
        nbytes = sum(out.data_bytes for out in plan.outputs)
        if nbytes > present:
            continue
        size, bpw = plan.size, 8 * nbytes / weights
        said = f"{name} has {size:,} bytes, {bpw:.2f} bits per weight"
        if (most_bytes is None or size <= most_bytes) and (most_bpw is None or bpw <= most_bpw):
            reason = f"{said}: the best type that fits"
            reason += f"; {smallest}" if smallest else ""
            return Chosen(plan, name, reason + _about(skipped))
        smallest = f"{said}, too much"
    raise KQuantsError(f"{model.path}: no file type is small enough: {smallest or 'none applies'}{_about(skipped)}")


def _about(skipped: list[str]) -> str:
    return f" ({', '.join(skipped)} would need an importance matrix)" if skipped else ""
