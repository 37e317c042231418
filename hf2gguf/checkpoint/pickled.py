"""The pickle in a PyTorch file, read by a small machine and not run.

It knows the dozen names of which a tensor is made and refuses every other one; nothing is imported, nothing is called.
Source: PyTorch 2.x, ``torch/_utils.py``; of the opcodes, Python's ``pickletools``.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gguf_py.errors import KQuantsError

from .folder import shown

MAX_OPCODES = 1 << 21
"""Steps of a pickle; a tensor takes about thirty."""

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
class Storage:
    """Numbers of one type: those of a tensor, or of several."""

    dtype: str
    key: str
    count: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """A part of a storage, by element; of another ``dtype`` than that where it only holds bytes."""

    storage: Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Mark:
    """The mark on the stack."""


class _Dict(dict[Any, Any]):
    """A dict of the pickle."""


def load(pickle: bytes, path: Path) -> Any:
    """What a pickle builds, of dicts, lists, tuples, plain values and tensors; raises KQuantsError for all else."""
    try:
        return _Machine(path).run(pickle)
    except KQuantsError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as fault:
        raise KQuantsError(f"{path}: its pickle is broken ({fault})") from None


class _Machine:
    """A stack machine for the opcodes that PyTorch writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
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
        return KQuantsError(f"{self.path}: its pickle holds {what}, which is no part of a tensor; nothing was run")

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
        self.stack.append(Storage(_STORAGES[kind.name], key, count))


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
    if not isinstance(storage, Storage):
        raise TypeError("a tensor has no storage")
    if not all(type(n) is int for n in (offset, *shape, *strides)):  # tuples in tuples could double without end
        raise TypeError("a tensor's shape is no row of numbers")
    return Tensor(storage, storage.dtype, offset, tuple(shape), tuple(strides))


def _tensor_of_dtype(
    storage: Any, offset: Any, shape: Any, strides: Any, grad: Any, hooks: Any, dtype: Any, *_: Any
) -> Tensor:
    tensor = _tensor(storage, offset, shape, strides)
    return Tensor(tensor.storage, _DTYPES[dtype.name], tensor.offset, tensor.shape, tensor.strides)


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
