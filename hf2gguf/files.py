"""The files of a conversion, planned: one or several shards, little- or big-endian, before a byte is written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gguf_py import Field, KQuantsError, TensorInfo, ValueType, lay_out
from gguf_py.atomic import replacing, write_all
from gguf_py.values import ByteOrder
from kquants.plan import Item, Output, Plan, output
from kquants.source import converted

from .convert import Converted

_PIECE = 8 << 20
"""Bytes of a tensor that are turned round at a time."""


def named(
    outfile: Path | None, folder: Path, made: Converted, vocab_only: bool = False, quantized: str | None = None
) -> Path:
    """Where to write: ``outfile`` with ``{ftype}`` filled in, or upstream's name in the folder that it is.

    Without ``outfile`` the file goes into the checkpoint's own folder, as upstream has it.
    """
    if outfile is None or outfile.is_dir():
        return (outfile or folder) / made.file_name(vocab_only, quantized)
    kind = quantized or made.outtype
    small, large = kind.lower(), kind.upper()
    try:
        name = outfile.name.format(small, outtype=small, ftype=small, OUTTYPE=large, FTYPE=large)
    except (KeyError, IndexError, ValueError) as fault:
        raise KQuantsError(f"{outfile}: the braces in the name are to hold ftype, outtype or nothing") from fault
    return outfile.with_name(name)


def items(made: Converted) -> list[Item]:
    """The tensors of a conversion, as the plan has them."""
    return [Item(TensorInfo(name, type_, source.shape), source) for name, (source, type_) in made.tensors.items()]


@dataclass(frozen=True)
class Shape:
    """How a model is put into files: limits of 0 are none."""

    max_size: int = 0
    """Bytes of weights in a shard, without padding."""
    max_tensors: int = 0
    empty_first: bool = False
    """Whether the first shard has the metadata alone."""
    big_endian: bool = False
    vocab_only: bool = False


def plan(made: Converted, path: Path, shape: Shape) -> Plan:
    """The plan of one file or of shards, dealt out as upstream's Python writer does."""
    if shape.vocab_only:
        order: ByteOrder = "big" if shape.big_endian else "little"
        return Plan((Output(path, lay_out(made.fields, (), pad=False, byteorder=order), ()),))
    groups = _dealt(items(made), shape)
    notes = ("the model fits in one file",) if (shape.max_size or shape.max_tensors) and len(groups) == 1 else ()
    return Plan(tuple(_output(*shard, shape.big_endian) for shard in _shards(made.fields, groups, path)), notes)


def _dealt(whole: Iterable[Item], shape: Shape) -> list[list[Item]]:
    groups: list[list[Item]] = [[], []] if shape.empty_first else [[]]
    size = 0
    for item in whole:
        more = item.info.nbytes
        many = 0 < shape.max_tensors <= len(groups[-1])
        if groups[-1] and (many or 0 < shape.max_size < size + more):
            groups.append([])
            size = 0
        groups[-1].append(item)
        size += more
    return groups


def _shards(
    fields: Sequence[Field], groups: list[list[Item]], path: Path
) -> Iterable[tuple[Path, list[Field], list[Item]]]:
    if len(groups) == 1:
        yield path, list(fields), groups[0]
        return
    tensors = sum(map(len, groups))
    for i, group in enumerate(groups):
        own = [
            Field.of("split.no", i, ValueType.UINT16),
            Field.of("split.count", len(groups), ValueType.UINT16),
            Field.of("split.tensors.count", tensors, ValueType.INT32),
        ]
        shard = path.with_name(f"{path.stem}-{i + 1:05d}-of-{len(groups):05d}.gguf")
        yield shard, [*(fields if i == 0 else ()), *own], group


def _output(path: Path, fields: list[Field], group: list[Item], big_endian: bool) -> Output:
    if not big_endian:
        return output(path, fields, group)
    return Output(path, lay_out(fields, [item.info for item in group], byteorder="big"), tuple(group))


def write_big_endian(plan: Plan) -> None:
    """Write a plan whose layouts are big-endian, one tensor after the other; atomic, as the executor is.

    F32, F16 and integers are turned round. Blocks and BF16, which are bytes to upstream's Python writer, stay as
    they are.
    """
    with ExitStack() as files:
        handles = [files.enter_context(replacing(out.path, out.layout.size)) for out in plan.outputs]
        for out, handle in zip(plan.outputs, handles, strict=True):
            for item, offset in zip(out.items, out.layout.offsets, strict=True):
                _write_swapped(item, handle, offset)
            write_all(handle, out.layout.header, 0)


def _write_swapped(item: Item, handle: int, offset: int) -> None:
    kind = item.info.type
    source = converted(item.source, kind)
    turned = not kind.quantized and kind.name != "BF16"
    step = max(1, _PIECE // max(1, source.row_bytes))
    for lo in range(0, source.count, step):
        data = source.rows(lo, min(source.count, lo + step))
        swapped = data.view(np.dtype(f"u{kind.nbytes}")).byteswap() if turned else data
        write_all(handle, np.ascontiguousarray(swapped).data.cast("B"), offset + lo * source.row_bytes)
