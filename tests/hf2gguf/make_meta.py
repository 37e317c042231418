"""Make ``meta.json``: the SHA-256 of what upstream makes of Meta's folders once transformers' script has been there.

    python -m tests.hf2gguf.make_meta PYTHON CONVERTER OLD SCRIPT

PYTHON is an interpreter with torch and transformers (5.23.0), CONVERTER llama.cpp v0.5.0's ``convert_hf_to_gguf.py``;
OLD one with transformers 4.46.3 and accelerate, the last whose wheel has SCRIPT:
``transformers/models/llama/convert_llama_weights_to_hf.py``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from .make_digests import digest
from .meta import METAS, write

META = Path(__file__).with_name("meta.json")
NAMED = """
import pathlib, runpy, sys
_, converter, *arguments = sys.argv
sys.path.insert(0, str(pathlib.Path(converter).parent))
from conversion.base import TextModel
TextModel.get_vocab_base_pre = lambda self, tokenizer: "llama-bpe"
sys.argv = [converter, *arguments]
runpy.run_path(converter, run_name="__main__")
"""
"""Upstream's converter, told the pre-tokenizer of a small vocabulary that it cannot know."""


def upstream(python: str, converter: str, old: str, script: str, name: str) -> str:
    """The digest of what upstream writes, as F16."""
    with tempfile.TemporaryDirectory() as place:
        model, out = METAS[name], Path(place) / "m.gguf"
        published, folder = write(model, Path(place) / "published"), Path(place) / name
        told = ["--llama_version", model.version, "--num_shards", str(model.parts)]
        convert = [old, script, "--input_dir", str(published), "--output_dir", str(folder), *told]
        subprocess.run(convert, check=True, capture_output=True)
        run = [python, "-c", NAMED, converter, str(folder), "--outtype", "f16", "--outfile", str(out)]
        subprocess.run(run, check=True, capture_output=True)
        return digest(out)


def main() -> None:
    made = {name: upstream(*sys.argv[1:], name) for name in METAS}
    META.write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
