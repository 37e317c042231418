"""More checkpoints that mean harm: each is refused in one sentence, nothing written. Memory is measured elsewhere."""

from __future__ import annotations

import base64
import json
import os
import shutil
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.main import main
from tests.command import TINY

from .checkpoint.test_torch import archive, described, tensor
from .test_hostile import configure, header, index

Make = Callable[[Path], Any]


def written(name: str, content: bytes | str) -> Make:
    """A file of the checkpoint, in the place of what was there."""
    data = content if isinstance(content, bytes) else content.encode()
    return lambda folder: (folder / name).write_bytes(data)


def instead(name: str, make: Callable[[Path], Any]) -> Make:
    """Something that is no file, in a file's place."""

    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        make(folder / name)

    return change


def configured(**change: Any) -> Make:
    return lambda folder: configure(folder, **change)


def headed(text: bytes) -> Make:
    """Another header before the same numbers."""

    def change(folder: Path) -> None:
        path = folder / "model.safetensors"
        whole = path.read_bytes()
        (length,) = struct.unpack_from("<Q", whole)
        path.write_bytes(struct.pack("<Q", len(text)) + text + whole[8 + length :])

    return change


def pickled(body: bytes) -> Make:
    def change(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        archive(folder / "pytorch_model.bin", body, {"0": np.zeros(4, np.float16)})

    return change


def tokenized(**parts: Any) -> Make:
    """A ``tokenizer.json`` of one token, with these parts."""

    def change(folder: Path) -> None:
        (folder / "tokenizer.model").unlink()
        model = {"type": "BPE", "vocab": {"a": 0}, "merges": []}
        (folder / "tokenizer.json").write_text(
            json.dumps({"version": "1.0", "added_tokens": [], "model": model} | parts)
        )

    return change


def doubling(depth: int) -> dict[str, Any]:
    step: dict[str, Any] = {"type": "Lowercase"}
    for _ in range(depth):
        step = {"type": "Sequence", "normalizers": [step, step]}
    return step


def templates(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("x")
    (folder / "additional_chat_templates").symlink_to("/etc")


def pooled(folder: Path) -> None:
    (folder / "modules.json").write_text('[{"type": "x.Pooling", "path": "p"}]')
    (folder / "p").symlink_to("/etc")


def not_a_number(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-2] + b"\xc0\x7f")


ONE = b'{"a":{"dtype":"F16","shape":%s,"data_offsets":[0,2]}}'
LLAMA3 = {"rope_type": "llama3", "factor": 0, "low_freq_factor": 0, "high_freq_factor": 0}
REPLACE = {"type": "Replace", "pattern": {"Regex": "."}, "content": "x" * 1000}
CHARSMAP = base64.b64encode(struct.pack("<I", 0xFFFFFFFF) + b"\xff" * 100).decode()

HARM: dict[str, tuple[Make, str]] = {
    "config-folder": (instead("config.json", Path.mkdir), "config.json"),
    "config-pipe": (instead("config.json", os.mkfifo), "config.json"),
    "config-latin-1": (written("config.json", b'{"a": "\xff"}'), "UTF-8|utf-8"),
    "config-nothing": (written("config.json", b""), "JSON"),
    "config-null": (written("config.json", "null"), "expected a JSON object"),
    "weights-folder": (instead("model.safetensors", Path.mkdir), "not a regular file"),
    "weights-pipe": (instead("model.safetensors", os.mkfifo), "not a regular file"),
    "weights-nothing": (written("model.safetensors", b""), "too few"),
    "weights-circle": (instead("model.safetensors", lambda p: p.symlink_to(p.name)), "cannot be followed"),
    "weights-device": (instead("model.safetensors", lambda p: p.symlink_to("/dev/zero")), "link"),
    "tokenizer-folder": (instead("tokenizer.model", Path.mkdir), "tokenizer"),
    "tokenizer-pipe": (instead("tokenizer.model", os.mkfifo), "tokenizer"),
    "tokenizer-sparse": (lambda f: os.truncate(f / "tokenizer.model", 1 << 40), "at most"),
    "header-NaN": (headed(ONE % b"[NaN]"), "shape"),
    "header-float": (headed(ONE % b"[1.0]"), "shape"),
    "header-true": (headed(ONE % b"[true]"), "shape"),
    "header-negative": (headed(ONE % b"[-1, -1]"), "shape"),
    "header-long-number": (headed(ONE % (b"[" + b"9" * 5000 + b"]")), "JSON"),
    "header-axes": (headed(ONE % (b"[" + b"1," * 10_000 + b"1]")), "shape"),
    "header-twice": (headed(b'{"a":{"dtype":"F16","dtype":"F32","shape":[1],"data_offsets":[0,4]}}'), "stands twice"),
    "header-nests": (headed(b'{"a":' + b"[" * 100_000), "nests"),
    "header-name": (lambda f: header(f, lambda e: e.update({"x" * 10**6: e.pop("lm_head.weight")})), "has no place"),
    "index-dot": (lambda f: index(f, a="."), "plain file name"),
    "index-long-name": (lambda f: index(f, a="x" * 5000), "plain file name"),
    "index-size": (lambda f: os.truncate(f / "model.safetensors.index.json", 1 << 40), "at most"),
    "parts-lost": (lambda f: (f / "model.safetensors").rename(f / "model-1-of-999999999.safetensors"), "is missing"),
    "pickle-inst": (pickled(b"\x80\x02(X\x0a\x00\x00\x00touch boomios\nsystem\n."), "opcode"),
    "pickle-obj": (pickled(b"\x80\x02(cos\nsystem\nX\x0a\x00\x00\x00touch boomo."), "nothing was run"),
    "pickle-extension": (pickled(b"\x80\x02\x82\x01."), "opcode"),
    "pickle-long": (pickled(b"\x80\x02\x8b\xff\xff\xff\x7f\x01."), "pickle"),
    "pickle-empty": (pickled(b"\x80\x02}."), "no tensor"),
    "pickle-in-itself": (pickled(b"\x80\x02}q\x00X\x0a\x00\x00\x00state_dicth\x00s."), "no tensor"),
    "pickle-overflows": (pickled(described({"a": tensor("HalfStorage", "0", 4, (1 << 62,), (1,))})), "a"),
    "pickle-backwards": (pickled(described({"a": tensor("HalfStorage", "0", 4, (2, 2), (-2, 1))})), "a"),
    "not-a-number": (not_a_number, "finite"),
    "sizes-in-a-list": (configured(hidden_size=[256]), "one number"),
    "epsilon-in-a-list": (configured(rms_norm_eps=[1]), "one number"),
    "epsilon-infinite": (configured(rms_norm_eps=1e999), "finite"),
    "heads-true": (configured(num_attention_heads=True), "head_count"),
    "heads-long": (configured(num_attention_heads="9" * 10**6), "fit|number"),
    "billion-experts": (configured(num_local_experts=10**9), "experts"),
    "vocabulary-of-millions": (configured(vocab_size=4_000_000), "vocab_size"),
    "rope-text": (configured(rope_scaling="x"), "rope"),
    "rope-by-nothing": (configured(rope_scaling=LLAMA3), "frequency factors"),
    "text-config-text": (configured(text_config="x"), "text_config"),
    "writes-much": (tokenized(normalizer={"type": "Sequence", "normalizers": [REPLACE] * 4}), "normalizer"),
    "takes-many-steps": (tokenized(normalizer=doubling(12)), "normalizer"),
    "panics": (tokenized(normalizer={"type": "Precompiled", "precompiled_charsmap": CHARSMAP}), "not a tokenizer"),
    "nests-normalizers": (written("tokenizer.json", '{"normalizer":' * 100_000), "nests too deep"),
    "pieces-without-end": (written("tokenizer.model", b"\x0a\x00" * (1 << 20) + b"\x0a\x00"), "more than"),
    "templates-elsewhere": (templates, "link"),
    "pooling-elsewhere": (pooled, "link"),
}


@pytest.mark.parametrize("name", HARM)
def test_one_sentence(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make, says = HARM[name]
    folder = tmp_path / "model"
    shutil.copytree(TINY, folder)
    (folder / "model.safetensors.index.json").unlink(missing_ok=True)
    if name == "index-size":
        index(folder)
    make(folder)
    arguments = ["convert", folder, "--outtype", "f16", "--outfile", tmp_path / "out.gguf", "--quiet"]
    monkeypatch.setattr("warnings.showwarning", warnings.showwarning)  # which the command sets
    monkeypatch.setattr("sys.argv", ["kquants", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    lines = capfd.readouterr().err.splitlines()
    assert ended.value.code == 1 and len(lines) == 1 and len(lines[0]) < 700, lines
    assert lines[0].startswith("kquants: ") and any(word in lines[0] for word in says.split("|"))
    assert [path.name for path in tmp_path.iterdir()] == ["model"] and not Path("boom").exists()
