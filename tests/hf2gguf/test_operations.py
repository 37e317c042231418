"""What the specification says a page may do to a tensor is what it may do."""

from __future__ import annotations

import re
from pathlib import Path

from hf2gguf.operations import OPERATIONS
from hf2gguf.tensors import COMPARING, MERGING

SPEC = Path(__file__).parents[2] / "spec/convert.md"


def test_the_specification_names_every_operation() -> None:
    table = SPEC.read_text("utf-8").split("### Operations")[1]
    rows = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)", row)}
    assert named == {*OPERATIONS, *MERGING, *COMPARING, "when"}
