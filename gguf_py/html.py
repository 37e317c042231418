"""How a file shows itself in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .reader import GGUFFile
    from .shards import ShardSet

_MOST = 200
"""Rows of a table that are shown; the rest is counted."""


def page(file: GGUFFile | ShardSet) -> str:
    """A heading and two tables, metadata and tensors, as HTML; everything from the file is escaped."""
    fields = [(key, field.type_name, _brief(field.value)) for key, field in list(file.fields.items())[:_MOST]]
    tensors = [
        (t.name, t.type.name, " × ".join(map(str, t.shape)), f"{t.nbytes:,}")
        for t in list(file.tensors.values())[:_MOST]
    ]
    return (
        f"<p><b>{escape(str(file.path))}</b>: GGUF v{file.version}, {file.byteorder}-endian, {file.size:,} bytes</p>"
        + _table("metadata keys", len(file.fields), ("key", "type", "value"), fields)
        + _table("tensors", len(file.tensors), ("name", "type", "shape", "bytes"), tensors)
    )


def _table(what: str, count: int, heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    cells = "".join(f"<th>{head}</th>" for head in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    rest = f"<p>… and {count - len(rows):,} more</p>" if count > len(rows) else ""
    return f"<details open><summary>{count:,} {what}</summary><table><tr>{cells}</tr>{body}</table>{rest}</details>"


def _brief(value: Any) -> str:
    text = str(value) if isinstance(value, str) else repr(value)
    return text if len(text) <= 100 else text[:99] + "…"
