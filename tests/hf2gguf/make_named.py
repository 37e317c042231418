"""Write ``named.json``: what upstream's converter calls its files when it is not told, and their SHA-256.

    python -m tests.hf2gguf.make_named PYTHON CONVERTER

PYTHON is an interpreter with torch and transformers, CONVERTER llama.cpp v0.5.0's ``convert_hf_to_gguf.py``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .make_digests import digest
from .models import write
from .zoo import ZOO

NAMED = Path(__file__).with_name("named.json")
SAID = {
    "general.name": "Another Name",
    "general.basename": "Another",
    "general.finetune": "Tuned",
    "general.version": "v7",
    "general.author": "Somebody",
    "general.description": "Two\nlines",
    "general.tags": ["a", "b"],
}
RUNS: list[tuple[str, tuple[str, ...]]] = [
    ("Mixtral-8x7B-Instruct-v0.1", ()),
    ("my model.v2", ("--outtype", "q8_0")),
    ("Tiny-1M-Chat", ("--vocab-only",)),
    ("Tiny-1M-Chat", ("--model-name", "Big-7B-Base")),
    ("Tiny-1M-Chat", ("--model-name", "")),
    ("Tiny-1M-Chat", ("--metadata", "SAID")),
    ("Tiny-1M-Chat", ("--metadata", "SAID", "--model-name", "Big-7B-Base", "--split-max-tensors", "12")),
]
"""Names of folders, and options; SAID stands for a file with what is above."""


def folder(place: Path, name: str, options: tuple[str, ...]) -> tuple[Path, list[str]]:
    """The checkpoint and the options of a run."""
    said = place / "said.json"
    said.write_text(json.dumps(SAID))
    return write(ZOO["tiny-llama"], place / name), [str(said) if option == "SAID" else option for option in options]


def written(path: Path) -> dict[str, str]:
    """Digests of the files that appeared in the checkpoint's folder, by name."""
    return {file.name: digest(file) for file in sorted(path.glob("*.gguf"))}


def upstream(python: str, converter: str, name: str, options: tuple[str, ...]) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as place:
        path, more = folder(Path(place), name, options)
        subprocess.run([python, converter, str(path), *more], check=True, capture_output=True)
        return written(path)


def main() -> None:
    python, converter = sys.argv[1:]
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda run: upstream(python, converter, *run), RUNS)
        made = {" ".join((name, *options)): files for (name, options), files in zip(RUNS, found, strict=True)}
    NAMED.write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
