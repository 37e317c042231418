"""PyTorch's zip files, read without PyTorch and without running what their pickle asks for.

A file is a zip archive, uncompressed: ``NAME/data.pkl`` describes tensors, ``NAME/data/KEY`` are their numbers. The
pickle is read by a small machine that knows the dozen names of which a tensor is made and refuses every other one;
nothing is imported and nothing is called. Source of the format: PyTorch 2.x, ``torch/serialization.py``,
``torch/_utils.py``.
"""

from __future__ import annotations

import pickletools
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

from gguf_py.errors import KQuantsError

from .folder import Shard, instead, shown
from .safetensors import MAX_DIMS, MAX_ELEMENTS
from .stored import DTYPES, Stored

MAX_OPCODES = 1 << 21
"""Steps of a pickle; a tensor takes about thirty."""

MAX_PICKLE = 256 << 20
"""Bytes of the longest pickle read: it holds names and shapes, no numbers."""

_STORAGES = {
    "DoubleStorage": "F64",
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "LongStorage": "I64",
    "IntStorage": "I32",
    "ShortStorage": "I16",
    "CharStorage": "I8",
    "ByteStorage": "U8",
    "BoolStorage": "BOOL",
    "UntypedStorage": "U8",
}
_DTYPES = {
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "float8_e8m0fnu": "F8_E8M0",
    "uint16": "U16",
    "uint32": "U32",
    "uint64": "U64",
}


@dataclass(frozen=True, slots=True)
class _Name:
    """A name in a pickle, where Python would import it."""

    module: str
    name: str


@dataclass(frozen=True, slots=True)
class _Storage:
    dtype: str
    key: str
    count: int


@dataclass(frozen=True, slots=True)
class _Tensor:
    storage: _Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Mark:
    """The mark on the stack."""


class _Dict(dict[Any, Any]):
    """A dict of the pickle."""


def tensors(shard: Shard) -> dict[str, Stored]:
    """The tensors of a PyTorch file, in its order; raises KQuantsError for anything but a dict of tensors."""
    path = shard.path
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {info.filename: info for info in archive.infolist()}
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as fault:
        other = instead(path) or f" ({fault}); save it again with PyTorch"
        raise KQuantsError(f"{path}: is not a PyTorch file in zip form{other}") from None
    described = [name for name in entries if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(described) != 1:
        raise KQuantsError(f"{path}: holds {len(described)} files data.pkl, expected one")
    root = described[0].removesuffix("data.pkl")
    order = entries.get(f"{root}byteorder")
    if order is not None and shard.read(*_place(shard, order, 16)).tobytes() != b"little":
        raise KQuantsError(f"{path}: holds big-endian numbers, expected little-endian")
    found = _load(shard.read(*_place(shard, entries[described[0]], MAX_PICKLE)).tobytes(), shard)
    return {name: _stored(name, tensor, shard, root, entries) for name, tensor in _tensors_of(found, shard).items()}


def _place(shard: Shard, info: zipfile.ZipInfo, limit: int) -> tuple[int, int]:
    """Where an entry's bytes lie: offset and length, checked against the file; raises KQuantsError if compressed."""
    where = f"{shard.path}: the entry {shown(info.filename)}"
    if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
        raise KQuantsError(f"{where} is compressed, expected it stored as PyTorch stores it")
    if info.file_size > limit:
        raise KQuantsError(f"{where} has {info.file_size} bytes, expected at most {limit}")
    local = shard.read(info.header_offset, 30).tobytes()
    if local[:4] != b"PK\3\4":
        raise KQuantsError(f"{where} has no local header")
    start = info.header_offset + 30 + int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
    if start + info.file_size > shard.size:
        raise KQuantsError(f"{where} ends after the file's {shard.size} bytes")
    return start, info.file_size


def _tensors_of(found: Any, shard: Shard) -> dict[str, _Tensor]:
    for wrapper in ("state_dict", "model_state_dict", "model", "module"):
        if isinstance(found, dict) and isinstance(found.get(wrapper), dict):
            found = found[wrapper]
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise KQuantsError(f"{shard.path}: holds no dict of tensors by name")
    return {name: value for name, value in found.items() if isinstance(value, _Tensor)}


def _stored(name: str, tensor: _Tensor, shard: Shard, root: str, entries: dict[str, zipfile.ZipInfo]) -> Stored:
    where = f"{shard.path}: the tensor {shown(name)}"
    info = entries.get(f"{root}data/{tensor.storage.key}")
    if info is None:
        raise KQuantsError(f"{where} lies in the storage {shown(tensor.storage.key)}, which is not there")
    start, length = _place(shard, info, shard.size)
    size = DTYPES[tensor.dtype].itemsize
    count = length // size
    numbers = (tensor.offset, *tensor.shape, *tensor.strides)
    if not all(type(n) is int and 0 <= n <= MAX_ELEMENTS for n in numbers) or len(tensor.shape) != len(tensor.strides):
        raise KQuantsError(f"{where} has shape {shown(tensor.shape)} and strides {shown(tensor.strides)}")
    elements = prod(tensor.shape)
    last = sum((n - 1) * stride for n, stride in zip(tensor.shape, tensor.strides, strict=True))
    if len(tensor.shape) > MAX_DIMS or elements > MAX_ELEMENTS or (elements and tensor.offset + last >= count):
        raise KQuantsError(f"{where} reaches beyond its storage of {count} elements")
    if elements > count:
        raise KQuantsError(f"{where} repeats elements of its storage, expected each once")
    plain = _contiguous(tensor.shape, tensor.strides)
    return Stored(
        name, tensor.dtype, tensor.shape, shard, start + tensor.offset * size, None if plain else tensor.strides
    )


def _contiguous(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    expected = 1
    for n, stride in zip(reversed(shape), reversed(strides), strict=True):
        if n != 1 and stride != expected:
            return False
        expected *= n
    return True


def _load(pickle: bytes, shard: Shard) -> Any:
    """What a pickle builds, of dicts, lists, tuples, plain values and tensors; raises KQuantsError for all else."""
    try:
        return _Machine(shard).run(pickle)
    except KQuantsError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as fault:
        raise KQuantsError(f"{shard.path}: its pickle is broken ({fault})") from None


class _Machine:
    """A stack machine for the opcodes that PyTorch writes."""

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, pickle: bytes) -> Any:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(pickle)):
            if count == MAX_OPCODES:
                raise ValueError(f"it has more than {MAX_OPCODES} opcodes")
            name = opcode.name
            if name == "STOP":
                return self.stack.pop()
            if name in _PUSHES:
                self.stack.append(argument)
            elif name in _EMPTY:
                self.stack.append(_EMPTY[name]())
            elif name in _STEPS:
                _STEPS[name](self, argument)
            else:
                raise self.refuse(f"the opcode {name}")
        raise ValueError("it does not end")

    def refuse(self, what: str) -> KQuantsError:
        return KQuantsError(
            f"{self.shard.path}: its pickle holds {what}, which is no part of a tensor; nothing was run"
        )

    def to_mark(self) -> list[Any]:
        at = len(self.stack) - 1
        while not isinstance(self.stack[at], _Mark):
            at -= 1
            if at < 0:
                raise ValueError("a mark is missing")
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items

    def take(self, count: int) -> tuple[Any, ...]:
        if len(self.stack) < count:
            raise ValueError("the stack is empty")
        items = tuple(self.stack[len(self.stack) - count :])
        del self.stack[len(self.stack) - count :]
        return items

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not _Dict:
            raise self.refuse(f"items set in a {type(target).__name__}")
        if not all(type(key) in (str, int) for key in items[::2]):
            raise self.refuse("a dict of other keys than names and numbers")
        target.update(zip(items[::2], items[1::2], strict=True))

    def append_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise self.refuse(f"items appended to a {type(target).__name__}")
        target.extend(items)

    def name(self, module: str, name: str) -> None:
        known = (
            (module == "collections" and name == "OrderedDict")
            or (module == "torch._utils" and name in _REBUILDS)
            or (module in ("torch", "torch.storage") and (name in _STORAGES or name in _DTYPES or name == "Size"))
        )
        if not known:
            raise self.refuse(f"the name {shown(f'{module}.{name}')}")
        self.stack.append(_Name(module, name))

    def stack_global(self) -> None:
        module, name = self.take(2)
        if not isinstance(module, str) or not isinstance(name, str):
            raise self.refuse("a name that is no text")
        self.name(module, name)

    def reduce(self) -> None:
        function, arguments = self.take(2)
        if not isinstance(function, _Name) or not isinstance(arguments, tuple):
            raise self.refuse("a call of what is no name")
        if function.name == "OrderedDict":
            if arguments and arguments != ([],):
                raise self.refuse("a filled OrderedDict")
            self.stack.append(_Dict())
        elif function.name == "Size":
            self.stack.append(tuple(arguments[0]))
        elif function.name in _REBUILDS:
            self.stack.append(_REBUILDS[function.name](*arguments))
        else:
            raise self.refuse(f"a call of {shown(function.name)}")

    def persistent(self) -> None:
        """The storage a persistent id names: ("storage", kind, key, place, count)."""
        word, kind, key, _, count = self.stack.pop()
        if word != "storage" or not isinstance(kind, _Name) or kind.name not in _STORAGES or not isinstance(key, str):
            raise self.refuse("an unknown persistent id")
        self.stack.append(_Storage(_STORAGES[kind.name], key, count))


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
    if not isinstance(storage, _Storage):
        raise TypeError("a tensor has no storage")
    if not all(type(n) is int for n in (offset, *shape, *strides)):  # tuples in tuples could double without end
        raise TypeError("a tensor's shape is no row of numbers")
    return _Tensor(storage, storage.dtype, offset, tuple(shape), tuple(strides))


def _tensor_of_dtype(
    storage: Any, offset: Any, shape: Any, strides: Any, grad: Any, hooks: Any, dtype: Any, *_: Any
) -> _Tensor:
    tensor = _tensor(storage, offset, shape, strides)
    return _Tensor(tensor.storage, _DTYPES[dtype.name], tensor.offset, tensor.shape, tensor.strides)


def _parameter(tensor: Any, *_: Any) -> Any:
    return tensor


_REBUILDS: dict[str, Callable[..., Any]] = {
    "_rebuild_tensor": _tensor,
    "_rebuild_tensor_v2": _tensor,
    "_rebuild_tensor_v3": _tensor_of_dtype,
    "_rebuild_parameter": _parameter,
}

_PUSHES = frozenset(
    "INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING"
    " UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8".split()
)
"""Opcodes that push their argument."""

_EMPTY: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "MARK": _Mark,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": _Dict,
}
"""Opcodes that push something new."""


def _set_state(machine: _Machine, _: Any) -> None:
    machine.take(1)  # what a module says of its versions; no tensor is in it


def _put(machine: _Machine, index: Any) -> None:
    machine.memo[len(machine.memo) if index is None else int(index)] = machine.stack[-1]


_STEPS: dict[str, Callable[[_Machine, Any], Any]] = {
    "PROTO": lambda machine, _: None,
    "FRAME": lambda machine, _: None,
    "POP": lambda machine, _: machine.stack.pop(),
    "POP_MARK": lambda machine, _: machine.to_mark(),
    "DUP": lambda machine, _: machine.stack.append(machine.stack[-1]),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.to_mark())),
    "TUPLE1": lambda machine, _: machine.stack.append(machine.take(1)),
    "TUPLE2": lambda machine, _: machine.stack.append(machine.take(2)),
    "TUPLE3": lambda machine, _: machine.stack.append(machine.take(3)),
    "LIST": lambda machine, _: machine.stack.append(machine.to_mark()),
    "APPEND": lambda machine, _: machine.append_items(list(machine.take(1))),
    "APPENDS": lambda machine, _: machine.append_items(machine.to_mark()),
    "SETITEM": lambda machine, _: machine.set_items(list(machine.take(2))),
    "SETITEMS": lambda machine, _: machine.set_items(machine.to_mark()),
    "PUT": _put,
    "BINPUT": _put,
    "LONG_BINPUT": _put,
    "MEMOIZE": _put,
    "GET": lambda machine, index: machine.stack.append(machine.memo[int(index)]),
    "BINGET": lambda machine, index: machine.stack.append(machine.memo[index]),
    "LONG_BINGET": lambda machine, index: machine.stack.append(machine.memo[index]),
    "GLOBAL": lambda machine, names: machine.name(*names.split(" ", 1)),
    "STACK_GLOBAL": lambda machine, _: machine.stack_global(),
    "REDUCE": lambda machine, _: machine.reduce(),
    "BINPERSID": lambda machine, _: machine.persistent(),
    "BUILD": _set_state,
}
"""Opcodes that work on the stack."""
