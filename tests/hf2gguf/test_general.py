"""Names taken apart, and the order in which a checkpoint's texts are believed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gguf_py import KQuantsError
from hf2gguf import checkpoint, general
from hf2gguf.fields import Fields
from hf2gguf.names import file_name, parse, rounded, size_label, title
from tests.command import kquants

from .make_named import NAMED, RUNS, written
from .make_named import folder as named_folder

COUNTS = (7_000_000_000, 7_000_000_000, 0, 0)

# From gguf-py's own examples of names: what each part is to be.
NAMES: list[tuple[str, int, tuple[Any, ...]]] = [
    ("Mistral-7B-v0.1", 7 * 10**9, ("Mistral-7B-v0.1", None, "Mistral", None, "v0.1", "7B")),
    ("Mixtral-8x7B-v0.1", 0, ("Mixtral-8x7B-v0.1", None, "Mixtral", None, "v0.1", "8x7B")),
    ("Qwen/Qwen1.5-MoE-A2.7B-Chat", 0, ("Qwen1.5-MoE-A2.7B-Chat", "Qwen", "Qwen1.5-MoE", "Chat", None, "A2.7B")),
    ("bigscience/bloom-7b1-petals", 0, ("bloom-7b1-petals", "bigscience", "bloom", "petals", None, "7.1B")),
    ("Llama-3.1-8B-Instruct-128k", 8 * 10**9, ("Llama-3.1-8B-Instruct-128k", None, "Llama-3.1", "Instruct-128k", None,
     "8B")),
    ("a human title", 0, ("a human title", None, None, None, None, None)),
    ("./folder", 0, ("folder", None, None, None, None, None)),
    ("model", 0, ("model", None, None, None, None, None)),
    ("/model", 0, ("model", "", None, None, None, None)),
    ("Phi-3-mini-4k-instruct", 3_800_000_000, ("Phi-3-mini-4k-instruct", None, "Phi-3", "4k-instruct", None, "mini")),
    ("Small-1B-Chat", 10**10, ("Small-1B-Chat", None, "Small", "1b-Chat", None, None)),
    ("acme/Base-Chat-q4_k-v2", 0, ("Base-Chat-q4_k-v2", "acme", "Base", "Chat", "v2", None)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "parameters", "parts"), NAMES)
def test_parse(name: str, parameters: int, parts: tuple[Any, ...]) -> None:
    found = parse(name, parameters)
    assert (found.name, found.organization, found.basename, found.finetune, found.version, found.size_label) == parts


def test_words() -> None:
    assert title("llama-3.2-1B-v2-instruct GPT") == "Llama 3.2 1B v2 Instruct GPT"
    assert [rounded(n) for n in (999, 5_245_184, 135_000_000, 1_100_000_000, 2 * 10**12)] == [
        "1.0K", "5.2M", "135M", "1.1B", "2.0T"]  # fmt: skip
    assert size_label(8, 10**9, 6 * 10**9, 8) == "8x7.0B"
    assert file_name(parse("Mistral-7B-Instruct-v0.3", 7 * 10**9), "f16") == "Mistral-7B-Instruct-v0.3-F16"
    assert file_name(parse("model", 0), "bf16") == "model-BF16"


def gather(folder: Path, counts: tuple[int, int, int, int], **more: Any) -> general.General:
    return general.gather(checkpoint.open(folder), counts, **more)


def folder(place: Path, card: str = "", **files: Any) -> Path:
    made = place / "Small-1B-Chat"
    made.mkdir()
    if card:
        (made / "README.md").write_text(f"---\n{card}\n---\ntext")
    for name, content in files.items():
        (made / f"{name}.json").write_text(json.dumps(content))
    return made


def test_card_over_config_over_folder(tmp_path: Path) -> None:
    plain = folder(tmp_path, "model_creator: Them\nmodel_name: Carded")
    found = gather(plain, COUNTS, name_or_path="org/Other-7B-v3")
    assert found.texts["name"] == "Carded" and found.texts["author"] == "Them"
    assert found.texts["version"] == "v3" and found.texts["organization"] == "Org"
    assert found.texts["finetune"] == "Chat" and found.texts["size_label"] == "7B"
    assert gather(plain, COUNTS, name_or_path="/home/me/models/x-7B").texts.get("organization") is None


def test_overrides_and_name(tmp_path: Path) -> None:
    plain = folder(tmp_path, "author: Card", generation_config={"temperature": 0.5, "repetition_penalty": 1.5})
    over = tmp_path / "over.json"
    over.write_text(json.dumps({"general.author": "File", "general.tags": ["t"], "general.sampling.temp": 0.25}))
    found = gather(plain, COUNTS, overrides=over, name="Mine")
    assert (found.texts["author"], found.texts["name"], found.tags) == ("File", "Mine", ["t"])
    assert (found.sampling["temp"], found.sampling["penalty_repeat"]) == (0.25, 1.5)


def test_keys_that_nothing_takes_are_said(tmp_path: Path) -> None:
    (over := tmp_path / "over.json").write_text('{"general.autor": "A", "author": "B", "general.author": "C"}')
    with pytest.warns(UserWarning, match=r"over\.json: 'general\.autor', 'author': no key"):
        assert gather(folder(tmp_path), COUNTS, overrides=over).texts["author"] == "C"


def test_written_in_order(tmp_path: Path) -> None:
    found = gather(folder(tmp_path, "license: mit\nbase_model: [a/b-7B, {name: N}]\nlanguage: en"), COUNTS)
    fields = Fields("x")
    found.write(fields)
    assert [f.key for f in fields] == [
        "general.name", "general.finetune", "general.basename", "general.size_label", "general.license",
        "general.base_model.count", "general.base_model.0.name", "general.base_model.0.organization",
        "general.base_model.0.repo_url", "general.base_model.1.name", "general.languages",
    ]  # fmt: skip


def test_norway_and_tabs(tmp_path: Path) -> None:
    found = gather(folder(tmp_path, "language:\n- no\n- da\ntags:\n\t- x"), COUNTS)
    assert (found.languages, found.tags) == (["no", "da"], ["x"])


@pytest.mark.parametrize("card", ["a: [", "x: {y"])
def test_a_broken_card_is_said(tmp_path: Path, card: str) -> None:
    with pytest.raises(KQuantsError, match=r"README\.md: the front matter is no YAML at line"):
        gather(folder(tmp_path, card), COUNTS)


HARM = {
    "aliases": "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "license: *i",
    "itself": "license: &a [*a]",
    "a date that is none": "version: 2024-99-99",
    "nesting": "a: " + "[" * 100_000,
}


@pytest.mark.parametrize("case", HARM)
def test_a_card_that_means_harm_is_said(tmp_path: Path, case: str) -> None:
    with pytest.raises(KQuantsError, match=r"README\.md: the front matter"):
        gather(folder(tmp_path, HARM[case]), COUNTS)


def test_advice_that_is_broken_is_passed_over(tmp_path: Path) -> None:
    plain = folder(tmp_path)
    for text in ("{broken", "[" * 100_000, "[]"):
        (plain / "generation_config.json").write_text(text)
        assert gather(plain, COUNTS).sampling == {}


def test_a_card_does_not_choose_the_folder(tmp_path: Path) -> None:
    found = gather(folder(tmp_path, "basename: ../../a\nfinetune: /etc/x\nversion: 1.0\nsize_label: ..\\7 B"), COUNTS)
    assert file_name(found.name, "f16") == "..-..-a-..-7 B--etc-x-1.0-F16"


def test_a_broken_metadata_file_is_said(tmp_path: Path) -> None:
    over = tmp_path / "over.json"
    over.write_text("[1]")
    with pytest.raises(KQuantsError, match=r"over\.json: holds a list, expected a JSON object"):
        gather(folder(tmp_path), COUNTS, overrides=over)


@pytest.mark.parametrize(("name", "options"), RUNS, ids=lambda run: run if isinstance(run, str) else " ".join(run))
def test_files_are_named_as_upstream_names_them(name: str, options: tuple[str, ...], tmp_path: Path) -> None:
    path, more = named_folder(tmp_path, name, options)
    assert kquants("convert", path, *more).returncode == 0
    assert written(path) == json.loads(NAMED.read_text())[" ".join((name, *options))]


def test_lists_that_are_none(tmp_path: Path) -> None:
    plain = folder(tmp_path, "tags: [a, 1]\nlanguage:\n-   no\n- en")
    found = gather(plain, COUNTS)
    assert (found.tags, found.languages) == (["a", "1"], ["no", "en"])
    (over := tmp_path / "over.json").write_text('{"general.tags": "abc"}')
    with pytest.raises(KQuantsError, match=r"over.json: general.tags is a str, expected a list"):
        gather(plain, COUNTS, overrides=over)
    over.write_text('{"general.datasets": ["a/b"]}')
    with pytest.raises(KQuantsError, match=r"over.json: general.datasets holds .*, expected a list of objects"):
        gather(plain, COUNTS, overrides=over)


def test_false_and_nought_are_not_written(tmp_path: Path) -> None:
    fields = Fields("x")
    gather(folder(tmp_path, "author: false\nversion: 0\norganization: no\ndescription: 1.0"), COUNTS).write(fields)
    assert {f.key for f in fields} & {f"general.{key}" for key in general.CARD} == {
        "general.name", "general.description", "general.finetune", "general.basename", "general.size_label",
    }  # fmt: skip
