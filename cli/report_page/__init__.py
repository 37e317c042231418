"""One self-contained page about a file: what is in it, how its weights are spread, and what quantizing cost."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from gguf_py import KQuantsError, ShardSet, Tensor, ValueType
from kquants.figures import (
    CHUNK,
    GROUP,
    Departure,
    Floats,
    Sums,
    decodes,
    departure_of,
    departure_sums,
    departure_table,
    histogram,
    in_chunks,
    reader,
    spread_of,
    spread_sums,
    spread_table,
    together,
)

from .. import summary
from ..show import brief, kind, shape, size, value

BINS = 65  # odd: zero lies in the middle of one
REACH = 4
"""How far a histogram goes to either side, in root mean squares; what lies beyond is counted in the last bins."""
SAMPLE = CHUNK // 64
"""Weights of each chunk that a histogram counts: about one in sixty-four."""
LONG = 2000
"""Characters of a metadata value that are shown."""


def describe(
    file: ShardSet, source: ShardSet | None = None, progress: Callable[[int], None] = lambda _: None
) -> dict[str, Any]:
    """All that the page shows, as JSON can hold it; ``source`` is the file that ``file`` was quantized from.

    ``progress`` is told the bytes of each tensor when its weights have been read. Raises KQuantsError when the two
    files have no tensor in common.
    """
    if source is not None and not set(file.tensors) & set(source.tensors):
        raise KQuantsError(f"{source.path} has none of the tensors of {file.path}")
    rows, lost = [], []
    tensors, origins = file.tensors.values(), source.tensors if source is not None else {}
    with ThreadPoolExecutor(2) as abreast:  # while one tensor's figures are made, the next one's weights are read
        found = abreast.map(_tensor, tensors, (origins.get(name) for name in file.tensors))
        for tensor, (row, departure) in zip(tensors, found, strict=True):
            rows.append(row)
            lost += [] if departure is None else [departure]
            progress(tensor.nbytes)
    tokens = file.fields.get("tokenizer.ggml.tokens")
    kinds = file.metadata.get("tokenizer.ggml.token_type")
    return {
        "file": _place(file),
        "name": _name(file),
        "facts": _facts(file) + ([("relative RMS error", f"{together(lost):.3%}")] if lost else []),
        "tensors": rows,
        "metadata": [{"key": k, "type": kind(f), "value": brief(f, LONG)} for k, f in file.fields.items()],
        "tokens": list(tokens.value) if tokens is not None and tokens.item is ValueType.STRING else None,
        "token_types": _digits(kinds) if isinstance(kinds, np.ndarray) and kinds.dtype.kind == "i" else "",
        "templates": _templates(file),
        "footer": f"Made by kquants from {_place(file)}" + (f", compared with {_place(source)}." if source else "."),
    }


def render(document: dict[str, Any]) -> bytes:
    """The page, as UTF-8."""
    here = Path(__file__).parent
    parts = {name: (here / f"page.{name}").read_text("utf-8") for name in ("html", "css", "js")}
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # Inside a script element only "</" and "<!--" could end or change what follows; JSON may spell "<" otherwise.
    filled = {
        "title": escape(f"{document['name']}: report"),
        "css": parts["css"],
        "data": text.replace("<", "\\u003c"),
        "js": parts["js"],
    }
    # In one pass: what is filled in is never searched for a place to fill. What is no text becomes question marks.
    page = re.sub(r"\{\{(\w+)\}\}", lambda place: filled[place[1]], parts["html"])
    return page.encode("utf-8", "replace")


_FACTS = (
    "architecture",
    "file type",
    "weights",
    "bits per weight",
    "size",
    "layers",
    "width",
    "heads",
    "context",
    "KV cache",
    "vocabulary",
    "tokenizer",
    "experts",
    "license",
    "author",
    "based on",
)


def _facts(file: ShardSet) -> list[tuple[str, str]]:
    """What the model is, at a glance: label and value, those that the file tells."""
    told = summary.facts(file.fields, file.tensors.values())
    if told.get("weights"):
        told["bits per weight"] = f"{told['bpw']:.3f}"
    else:
        told.pop("weights", None)
    if told.get("weights") and "cache" in told:
        told["KV cache"] = f"up to {size(told['cache'])}"
    told |= {"size": size(file.size), "file type": told.get("file_type"), "based on": told.get("based_on")}
    return [(label, _text(told[label])) for label in _FACTS if told.get(label) is not None]


def _text(found: Any) -> str:
    whole = isinstance(found, int) and not isinstance(found, bool)
    return f"{found:,}" if whole else value(found, 60)


def _name(file: ShardSet) -> str:
    name = file.metadata.get("general.name")
    return name if isinstance(name, str) and name else _place(file)


def _place(file: ShardSet) -> str:
    """The name of the file alone: a page is handed on, and where the file lies is nobody's business."""
    others = f" and {len(file.files) - 1} more" if len(file.files) > 1 else ""
    return Path(file.path).name + others


def _templates(file: ShardSet) -> list[tuple[str, str]]:
    prefix = "tokenizer.chat_template"
    found = [(k, v) for k, v in file.metadata.items() if k.startswith(prefix) and isinstance(v, str)]
    return [(key[len(prefix) + 1 :] or "default", text) for key, text in found]


def _digits(kinds: Any) -> str:
    """Kinds of tokens, a digit each: 0 for what is none."""
    return np.where((kinds > 0) & (kinds < 10), kinds + ord("0"), ord("0")).astype(np.uint8).tobytes().decode()


def _tensor(tensor: Tensor, source: Tensor | None) -> tuple[dict[str, Any], Departure | None]:
    """A row of the page, and how far the weights lie from the source's."""
    row: dict[str, Any] = {
        "name": tensor.name,
        "type": tensor.type.name,
        "shape": tensor.shape,
        "weights": tensor.count,
        "bytes": tensor.nbytes,
        "bpw": tensor.type.bpw,
    }
    if not tensor.count or not decodes(tensor):
        return {**row, "note": f"{tensor.type.name} weights are not decoded here"}, None
    if source is not None and source.shape != tensor.shape:
        row["note"] = f"the source's shape is {shape(source.shape)}"
        source = None
    if source is not None and not decodes(source):
        row["note"] = f"the source's {source.type.name} weights are not decoded here"
        source = None

    read, read_source = reader(tensor), None if source is None else reader(source, 1)
    groups = spread_table(tensor.count)
    departures = departure_table(0 if source is None else tensor.count)

    def look(lo: int, hi: int) -> Floats:
        ours = read(lo, hi)
        spread_sums(ours, lo, groups)
        if read_source is not None:
            departure_sums(read_source(lo, hi), ours, lo, departures)
        return ours.sample(SAMPLE).weights()

    sample = np.concatenate(in_chunks(look, tensor.count))
    spread = spread_of(groups, tensor.count)
    largest = max(abs(spread.least), abs(spread.most))
    reach = REACH * spread.rms or 1.0
    row |= {
        "mean": spread.mean,
        "rms": spread.rms,
        "least": spread.least,
        "most": spread.most,
        "crest": largest / spread.rms if spread.rms else None,
        "scales": _scales(groups, tensor.count),
        "reach": reach,
        "histogram": histogram(sample, reach, BINS) if np.isfinite(reach) else None,
    }
    if source is None:
        return _jsonable(row), None
    told = departure_of(departures, tensor.count)
    row |= {name: getattr(told, name) for name in ("relative", "cosine", "largest", "worst", "worst_at")}
    return _jsonable(row), told


def _scales(groups: Sums, count: int) -> list[float]:
    """Least, median and greatest root mean square of the groups of 256 weights."""
    squares = groups[1] / GROUP
    squares[-1] *= GROUP / (count - GROUP * (len(squares) - 1))
    middle = len(squares) // 2
    squares.partition(middle)  # at one place, which is fast; np.median would import numpy.ma
    below, above = squares[:middle], squares[middle:]
    medians = [above[0]] if len(squares) % 2 else [below.max(), above[0]]
    found = np.sqrt([squares.min(), *medians, above.max()])
    return [float(found[0]), float(found[1:-1].mean()), float(found[-1])]


def _jsonable(row: dict[str, Any]) -> dict[str, Any]:
    """Numbers that are not finite as null, floats to eight digits: more than a page shows."""

    def plain(found: Any) -> Any:
        if isinstance(found, list) and found and isinstance(found[0], float):
            return [plain(item) for item in found]
        if isinstance(found, float):
            return float(f"{found:.8g}") if math.isfinite(found) else None
        return found

    return {key: plain(found) for key, found in row.items()}
