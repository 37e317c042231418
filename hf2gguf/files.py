"""The files of a conversion, planned: one or several shards, little- or big-endian, before a byte is written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from gguf_py import Field, KQuantsError, TensorInfo, ValueType, lay_out
from gguf_py.atomic import replacing, write_all
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


def plan(
    made: Converted,
    path: Path,
    *,
    max_size: int = 0,
    max_tensors: int = 0,
    empty_first: bool = False,
    big_endian: bool = False,
    vocab_only: bool = False,
) -> Plan:
    """The plan of one file, or of shards of at most ``max_size`` bytes of weights and ``max_tensors`` tensors.

    Limits of 0 are none; ``empty_first`` leaves the first shard to the metadata. The shards are those of upstream's
    Python writer, which counts a tensor's bytes without their padding.
    """
    whole = items(made)
    if vocab_only:
        return Plan(
            (Output(path, lay_out(made.fields, (), pad=False, byteorder="big" if big_endian else "little"), ()),)
        )
    groups = _dealt(whole, max_size, max_tensors, empty_first)
    notes = ("the model fits in one file",) if (max_size or max_tensors) and len(groups) == 1 else ()
    outputs = [_output(*shard, big_endian) for shard in _shards(made.fields, groups, path)]
    return Plan(tuple(outputs), notes)


def _dealt(whole: Iterable[Item], max_size: int, max_tensors: int, empty_first: bool) -> list[list[Item]]:
    groups: list[list[Item]] = [[], []] if empty_first else [[]]
    size = 0
    for item in whole:
        more = item.info.nbytes
        full = (max_tensors and len(groups[-1]) >= max_tensors) or (max_size and size + more > max_size)
        if groups[-1] and full:
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
