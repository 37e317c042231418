"""Make ``endian.json``: the SHA-256 of what upstream's ``gguf_convert_endian`` makes of quantized files.

    python -m tests.hf2gguf.make_endian PYTHON GGUF_PY

PYTHON is an interpreter with numpy, pyyaml and tqdm, GGUF_PY the folder ``gguf-py`` of llama.cpp v0.5.0. The files that
it turns round are our little-endian ones, whose bytes other tests hold to llama.cpp's.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.command import TINY, done, sha256

DIGESTS = Path(__file__).with_name("endian.json")

RUNS = {
    "Q4_K_M": (),
    "Q4_0": (),
    "Q1_0": (),
    "MXFP4_MOE": (),
    "Q6_K": ("--split-max-size", "2M", "--no-tensor-first-split"),
}
"""File types that gguf-py can turn round, and options."""


def convert(place: Path, kind: str, *options: str) -> dict[str, str]:
    """Digests by name of the files that the command makes in ``place``."""
    done("convert", TINY, "--outtype", kind, "--outfile", place / "m.gguf", *options)
    return {path.name: sha256(path) for path in sorted(place.iterdir())}


def main() -> None:
    python, gguf_py = sys.argv[1:]
    made = {}
    for kind, options in RUNS.items():
        with tempfile.TemporaryDirectory() as folder:
            convert(Path(folder), kind, *options)
            for path in Path(folder).iterdir():
                script = Path(gguf_py) / "gguf/scripts/gguf_convert_endian.py"
                subprocess.run([python, script, path, "big"], input="YES\n", text=True, check=True)
            made[kind] = {path.name: sha256(path) for path in sorted(Path(folder).iterdir())}
    DIGESTS.write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
