"""Change a list of metadata fields: set, rename, remove, special tokens, chat templates.

The order is that of upstream's ``gguf-new-metadata``: ``general.architecture`` first, what is changed where it was,
what is new at the end, chat templates before the rest of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .errors import KQuantsError
from .layout import ALIGNMENT_KEY, stated_alignment
from .types import ValueType
from .values import Field

ARCHITECTURE = "general.architecture"
CHAT_TEMPLATE = "tokenizer.chat_template"
TOKENS = "tokenizer.ggml.tokens"
_ROLES = "bos eos eot eom unknown seperator padding mask prefix suffix middle".split()
_ROLES += [f"fim_{part}" for part in ("pre", "suf", "mid", "pad", "rep", "sep")]
_ALIASES = {"unk": "unknown", "pad": "padding", "sep": "seperator", "separator": "seperator"}
SPECIAL_TOKENS = {name: f"tokenizer.ggml.{role}_token_id" for name, role in ({r: r for r in _ROLES} | _ALIASES).items()}
"""Metadata key of each special token; the key of the separator is misspelled everywhere and stays so."""


def assign(text: str, fields: Mapping[str, Field]) -> Field:
    """The field that ``KEY=VALUE`` or ``KEY:TYPE=VALUE`` asks for.

    TYPE is a metadata type, ``uint32``, or an array of one, ``string[]``, whose value is JSON. Without it, the key
    keeps the type that it has in ``fields``; a new key is a string. Raises KQuantsError when there is no value, when
    the value does not fit, and when a new key's value looks like a number or a truth and no type is given.
    """
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise KQuantsError(f"{text!r} is no KEY=VALUE")
    name, _, spelled = key.rpartition(":")
    found = _type(spelled)
    if name and found is not None:
        return Field.of(name, _parse(name, value, *found), *found)
    if key in fields:
        old = fields[key]
        return Field.of(key, _parse(key, value, old.type, old.item), old.type, old.item)
    if re.fullmatch(r"[-+]?[\d.]+(e[-+]?\d+)?|true|false|\[.*\]", value, re.IGNORECASE | re.DOTALL):
        raise KQuantsError(f"metadata key {key!r} is new: say which type it has, such as {key}:uint32={value}")
    return Field.of(key, value, ValueType.STRING)


def _type(spelled: str) -> tuple[ValueType, ValueType | None] | None:
    name = spelled.removesuffix("[]").upper()
    if name not in ValueType.__members__ or name == "ARRAY":
        return None
    return (ValueType.ARRAY, ValueType[name]) if spelled.endswith("[]") else (ValueType[name], None)


def _parse(key: str, text: str, type_: ValueType, item: ValueType | None) -> Any:
    if type_ is ValueType.STRING:
        return text
    try:
        if type_ is ValueType.ARRAY:
            value = json.loads(text)
            if not isinstance(value, list):
                raise ValueError
            return value
        if type_ is ValueType.BOOL:
            return {"true": True, "false": False, "1": True, "0": False}[text.lower()]
        return float(text) if type_ in _FLOATS else int(text, 0)
    except (ValueError, KeyError):
        wanted = f"a JSON array of {item.name}" if item is not None else type_.name
        raise KQuantsError(f"metadata key {key!r}: {wanted} is expected, found {text[:60]!r}") from None


_FLOATS = (ValueType.FLOAT32, ValueType.FLOAT64)


def special_token(
    name: str, fields: Mapping[str, Field], *, text: str | None = None, number: int | None = None
) -> Field:
    """The field that makes a token special, named by its ``text`` or its ``number``.

    Raises KQuantsError for a role that does not exist, and for a token that the vocabulary does not have.
    """
    key = SPECIAL_TOKENS.get(name)
    if key is None:
        raise KQuantsError(f"there is no special token {name!r}; there are {', '.join(SPECIAL_TOKENS)}")
    if TOKENS not in fields or fields[TOKENS].item is not ValueType.STRING:
        raise KQuantsError(f"special token {name!r}: the file has no vocabulary ({TOKENS})")
    tokens = fields[TOKENS].value
    if text is not None:
        number = next((i for i, token in enumerate(tokens) if token == text), None)
        if number is None:
            raise KQuantsError(f"special token {name!r}: the vocabulary has no token {text!r}")
    if number is None or not 0 <= number < len(tokens):
        raise KQuantsError(f"special token {name!r}: {number} is no token of a vocabulary of {len(tokens):,}")
    return Field.of(key, number, ValueType.UINT32)


def chat_templates(found: str | Sequence[Mapping[str, str]]) -> list[Field]:
    """The fields of one chat template, or of several with names, in upstream's order."""
    if isinstance(found, str):
        return [Field.of(CHAT_TEMPLATE, found)] if found else []
    named = {re.sub(r"[^a-zA-Z0-9]", "_", t["name"]): t["template"] for t in found if t.get("name") and "template" in t}
    default = named.pop("default", "")
    fields = [Field.of(f"{CHAT_TEMPLATE}.{name}", template) for name, template in named.items() if template]
    if named:
        fields.append(Field.of(f"{CHAT_TEMPLATE}s", list(named), item=ValueType.STRING))
    return fields + chat_templates(default)


def edit(
    fields: Mapping[str, Field],
    *,
    remove: Iterable[str] = (),
    rename: Mapping[str, str] | None = None,
    replace: Iterable[Field] = (),
    templates: Sequence[Field] | None = None,
) -> list[Field]:
    """Fields after removing keys, giving keys new names, and putting fields in place of those of the same key.

    ``templates``, unless None, take the place of every chat template. Raises KQuantsError when a key to remove or to
    rename is not there, when a new name is taken, and when the alignment is to be one that llama.cpp refuses.
    """
    remove, rename, new = set(remove), dict(rename or {}), {field.key: field for field in replace}
    for key in (*remove, *rename):
        if key not in fields:
            raise KQuantsError(f"there is no metadata key {key!r}")
    kept: dict[str, Field] = {}
    for field in fields.values():
        if field.key in remove or (templates is not None and field.key.startswith(CHAT_TEMPLATE)):
            continue
        if field.key in rename:
            field = field.renamed(rename[field.key])
            if field.key in fields and field.key not in (*remove, *rename):
                raise KQuantsError(f"there is a metadata key {field.key!r} already")
        if field.key in kept:
            raise KQuantsError(f"there is a metadata key {field.key!r} already")
        kept[field.key] = new.pop(field.key, field)
    alignment = stated_alignment(new.values())
    if alignment & (alignment - 1):
        raise KQuantsError(f"metadata key {ALIGNMENT_KEY!r}: {alignment} is no power of two")
    first = [place.pop(ARCHITECTURE) for place in (kept, new) if ARCHITECTURE in place]
    added = [f for f in templates or () if f.key not in new]
    return first + list(kept.values()) + added + list(new.values())
