"""Is a GGUF file whole and sane? Named checks, each of which passes, fails or does not apply."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import gguf_py
from gguf_py import GGUFFile, KQuantsError, ShardSet, Tensor
from gguf_py.input import InputFile

from . import model as models
from . import places, vocabulary
from .faults import ENOUGH, Faults, NotApplicable, counted
from .weights import finite

Outcome = Literal["passed", "failed", "not applicable"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at, and what was found."""

    name: str
    outcome: Outcome
    detail: str


def check_file(path: str | os.PathLike[str], progress: Callable[[Tensor], None] = lambda _: None) -> list[Check]:
    """Every check of a file, or of the set that it is a shard of, in order.

    ``progress`` is told each tensor before its weights are read. Raises KQuantsError when there is no file to be read.
    """
    InputFile(path)  # which says why it cannot be read
    try:
        opened = gguf_py.open_shards(path)
    except KQuantsError as fault:
        return [Check("header", "failed", str(fault))]
    with opened as model:
        counts = f"GGUF v{model.version}, {counted(len(model.fields), 'metadata key')}, "
        counts += counted(len(model.tensors), "tensor")
        inside = "the file's" if len(model.files) == 1 else f"the {len(model.files)} files'"
        done = [Check("header", "passed", f"{counts}, all inside {inside} {model.size:,} bytes")]
        for name, look in FILE_CHECKS.items():
            done.append(_run(name, partial(_each, model, look)))
        for name, check in MODEL_CHECKS.items():
            done.append(_run(name, partial(check, model)))
        done.append(_run("finite weights", partial(finite, model, progress)))
    return done


def _each(model: ShardSet, look: Callable[[GGUFFile], Faults]) -> Faults:
    """A check of every file that it applies to; faults begin with the file's name when there are several."""
    said, why = "", NotApplicable("")
    for file in model.files:
        name = f"{Path(file.path).name}: " if len(model.files) > 1 else ""
        checking = look(file)
        try:
            while True:
                yield name + next(checking)
        except StopIteration as end:
            said = str(end.value)
        except NotApplicable as none:
            why = none
    if not said:
        raise why
    return said


def _run(name: str, look: Callable[[], Faults]) -> Check:
    faults: list[str] = []
    outcome: Outcome = "passed"
    checking = look()
    try:
        while True:
            faults.append(next(checking))
    except StopIteration as end:
        told = str(end.value)
    except NotApplicable as why:
        told, outcome = str(why), "not applicable"
    if faults:
        more = f", and {len(faults) - ENOUGH:,} more" if len(faults) > ENOUGH else ""
        return Check(name, "failed", "; ".join(faults[:ENOUGH]) + more)
    return Check(name, outcome, told)


FILE_CHECKS: Mapping[str, Callable[[GGUFFile], Faults]] = {
    "alignment": places.alignment,
    "overlaps": places.overlaps,
    "offsets": places.wrong_places,
    "padding": places.wrong_padding,
    "tensor names": places.names,
}
"""What is checked of the header of each file of a set."""
MODEL_CHECKS: Mapping[str, Callable[[ShardSet], Faults]] = {
    "shards": models.shards,
    "metadata": models.architecture,
    "layers": models.layers,
    "shapes": models.shapes,
    "tokenizer": vocabulary.tokenizer,
    "token ids": vocabulary.ids,
}
"""What is checked of the whole; the weights come last because they take longest."""
