"""Make ``digests.json``: the SHA-256 of what upstream's converter writes from each checkpoint of the zoo and beside it.

    python -m tests.hf2gguf.make_digests PYTHON CONVERTER [NAME …]

PYTHON is an interpreter with torch and transformers (the digests are of torch 2.13.0 and transformers 5.23.0),
CONVERTER llama.cpp v0.5.0's ``convert_hf_to_gguf.py``. Names replace their own digests; without any, all are made.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .models import write
from .siblings import SIBLINGS, SIZED
from .zoo import OPTIONS, ZOO

DIGESTS = Path(__file__).with_name("digests.json")
MODELS = ZOO | SIBLINGS | SIZED
RUNS = [*OPTIONS, *((name, ("--vocab-only",)) for name in SIZED)]


PATCHED = """
import pathlib, runpy, sys
_, converter, name, *arguments = sys.argv
sys.path.insert(0, str(pathlib.Path(converter).parent))
from conversion.baichuan import BaichuanModel
from conversion.base import TextModel
def named(self, tokenizer):
    if not hasattr(tokenizer, "mergeable_ranks"):  # what transformers takes the file for
        raise NotImplementedError
    return name
if name:
    TextModel.get_vocab_base_pre = named
def parted(self, data, tensor, layer, own=BaichuanModel.modify_tensors):
    return (own if "W_pack" in tensor else TextModel.modify_tensors)(self, data, tensor, layer)
BaichuanModel.modify_tensors = parted
sys.argv = [converter, *arguments]
runpy.run_path(converter, run_name="__main__")
"""
"""Upstream's converter, told the name of the pre-tokenizer of the checkpoint's own tokenizer.

And Baichuan's, which for all but the fused tensor calls itself until Python's stack ends: those go to its base class.
"""
ENDLESS = ("tiny-baichuan", "BaiChuanForCausalLM")


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def tree(converter: Path, templates: dict[str, str], place: Path) -> Path:
    """The converter in a source tree with these chat templates of its own."""
    (place / "models/templates").mkdir(parents=True)
    for name, text in templates.items():
        (place / "models/templates" / name).write_text(text, "utf-8")
    for name in ("conversion", "gguf-py"):
        (place / name).symlink_to(converter.parent / name)
    return shutil.copy(converter, place)


def upstream(python: str, converter: str, name: str, options: tuple[str, ...]) -> dict[str, str]:
    """Digests by file name of what upstream writes with the options."""
    with tempfile.TemporaryDirectory() as place:
        folder = write(MODELS[name], Path(place) / name)
        out = Path(place) / "out"
        out.mkdir()
        # -O, since DeepSeek V3.2's converter asserts that a tokenizer adds bos, which transformers 5 always denies.
        templates = {
            n: text for n, text in MODELS[name].files.items() if n.endswith(".jinja") and n != "chat_template.jinja"
        }
        if templates:
            converter = str(tree(Path(converter), templates, Path(place) / "tree"))
        patched = MODELS[name].pre or name in ENDLESS
        program = ["-c", PATCHED, converter, MODELS[name].pre] if patched else [converter]
        command = [python, "-O", *program, str(folder), "--outfile", str(out / "m.gguf"), *options]
        if MODELS[name].mistral:
            command.append("--mistral-format")
            if "moe" in MODELS[name].config:  # then it opens this file, and takes nothing from it
                (folder / "config.json").write_text("{}")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{name} {' '.join(options)}: {done.stderr[-2000:]}")
        return {p.name: digest(p) for p in sorted(out.iterdir())}


def main() -> None:
    python, converter, *names = sys.argv[1:]
    runs = [(name, ("--outtype", t)) for name in names or MODELS for t in MODELS[name].outtypes]
    runs += [run for run in RUNS if not names or run[0] in names]
    made = {}
    with ThreadPoolExecutor(2) as pool:
        for (name, options), found in zip(runs, pool.map(lambda r: upstream(python, converter, *r), runs), strict=True):
            made[" ".join((name, *options))] = found
            print(name, *options, flush=True)
    known = (json.loads(DIGESTS.read_text()) if DIGESTS.exists() else {}) | made
    current = {" ".join((n, "--outtype", t)) for n in MODELS for t in MODELS[n].outtypes}
    current |= {" ".join((n, *o)) for n, o in RUNS}
    DIGESTS.write_text(json.dumps({k: known[k] for k in sorted(known) if k in current}, indent=1) + "\n")


if __name__ == "__main__":
    main()
