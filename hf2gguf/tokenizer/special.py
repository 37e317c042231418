"""What a vocabulary says besides its tokens: merges, special ids, what is added to a text, chat templates.

The order in which files are consulted, and what wins, is upstream's (``gguf-py/gguf/vocab.py``, v0.5.0):
``tokenizer.json`` and its post-processor, then ``tokenizer_config.json``, then ``config.json``.
"""

from __future__ import annotations

import string
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gguf_py import Field, KQuantsError, ValueType
from hf2gguf.checkpoint import Checkpoint
from hf2gguf.checkpoint.folder import inside, read_text

Fields = dict[str, Field]
"""Metadata by key. A key put again keeps its place and takes the new value, as in upstream's writer."""

MAX_TOKENIZER = 96 << 20
"""Bytes of the largest tokenizer file that is read; Gemma 3's has 33 million."""

KINDS = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
"""Special tokens looked for by default."""

_ID_KEYS = {
    "bos": "bos",
    "eos": "eos",
    "unk": "unknown",
    "sep": "seperator",  # spelled so in the format
    "pad": "padding",
    "mask": "mask",
    "eot": "eot",
    "eom": "eom",
}
_ADD_KEYS = ("bos", "eos", "sep")


def put(fields: Fields, name: str, value: Any, type: ValueType | None = None, item: ValueType | None = None) -> None:
    """Put ``tokenizer.ggml.<name>``; an empty array is left out, as upstream leaves it out."""
    if isinstance(value, list | bytes) and not value:
        return
    if item is None and isinstance(value, list) and isinstance(value[0], str):
        item = ValueType.STRING  # half a million of them are looked at once, not twice
    key = f"tokenizer.ggml.{name}"
    fields[key] = Field.of(key, value, type, item)


def tokenizer_json(checkpoint: Checkpoint) -> dict[str, Any] | None:
    """``tokenizer.json``, or None when there is none."""
    return checkpoint.json("tokenizer.json", MAX_TOKENIZER)


@dataclass
class Special:
    """Everything but the tokens. ``ids`` and ``add`` keep the order in which they were found."""

    merges: list[str] = field(default_factory=list)
    ids: dict[str, int] = field(default_factory=dict)
    add: dict[str, bool] = field(default_factory=dict)
    template: str | list[Any] | None = None
    lowercase: bool | None = None
    strip_accents: bool | None = None
    n_vocab: int | None = None

    def set(self, kind: str, token_id: Any) -> None:
        """Give the token of this kind an id unless it has one; what is no id or lies outside is passed over."""
        if not isinstance(token_id, int):
            return
        if token_id < 0:
            raise KQuantsError(f"config.json: {kind}_token_id is {token_id}, expected the id of a token")
        if self.n_vocab is None or token_id < self.n_vocab:
            self.ids.setdefault(kind, int(token_id))  # true is one, as upstream writes it

    def fields(self) -> Fields:
        """The metadata, in upstream's order."""
        found: Fields = {}
        put(found, "merges", self.merges)
        for kind, token_id in self.ids.items():
            if kind in _ID_KEYS:
                put(found, f"{_ID_KEYS[kind]}_token_id", token_id, ValueType.UINT32)
        for kind, value in self.add.items():
            if kind in _ADD_KEYS:
                put(found, f"add_{kind}_token", value, ValueType.BOOL)
        _put_templates(found, self.template)
        if self.lowercase is not None:
            put(found, "normalizer.lowercase", self.lowercase, ValueType.BOOL)
        if self.strip_accents is not None:
            put(found, "normalizer.strip_accents", self.strip_accents, ValueType.BOOL)
        return found


def load(
    checkpoint: Checkpoint,
    *,
    merges: bool = False,
    kinds: Iterable[str] = KINDS,
    n_vocab: int | None = None,
    document: dict[str, Any] | None = None,
) -> Special:
    """Read what the checkpoint's files say; ids of ``n_vocab`` and more are passed over.

    ``document`` is what ``tokenizer.json`` holds, for who has read it.
    """
    special, kinds = Special(n_vocab=n_vocab), list(kinds)
    tokenizer = tokenizer_json(checkpoint) if document is None else document
    config = checkpoint.json("tokenizer_config.json")
    added: list[Any] = []
    if tokenizer is not None:
        if merges:
            special.merges = spelled((tokenizer.get("model") or {}).get("merges"))
        _normalizer(special, tokenizer.get("normalizer") or {})
        added = tokenizer.get("added_tokens") or []
        if tokenizer:
            _PostProcessor(special, config, kinds).read(tokenizer.get("post_processor"))
    if config:
        special.template = _template(checkpoint, config)
        _named_tokens(special, config, kinds, added)
    _ids_of_config(special, checkpoint.json("config.json") or {}, kinds)
    if merges and not special.merges:
        special.merges = merges_txt(checkpoint)
    return special


def spelled(merges: Any) -> list[str]:
    """Merges as ``left right``, from either spelling; a space inside a part becomes U+0120, byte-level BPE's space."""
    if not isinstance(merges, list) or not merges:
        return []
    if isinstance(merges[0], str):
        return merges
    return [f"{left} {right}" if " " not in left + right else _with_spaces(left, right) for left, right in merges]


def _with_spaces(*parts: str) -> str:
    return " ".join(part.replace(" ", "\u0120") for part in parts)


def merges_txt(checkpoint: Checkpoint) -> list[str]:
    """The merges of ``merges.txt``, none when there is no such file."""
    path = checkpoint.path("merges.txt")
    if path is None:
        return []
    lines = read_text(path, MAX_TOKENIZER).decode("utf-8").splitlines()
    if lines and lines[0].strip().startswith("#"):
        del lines[0]
    return [" ".join(parts) for parts in (line.split() for line in lines) if len(parts) == 2]


def _normalizer(special: Special, normalizer: Mapping[str, Any]) -> None:
    kind = normalizer.get("type")
    if kind == "Lowercase":
        special.lowercase = True
    elif kind == "StripAccents":
        special.strip_accents = True
    elif kind == "BertNormalizer":
        special.lowercase = normalizer.get("lowercase", special.lowercase)
        special.strip_accents = normalizer.get("strip_accents", special.strip_accents)
    elif kind == "Sequence":
        for part in normalizer.get("normalizers", []):
            _normalizer(special, part)


class _PostProcessor:
    """What a post-processor says about the tokens added to a text; it may name tokens in ``config`` and ``kinds``."""

    def __init__(self, special: Special, config: dict[str, Any] | None, kinds: list[str]) -> None:
        self.special, self.config, self.kinds = special, config, kinds
        given = config or {}
        self.bos, self.cls = given.get("bos_token"), given.get("cls_token")
        self.eos, self.sep = given.get("eos_token"), given.get("sep_token")
        if not self.bos and self.cls:
            self.bos = self._name("bos", self.cls)
        if not self.eos and self.sep:
            self.eos = self._name("eos", self.sep)

    def _name(self, kind: str, token: Any) -> Any:
        if self.config:
            self.config[f"{kind}_token"] = token
        return token

    def read(self, processor: Any) -> None:
        if not processor:
            return
        for part in processor.get("processors", [processor]):
            kind = part.get("type")
            if kind == "ByteLevel":
                self.special.add.setdefault("bos", False)
                self.special.add.setdefault("eos", False)
            elif kind == "RobertaProcessing":
                self._roberta(part)
            elif kind == "TemplateProcessing":
                self._template(part.get("single", []), part.get("pair", []))

    def _roberta(self, part: Mapping[str, Any]) -> None:
        self.special.add.update(bos=True, eos=True, sep=True)
        if not self.cls and self.config:
            self.cls = self._name("cls", part.get("cls", [self.bos])[0])
        if not self.sep and self.config:
            self.sep = self._name("sep", part.get("sep", [self.eos])[0])

    def _template(self, single: list[Any], pair: list[Any]) -> None:
        first = _token(single[0]) if len(single) > 1 else None
        last = _token(single[-1]) if len(single) > 1 else None
        if first:
            self._first(first)
        if last:
            self._last(last)
        if pair:
            self._between(pair, first, last)

    def _first(self, token: str) -> None:
        if not self.config:
            self.bos = token
        elif token not in (self.bos, self.cls):
            if not self.bos:
                self.bos = self._name("bos", token)
            if not self.cls:
                self.cls = self._name("cls", token)
        self.special.add["bos"] = token in (self.bos, self.cls)

    def _last(self, token: str) -> None:
        if not self.config:
            self.eos = token
        elif token != self.eos:
            # The text ends with another token than the configured one, which then ends a turn or a message.
            kind = next((k for k in ("eot", "eom") if k not in self.kinds), None)
            if kind is not None:
                self.kinds.append(kind)
                self._name(kind, self.eos)
            self.eos = self._name("eos", token)
        self.special.add["eos"] = True

    def _between(self, pair: list[Any], first: str | None, last: str | None) -> None:
        """Whether a separator stands between two texts: the middle of ``first A … B last``."""
        if first and _token(pair[0]) == first:
            pair = pair[1:]
        if last and pair and _token(pair[-1]) == last:
            pair = pair[:-1]
        if len(pair) < 3 or _sequence(pair[0]) != "A" or _sequence(pair[-1]) != "B":
            return
        middle, ends = pair[1:-1], (self.sep, self.eos)
        token = _token(middle[0])
        add = bool(token) and token in ends and not last
        if len(middle) == 2:
            token = _token(middle[1])
            add = add or (bool(token) and token in ends)
        self.special.add["sep"] = add
        if add and not self.sep:
            self._name("sep", self.eos)


def _token(part: Mapping[str, Any]) -> Any:
    return part.get("SpecialToken", {}).get("id")


def _sequence(part: Mapping[str, Any]) -> Any:
    return part.get("Sequence", {}).get("id")


def _named_tokens(special: Special, config: Mapping[str, Any], kinds: Iterable[str], added: list[Any]) -> None:
    for kind in kinds:
        add = config.get(f"add_{kind}_token")
        if isinstance(add, bool):
            special.add.setdefault(kind, add)
        token = config.get(f"{kind}_token")
        content = token.get("content") if isinstance(token, dict) else token
        if isinstance(content, str):
            special.set(kind, next((entry.get("id") for entry in added if entry.get("content") == content), None))


def _ids_of_config(special: Special, config: Mapping[str, Any], kinds: Iterable[str]) -> None:
    text = config.get("text_config") or {}
    for kind in kinds:
        token_id = config.get(f"{kind}_token_id")
        special.set(kind, text.get(f"{kind}_token_id") if token_id is None else token_id)


def _template(checkpoint: Checkpoint, config: Mapping[str, Any]) -> str | list[Any] | None:
    jinja = checkpoint.path("chat_template.jinja")
    other: Any = None
    if jinja is not None:
        other = text_of(jinja)
        more = inside(checkpoint.dir, "additional_chat_templates")
        if more.is_dir() and (paths := sorted(more.glob("*.jinja"))):
            named = [{"name": path.stem, "template": text_of(inside(more, path.name))} for path in paths]
            other = [{"name": "default", "template": other}, *named]
    elif (alone := checkpoint.json("chat_template.json")) is not None:
        other = alone.get("chat_template")
    template = config.get("chat_template", other)
    return template if isinstance(template, str | list) else None


def bundled(checkpoint: Checkpoint, name: str) -> str | None:
    """The chat template that upstream's converter adds from its own source tree, where a copy is in the folder.

    Warns where there is none, and returns None.
    """
    path = checkpoint.path(name)
    if path is not None:
        return text_of(path)
    message = (
        f"{checkpoint.dir}: has no chat template, and llama.cpp's converter would add its own models/templates/{name}:"
        " copy that into the folder, or give it to kquants edit --chat-template"
    )
    warnings.warn(message, stacklevel=2)
    return None


def text_of(path: Path) -> str:
    # Upstream reads in text mode, where a carriage return ends a line too.
    return read_text(path).decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")


def _put_templates(found: Fields, template: str | list[Any] | None) -> None:
    """The default template and the named ones; like every empty text, an empty template is left out."""
    key = "tokenizer.chat_template"
    if isinstance(template, list):
        default, names = None, []
        for choice in template:
            name = "".join(c if c in string.ascii_letters + string.digits else "_" for c in choice.get("name", ""))
            if not name or choice.get("template") is None:
                continue
            if name == "default":
                default = choice["template"]
            else:
                names.append(name)
                if choice["template"]:
                    found[f"{key}.{name}"] = Field.of(f"{key}.{name}", choice["template"], ValueType.STRING)
        if names:
            # Upstream lists them in the order of a set, which changes from run to run; here in the file's.
            found[f"{key}s"] = Field.of(f"{key}s", list(dict.fromkeys(names)))
        template = default
    if template:
        found[key] = Field.of(key, template, ValueType.STRING)
