"""Write ``digests.json``: the tokenizer's metadata that llama.cpp's converter writes for each case.

    python -m tests.hf2gguf.tokenizer.make_digests llama.cpp/convert_hf_to_gguf.py [NAME …]

Names replace their own digests; without any, all are made, those of special tokens too. Needs what the converter needs,
mistral-common with Pillow (for tekken), and the real tokenizers fetched.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import gguf_py
from gguf_py import Field

from .cases import CASES
from .parts import write
from .random_files import random_files

SEEDS = 400
DIGESTS = Path(__file__).with_name("digests.json")


def digest(fields: Iterable[Field]) -> str:
    """SHA-256 of keys, types and values, in order."""
    whole = hashlib.sha256()
    for field in fields:
        whole.update(f"{field.key}\0{field.type_name}\0".encode() + field.payload("little"))
    return whole.hexdigest()


def converted(converter: str, name: str, scratch: Path) -> str:
    files, config, _ = CASES[name]
    folder, out = write(scratch / name, files, config), scratch / f"{name}.gguf"
    subprocess.run([sys.executable, converter, folder, "--vocab-only", "--outfile", out], check=True)
    with gguf_py.open(out) as f:
        return digest(field for key, field in f.fields.items() if key.startswith("tokenizer."))


def special(seed: int, scratch: Path) -> str:
    """What upstream's ``SpecialVocab`` writes for random files."""
    import gguf
    import numpy as np

    files, config = random_files(seed)
    folder, out = write(scratch / str(seed), files, config), scratch / f"{seed}.gguf"
    writer = gguf.GGUFWriter(out, "llama")
    gguf.SpecialVocab(folder, load_merges=seed % 2 == 0, n_vocab=30 if seed % 3 else None).add_to_gguf(writer)
    writer.add_tensor("x", np.zeros(1, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with gguf_py.open(out) as f:
        return digest(field for key, field in f.fields.items() if key.startswith("tokenizer."))


def main(converter: str, *names: str) -> None:
    sys.path.insert(1, str(Path(converter).parent / "gguf-py"))
    known = json.loads(DIGESTS.read_text()) if names else {"cases": {}}
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        made = known["cases"] | {case: converted(converter, case, scratch) for case in names or CASES}
        specials = known["special"] if names else [special(seed, scratch) for seed in range(SEEDS)]
    cases = {case: made[case] for case in CASES}
    DIGESTS.write_text(json.dumps({"cases": cases, "special": specials}, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
