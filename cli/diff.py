"""``kquants diff``: what is different between two GGUF files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import arguments

if TYPE_CHECKING:
    from gguf_py import Field, Tensor
    from kquants.compare import Difference, KeyChange, TensorChange
    from kquants.figures import Departure

EPILOG = """\b
Examples:
  kquants diff model-f16.gguf model-q4_k_m.gguf
  kquants diff --json before.gguf after.gguf | jq '.tensors[].name'
"""
SIGNS = {"added": "+", "removed": "-", "changed": "~"}
NUMBERS = ("blocks changed", "relative RMS", "cosine", "worst block")
ALIKE = 24
"""Characters at the beginning of two texts that may be the same before what is shown begins where they differ."""
STYLES = {"added": "green", "removed": "red", "changed": "yellow"}


@click.command(epilog=EPILOG)
@click.argument("a", type=arguments.FILE)
@click.argument("b", type=arguments.FILE)
@arguments.as_json
@click.option("--no-figures", is_flag=True, help="Do not decode: leave out how far the weights lie apart.")
def command(a: Path, b: Path, as_json: bool, no_figures: bool) -> None:
    """Say what is different from A to B: header, metadata, tensors, and how far their weights lie apart.

    A and B may be any shard of a set: then the whole set is meant.

    Exit status 0 when they say the same, 1 when they differ, 2 when a file cannot be read.
    """
    import gguf_py
    from gguf_py import KQuantsError
    from kquants.compare import compare

    from .main import complain
    from .show import counted, json_text

    try:
        with gguf_py.open_shards(a) as before, gguf_py.open_shards(b) as after:
            found = compare(before, after)
            figures = {} if no_figures else _figures(found.tensors)
            if as_json:
                click.echo(json_text(_document(a, b, found, figures)))
            elif found:
                _show(found, figures)
            else:
                keys, tensors = counted(len(before.fields), "metadata key"), counted(len(before.tensors), "tensor")
                click.echo(f"same: {keys} and {tensors}")
    except BrokenPipeError:
        raise
    except (KQuantsError, OSError) as fault:
        complain(fault)
        sys.exit(2)  # as diff does: 1 is kept for files that differ
    sys.exit(1 if found else 0)


def _figures(tensors: tuple[TensorChange, ...]) -> dict[str, Departure]:
    """How far apart the changed tensors lie, where shapes agree and both decode."""
    pairs = [(t.name, t.before, t.after) for t in tensors if t.before is not None and t.after is not None]
    if not pairs:
        return {}
    from kquants.figures import decodes, departure

    return {name: departure(x, y) for name, x, y in pairs if x.shape == y.shape and decodes(x) and decodes(y)}


def _show(found: Difference, figures: dict[str, Departure]) -> None:
    from kquants.figures import together

    from .show import counted, named
    from .terminal import Table, Terminal

    out = Terminal()
    for change in found.header:
        told = (named(change.before), named(change.after))
        line = "A has {} where B has {}" if change.what.startswith("order") else "{} → {}"
        out.print(f"~ {change.what}: {line.format(*told)}", style=STYLES["changed"])
    if found.keys:
        keys = Table(("", "metadata key", "A", "B"), fold=("A", "B"))
        for key in found.keys:
            keys.add(*((cell, STYLES[key.kind]) for cell in (SIGNS[key.kind], *key_cells(key))))
        out.put(keys)
    if found.tensors:
        if found.keys:
            out.print()
        rows = [(t, _tensor_cells(t, figures.get(t.name))) for t in found.tensors]
        heads = ("", "tensor", "A", "B", *NUMBERS)
        filled = [i for i in range(len(heads)) if i < 4 or any(cells[i] for _, cells in rows)]
        tensors = Table(tuple(heads[i] for i in filled), right=NUMBERS, fold=("tensor",))
        for tensor, cells in rows:
            tensors.add(*((cells[i], STYLES[tensor.kind]) for i in filled))
        out.put(tensors)
    same = f"; {counted(found.same_tensors, 'tensor')} the same" if found.same_tensors else ""
    out.print(f"\n{counted(len(found.keys), 'metadata key')} and {counted(len(found.tensors), 'tensor')} differ{same}")
    if len(figures) > 1:
        out.print(f"all weights that are compared, as one tensor: relative RMS {together(figures.values()):.3%}")


def key_cells(change: KeyChange) -> tuple[str, str, str]:
    """A key and what is under it in A and in B, in short: where long values depart, what is there."""
    from .show import brief, kind, named
    from .summary import file_type

    key = named(change.key)
    index = change.first_index
    cells = []
    for field, other in ((change.before, change.after), (change.after, change.before)):
        if field is None:
            cells.append("")
            continue
        text = brief(field, 44)
        if isinstance(field.value, str):
            text = _apart(field.value, None if other is None else other.value, 44)
        elif index is not None and field.count is not None and other is not None:
            items = [f.value[index] if index < len(f.value) else None for f in (field, other)]
            item = "nothing" if items[0] is None else _apart(items[0], items[1], 24)
            text = f"{field.count:,} items, [{index}] is {item}"
        elif key == "general.file_type" and isinstance(field.value, int):
            text = f"{text} ({file_type(field.value)})"
        elif other is not None and field.type_name != other.type_name:
            text = f"{text} ({kind(field)})"
        cells.append(text)
    return key, cells[0], cells[1]


def _apart(found: Any, other: Any, width: int) -> str:
    """A value in short; a text that begins as the other one does, from where they part."""
    from .show import value

    if isinstance(found, str) and isinstance(other, str):
        alike = next((i for i, (x, y) in enumerate(zip(found, other, strict=False)) if x != y), None)
        alike = min(len(found), len(other)) if alike is None else alike
        if alike > ALIKE:
            return "…" + value(found[alike - ALIKE // 2 :], width - 1)
    return value(found, width)


def _tensor_cells(change: TensorChange, figures: Departure | None) -> list[str]:
    from .show import named, shape

    sides = (change.before, change.after)
    same_shape = None not in sides and change.before.shape == change.after.shape  # type: ignore[union-attr]
    cells = ["" if t is None else t.type.name if same_shape else f"{t.type.name} {shape(t.shape)}" for t in sides]
    total = change.before.count // change.before.type.block if change.before is not None else 0
    blocks = "" if change.blocks is None else f"{change.blocks:,} of {total:,}"
    told = ["", "", ""]
    if figures is not None:
        told = [f"{figures.relative:.3%}", f"{figures.cosine:.6f}", f"{figures.worst:.3%}"]
    return [SIGNS[change.kind], named(change.name), *cells, blocks, *told]


def _document(a: Path, b: Path, found: Difference, figures: dict[str, Departure]) -> dict[str, Any]:
    from dataclasses import asdict

    def finite(numbers: dict[str, Any]) -> dict[str, Any]:
        return {k: v if not isinstance(v, float) or abs(v) < float("inf") else None for k, v in numbers.items()}

    return {
        "a": str(a),
        "b": str(b),
        "same": not found,
        "header": [asdict(change) for change in found.header],
        "metadata": [
            {
                "key": c.key,
                "change": c.kind,
                "before": _field(c.before),
                "after": _field(c.after),
                **({"first_index": c.first_index} if c.first_index is not None else {}),
            }
            for c in found.keys
        ],
        "tensors": [
            {
                "name": c.name,
                "change": c.kind,
                "before": _tensor(c.before),
                "after": _tensor(c.after),
                "blocks_changed": c.blocks,
                "figures": finite(asdict(figures[c.name])) if c.name in figures else None,
            }
            for c in found.tensors
        ],
        "same_tensors": found.same_tensors,
    }


def _field(field: Field | None) -> dict[str, Any] | None:
    from .show import plain

    return None if field is None else {"type": field.type_name, "value": plain(field.value)}


def _tensor(tensor: Tensor | None) -> dict[str, Any] | None:
    if tensor is None:
        return None
    return {"type": tensor.type.name, "shape": list(tensor.shape), "bytes": tensor.nbytes}
