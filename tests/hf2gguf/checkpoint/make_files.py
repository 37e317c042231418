"""Write ``files.json``: SHA-256 of the files upstream's converter makes of the checkpoints in ``whole.py``.

    python -m tests.hf2gguf.checkpoint.make_files PYTHON CONVERTER [NAME …]

PYTHON is an interpreter with torch and transformers (the digests are of torch 2.13.0 and transformers 5.23.0),
CONVERTER llama.cpp v0.5.0's ``convert_hf_to_gguf.py``. Names replace their own digests; without any, all are made.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.hf2gguf.make_digests import digest

from .whole import FILES, OUTTYPES, write

DIGESTS = Path(__file__).with_name("files.json")


def upstream(python: str, converter: str, name: str, outtype: str) -> str:
    """The digest of what upstream writes."""
    with tempfile.TemporaryDirectory() as place:
        folder, out = write(name, Path(place) / "Tiny-Encoded"), Path(place) / "m.gguf"
        command = [python, converter, str(folder), "--outfile", str(out), "--outtype", outtype]
        # Lazily, upstream stumbles over BitNet.
        command += ["--no-lazy"] if name == "bitnet" else []
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{name} {outtype}: {done.stderr[-2000:]}")
        return digest(out)


def main() -> None:
    python, converter, *names = sys.argv[1:]
    runs = [(name, outtype) for name in names or FILES for outtype in OUTTYPES]
    known = json.loads(DIGESTS.read_text()) if DIGESTS.exists() else {}
    with ThreadPoolExecutor(2) as pool:
        for run, found in zip(runs, pool.map(lambda r: upstream(python, converter, *r), runs), strict=True):
            known[" ".join(run)] = found
            print(*run, flush=True)
    current = [f"{name} {outtype}" for name in sorted(FILES) for outtype in OUTTYPES]
    DIGESTS.write_text(json.dumps({run: known[run] for run in current}, indent=1) + "\n")


if __name__ == "__main__":
    main()
