"""Write ``real.json``: SHA-256 of the files upstream's converter makes of the real checkpoints of ``real.py``.

    python -m tests.hf2gguf.make_real PYTHON CONVERTER [NAME …]

PYTHON is an interpreter with torch and transformers (the digests are of torch 2.13.0 and transformers 5.23.0),
CONVERTER llama.cpp v0.5.0's ``convert_hf_to_gguf.py``. Names replace their own digests; without any, all are made.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from .make_digests import digest
from .real import REAL

DIGESTS = Path(__file__).with_name("real.json")


def main() -> None:
    python, converter, *names = sys.argv[1:]
    known = json.loads(DIGESTS.read_text()) if DIGESTS.exists() else {}
    for name in names or REAL:
        make, outtypes, fetch = REAL[name]
        with tempfile.TemporaryDirectory() as place:
            folder, out = make(Path(place)), Path(place) / "m.gguf"
            if folder is None:
                raise SystemExit(f"{name} needs `{fetch}`")
            for outtype in outtypes:
                command = [python, converter, str(folder), "--outfile", str(out), "--outtype", outtype]
                subprocess.run(command, check=True)
                known[f"{name} {outtype}"] = digest(out)
    DIGESTS.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
