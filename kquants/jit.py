# mypy: disable-error-code="misc,untyped-decorator,no-untyped-call"
"""How kernels come to be: compiled by Numba on their first call, for one signature, and kept (see ``machine_code``).

A module of kernels builds on Numba and is slow to import, which a kernel that was kept does not need: ``deferred``
gives the functions of such a module and imports it only when one of its kernels has to be compiled.
"""

from __future__ import annotations

import importlib
import re
import threading
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

from . import machine_code
from .machine_code import Code, Parameter

F = TypeVar("F", bound=Callable[..., Any])
Signature = tuple[Parameter, ...]

_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": False,
    "boundscheck": False,
    "_nrt": False,  # kernels own no memory: their code needs nothing of Numba when it runs
}


_NO_WRAPPERS: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def array_in(dtype: str, ndim: int = 2) -> Parameter:
    """An array a kernel reads: C-contiguous; read-only and unaligned ones are welcome."""
    return Parameter(dtype, ndim)


def array_out(dtype: str, ndim: int = 2) -> Parameter:
    """An array a kernel writes: C-contiguous, of any alignment."""
    return Parameter(dtype, ndim, written=True)


def number(dtype: str) -> Parameter:
    """An int64 or a float32."""
    return Parameter(dtype, 0)


_LIBC = {"floorf", "log2", "memcpy", "memmove", "memset"}
"""What a kernel may call: that is there in every process."""

DECODE = (array_in("uint8"), array_out("float32"))
"""``decode(blocks, out)``: uint8[n, block bytes] to float32[n, weights of a block]."""

ENCODE = (array_in("float32"), array_out("uint8"))
"""``encode(x, out)``: float32[n, weights of a block] to uint8[n, block bytes]."""

ENCODE_WEIGHTED = (array_in("float32"), array_in("float32", 1), array_out("uint8"))
"""``encode_weighted(x, weights, out)``: float32[rows, columns] and float32[columns] to uint8[rows, row bytes]."""


def inlined(function: F) -> F:
    """A part of a kernel; it is compiled with the kernels that call it and not kept by itself."""
    from numba import njit

    return cast(F, njit(**_OPTIONS)(function))


def forced(function: F) -> F:
    """As ``inlined``, also where LLVM would rather call it, and hand what it needs over in memory."""
    from numba import njit

    return cast(F, njit(**_OPTIONS, forceinline=True)(function))


class Kernel:
    """A function of arrays and numbers that is compiled, or loaded from disk, when it is first called.

    It releases the GIL while it runs. Calling it raises TypeError for arrays of another kind than its signature's.
    """

    def __init__(self, module: str, name: str) -> None:
        self.__module__, self.__name__ = module, name
        self.source: tuple[Callable[..., Any], Signature] | None = None
        """The Python function and its signature, once its module is imported."""
        self._lock = threading.Lock()
        self._run: Callable[..., Any] | None = None
        self._address = 0

    def __call__(self, *args: Any) -> Any:
        return (self._run or self.compile())(*args)

    def load(self) -> bool:
        """Whether the kernel is ready without compiling: made before in this process, or found on disk."""
        with self._lock:
            if self._run is None:
                found = machine_code.load(self.__module__, self.__name__)
                if found is not None:
                    self._run, self._address = machine_code.link(found)
            return self._run is not None

    def compile(self) -> Callable[..., Any]:
        """What runs when the kernel is called, compiled if need be."""
        if not self.load():
            if self.source is None:
                importlib.import_module(self.__module__)
            assert self.source is not None, f"{self.__module__} defines no kernel {self.__name__}"
            with self._lock:
                if self._run is None:
                    code = _compiled(*self.source)
                    machine_code.save(self.__module__, self.__name__, code)
                    self._run, self._address = machine_code.link(code)
        assert self._run is not None
        return self._run

    def kept(self) -> bool:
        """Whether the next run will find it on disk."""
        return machine_code.load(self.__module__, self.__name__) is not None

    @property
    def address(self) -> int:
        """Where its code lies, for a kernel that calls it (``kernels.calling``); compiled if need be."""
        if not self._address:
            self.compile()
        return self._address


_KERNELS: dict[tuple[str, str], Kernel] = {}


def _kernel(module: str, name: str) -> Kernel:
    """The one kernel of that name."""
    found = _KERNELS.get((module, name))
    return found or _KERNELS.setdefault((module, name), Kernel(module, name))


def kernel(signature: Signature) -> Callable[[Callable[..., Any]], Kernel]:
    """Make a function a kernel with this one signature."""

    def make(function: Callable[..., Any]) -> Kernel:
        made = _kernel(function.__module__, function.__name__)
        if made.source is not None:  # another function has had that name before
            made = _KERNELS[function.__module__, function.__name__] = Kernel(function.__module__, function.__name__)
        made.__doc__, made.source = function.__doc__, (function, signature)
        return made

    return make


def missing(kernels: Iterable[Kernel]) -> list[Kernel]:
    """Those kernels that have to be compiled before they run, so that a caller can say why it waits."""
    return [k for k in kernels if not k.load()]


def _compiled(function: Callable[..., Any], signature: Signature) -> Code:
    import numpy as np
    from numba import from_dtype, njit, types

    def of(parameter: Parameter) -> Any:
        kind = from_dtype(np.dtype(parameter.dtype))
        read_only = not parameter.written
        return types.Array(kind, parameter.ndim, "C", readonly=read_only, aligned=False) if parameter.ndim else kind

    dispatcher = njit(**_OPTIONS, **_NO_WRAPPERS)(function)
    dispatcher.compile(tuple(of(p) for p in signature))
    (made,) = dispatcher.overloads.values()
    calls = set(re.findall(r"^declare .*?@(?!llvm\.)([^\s(]+)\(", made.library.get_llvm_str(), re.MULTILINE))
    if not calls <= _LIBC:  # a fault of ours, found before the code is kept
        raise RuntimeError(
            f"{function.__module__}.{function.__name__} calls {calls - _LIBC}, which not every process has"
        )
    objects = made.library._get_compiled_object()
    return Code(made.fndesc.llvm_func_name, signature, made.signature.return_type != types.none, objects)


class Deferred:
    """The functions of a module of kernels, imported only when one is no kernel or has to be compiled."""

    def __init__(self, module: str, text: str) -> None:
        self._module = module
        self._names = frozenset(re.findall(r"^(?:def )?(\w+)(?:\(| = )", text, re.MULTILINE))
        self._kernels = frozenset(re.findall(r"^@kernel\(.*\)\ndef (\w+)", text, re.MULTILINE))

    def __getattr__(self, name: str) -> Any:
        if name in self._kernels:
            return _kernel(self._module, name)
        if name in self._names:
            return getattr(importlib.import_module(self._module), name)
        raise AttributeError(f"module {self._module!r} has no function {name!r}")

    def kernel(self, name: str) -> Kernel | None:
        """The kernel of a function: itself, or the one of its name with an underscore that it calls with tables.

        Where there is no such one for weighted encoding, it shares that of plain encoding; None where NumPy does it.
        """
        names = (name, f"_{name}", f"_{name}".removesuffix("_weighted"))
        return next((_kernel(self._module, n) for n in names if n in self._kernels), None)


def deferred(module: str) -> Deferred:
    """The functions of a module of kquants; raises ModuleNotFoundError when there is none."""
    file = machine_code.source_of(module)
    if file is None:
        raise ModuleNotFoundError(f"no module {module!r}", name=module)
    return Deferred(module, file.read_text(encoding="utf-8"))
