# mypy: disable-error-code="misc,untyped-decorator,no-untyped-call"
"""How kernels are compiled: by Numba, on the first call, for one signature, and kept on disk.

The cache lies in the user's cache folder (NUMBA_CACHE_DIR when it is set), so that read-only installations work; where
nothing can be written, kernels are compiled anew in every process. What is kept is found by a digest of the kernel's
source and of every kquants module it imports, next to what Numba itself checks (its version, the processor, its
features), so an upgrade never runs a stale kernel.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar, cast

from numba import njit, types
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": False, "boundscheck": False}


def array_in(dtype: Any, ndim: int = 2) -> Any:
    """The Numba type of an array a kernel reads: C-contiguous; read-only and unaligned ones are welcome."""
    return types.Array(dtype, ndim, "C", readonly=True, aligned=False)


def array_out(dtype: Any, ndim: int = 2) -> Any:
    """The Numba type of an array a kernel writes: C-contiguous, of any alignment."""
    return types.Array(dtype, ndim, "C", aligned=False)


DECODE = (array_in(types.uint8), array_out(types.float32))
"""``decode(blocks, out)``: uint8[n, block bytes] to float32[n, weights of a block]."""

ENCODE = (array_in(types.float32), array_out(types.uint8))
"""``encode(x, out)``: float32[n, weights of a block] to uint8[n, block bytes]."""

ENCODE_WEIGHTED = (array_in(types.float32), array_in(types.float32, 1), array_out(types.uint8))
"""``encode_weighted(x, weights, out)``: float32[rows, columns] and float32[columns] to uint8[rows, row bytes]."""


def inlined(function: F) -> F:
    """A part of a kernel; it is compiled with the kernels that call it and not kept by itself."""
    return cast(F, njit(**_OPTIONS)(function))


class Kernel:
    """A function that is compiled, or loaded from disk, when it is first called; it releases the GIL."""

    def __init__(self, function: Callable[..., Any], signature: tuple[Any, ...]) -> None:
        self.__name__, self.__doc__, self.__module__ = function.__name__, function.__doc__, function.__module__
        self.__wrapped__ = function
        self._signature = signature
        self._lock = threading.Lock()
        self._compiled: Any = None

    def __call__(self, *args: Any) -> Any:
        return (self._compiled or self.compile())(*args)

    def load(self) -> bool:
        """Whether the kernel is ready without compiling: made before in this process, or found on disk."""
        with self._lock:
            return self._load() is not None

    def compile(self) -> Any:
        """The Numba dispatcher, compiled if need be."""
        with self._lock:
            if self._load() is None:
                dispatcher = _dispatcher(self.__wrapped__)
                dispatcher.compile(self._signature)
                self._finish(dispatcher)
            return self._compiled

    def _load(self) -> Any:
        if self._compiled is None:
            dispatcher = _dispatcher(self.__wrapped__)
            target = dispatcher.targetctx
            found = dispatcher._cache.load_overload(self._signature, target) if dispatcher._cache is not None else None
            if found is not None:
                dispatcher.add_overload(found)
                self._finish(dispatcher)
        return self._compiled

    def _finish(self, dispatcher: Any) -> None:
        dispatcher.disable_compile()
        self._compiled = dispatcher


def kernel(signature: tuple[Any, ...]) -> Callable[[Callable[..., Any]], Kernel]:
    """Make a function a kernel with this one signature."""
    return lambda function: Kernel(function, signature)


def missing(kernels: Iterable[Any]) -> list[Kernel]:
    """Those kernels that have to be compiled before they run, so that a caller can say why it waits."""
    return [k for k in kernels if isinstance(k, Kernel) and not k.load()]


def _dispatcher(function: Callable[..., Any]) -> Any:
    made = njit(**_OPTIONS)(function)
    if _folder() is not None:
        made._cache = _Cache(function)
    return made


@cache
def _folder() -> Path | None:
    """The folder that keeps compiled kernels, or None when it cannot be written."""
    if os.environ.get("NUMBA_CACHE_DIR"):
        base = Path(os.environ["NUMBA_CACHE_DIR"])
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path("~/AppData/Local").expanduser())
    elif sys.platform == "darwin":
        base = Path("~/Library/Caches").expanduser()
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    folder = base / "kquants"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (OSError, RuntimeError):
        return None
    return folder if os.access(folder, os.W_OK | os.X_OK) else None


_IMPORT = re.compile(r"^from (\.+)([\w.]*) import (\([^)]*\)|[^\n(]*)", re.MULTILINE)


@cache
def _sources(module: str) -> frozenset[str]:
    """The kquants modules that a module is made of: itself and what it imports, relatively, at its top."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found or name not in sys.modules:
            continue
        found.add(name)
        file = sys.modules[name].__file__ or ""
        is_package = Path(file).name == "__init__.py"
        for dots, origin, names in _IMPORT.findall(_text(file)):
            parts = name.split(".") + (["-"] if is_package else [])
            base = ".".join(parts[: -len(dots)])
            origin = f"{base}.{origin}" if origin else base
            waiting.append(origin)
            waiting += [f"{origin}.{n}" for n in re.findall(r"\w+", names)]
    return frozenset(found)


@cache
def _text(file: str) -> str:
    return Path(file).read_text(encoding="utf-8")


class _Locator(_CacheLocator):
    """Tells Numba where a kernel is kept and by what it is known to be fresh."""

    def __init__(self, py_func: Any) -> None:
        self._module = py_func.__module__
        self._py_file = py_func.__code__.co_filename  # Numba names it when it warns that something cannot be kept

    def get_cache_path(self) -> str:
        return str(_folder())

    def get_source_stamp(self) -> str:
        """The digest of the sources, and the lane width they are compiled for."""
        from .kernels.lanes import LANES

        digest = hashlib.sha256(f"{LANES}".encode())
        for name in sorted(_sources(self._module)):
            digest.update(_text(sys.modules[name].__file__ or "").encode())
        return digest.hexdigest()

    def get_disambiguator(self) -> str:
        """Part of the file name: kernels for other widths or of another version of the sources lie beside."""
        return self.get_source_stamp()[:16]

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> _Locator:
        return cls(py_func)


class _Files(CompileResultCacheImpl):
    _locator_classes: list[type[object]] = [_Locator]  # noqa: RUF012 - Numba's name for it


class _Cache(FunctionCache):
    """Numba's cache, for which a full disk or a damaged file is no reason to fail: the kernel is compiled instead."""

    _impl_class = _Files

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except (OSError, EOFError, ValueError, TypeError, AttributeError, ImportError, KeyError, UnpicklingError):
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError):
            super().save_overload(sig, data)
