"""How a file shows itself in a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from .types import ValueType

if TYPE_CHECKING:
    from .file import GGUFFile
    from .shards import ShardSet
    from .values import Field

_MOST = 200
"""Rows of a table that are shown; the rest is counted."""


def page(file: GGUFFile | ShardSet) -> str:
    """A heading and two tables, metadata and tensors, as HTML; everything from the file is escaped."""
    tensors = [
        (t.name, t.type.name, " × ".join(map(str, t.shape)), f"{t.nbytes:,}")
        for t in list(file.tensors.values())[:_MOST]
    ]
    return (
        f"<p><b>{_text(str(file.path))}</b>: GGUF v{file.version}, {file.byteorder}-endian, {file.size:,} bytes</p>"
        + keys(file.fields)
        + _table("tensors", len(file.tensors), ("name", "type", "shape", "bytes"), tensors)
    )


def keys(fields: Mapping[str, Field]) -> str:
    """A table of metadata as HTML."""
    rows = [(key, field.type_name, _brief(field)) for key, field in list(fields.items())[:_MOST]]
    return _table("metadata keys", len(fields), ("key", "type", "value"), rows)


def _table(what: str, count: int, heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    cells = "".join(f"<th>{head}</th>" for head in heads)
    body = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    rest = f"<p>… and {count - len(rows):,} more</p>" if count > len(rows) else ""
    return f"<details open><summary>{count:,} {what}</summary><table><tr>{cells}</tr>{body}</table>{rest}</details>"


def _text(found: str) -> str:
    """Escaped; what is no text (lone surrogates), which no notebook can keep, as question marks."""
    return escape(found.encode("utf-8", "replace").decode())


def _brief(field: Field) -> str:
    value = field.value
    if field.type is ValueType.FLOAT32:
        value = float(f"{value:.8g}")
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 100 else text[:99] + "…"
