"""Where the reference libraries are, and how they get there."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

PREBUILT = "@node-llama-cpp/linux-x64@3.22.1"
"""The npm package that carries llama.cpp v0.5.0 built for the baseline x86-64 processor."""

_HOME = Path(__file__).resolve().parents[2] / ".reference"
_LIBRARY = "libllama.v0.5.0.so"


def prebuilt() -> Path | None:
    """The folder with the prebuilt llama.cpp's libraries, or None when it was never fetched."""
    named = os.environ.get("KQUANTS_REFERENCE")
    folder = Path(named) if named else _HOME / "llama.cpp"
    return folder.resolve() if (folder / _LIBRARY).is_file() else None


def ggml_library() -> Path | None:
    """``libggml-base.so`` of the prebuilt llama.cpp, else of the wheel libggml-python, else None."""
    if folder := prebuilt():
        return folder / "libggml-base.so"
    spec = importlib.util.find_spec("libggml")
    for place in (spec.submodule_search_locations if spec else None) or ():
        library = Path(place) / "lib64" / "libggml-base.so"
        if library.is_file():
            return library
    return None


def fetch() -> Path:
    """Fetch the prebuilt llama.cpp with npm unless it is there; returns its folder."""
    if folder := prebuilt():
        return folder
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise RuntimeError("it is built for Linux on x86-64 only")
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError("npm is not installed")
    _HOME.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_HOME) as scratch:
        subprocess.run([npm, "pack", "--silent", PREBUILT], cwd=scratch, check=True, stdout=subprocess.DEVNULL)
        (archive,) = Path(scratch).glob("*.tgz")
        unpacked = Path(scratch) / "llama.cpp"
        unpacked.mkdir()
        with tarfile.open(archive) as tar:
            tar.extraction_filter = getattr(tarfile, "data_filter", None)
            for member in tar:
                if member.isfile() and member.name.endswith(".so"):
                    member.name = Path(member.name).name
                    tar.extract(member, unpacked)
        target = _HOME / "llama.cpp"
        shutil.rmtree(target, ignore_errors=True)
        unpacked.rename(target)
    found = prebuilt()
    if found is None:
        raise RuntimeError(f"{PREBUILT} did not contain {_LIBRARY}")
    return found
