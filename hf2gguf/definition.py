"""Architectures as data: a page each in ``architectures/*.toml``, or a file of one's own in the same form.

``spec/convert.md`` describes the form. A page may stand on another (``base``): its tables are laid over that page's.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from gguf_py import KQuantsError

from .form import check

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PAGES = Path(__file__).with_name("architectures")
_TABLES = ("defaults", "derived", "metadata", "tensors", "generate", "types", "vocabulary", "early", "before", "after")
_LISTS = ("drop", "rename", "ahead")
_BESIDE = "not a text model: llama.cpp has it as a file beside one"
_EYE = f"an encoder of images, {_BESIDE}"
_EAR = f"an encoder of sound, {_BESIDE}"
_VOICE = f"a model of speech, {_BESIDE}"
_WHOLE = "a model of text and more, whose text_config in config.json names no text model that is known"
_DRAFT = "a draft of another model's tokens, which is not converted here"
NO_TEXT = {
    "DFlash2DraftModel": _DRAFT,
    "DFlashDraftModel": _DRAFT,
    "DSparkDraftModel": _DRAFT,
    "DSparkSpeculator": _DRAFT,
    "DeepseekV4DSparkModel": _DRAFT,
    "Gemma4AssistantForCausalLM": _DRAFT,
    "Gemma4DSparkModel": _DRAFT,
    "Gemma4UnifiedAssistantForCausalLM": _DRAFT,
    "Eagle3DraftModel": _DRAFT,
    "Eagle3LlamaForCausalLM": _DRAFT,
    "Eagle3Speculator": _DRAFT,
    "Glm5vForConditionalGeneration": _WHOLE,
    "GlmasrModel": _EAR,
    "Granite4VisionForConditionalGeneration": _WHOLE,
    "GraniteSpeechForConditionalGeneration": _WHOLE,
    "GraniteSpeechPlusForConditionalGeneration": _WHOLE,
    "Idefics3ForConditionalGeneration": _WHOLE,
    "InternVisionModel": _EYE,
    "Lfm25AudioTokenizer": _VOICE,
    "Lfm2AudioForConditionalGeneration": _WHOLE,
    "Lfm2DSparkDraftModel": _DRAFT,
    "Lfm2VlForConditionalGeneration": _WHOLE,
    "LightOnOCRForConditionalGeneration": _WHOLE,
    "LlamaForCausalLMEagle3": _DRAFT,
    "LingDSparkModel": _DRAFT,
    "MERaLiON2ForConditionalGeneration": _EAR,
    "MiniMaxM3VLForConditionalGeneration": _WHOLE,
    "MuseGlimmerAssistantModel": _DRAFT,
    "NemotronH_Nano_VL_V2": _WHOLE,
    "PaddleOCRVisionModel": _EYE,
    "PocketTTSModel": _VOICE,
    "Qwen3DSparkModel": _DRAFT,
    "Qwen3TTSForConditionalGeneration": _VOICE,
    "RADIOModel": _EYE,
    "SmolVLMForConditionalGeneration": _WHOLE,
    "UltravoxModel": _EAR,
    "WavTokenizerDec": _VOICE,
}
"""Model classes that upstream knows and that are not converted here as they stand, and what each is."""


@dataclass(frozen=True)
class Definition:
    """What a page says, with the pages it stands on laid underneath.

    ``defaults``: by ``model_type``, the keys a configuration may leave out; ``derived``: names for expressions, in
    order; ``metadata``: key to expression, in order; ``tensors``: checkpoint name to target; ``generate``: tensors
    that stand in no checkpoint; ``types``: tensor types that the page forces; ``vocabulary``: the tokenizer's scheme;
    ``ahead``: names of tensors that come before the others;
    ``early``: keys set right behind the architecture's name; ``before`` and ``after``: keys set around the tokenizer's.
    """

    name: str
    architecture: str
    classes: tuple[str, ...]
    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    derived: Mapping[str, str] = field(default_factory=dict)
    metadata: tuple[tuple[str, str], ...] = ()
    tensors: Mapping[str, Any] = field(default_factory=dict)
    generate: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    vocabulary: Mapping[str, Any] = field(default_factory=dict)
    early: Mapping[str, str] = field(default_factory=dict)
    before: Mapping[str, str] = field(default_factory=dict)
    after: Mapping[str, str] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    rename: tuple[tuple[str, str], ...] = ()
    ahead: tuple[str, ...] = ()


def load(path: Path) -> Definition:
    """The definition in a file; raises KQuantsError saying what in it does not fit the form."""
    page = _page(path)
    check(path, page)
    base = load(_known(path, page["base"])) if "base" in page else None
    architecture = page.get("architecture", base.architecture if base else "")
    tables: dict[str, Any] = {}
    for table in _TABLES:
        over = page.get(table, {})
        under = dict(getattr(base, table)) if base else {}
        # What a page says about tensors is tried first; a key set again keeps its place.
        tables[table] = {**over, **under, **over} if table == "tensors" else {**under, **over}
    # Metadata is set page by page, the base's first, so that a key the base left out comes after all of the base's.
    tables["metadata"] = (
        *page.get("first", {}).items(),
        *(base.metadata if base else ()),
        *page.get("metadata", {}).items(),
    )
    lists: dict[str, Any] = {key: tuple(page.get(key, ())) + (getattr(base, key) if base else ()) for key in _LISTS}
    lists["rename"] = tuple((a, b) for a, b in lists["rename"])
    return Definition(path.stem, architecture, tuple(page.get("classes", ())), **tables, **lists)


def _page(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise KQuantsError(f"{path}: is no TOML ({fault})") from fault
    except OSError as fault:
        raise KQuantsError(f"{path}: cannot be read ({(fault.strerror or str(fault)).lower()})") from None


def _known(path: Path, base: Any) -> Path:
    """The page that ``base`` names: beside the file, or one of ours."""
    for folder in (path.parent, PAGES):
        found = folder / f"{base}.toml"
        if isinstance(base, str) and base.isidentifier() and found.is_file():
            return found
    near = difflib.get_close_matches(str(base), [page.stem for page in PAGES.glob("*.toml")], 3)
    raise KQuantsError(
        f"{path}: stands on {base!r}, which is no page beside it or in {PAGES}"
        f"{' (did you mean ' + ' or '.join(near) + '?)' if near else ''}"
    )


@lru_cache(maxsize=1)
def classes() -> dict[str, Path]:
    """Every model class there is a page for, and the page."""
    found: dict[str, Path] = {}
    for path in sorted(PAGES.glob("*.toml")):
        found |= dict.fromkeys(_page(path).get("classes", ()), path)
    return dict(sorted(found.items()))


@lru_cache(maxsize=8)
def page_of(name: str) -> Path | None:
    """The page that has a model class; only pages in which its name stands are parsed, for parsing all takes long."""
    pages = sorted(PAGES.glob("*.toml"), reverse=True)
    named = (path for path in pages if f'"{name}"' in path.read_text("utf-8"))
    return next((path for path in named if name in _page(path).get("classes", ())), None)


@lru_cache(maxsize=1)
def _kinds() -> dict[str, str]:
    """The first class of the page that has defaults for a ``model_type``."""
    pages = [_page(path) for path in sorted(PAGES.glob("*.toml"))]
    return {kind: page["classes"][0] for page in reversed(pages) for kind in page.get("defaults", {})}


def class_of(kind: object) -> str | None:
    """The model class of a ``model_type``, for the text part of a larger model, which seldom names its own."""
    return _kinds().get(kind) if isinstance(kind, str) else None


def find(name: str, where: object = "config.json") -> Definition:
    """The definition for a model class; raises KQuantsError that says what is nearest and where one's own would go."""
    page = page_of(name)
    if page is not None:
        return load(page)
    if name in NO_TEXT:
        raise KQuantsError(f"{where}: {name} is {NO_TEXT[name]}")
    known = classes()
    near = [f"{other} ({known[other].name})" for other in difflib.get_close_matches(name, known, 3, 0.5)]
    raise KQuantsError(
        f"{where}: the model class is {name!r}, for which there is no page"
        f"{', nearest to which ' + ('is ' if len(near) == 1 else 'are ') + ', '.join(near) if near else ''} "
        "(--list-architectures prints all); write one, perhaps with another as its base, in the form of those in "
        f"{PAGES}, which spec/convert.md describes, and name it: --architecture my_arch.toml"
    )
