"""The files of a conversion, planned: one or several shards, little- or big-endian, before a byte is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gguf_py import Field, KQuantsError, TensorInfo, TensorType, ValueType, lay_out, shards
from gguf_py.layout import Layout, stated_alignment
from gguf_py.values import ByteOrder
from kquants import byteorder
from kquants.plan import Item, Output, Plan
from kquants.source import Bytes, converted

from .convert import Converted

if TYPE_CHECKING:
    from kquants.quantizer import Options


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
        name = outfile.name.format(small, outtype=small, ftype=small, OUTTYPE=large, FTYPE=large, type=large)
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
    """Bytes of weights in a shard."""
    max_tensors: int = 0
    empty_first: bool = False
    """Whether the first shard has the metadata alone."""
    big_endian: bool = False
    vocab_only: bool = False

    @property
    def order(self) -> ByteOrder:
        """The byte order of the files."""
        return "big" if self.big_endian else "little"


def plan(
    made: Converted, path: Path, shape: Shape, quantized: str | None = None, options: Options | None = None
) -> Plan:
    """The plan of one file or of shards, of the converter's type or ``quantized`` to a file type on the way.

    Shards and byte order of the former are those of upstream's converter; of the latter those that llama-gguf-split
    and gguf-py's ``gguf_convert_endian`` give the whole file.
    """
    if shape.vocab_only:
        return Plan((Output(path, lay_out(made.fields, (), pad=False, byteorder=shape.order), ()),))
    if quantized is None:
        whole = Plan(tuple(_converted(made, path, shape)))
    else:
        from kquants.quantizer import quantized as quantize

        sources = {name: converted(source, type_) for name, (source, type_) in made.tensors.items()}
        whole = quantize(path, made.fields, sources, quantized, options, partial(_quantized, shape))
    alone = (shape.max_size or shape.max_tensors) and len(whole.outputs) == 1
    notes = (*whole.notes, "the model fits in one file") if alone else whole.notes
    return replace(whole, notes=notes, origin=made.origin)


def _converted(made: Converted, path: Path, shape: Shape) -> Iterator[Output]:
    """Shards as upstream's Python writer deals them out: by bytes without padding, each file's tensors counted."""
    groups = _dealt(items(made), shape)
    for i, group in enumerate(groups):
        own = [
            Field.of("split.no", i, ValueType.UINT16),
            Field.of("split.count", len(groups), ValueType.UINT16),
            Field.of("split.tensors.count", sum(map(len, groups)), ValueType.INT32),
        ]
        fields = [*(made.fields if i == 0 else ()), *(own if len(groups) > 1 else ())]
        layout = lay_out(fields, [item.info for item in group], byteorder=shape.order)
        yield _output(_shard(path, i, len(groups)), layout, group, byteorder.swapped_numbers)


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


def _quantized(shape: Shape, path: Path, fields: Sequence[Field], whole: Sequence[Item]) -> list[Output]:
    """Shards as llama-gguf-split deals them out: by padded bytes, or so many tensors each."""
    infos = [item.info for item in whole]
    if shape.big_endian:
        byteorder.check(infos)
    if not (shape.max_size or shape.max_tensors or shape.empty_first):
        return [_output(path, lay_out(fields, infos, byteorder=shape.order), whole, byteorder.swapped)]
    alignment = stated_alignment(fields)
    groups = shards.group(
        infos,
        max_tensors=shape.max_tensors or None,
        max_size=shape.max_size or None,
        alignment=alignment,
        empty_first=shape.empty_first,
    )
    if len(groups) == 1:
        return _quantized(replace(shape, max_size=0, max_tensors=0), path, fields, whole)
    layouts = shards.deal(fields, groups, alignment=alignment, byteorder=shape.order)
    by_name = {item.info.name: item for item in whole}
    return [
        _output(_shard(path, i, len(groups)), layout, [by_name[info.name] for info in group], byteorder.swapped)
        for i, (layout, group) in enumerate(zip(layouts, groups, strict=True))
    ]


def _shard(path: Path, number: int, count: int) -> Path:
    return path if count == 1 else shards.shard_path(path.with_name(path.stem), number, count)


def _output(path: Path, layout: Layout, group: Sequence[Item], turn: Callable[[TensorType, Bytes], Bytes]) -> Output:
    return Output(path, layout, tuple(group), turn if layout.byteorder == "big" else None)
