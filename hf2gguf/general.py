"""``general.*``: what the folder's name, the model card, the configuration and the user say about a model.

Source: the GGUF specification's general keys, filled by the precedence of gguf-py: the card's own words, then
the card's conventions, then ``_name_or_path``, then the folder's name; a metadata file and ``--model-name`` on top.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gguf_py import KQuantsError

from .checkpoint import Checkpoint
from .checkpoint.folder import MAX_CONFIG, read_json, shown
from .fields import Fields
from .names import ModelName, parse, size_label, title

SAMPLING = {  # general.sampling.*: the key of generation_config.json
    "sequence": "sequence",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "xtc_probability": "xtc_probability",
    "xtc_threshold": "xtc_threshold",
    "temp": "temperature",
    "penalty_last_n": "penalty_last_n",
    "penalty_repeat": "penalty_repeat",
    "mirostat": "mirostat",
    "mirostat_tau": "mirostat_tau",
    "mirostat_eta": "mirostat_eta",
}
CARD = {  # general.*: the card's keys that may say it, the first one first
    "name": ["name", "model_name"],
    "author": ["author", "model_author", "model_creator"],
    "version": ["version", "model_version"],
    "organization": ["organization", "model_organization"],
    "description": ["description", "model_description"],
    "finetune": ["finetune", "model_finetune"],
    "basename": ["basename", "model_basename", "model_type"],
    "size_label": ["size_label", "model_size_label"],
    "source.url": ["url", "model_url"],
    "source.doi": ["doi", "model_doi"],
    "source.uuid": ["uuid", "model_uuid"],
    "source.repo_url": ["repo_url", "model_repo_url"],
    "license": ["license"],
    "license.name": ["license_name"],
    "license.link": ["license_link"],
}
_ORDER = """
    name author version organization finetune basename description quantized_by size_label license license.name
    license.link url doi uuid repo_url source.url source.doi source.uuid source.repo_url
""".split()
_OVERRIDABLE = [key for key in _ORDER if key != "license"]
_LISTS = ("base_models", "datasets", "tags", "languages")
_FROM_NAMES = ("organization", "basename", "finetune", "version", "size_label")
_ENTRY = "name author version organization description url doi uuid repo_url".split()


@dataclass
class General:
    """The general metadata by key without its prefix, and the parents, data sets, tags and languages."""

    texts: dict[str, Any] = field(default_factory=dict)
    sampling: dict[str, Any] = field(default_factory=dict)
    base_models: list[dict[str, Any]] | None = None
    datasets: list[dict[str, Any]] | None = None
    tags: list[str] | None = None
    languages: list[str] | None = None

    @property
    def name(self) -> ModelName:
        """What a file name is made of."""
        return ModelName(_text(self.texts.get("name")), **{key: _text(self.texts.get(key)) for key in _FROM_NAMES})

    def write(self, fields: Fields) -> None:
        """Set the keys in upstream's order."""
        for key in SAMPLING:
            fields.set(f"general.sampling.{key}", self.sampling.get(key))
        for key in _ORDER:
            fields.set(f"general.{key}", _text(self.texts.get(key)))
        for kind, entries in (("base_model", self.base_models), ("dataset", self.datasets)):
            if entries is None:
                continue
            fields.set(f"general.{kind}.count", len(entries))
            for i, entry in enumerate(entries):
                for key in _ENTRY:
                    fields.set(f"general.{kind}.{i}.{key}", _text(entry.get(key)))
        fields.set("general.tags", self.tags)
        fields.set("general.languages", self.languages)


def _text(value: Any) -> str | None:
    """What is written of a value; nothing of False and 0, as in upstream's writer."""
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value) if value or value == "" else None


def gather(
    opened: Checkpoint,
    counts: tuple[int, int, int, int],
    *,
    overrides: Path | None = None,
    name: str | None = None,
    name_or_path: str | None = None,
) -> General:
    """Everything general that is known about a checkpoint.

    ``counts`` are its weights: all, those outside experts, one expert's, and the number of experts. ``overrides``
    is a JSON file of ``general.*`` keys. Raises KQuantsError when that file or the model card cannot be read.
    """
    folder = opened.dir
    card, found = model_card(folder), General()
    _read_card(found, card, counts[0])
    if name_or_path is not None and name_or_path.count("/") <= 1:  # more slashes make a path on somebody's disk
        _complete(found.texts, parse(name_or_path, counts[0]))
    _complete(found.texts, parse(folder.name, counts[0]))
    _sampling(found, generation(opened))
    if overrides is not None:
        _override(found, overrides)
    if name is not None:
        found.texts["name"] = name
    if found.texts.get("name") is None:
        found.texts["name"] = folder.name
    if found.texts.get("size_label") is None and counts[0] > 0:
        found.texts["size_label"] = size_label(*counts)
    return found


def model_card(folder: Path) -> dict[str, Any]:
    """The front matter of ``README.md``; empty without one. Raises KQuantsError when it is no YAML."""
    path = folder / "README.md"
    if not path.is_file():
        return {}
    with path.open("rb") as f:
        lines = f.read(_MATTER).decode("utf-8", errors="replace").splitlines()
    if not lines or lines[0] != "---":
        return {}
    matter = lines[1 : lines.index("---", 1)] if "---" in lines[1:] else lines[1:]
    # Norwegian is a language and not a falsehood; a tab is what YAML forbids and cards contain.
    text = ("\n".join(matter) + "\n").replace("- no\n", '- "no"\n').replace("\t", "  ")
    try:
        data = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError, RecursionError) as fault:  # a ValueError is of a date that is none
        where = getattr(fault, "problem_mark", None)
        line = f" at line {where.line + 2}" if where is not None else ""
        raise KQuantsError(f"{path}: the front matter is no YAML{line}") from fault
    if not _counts(data):
        raise KQuantsError(f"{path}: the front matter holds more than {_VALUES} values, each alias counted out")
    return data if isinstance(data, dict) else {}


_MATTER = 4 << 20
"""As much of a model card is looked at for its front matter; those with benchmark tables have a tenth of it."""
_VALUES = 1 << 20


def _counts(data: Any) -> bool:
    """Whether the values, aliases followed, are no more than they may be: a few lines can name billions."""
    left, todo = _VALUES, [data]
    while todo and left > 0:
        value = todo.pop()
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        left -= len(inner)
        todo += inner if left > 0 else ()
    return left > 0


def _read_card(found: General, card: dict[str, Any], parameters: int) -> None:
    for key, spellings in CARD.items():
        said = next((card[s] for s in spellings if card.get(s) is not None), None)
        if said is not None:
            found.texts[key] = said
    found.base_models = _entries(card, ("base_model", "base_models", "base_model_sources"), parameters)
    found.datasets = _entries(card, ("datasets", "dataset", "dataset_sources"), parameters)
    found.tags = _list(card, "tags", "pipeline_tag")
    found.languages = _list(card, "languages", "language")


def _list(card: dict[str, Any], *keys: str) -> list[str] | None:
    gathered: list[str] | None = None
    for key in keys:
        value = card.get(key)
        if value is None:
            continue
        gathered = (gathered or []) + (
            [value] if isinstance(value, str) else list(value) if isinstance(value, list) else []
        )
    if gathered is not None and len({type(value) for value in gathered}) > 1:  # at which upstream gives up
        return [{False: "no", True: "yes"}[v] if isinstance(v, bool) else str(v) for v in gathered]
    return gathered


def _entries(card: dict[str, Any], keys: tuple[str, ...], parameters: int) -> list[dict[str, Any]] | None:
    present = [key for key in keys if key in card]
    if not present:
        return None
    value = card[present[0]]
    values = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return [_entry(v, parameters) for v in values]


def _entry(value: Any, parameters: int) -> dict[str, Any]:
    """A parent model or data set: a dictionary as it is, a hub id or a URL taken apart."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, str):
        return {}
    entry: dict[str, Any] = {}
    hub_id = value
    if value.startswith(("http://", "https://", "ssh://")):
        entry["repo_url"] = value
        match = re.match(r"https?://huggingface.co/([^/]+/[^/]+)$", value)
        if match is None:
            return entry
        hub_id = match[1]
    parts = parse(hub_id, parameters)
    if parts.name is not None:
        entry["name"] = title(parts.name)
    if parts.organization is not None:
        entry["organization"] = title(parts.organization)
    if parts.version is not None:
        entry["version"] = parts.version
    if parts.organization is not None and parts.name is not None and "repo_url" not in entry:
        entry["repo_url"] = f"https://huggingface.co/{parts.organization}/{parts.name}"
    return entry


def _complete(texts: dict[str, Any], parts: ModelName) -> None:
    """Fill what nothing has said yet from the parts of a name."""
    said = {"name": parts.name and title(parts.name), "organization": parts.organization and title(parts.organization)}
    said |= {key: getattr(parts, key) for key in _FROM_NAMES if key != "organization"}
    for key, value in said.items():
        if value is not None and texts.get(key) is None:
            texts[key] = value


def generation(opened: Checkpoint) -> dict[str, Any]:
    """``generation_config.json``, often missing and often broken; empty then: it is advice, not part of the model."""
    try:
        return opened.json("generation_config.json") or {}
    except KQuantsError:
        return {}


def _sampling(found: General, config: dict[str, Any]) -> None:
    if not config:
        return
    found.sampling = {key: config.get(spelling) for key, spelling in SAMPLING.items()}
    if "penalty_repeat" not in config:
        found.sampling["penalty_repeat"] = config.get("repetition_penalty")


def _override(found: General, path: Path) -> None:
    given = read_json(path, MAX_CONFIG)
    known = [*_OVERRIDABLE, *(f"sampling.{key}" for key in SAMPLING), *_LISTS]
    unknown = [key for key in given if key.removeprefix("general.") not in known or not key.startswith("general.")]
    if unknown:
        names = ", ".join(map(shown, unknown[:5])) + " and others" * (len(unknown) > 5)
        warnings.warn(f"{path}: {names}: no key that is set in this way, left out", stacklevel=2)
    for key in _OVERRIDABLE:
        found.texts[key] = given.get(f"general.{key}", found.texts.get(key))
    for key in SAMPLING:
        found.sampling[key] = given.get(f"general.sampling.{key}", found.sampling.get(key))
    for key in _LISTS:
        value = given.get(f"general.{key}", getattr(found, key))
        if not isinstance(value, list | None):
            raise KQuantsError(f"{path}: general.{key} is a {type(value).__name__}, expected a list")
        if key in ("base_models", "datasets") and not all(isinstance(entry, dict) for entry in value or ()):
            raise KQuantsError(f"{path}: general.{key} holds {shown(value)}, expected a list of objects")
        setattr(found, key, value)
