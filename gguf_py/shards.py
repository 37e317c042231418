"""Models in several files: opening a set by any of its shards, splitting one file, merging a set.

Source: ``llama-gguf-split`` and the model loader of llama.cpp v0.5.0. The shards of a set are named
``NAME-00001-of-00003.gguf`` and so on; the first has all metadata, each has its own tensors and three keys that say
which shard of how many it is.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType

from .copying import write_layouts
from .errors import KQuantsError
from .file import GGUFFile, Metadata, Tensor
from .layout import Layout, TensorInfo, lay_out, padded
from .reader import open as open_file
from .types import ValueType
from .values import ByteOrder, Field

NUMBER, COUNT, TENSORS = "split.no", "split.count", "split.tensors.count"
_NAME = re.compile(r"(?P<prefix>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.DOTALL)


def shard_path(prefix: str | os.PathLike[str], number: int, count: int) -> Path:
    """Path of shard ``number``, counted from 0, of ``count``: the prefix and ``-00001-of-00003.gguf``."""
    return Path(_shard_name(os.fspath(prefix), number, count))


def _shard_name(prefix: str, number: int, count: int) -> str:
    return f"{prefix}-{number + 1:05d}-of-{count:05d}.gguf"


def prefix_of(path: str | os.PathLike[str]) -> str | None:
    """What comes before ``-00001-of-00003.gguf`` in the path of a shard; None for any other name."""
    found = _NAME.fullmatch(os.fspath(path))
    return found["prefix"] if found else None


@dataclass(frozen=True, eq=False)
class ShardSet:
    """The files of one model, in order, read as one; a context manager with a ``GGUFFile``'s attributes."""

    files: tuple[GGUFFile, ...]
    tensors: Mapping[str, Tensor]
    """Of all shards, shard by shard in file order; each knows its ``file``."""

    @property
    def first(self) -> GGUFFile:
        """The shard that has the metadata."""
        return self.files[0]

    @property
    def path(self) -> Path | str:
        """Of the first shard."""
        return self.first.path

    @property
    def version(self) -> int:
        """Version of the format, of the first shard."""
        return self.first.version

    @property
    def byteorder(self) -> ByteOrder:
        """Of the first shard."""
        return self.first.byteorder

    @property
    def alignment(self) -> int:
        """Of the first shard."""
        return self.first.alignment

    @property
    def fields(self) -> Mapping[str, Field]:
        """Of the first shard."""
        return self.first.fields

    @property
    def metadata(self) -> Metadata:
        """Of the first shard."""
        return self.first.metadata

    @property
    def size(self) -> int:
        """Of all files, in bytes."""
        return sum(file.size for file in self.files)

    def close(self) -> None:
        """Close every file."""
        for file in self.files:
            file.close()

    def __enter__(self) -> ShardSet:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{len(self.files)} of {self.first!r}, {len(self.tensors)} tensors in all, {self.size:,} bytes>"

    def _repr_html_(self) -> str:
        from .html import page

        return page(self)


def open_shards(path: str | os.PathLike[str]) -> ShardSet:
    """Open the whole set that a file belongs to, whichever shard it is; a file that is no shard is a set of one.

    Raises KQuantsError as ``open`` does, and when a shard is missing, is another shard than its name says, has a
    tensor that another has too, or when the tensors are not as many as the first shard counts.
    """
    return gather(os.fspath(path), open_file)


def gather(path: str, opener: Callable[[str], GGUFFile]) -> ShardSet:
    """Do what ``open_shards`` does with files that ``opener`` opens."""
    with contextlib.ExitStack() as opened:
        given = opened.enter_context(opener(path))
        count = number_of(given, COUNT)
        if count <= 1:
            files: tuple[GGUFFile, ...] = (given,)
        else:
            number, prefix = number_of(given, NUMBER), prefix_of(path)
            if prefix is None or path != _shard_name(prefix, number, count):
                raise KQuantsError(
                    f"{os.fspath(given.path)} is shard {number + 1} of {count}, but its name does not end in "
                    f"{_shard_name('', number, count)}, so that the others cannot be found"
                )
            names = [_shard_name(prefix, i, count) for i in range(count)]
            files = tuple(given if n == path else opened.enter_context(opener(n)) for n in names)
            for i, file in enumerate(files):
                found = number_of(file, NUMBER) + 1, number_of(file, COUNT)
                if found != (i + 1, count):
                    raise KQuantsError(
                        f"{os.fspath(file.path)} says it is shard {found[0]} of {found[1]}, "
                        f"{i + 1} of {count} is expected"
                    )
        tensors = _together(files, number_of(files[0], TENSORS) if count > 1 else None)
        opened.pop_all()
    return ShardSet(files, MappingProxyType(tensors))


def number_of(file: GGUFFile, key: str) -> int:
    """What a key of the set says, or 0; raises KQuantsError when that is no number."""
    value = file.metadata.get(key, 0)
    if not isinstance(value, int) or isinstance(value, bool):
        raise KQuantsError(f"{os.fspath(file.path)}: metadata key {key!r}: a number is expected, found {value!r}")
    return value


def _together(files: Sequence[GGUFFile], stated: int | None) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for file in files:
        for name, tensor in file.tensors.items():
            if name in tensors:
                raise KQuantsError(f"{os.fspath(file.path)}: tensor {name!r} is in another shard, too")
            tensors[name] = tensor
    if stated is not None and stated != len(tensors):
        raise KQuantsError(
            f"{os.fspath(files[0].path)}: the set is said to have {stated} tensors, its {len(files)} shards have "
            f"{len(tensors)}"
        )
    return tensors


def as_ggml(info: TensorInfo) -> TensorInfo:
    """The tensor as ggml's C writer puts it down: without leading axes of 1, and with at least one axis."""
    shape = info.shape or (1,)
    while len(shape) > 1 and shape[0] == 1:
        shape = shape[1:]
    return TensorInfo(info.name, info.type, shape)


def group(
    infos: Iterable[TensorInfo],
    *,
    max_tensors: int | None = None,
    max_size: int | None = None,
    alignment: int = 32,
    empty_first: bool = False,
) -> list[list[TensorInfo]]:
    """Deal tensors out to shards as llama-gguf-split does, by count or by padded bytes of weights a shard.

    ``empty_first`` keeps the first shard free of tensors. A tensor larger than ``max_size`` gets a shard of its own;
    when it is the first, KQuantsError is raised, for that is where llama-gguf-split gives up.
    """
    groups: list[list[TensorInfo]] = [[], []] if empty_first else [[]]
    size = 0
    for index, info in enumerate(infos):
        more = padded(info.nbytes, alignment)
        by_count = max_tensors is not None and index > 0 and index % max_tensors == 0
        if by_count or (max_size is not None and size + more > max_size):
            if not groups[-1]:
                raise KQuantsError(f"tensor {info.name!r} has {more:,} bytes, a shard may have {max_size:,}")
            groups.append([])
            size = 0
        groups[-1].append(info)
        size += more
    return groups


def shard_fields(fields: Iterable[Field], number: int, count: int, tensors: int) -> list[Field]:
    """Metadata of one shard: the first has all ``fields``, every one ends in the three keys of the set."""
    own = (NUMBER, COUNT, TENSORS)
    return [
        *([f for f in fields if f.key not in own] if number == 0 else []),
        Field.of(NUMBER, number, ValueType.UINT16),
        Field.of(TENSORS, tensors, ValueType.INT32),
        Field.of(COUNT, count, ValueType.UINT16),
    ]


def plan_split(
    model: GGUFFile | ShardSet,
    *,
    max_tensors: int | None = None,
    max_size: int | None = None,
    empty_first: bool = False,
) -> list[Layout]:
    """Layouts of the shards that ``split`` would write."""
    infos = [as_ggml(t) for t in model.tensors.values()]
    groups = group(
        infos, max_tensors=max_tensors, max_size=max_size, alignment=model.alignment, empty_first=empty_first
    )
    if len(groups) > 0xFFFF:
        raise KQuantsError(f"{len(groups)} shards are more than the {0xFFFF} that a set can have")
    return deal(list(model.fields.values()), groups, alignment=model.alignment, byteorder=model.byteorder)


def deal(
    fields: Sequence[Field], groups: Sequence[Sequence[TensorInfo]], *, alignment: int, byteorder: ByteOrder = "little"
) -> list[Layout]:
    """Layouts of shards with these tensors each; the first has all ``fields``."""
    # A shard without the key would be read with the alignment of 32: upstream writes no other.
    stated = [f for f in fields if f.key == "general.alignment" and alignment != 32]
    total = sum(map(len, groups))
    return [
        lay_out(
            shard_fields(() if i else fields, i, len(groups), total) + (stated if i else []),
            part,
            byteorder=byteorder,
        )
        for i, part in enumerate(groups)
    ]


def split(model: GGUFFile | ShardSet, prefix: str | os.PathLike[str], layouts: Sequence[Layout]) -> list[Path]:
    """Write the shards of ``plan_split`` as ``PREFIX-00001-of-0000N.gguf`` and return their paths.

    Either all of them get their names or, when writing fails, none does.
    """
    paths = [shard_path(prefix, i, len(layouts)) for i in range(len(layouts))]
    write_layouts(list(zip(paths, layouts, strict=True)), model.tensors)
    return paths


def merge(model: ShardSet, path: str | os.PathLike[str]) -> Layout:
    """Write the tensors of all shards into one file, as llama-gguf-split does; returns its layout.

    The keys of the set stay, with a count of 0, so that nobody takes the file for a shard.
    """
    layout = plan_merge(model)
    write_layouts([(Path(path), layout)], model.tensors)
    return layout


def plan_merge(model: ShardSet) -> Layout:
    """Layout of the file that ``merge`` would write; raises KQuantsError when the model is in one file already."""
    if COUNT not in model.fields:
        raise KQuantsError(f"{os.fspath(model.path)} is no shard: it has no metadata key {COUNT!r}")
    fields = [f for f in model.fields.values() if f.key != COUNT] + [Field.of(COUNT, 0, ValueType.UINT16)]
    return lay_out(fields, [as_ggml(t) for t in model.tensors.values()], byteorder=model.byteorder)
