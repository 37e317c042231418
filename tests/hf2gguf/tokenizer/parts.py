"""What folders of tokenizer files are made of: configurations, tokens, small tokenizers; and how they are written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

Files = dict[str, Path | str | dict[str, Any]]
Case = tuple[Files, dict[str, Any], str]

ROOT = Path(__file__).resolve().parents[3]
TINY = ROOT / "fixtures" / "tiny-speeches-5m"
SMALL = ROOT / "tests" / "hf2gguf" / "tokenizers"
PIECES = {"tokenizer.model": TINY / "tokenizer.model"}

SIZES = {
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 512,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
}


def config(architecture: str, kind: str, vocab_size: int, **more: Any) -> dict[str, Any]:
    """A small model's ``config.json``."""
    return {"architectures": [architecture], "model_type": kind, "vocab_size": vocab_size} | SIZES | more


def added(token_id: int, content: str, **flags: bool) -> dict[str, Any]:
    """An added token of ``tokenizer.json``."""
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    return {"id": token_id, "content": content} | plain | flags


DECODER = {
    "1": {"content": "<s>", "special": True},
    "4096": {"content": "<|user|>", "special": False},
    "4097": {"content": "▁two▁words", "special": False},
    "4098": {"content": "<end>", "special": True},
    "9999": {"content": "<beyond>", "special": True},
}
TEMPLATES = [
    {"name": "default", "template": "{{ messages }}"},
    {"name": "tool use!", "template": "{{ tools }}"},
    {"name": "", "template": "nameless"},
]
SPECIALS = {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "unk_token": "<unk>", "add_bos_token": True}
_BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
FALLBACK = {
    "version": "1.0",
    "added_tokens": [added(i, t, special=True) for i, t in enumerate(["<unk>", "<s>", "</s>"])]
    + [added(267, "<extra>"), added(268, "<|im_end|>", special=True)],
    "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
    "pre_tokenizer": None,
    "post_processor": None,
    "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]},
    "model": {
        "type": "BPE",
        "unk_token": "<unk>",
        "byte_fallback": True,
        "fuse_unk": True,
        "ignore_merges": False,
        "vocab": {t: i for i, t in enumerate(["<unk>", "<s>", "</s>", *_BYTES, *"▁abc", "ab", "▁a", "abc", "d"])},
        "merges": [["a", "b"], ["▁", "a"], ["ab", "c"]],
    },
}


def with_plain(path: Path) -> dict[str, Any]:
    """GPT-2's tokenizer with added tokens that are not special there."""
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    texts = ("▁pad ", "<turn>", "<tool>", "▁none ")
    document["added_tokens"] += [added(50000 + i, text, normalized=i % 2 == 0) for i, text in enumerate(texts)]
    document["added_tokens"].sort(key=lambda token: token["id"])
    return document


EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}


def saved(name: str, **settings: Any) -> Files:
    """A small tokenizer with other settings; those that are ``...`` are left out."""
    files: Files = {file: SMALL / name / file for file in ("tokenizer.json", "tokenizer_config.json")}
    said = json.loads((SMALL / name / "tokenizer_config.json").read_text("utf-8")) | settings
    return files | {"tokenizer_config.json": {key: value for key, value in said.items() if value is not ...}}


def write(folder: Path, files: Files, config: dict[str, Any]) -> Path:
    """The folder, which is made; raises FileNotFoundError when a real tokenizer has not been fetched."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        if isinstance(content, Path):
            shutil.copyfile(content, path)
        else:
            path.write_bytes((content if isinstance(content, str) else json.dumps(content)).encode())
    return folder
