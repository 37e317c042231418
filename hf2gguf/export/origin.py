"""The checkpoint that a GGUF file may have come from: the page, the class, the configuration, the tensors by name."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from gguf_py import GGUFFile, KQuantsError
from kquants.source import Source

from .. import definition as definitions
from ..checkpoint import MISTRAL, MISTRAL_MOE
from ..definition import Definition
from ..expression import parse
from . import blocks, names, tokenizer
from .inverses import Wanting
from .solve import Fact, Problem, Score, improve, solve
from .vocabulary import Vocabulary


@dataclass(frozen=True)
class Given:
    """A file, its vocabulary, and its tensors as numbers that a checkpoint can have."""

    file: GGUFFile
    vocabulary: Vocabulary
    sources: Mapping[str, Source]
    exact: bool
    """Whether converting can give the file again, as it cannot when weights were quantized."""

    @property
    def architecture(self) -> str:
        """``general.architecture``."""
        return str(self.file.metadata.get("general.architecture"))


@dataclass(frozen=True)
class Origin:
    """A checkpoint that a file may have come from: the page, the model's class and the whole configuration."""

    page: Definition
    model_class: str
    config: dict[str, Any]
    score: Score

    @property
    def scheme(self) -> str:
        """How its vocabulary is read."""
        return str(self.page.vocabulary["scheme"])


def find(given: Given) -> tuple[Origin, list[dict[str, Source]]]:
    """The origin whose configuration comes nearest, of those that know every tensor; and its tensors by shard.

    Raises KQuantsError when the architecture has no page, and for a tensor that none of its pages can take back.
    """
    fault: KQuantsError | None = None
    others: list[Origin] = []
    for origin in _origins(given):
        if origin.score.perfect and (given.exact or origin.page.name == given.architecture):
            try:
                return _with_tensors(given, origin)
            except KQuantsError as found:
                fault = fault or found
        else:
            others.append(origin)
    # When none fits wholly, or the file is not to come out again, the architecture's own page says most.
    for origin in sorted(others, key=lambda o: (o.page.name != given.architecture, o.score)):
        try:
            return _with_tensors(given, origin)
        except KQuantsError as found:
            fault = fault or found
    raise KQuantsError(f"{given.file.path}: {fault}") from fault


def _with_tensors(given: Given, origin: Origin) -> tuple[Origin, list[dict[str, Source]]]:
    """The origin, with sizes in its configuration that only the tensors tell, and its tensors by shard."""
    problem = Problem(origin.page, given.file.fields, origin.model_class, more=_seen(given, origin.page))
    for _ in range(8):
        try:
            return origin, names.tensors(origin.page, problem.scope(origin.config), given.sources)
        except Wanting as found:
            facts = (*problem.facts, *(Fact(text, value) for text, value in found.values.items()))
            if facts == problem.facts:
                raise
            problem = replace(problem, facts=facts)
            config, score = improve(problem, origin.config)
            if score > origin.score:
                raise
            origin = replace(origin, config=config)
    raise KQuantsError(f"the page of {origin.page.name} asks for too much")


def _origins(given: Given) -> Iterator[Origin]:
    for page in _fitting(given):
        known = {key: _weights(given.sources.get(key)) for key in page.generate}
        size = str(page.vocabulary.get("size", "vocab_size"))
        facts = [Fact(page.generate[key], weights) for key, weights in known.items()]
        facts += [Fact(page.architecture[1:], given.architecture)] if page.architecture.startswith("=") else []
        facts += [Fact(size, len(given.vocabulary.texts))] if given.vocabulary.texts else []
        facts += names.facts(page, given.sources)
        page = replace(page, architecture=given.architecture)
        more, base = _seen(given, page), _base(given, page)
        for kind, model_class in _classes(page, given):
            problem = Problem(page, given.file.fields, model_class, tuple(facts), more)
            config, score = solve(
                problem, {"architectures": [model_class], "model_type": kind, **base}, exact=given.exact
            )
            yield Origin(page, model_class, config, score)


@cache
def _pages() -> tuple[Definition, ...]:
    known = definitions.classes()
    return tuple(
        definitions.load(path)
        for path in dict.fromkeys(known[name] for name in known if name not in (MISTRAL, MISTRAL_MOE))
    )


def pages(file: GGUFFile) -> list[Definition]:
    """The pages of the file's architecture; raises KQuantsError when there is none."""
    architecture = file.metadata.get("general.architecture")
    if not isinstance(architecture, str):
        raise KQuantsError(f"{file.path}: general.architecture is {architecture!r}, expected the name of one")
    fitting = [page for page in _pages() if architecture in _architectures(page)]
    if not fitting:
        every = {name for page in _pages() for name in _architectures(page)}
        near = ", ".join(difflib.get_close_matches(architecture, every, 3))
        hint = f", those nearest are {near}" if near else ""
        raise KQuantsError(f"{file.path}: no page tells the way back from the architecture {architecture!r}{hint}")
    return fitting


def _fitting(given: Given) -> list[Definition]:
    """The pages of the file's architecture that make vocabularies like its own, the one of its name first.

    A page that sets special tokens behind all else is meant when the file has some there.
    """
    architecture, fitting = given.architecture, pages(given.file)
    last = tokenizer.behind(given.file)
    there = [page for page in fitting if tokenizer.fits(str(page.vocabulary["scheme"]), given.vocabulary)] or fitting

    def order(page: Definition) -> tuple[bool, ...]:
        return not last.issubset(page.after), page.architecture.startswith("="), page.name != architecture

    return sorted(there, key=order)


def _architectures(page: Definition) -> set[str]:
    """The architectures that a page may be of."""
    if not page.architecture.startswith("="):
        return {page.architecture}
    branches, found = [parse(page.architecture[1:])], set()
    for node in branches:
        match node:
            case ast.IfExp(body=body, orelse=orelse):
                branches += [body, orelse]
            case ast.Constant(value=str(name)):
                found.add(name)
    return found


def _classes(page: Definition, given: Given) -> Iterator[tuple[str, str]]:
    """Model types and classes that the page's expressions tell apart, the likely ones first."""
    texts = " ".join([text for _, text in page.metadata] + list(page.derived.values()))
    kinds = [kind for kind in page.defaults if kind != "any"]
    kinds += [kind for kind in re.findall(r"get\('model_type'\) == '(\w+)'", texts) if kind not in kinds]
    experts = f"{given.architecture}.expert_count" in given.file.metadata
    mixed = {kind for kind in kinds if re.search("moe|mixtral", kind)}
    kinds = kinds if experts else [kind for kind in kinds if kind not in mixed] or kinds
    kinds.sort(key=lambda kind: ((kind in mixed) != experts, kind != page.architecture))
    for kind in dict.fromkeys([*kinds, page.name]):
        plain = kind.removesuffix("_text").replace("_", "").replace("-", "")
        own = [c for c in page.classes if c.lower().startswith(plain) and c.endswith("ForCausalLM")]
        first = (own or list(page.classes))[0]
        others = [c for c in page.classes if c != first] if "model_class" in texts else []
        for model_class in [first, *others]:
            yield kind, model_class


def _seen(given: Given, page: Definition) -> dict[str, Any]:
    """What expressions see besides the configuration."""
    return {
        "tokenizer_config": tokenizer.settings(given.file, given.vocabulary, str(page.vocabulary["scheme"])),
        "json": {"tokenizer.json": {"model": {"vocab": given.vocabulary.ids}}},
    }


def _weights(source: Source | None) -> list[float] | None:
    if source is None:
        return None
    spelled: list[float] = source.rows(0, source.count).view(np.float32).reshape(-1).tolist()
    return spelled


def _base(given: Given, page: Definition) -> dict[str, Any]:
    """What a configuration says besides what its page asks for."""
    file, vocabulary = given.file, given.vocabulary
    special = tokenizer.wanted(file, vocabulary, str(page.vocabulary["scheme"]))
    own = {tokenizer.kind(key): file.metadata.get(key) for key in (*dict(page.metadata), *page.before)}
    special |= {kind: number for kind, number in own.items() if kind and isinstance(number, int)}
    said: dict[str, Any] = {f"{kind}_token_id": number for kind, number in special.items()}
    types = file.metadata.get("tokenizer.ggml.token_type_count")
    said |= {} if types is None else {"type_vocab_size": types}
    said |= blocks.config(file)
    said |= tokenizer.ends(file, str(page.vocabulary["scheme"]))
    said |= {"vocab_size": len(vocabulary.texts)} if vocabulary.texts else {}
    said["tie_word_embeddings"] = "output.weight" not in file.tensors
    dtypes = {t.type.name for t in file.tensors.values() if len(t.shape) > 1}
    said["torch_dtype"] = "float32" if dtypes == {"F32"} else "bfloat16" if dtypes == {"BF16"} else "float16"
    return said
