"""How the commands show things: aligned tables, short values, and nothing from a file that a terminal would obey."""

from __future__ import annotations

import json
import math
import struct
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from gguf_py.strings import Strings
from gguf_py.types import ValueType

if TYPE_CHECKING:
    from gguf_py import Field

ROOMY = 80
"""Columns of a terminal in which a tensor's name stays whole."""
NAMED = 200
"""Characters of a name that are shown: ggml has room for 63 bytes."""
_SHOWN = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}


def visible(text: str) -> str:
    """The text on one line, control and formatting characters spelled as escapes: ``\\x1b``, ``\\u202e``."""
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(c if c == " " or (c.isprintable() and c != "\\") else spelled(c) for c in text)


def one_line(text: str) -> str:
    """A message, whatever a file or a server put into it: what a terminal would obey is spelled, the rest stays."""
    return text if text.isprintable() else "".join(c if c.isprintable() else spelled(c) for c in text)


def spelled(character: str) -> str:
    """A character that a terminal would obey or hide, as an escape."""
    if character in _SHOWN:
        return _SHOWN[character]
    code = ord(character)
    if unicodedata.category(character) == "Zs":
        return character
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def named(text: str) -> str:
    """A tensor's name or a key on one line; one that is longer than any that is meant is cut."""
    return short(visible(text[: NAMED + 1]), NAMED)


def short(text: str, width: int) -> str:
    """At most ``width`` characters, the last an ellipsis when some are missing."""
    return text if len(text) <= width else text[: width - 1] + "…"


def value(found: Any, width: int = 80) -> str:
    """A metadata value on one line of at most ``width`` visible characters."""
    if isinstance(found, str):
        return short(visible(found[: 4 * width]), width)
    if hasattr(found, "dtype") and not found.shape:
        found = found.item()  # one of an array's
    if isinstance(found, bool):
        return "true" if found else "false"
    if not isinstance(found, (int, float)):  # an array, NumPy's or not: NumPy itself would cost a tenth of a second
        few = [visible(v) if isinstance(v, str) else str(v) for v in islice(found, 8)]
        rest = f", … {len(found):,} in all" if len(found) > len(few) else ""
        return short("[" + ", ".join(few), width - len(rest) - 1) + rest + "]"
    return short(f"{found:.9g}" if isinstance(found, float) else str(found), width)


def float32(found: float) -> str:
    """The shortest decimal that is this float32 and no other."""
    if not math.isfinite(found):
        return str(found)
    own = struct.pack("f", found)
    near = (float(f"{found:.{digits}g}") for digits in range(1, 10))
    return f"{next(x for x in near if struct.pack('f', x) == own):.9g}"


def word(found: Any, kind: ValueType) -> str:
    """A value of a metadata type as a shell script wants it, nothing escaped and nothing cut."""
    if isinstance(found, str):
        return found
    if kind is ValueType.BOOL:
        return "true" if found else "false"
    if kind is ValueType.FLOAT32:
        return float32(float(found))
    return str(plain(found))


def plain(found: Any) -> Any:
    """A metadata value as JSON can hold it; numbers that are not finite become null."""
    found = found.tolist() if hasattr(found, "tolist") else found
    if isinstance(found, Strings):
        return list(found)
    if isinstance(found, (list, tuple, Sequence)) and not isinstance(found, str):
        return [plain(item) for item in found]
    if isinstance(found, float):
        return found if math.isfinite(found) else None
    return found


def json_text(found: Any, indent: str = "") -> str:
    """A document as JSON text: indented, but a list of words or numbers, such as a vocabulary, on one line."""
    inner = indent + "  "
    if isinstance(found, dict) and found:
        lines = [f"{inner}{json.dumps(key)}: {json_text(item, inner)}" for key, item in found.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(found, list) and found and isinstance(found[0], dict):
        return "[\n" + ",\n".join(inner + json_text(item, inner) for item in found) + f"\n{indent}]"
    return json.dumps(found, allow_nan=False)


def shape(axes: Iterable[int]) -> str:
    """``32000 × 2048``, rows first."""
    return " × ".join(map(str, axes)) or "scalar"


def kind(field: Field) -> str:
    """The type of a metadata field, as ``edit --set`` takes it, and how many items it has: ``string[4,096]``."""
    count = "" if field.count is None else f"[{field.count:,}]"
    return (field.item or field.type).name.lower() + count


def brief(field: Field, width: int = 80) -> str:
    """The value of a metadata field on one line of at most ``width`` characters, of an array the first items."""
    if field.count is None:
        return float32(field.value) if field.type is ValueType.FLOAT32 else value(field.value, width)
    few = [float32(v) if field.item is ValueType.FLOAT32 else value(v, 24) for v in field.first(8)]
    while len(few) > 1 and len(", ".join(few)) + 3 > width:
        few.pop()
    few = [short(text, width - 3) for text in few]
    return ", ".join(few) + (", …" if field.count > len(few) else "")


def counted(count: int, noun: str) -> str:
    """``1 tensor``, ``1,200 tensors``."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def size(count: float) -> str:
    """Bytes as people say them: ``668.2 MB``."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.4g} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
