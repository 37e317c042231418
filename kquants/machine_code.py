"""Compiled kernels as files: where they lie, what makes them stale, how they are loaded and called.

None of it needs Numba, whose import alone takes longer than loading all the kernels of a run: an object file is linked
by LLVM and its function called through ``ctypes``, which lets go of the GIL.

The files lie in the user's cache folder (NUMBA_CACHE_DIR when it is set), so that read-only installations work; where
nothing can be written, kernels are compiled anew in every process. A file's name holds a digest of the kernel's source,
of every kquants module it imports, of Numba's and LLVM's versions and of the processor: an upgrade runs nothing stale.
What an older version left goes when the kernel is compiled again and nobody has used it for a month.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import json
import os
import re
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import numpy as np
from llvmlite import binding

_MAGIC = b"kquants1"
_HEAD = struct.Struct("<8s32sQ")
"""Mark, SHA-256 of all that follows, bytes of the JSON text in front of the object file."""
_PACKAGE = Path(__file__).parent
_UNUSED = 30 * 24 * 3600
"""Seconds after which a kernel of another version is one that nobody uses."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a kernel is given: a C-contiguous array of ``ndim`` axes, of any alignment, or with ``ndim`` 0 a number."""

    dtype: str
    ndim: int
    written: bool = False


@dataclass(frozen=True, slots=True)
class Code:
    """A compiled kernel: an object file, and how the function in it is called."""

    symbol: str
    parameters: tuple[Parameter, ...]
    returns: bool
    """Whether the function gives an int64."""
    objects: bytes


def processor() -> tuple[str, str]:
    """The name of the processor that kernels are compiled for and its features, as LLVM spells them.

    NUMBA_CPU_NAME and NUMBA_CPU_FEATURES stand for another one, as Numba takes them.
    """
    name = os.environ.get("NUMBA_CPU_NAME") or binding.get_host_cpu_name()
    features = os.environ.get("NUMBA_CPU_FEATURES")
    return name, binding.get_host_cpu_features().flatten() if features is None else features


def load(module: str, name: str) -> Code | None:
    """The code of a kernel, if a fresh and undamaged file of it is there."""
    try:
        data = _path(module, name).read_bytes()
        mark, digest, size = _HEAD.unpack_from(data)
        rest = memoryview(data)[_HEAD.size :]
        if mark != _MAGIC or hashlib.sha256(rest).digest() != digest:
            return None
        said = json.loads(bytes(rest[:size]))
    except (OSError, struct.error, ValueError, RuntimeError):
        return None
    parameters = tuple(Parameter(**p) for p in said["parameters"])
    return Code(said["symbol"], parameters, said["returns"], bytes(rest[size:]))


def save(module: str, name: str, code: Code) -> None:
    """Keep the code of a kernel; a full disk or a locked folder is no reason to fail."""
    said = {"symbol": code.symbol, "parameters": [asdict(p) for p in code.parameters], "returns": code.returns}
    text = json.dumps(said).encode()
    digest = hashlib.sha256(text + code.objects).digest()
    with suppress(OSError, RuntimeError):
        path = _path(module, name)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside = path.with_name(f"{path.name}.{os.getpid()}")
        beside.write_bytes(_HEAD.pack(_MAGIC, digest, len(text)) + text + code.objects)
        beside.replace(path)
        _tidy(path)


def link(code: Code) -> tuple[Callable[..., int | None], int]:
    """Load the object file into this process; returns the function and its address.

    The function takes arrays and numbers. It raises TypeError for an array of another type, number of axes or order
    than the kernel was compiled for.
    """
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), _machine())
    engine.add_object_file(binding.ObjectFileRef.from_data(code.objects))
    engine.finalize_object()
    address = engine.get_function_address(code.symbol)
    kinds = [k for p in code.parameters for k in _argument_types(p)]
    function = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, *kinds)(address)
    convert = [_array(p) if p.ndim else _NUMBERS[p.dtype][1] for p in code.parameters]

    def call(*given: Any, _engine: Any = engine) -> int | None:
        result, fault = ctypes.c_int64(), ctypes.c_void_p()
        words = [word for to, value in zip(convert, given, strict=True) for word in to(value)]
        status = function(ctypes.addressof(result), ctypes.addressof(fault), *words)
        if status not in _FINE:
            raise RuntimeError(f"kernel {code.symbol} ended with status {status}")
        return result.value if code.returns else None

    return call, address


_FINE = (0, -2)
"""What a function compiled by Numba returns after it gave a value, and after it gave None."""

_NUMBERS: dict[str, tuple[Any, Callable[[Any], tuple[Any, ...]]]] = {
    "int64": (ctypes.c_int64, lambda value: (int(value),)),
    "float32": (ctypes.c_float, lambda value: (float(value),)),
}


def _argument_types(parameter: Parameter) -> list[Any]:
    """An array comes as Numba's array structure, taken apart: owner, parent, size, item size, data, shape, strides."""
    if not parameter.ndim:
        return [_NUMBERS[parameter.dtype][0]]
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    return [pointer, pointer, number, number, pointer] + [number] * (2 * parameter.ndim)


def _array(parameter: Parameter) -> Callable[[Any], tuple[Any, ...]]:
    dtype, ndim, written = np.dtype(parameter.dtype), parameter.ndim, parameter.written

    def words(array: Any) -> tuple[Any, ...]:
        flags = array.flags
        if array.dtype != dtype or array.ndim != ndim or not flags.c_contiguous or (written and not flags.writeable):
            kind = "writable, " if written else ""
            raise TypeError(
                f"expected a {kind}C-contiguous {dtype} array of {ndim} axes, found {array.dtype}{array.shape}"
            )
        return (
            None,
            None,
            array.size,
            array.itemsize,
            array.__array_interface__["data"][0],
            *array.shape,
            *array.strides,
        )

    return words


@cache
def _machine() -> Any:
    with suppress(RuntimeError):  # where LLVM begins by itself
        binding.initialize()
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding.Target.from_triple(binding.get_process_triple()).create_target_machine(
        codemodel="jitdefault", jit=True
    )


# ------------------------------------------------------------------------------------------------- where, and how fresh


def _path(module: str, name: str) -> Path:
    """The file of a kernel; raises OSError or RuntimeError when it has no home, as one of another package has none."""
    if source_of(module) is None:
        raise FileNotFoundError(module)
    if os.environ.get("NUMBA_CACHE_DIR"):
        base = Path(os.environ["NUMBA_CACHE_DIR"])
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path("~/AppData/Local").expanduser())
    elif sys.platform == "darwin":
        base = Path("~/Library/Caches").expanduser()
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME", ""))
        base = base if base.is_absolute() else Path("~/.cache").expanduser()  # which is what a relative one stands for
    return base / "kquants" / f"{module}.{name}-{_stamp(module)}.kernel"


def _tidy(fresh: Path) -> None:
    """Drop the same kernel's other files, of older versions and other processors, that nobody has used for long.

    A process that still wants one has read it before, or compiles it anew.
    """
    kernel, _, _ = fresh.name.rpartition("-")
    for path in fresh.parent.glob(f"{kernel}-*.kernel*"):
        with suppress(OSError):
            told = path.stat()
            if time.time() - max(told.st_atime, told.st_mtime) > _UNUSED:
                path.unlink()


@cache
def _stamp(module: str) -> str:
    """What the code of a module's kernels depends on, as a digest."""
    digest = hashlib.sha256(_surroundings().encode())
    for source in sorted(_sources(module)):
        digest.update(_text(source).encode())
    return digest.hexdigest()[:16]


@cache
def _surroundings() -> str:
    numba = importlib.util.find_spec("numba")
    version = Path((numba.submodule_search_locations or [""])[0], "_version.py").read_bytes() if numba else b""
    names = (n for n in os.environ if n.startswith("NUMBA_") or n == "KQUANTS_LANES")
    switches = sorted(f"{n}={os.environ[n]}" for n in names if n != "NUMBA_CACHE_DIR")
    return repr((processor(), version, llvmlite.__version__, sys.version_info[:2], switches))


_IMPORT = re.compile(r"^from (\.+)([\w.]*) import (\([^)]*\)|[^\n(]*)", re.MULTILINE)


@cache
def _sources(module: str) -> frozenset[Path]:
    """The files that a module is made of: its own and those of what it imports, relatively, at its top."""
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        file = source_of(name)
        if file is None or file in found:
            continue
        found.add(file)
        waiting += _imported(name, file)
    return frozenset(found)


@cache
def _imported(module: str, file: Path) -> list[str]:
    """What a module imports relatively, at its top: the modules, and the names in them, which may be modules too."""
    found = []
    for dots, origin, names in _IMPORT.findall(_text(file)):
        parts = module.split(".") + (["-"] if file.name == "__init__.py" else [])
        base = ".".join(parts[: -len(dots)])
        origin = f"{base}.{origin}" if origin else base
        found += [origin, *(f"{origin}.{n}" for n in re.findall(r"\w+", names))]
    return found


def source_of(module: str) -> Path | None:
    """The file of a module of kquants, which need not be imported; None when there is none."""
    return _modules().get(module)


@cache
def _modules() -> dict[str, Path]:
    """Every module of the package, and its file."""
    found = {}
    for folder, _, files in os.walk(_PACKAGE):
        package = ".".join((__package__, *Path(folder).relative_to(_PACKAGE).parts))
        for file in files:
            if file.endswith(".py"):
                name = package if file == "__init__.py" else f"{package}.{file[:-3]}"
                found[name] = Path(folder, file)
    return found


@cache
def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8")
