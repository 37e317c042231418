"""A model on a terminal: what it is at a glance, its metadata, its tensors, and their shares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from . import summary
from .show import ROOMY, brief, counted, kind, named, shape, short, size, visible, word
from .terminal import Table, Terminal

if TYPE_CHECKING:
    from gguf_py import Field, ShardSet, Tensor


def glance(out: Terminal, model: ShardSet) -> None:
    """What the model is, a fact a line; facts that the file does not tell are left out."""
    told: dict[str, Any] = summary.facts(model.fields, model.tensors.values())
    told = {key: visible(found) if isinstance(found, str) else found for key, found in told.items()}
    made = f"GGUF v{model.version}" + (", big-endian" if model.byteorder == "big" else "")
    shards = f" in {len(model.files)} shards" if len(model.files) > 1 else ""
    rows = {
        "file": f"{visible(str(model.path))}  ({made}, {size(model.size)}{shards})",
        "model": told.get("name"),
        "architecture": _architecture(told),
        "weights": f"{_many(told['weights'])} in {counted(told['tensors'], 'tensor')}, {size(told['nbytes'])}"
        if told.get("weights")
        else "none",
        "file type": _file_type(told),
        "context": f"{told['context']:,} tokens" if isinstance(told.get("context"), int) else told.get("context"),
        "memory": _memory(told),
        "vocabulary": _vocabulary(told),
        "chat template": _templates(told.get("templates", {})),
        "license": told.get("license"),
        "author": told.get("author"),
        "based on": told.get("based_on"),
    }
    for name, text in rows.items():
        if text:
            out.print(f"{name:>13}  ", end="", style="dim")
            out.print(str(text))


def _architecture(told: Mapping[str, Any]) -> str | None:
    parts = [str(told.get("architecture", "not stated"))]
    for key, unit in (("layers", "layers"), ("width", "wide"), ("heads", "heads")):
        if key in told:
            parts.append(f"{told[key]} {unit}")
    if "kv_heads" in told and told["kv_heads"] != told.get("heads"):
        parts[-1] += f" ({told['kv_heads']} for keys and values)"
    if told.get("experts"):
        parts.append(f"{told['experts']} experts ({told.get('experts_used', '?')} used)")
    return ", ".join(parts)


def _file_type(told: Mapping[str, Any]) -> str | None:
    parts = [told["file_type"]] if "file_type" in told else []
    if told.get("weights"):
        parts.append(f"{told['bpw']:.2f} bits per weight")
    if "importance_matrix" in told:
        parts.append("importance matrix")
    return ", ".join(parts)


def _memory(told: Mapping[str, Any]) -> str | None:
    """What it takes to run the model, beside some working space."""
    if not told.get("weights") or "cache" not in told:
        return None
    cache = f"{size(told['cache'])} of keys and values (F16, {told['context']:,} tokens)"
    return f"{size(told['nbytes'])} of weights, and up to {cache}"


def _vocabulary(told: Mapping[str, Any]) -> str | None:
    count, kind, pre = (told.get(key) for key in ("vocabulary", "tokenizer", "pre_tokenizer"))
    words = f"{count:,} tokens" if isinstance(count, int) else ""
    return ", ".join(str(part) for part in (words, f"{kind} ({pre})" if kind and pre else kind) if part)


def _templates(lengths: Mapping[str, int]) -> str | None:
    if list(lengths) == ["default"]:
        return f"{lengths['default']:,} characters"
    return ", ".join(f"{visible(name)} ({length:,} characters)" for name, length in lengths.items())


def _many(count: int) -> str:
    """Weights as people count them: 134.5 M, 1.10 B."""
    for unit, scale in (("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= scale:
            return f"{count / scale:.4g} {unit}"
    return str(count)


def metadata(out: Terminal, fields: list[Field], full: bool) -> None:
    """Keys, types and values in file order; each value on one line, or with ``full`` whole."""
    _heading(out, "metadata key", fields)
    if full:  # not a table: a column as long as a chat template would be filled with blanks
        for field in fields:
            out.print(f"{visible(field.key)}  ", end="", style="bold")
            out.print(kind(field), style="dim")
            for line in [field.value] if field.count is None else field.value:
                for part in word(line, field.item or field.type).split("\n"):
                    out.print("    " + visible(part))
        return
    cells = [(short(visible(field.key), 80), kind(field)) for field in fields]
    left = out.width - sum(max((len(row[i]) for row in cells), default=0) + 2 for i in (0, 1))
    rows = Table(("key", "type", "value"), fold=("key", "value"))
    for (key, type_), field in zip(cells, fields, strict=True):
        rows.add(key, type_, brief(field, max(20, min(left, 100))))
    if fields:
        out.put(rows)


def tensors(out: Terminal, tensors: list[Tensor], alike: bool, full: bool) -> None:
    """Tensors in file order; ``alike`` puts layers alike into one row, ``full`` says bytes and offsets."""
    _heading(out, "tensor", tensors)
    if alike:
        fold = ("layers",) if out.width >= ROOMY else ("name", "layers")
        rows = Table(("name", "layers", "type", "shape", "size each"), right=("size each",), fold=fold)
        for name, numbers, tensor in _alike(tensors):
            rows.add(named(name), numbers, tensor.type.name, shape(tensor.shape), size(tensor.nbytes))
    elif full:
        figures = ("bytes", "bits per weight", "offset")
        rows = Table(("name", "type", "shape", *figures), right=figures, fold=("name",))
        for t in tensors:
            bpw = f"{t.type.bpw:.4g}"
            rows.add(visible(t.name), t.type.name, shape(t.shape), f"{t.nbytes:,}", bpw, f"{t.offset:,}")
    else:
        rows = Table(("name", "type", "shape", "size"), right=("size",), fold=("name",))
        for t in tensors:
            rows.add(named(t.name), t.type.name, shape(t.shape), size(t.nbytes))
    if tensors:
        out.put(rows)


def _alike(tensors: Iterable[Tensor]) -> Iterable[tuple[str, str, Tensor]]:
    """Tensors that differ in nothing but their layer, together: a name with a star, the layers, one of them."""
    groups: dict[Any, list[tuple[int, Tensor]]] = {}
    for tensor in tensors:
        found = summary.LAYER.fullmatch(tensor.name)
        name = f"{found['stack']}.*.{found['rest']}" if found else tensor.name
        number = int(found["layer"]) if found else -1
        groups.setdefault((name, tensor.type, tensor.shape), []).append((number, tensor))
    for (name, _, _), group in groups.items():
        numbers = [n for n, _ in group]
        yield (group[0][1].name if len(group) == 1 else name), summary.ranges(n for n in numbers if n >= 0), group[0][1]


def shares(out: Terminal, tensors: list[Tensor]) -> None:
    """How much of the file each tensor type takes, and which types the layers have."""
    if not tensors:
        return
    whole = summary.Share.of(tensors)
    figures = ("tensors", "weights", "size", "bits per weight", "share")
    types = Table(("type", *figures), right=figures)
    for name, share in summary.by_type(tensors).items():
        part = f"{share.nbytes / whole.nbytes:.1%}" if whole.nbytes else ""
        types.add(name, f"{share.tensors:,}", _many(share.weights), size(share.nbytes), f"{share.bpw:.4g}", part)
    _heading(out, "tensor type", types.rows)
    out.put(types)
    layers = summary.by_layer(tensors)
    numbers = sum(len(alike.numbers) for alike in layers)
    if not numbers:
        return
    right = ("weights each", "size each", "bits per weight")
    rows = Table(("layers", "types", *right), right=right, fold=("layers", "types"))
    for alike in layers:
        name = f"{alike.stack} {summary.ranges(alike.numbers)}" if alike.stack else "outside"
        kinds = ", ".join(f"{count} {kind}" for kind, count in alike.types.items())
        each = alike.each
        rows.add(visible(name), kinds, _many(each.weights), size(each.nbytes), f"{each.bpw:.4g}")
    _heading(out, "layer", range(numbers))
    out.put(rows)


def _heading(out: Terminal, noun: str, things: Any) -> None:
    out.print()
    out.print(counted(len(things), noun), style="bold")
