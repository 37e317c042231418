"""Odd checkpoints by the hundred: any value of any key, any tensor lost, renamed, of another shape or type.

Each converts or is refused in a sentence, within half a gigabyte of address space beside what there was.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gguf_py import KQuantsError
from hf2gguf.convert import prepare
from hf2gguf.files import Shape, plan
from kquants.execute import execute

from .models import Model, write
from .zoo import ZOO

resource = pytest.importorskip("resource", reason="limits the memory of the process")

MODELS = sorted(name for name, model in ZOO.items() if model.tokenizer in ("none", "sp", "t5"))
"""Those whose vocabularies are small."""
LOST = object()
ODD: tuple[Any, ...] = (
    *(LOST, None, True, -1, 0, 1, 10**9, 10**30, 0.5, 1e308, float("nan"), "", "x", "9" * 5000, "../../etc/passwd"),
    *([], [10**9], [None], {}, {"a": 1}),
)
MORE = 512 << 20
"""Bytes of address space that a conversion may take: a thread's heap and stack are most of it."""

Place = tuple[str | int, ...]


def places(value: Any, at: Place = ()) -> Iterator[Place]:
    """Where something stands in a JSON document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, part in inner:
        yield (*at, key)
        yield from places(part, (*at, key))


def odd_document(draw: st.DrawFn, document: dict[str, Any]) -> dict[str, Any]:
    """The document with an odd value in one place."""
    document = holder = deepcopy(document)
    *outer, last = draw(st.sampled_from([*places(document)]))
    for key in outer:
        holder = holder[key]  # type: ignore[index]
    new = draw(st.sampled_from(ODD))
    if new is LOST:
        del holder[last]  # type: ignore[arg-type]
    else:
        holder[last] = new  # type: ignore[index]
    return document


def odd_tensor(draw: st.DrawFn, model: Model) -> Model:
    """The checkpoint with one tensor that is lost, or has another name, shape or type."""
    name = draw(st.sampled_from(sorted(model.tensors)))
    others = {n: shape for n, shape in model.tensors.items() if n != name}
    shape = model.tensors[name]
    what = draw(st.sampled_from(["lost", "name", "shape", "type"]))
    if what == "name":
        names = [name + "x", name.replace("0", "9"), name.removesuffix(".weight"), name.replace("layers", "layer")]
        return replace(model, tensors=others | {draw(st.sampled_from(names)): shape})
    if what == "shape":
        shapes = [(1,), (0,), shape[::-1], (*shape, 1), (1, *shape), (shape[0] + 1, *shape[1:]), (*shape[:-1], 3)]
        return replace(model, tensors=others | {name: draw(st.sampled_from(shapes))})
    if what == "type":
        return replace(model, dtypes={name: draw(st.sampled_from(["F64", "F32", "F16", "BF16", "U8", "I64", "I8"]))})
    return replace(model, tensors=others)


@st.composite
def odd(draw: st.DrawFn) -> tuple[Model, str]:
    """A checkpoint of the zoo with something wrong, and what it is to become."""
    model = ZOO[draw(st.sampled_from(MODELS))]
    outtype = draw(st.sampled_from(["f16", "q8_0", "auto"]))
    if draw(st.integers(0, 2)) == 0:
        return odd_tensor(draw, model), outtype
    documents = [name for name, text in model.files.items() if name.endswith(".json") and text.startswith("{")]
    name = draw(st.sampled_from(["config.json", *documents]))
    if name == "config.json":
        return replace(model, config=odd_document(draw, model.config)), outtype
    changed = json.dumps(odd_document(draw, json.loads(model.files[name])))
    return replace(model, files=model.files | {name: changed}), outtype


@contextmanager
def little_memory() -> Iterator[None]:
    limits, stack = resource.getrlimit(resource.RLIMIT_AS), threading.stack_size(1 << 21)  # whatever `ulimit -s` says
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MORE, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
        threading.stack_size(stack)


def convert(model: Model, outtype: str, folder: Path) -> None:
    """Convert the checkpoint; where it is refused, it is in a sentence, and nothing is there."""
    write(model, folder / "model")
    try:
        execute(plan(prepare(folder / "model", outtype), folder / "out.gguf", Shape()), threads=1)
    except KQuantsError as fault:
        assert str(fault) and "\n" not in str(fault)
        assert [path.name for path in folder.iterdir()] == ["model"]


FOUND: dict[str, tuple[str, dict[str, Any]]] = {
    "half an expert": ("tiny-mixtral", {"num_local_experts": 0.5}),
    "no expert": ("tiny-mixtral", {"num_local_experts": 0}),
    "experts by name": ("tiny-mixtral", {"num_local_experts": {}}),
    "a type that is none": ("gemma3-multimodal", {"model_type": {}}),
    "multipliers in a list": ("tiny-talkie", {"head_dim": []}),
    "a factor in words": ("phi3-long", {"rope_scaling": {"type": "longrope", "long_factor": [""]}}),
}
"""What ended in a traceback once."""


@pytest.mark.parametrize("what", FOUND)
def test_found_by_trying(what: str, tmp_path: Path) -> None:
    name, change = FOUND[what]
    convert(replace(ZOO[name], config=ZOO[name].config | change), "f16", tmp_path)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="asks for the memory where Linux says it")
@pytest.mark.filterwarnings("ignore")
@given(odd())
@settings(max_examples=80)
def test_converted_or_refused_in_a_sentence(tmp_path_factory: pytest.TempPathFactory, what: tuple[Model, str]) -> None:
    model, outtype = what
    folder = tmp_path_factory.mktemp("odd")
    with little_memory():
        convert(model, outtype, folder)
    shutil.rmtree(folder)
