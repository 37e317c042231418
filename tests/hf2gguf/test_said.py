"""What people have where a checkpoint should be: each is said in a sentence that names the file and helps."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gguf_py import KQuantsError
from hf2gguf import hub
from hf2gguf.convert import prepare

from .models import write
from .zoo import ZOO

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 123\n"
PAGE = b"\n<!DOCTYPE html><html>Access denied</html>"


def holding(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def moved(name: str, to: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).rename(folder / to)


def configured(**more: object) -> Callable[[Path], object]:
    return lambda folder: (folder / "config.json").write_text(json.dumps(ZOO["tiny-llama"].config | more))


def linked(folder: Path) -> None:
    (folder / "tokenizer_config.json").unlink()
    (folder / "tokenizer_config.json").symlink_to("no-blob")


def adapter(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text("{}")


def within(folder: Path) -> None:
    (folder / "snapshots/0123").mkdir(parents=True)
    (folder / "config.json").rename(folder / "snapshots/0123/config.json")


SAID: dict[str, tuple[Callable[[Path], object], str]] = {
    "an empty config": (holding("config.json", b""), r"config\.json: is not valid JSON; it is empty"),
    "a page": (holding("config.json", PAGE), r"config\.json: is not valid JSON; it is a web page"),
    "no text": (holding("config.json", b"\xff\xfe{"), r"config\.json: .* it is no text in UTF-8"),
    "pointers": (holding("model.safetensors", LFS), r"model\.safetensors: is not a .*; it is a pointer of Git LFS"),
    "a pointer to pieces": (holding("tokenizer.model", LFS), r"tokenizer\.model: is not a .* a pointer of Git LFS"),
    "no pieces": (holding("tokenizer.model", b"\x00"), r"tokenizer\.model: is not a SentencePiece model$"),
    "a link to nothing": (linked, r"tokenizer_config\.json: is a link to a file that is not there"),
    "an adapter": (adapter, "has no weights, .*; it holds an adapter"),
    "another name": (
        moved("model.safetensors", "weights.safetensors"),
        "no weights, .*; there is 'weights.safetensors'",
    ),
    "a cache's folder": (within, "has no config.json, .*; .*snapshots/0123 is one"),
    "an index of nothing": (
        holding("model.safetensors.index.json", b'{"weight_map": {}}'),
        r"model\.safetensors\.index\.json: names no tensor",
    ),
    "no layers": (configured(num_hidden_layers=None), "how many layers there are, expected num_hidden_layers"),
    "no class": (
        configured(architectures=[]),
        "'architectures', .* such as LlamaForCausalLM for the model_type 'llama'",
    ),
    "no heads": (
        configured(num_attention_heads=None, head_dim=None),
        "where hidden_size is 64 and num_attention_heads is None$",
    ),
    "a number in quotes": (configured(rope_theta="1"), "tiny: metadata key 'llama.rope.freq_base'"),
}


@pytest.mark.parametrize("case", SAID)
def test_it_is_said(case: str, tmp_path: Path) -> None:
    change, words = SAID[case]
    folder = write(ZOO["tiny-llama"], tmp_path / "tiny")
    change(folder)
    with pytest.raises(KQuantsError, match=words) as fault:
        prepare(folder, "f16")
    assert str(fault.value).startswith(str(folder)) and "\n" not in str(fault.value)


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        ("embed_tokens", "becomes token_embd.weight, which every model has"),
        ("layers.1.self_attn.q_proj", "becomes blk.1.attn_q.weight, but blk.1.attn_k.weight is there"),
        ("layers.0.mlp.down_proj", "becomes blk.0.ffn_down.weight, but blk.0.ffn_up.weight is there"),
    ],
)
def test_a_tensor_that_is_missing(lost: str, words: str, tmp_path: Path) -> None:
    model = ZOO["tiny-llama"]
    tensors = {name: shape for name, shape in model.tensors.items() if lost not in name}
    with pytest.raises(KQuantsError, match=f"tiny: has no tensor that {words}"):
        prepare(write(replace(model, tensors=tensors), tmp_path / "tiny"), "f16")


@pytest.mark.parametrize(("name", "lost"), [("tiny-llama", "max_position_embeddings"), ("tiny-glm4moe",
    "num_attention_heads"), ("tiny-apertus", "intermediate_size")])  # fmt: skip
def test_a_file_that_llama_cpp_would_not_load(name: str, lost: str, tmp_path: Path) -> None:
    config = ZOO[name].config | {lost: None}
    folder = write(replace(ZOO[name], config=config), tmp_path / "tiny")
    with pytest.warns(UserWarning, match=f"tiny: config.json lacks {lost}; llama.cpp loads no file"):
        prepare(folder, "f16")


def test_heads_that_are_not_said(tmp_path: Path) -> None:
    config = {k: v for k, v in ZOO["tiny-llama"].config.items() if k != "num_attention_heads"}
    folder = write(replace(ZOO["tiny-llama"], config=config | {"head_dim": 16}), tmp_path / "tiny")
    with pytest.warns(UserWarning, match="tiny: config.json lacks num_attention_heads; 32 is taken, as transformers"):
        prepare(folder, "f16")


def test_a_file_in_place_of_its_folder(tmp_path: Path) -> None:
    folder = write(ZOO["tiny-llama"], tmp_path / "tiny")
    (folder / "m.gguf").write_bytes(b"GGUF")
    for name, words in (("model.safetensors", "tiny is one$"), ("m.gguf", "what kquants quantize takes$")):
        with pytest.raises(KQuantsError, match=f"{name}: is not a folder, expected .*; .*{words}"):
            prepare(folder / name, "f16")


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    folder = write(ZOO["tiny-llama"], tmp_path / "tiny")
    (folder / "config.json").write_bytes(b"\xef\xbb\xbf" + (folder / "config.json").read_bytes())
    assert prepare(folder, "f16").architecture == "llama"


def test_the_folder_one_is_in_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(ZOO["tiny-llama"], tmp_path / "Tiny-1M-Chat")
    monkeypatch.chdir(folder)
    for place in (Path(), Path("snapshots") / os.pardir):
        (folder / "snapshots").mkdir(exist_ok=True)
        assert prepare(place, "f16").file_name() == "Tiny-1M-Chat-F16.gguf"


def test_the_address_of_a_model_is_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    snapshot = tmp_path / "models--acme--Tiny/snapshots/0123"
    write(ZOO["tiny-llama"], snapshot)
    assert hub.find("https://huggingface.co/acme/Tiny") == (snapshot, "acme/Tiny")
