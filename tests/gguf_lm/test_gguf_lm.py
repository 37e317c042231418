"""The language model against llama.cpp, and perplexity against arithmetic done by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from kquants_cli.main import kquants

import gguf_py
from gguf_lm import Model, importance, load_tokenizer, perplexity
from gguf_py import shards
from gguf_py.errors import KQuantsError
from kquants import imatrix

from ..files import real_files
from ..reference import Llama

FIXTURES = Path(__file__).parents[2] / "fixtures"
HELD_OUT = FIXTURES / "text" / "held-out.txt"
ODD = "Hello  world\n\n\ttabs, “quotes”, naïve café, 漢字 and 🦆; 12345 ▁ <s> </s>"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("lm") / "tiny-f32.gguf"
    arguments = ["convert", str(FIXTURES / "tiny-speeches-5m"), "--outtype", "f32", "--outfile", str(out)]
    CliRunner().invoke(kquants, arguments, catch_exceptions=False)
    return out


@pytest.mark.upstream
def test_token_ids_are_llama_cpps(llama: Llama, tiny: Path) -> None:
    texts = [HELD_OUT.read_text("utf-8")[:20_000], ODD, "", " ", "a" * 300]
    with gguf_py.open(tiny) as file:
        codec = load_tokenizer(file)
    assert codec.bos == 1
    expected = llama.tokenize(tiny, texts, add_special=False, parse_special=False)
    for text, ids in zip(texts, expected, strict=True):
        assert codec.encode(text) == list(ids), text[:40]


@pytest.mark.upstream
@pytest.mark.parametrize("name", ["SmolLM2-135M-Instruct.Q4_1", "ggml-vocab-llama-bpe", "ggml-vocab-qwen2"])
def test_token_ids_of_real_vocabularies_are_too(name: str, llama: Llama) -> None:
    found = real_files(f"{name}.gguf")
    if not found:
        pytest.skip("needs others' files: `python -m tests.files fetch` brings them")
    texts = [HELD_OUT.read_text("utf-8")[:20_000], ODD, " 1 234 5678\t9½ ٣"]
    with gguf_py.open(found[0]) as file:
        codec = load_tokenizer(file)
    for text, ids in zip(texts, llama.tokenize(found[0], texts, add_special=False, parse_special=False), strict=True):
        assert codec.encode(text) == list(ids), text[:40]


@pytest.mark.upstream
def test_logits_are_llama_cpps(llama: Llama, tiny: Path) -> None:
    with gguf_py.open(tiny) as file:
        codec = load_tokenizer(file)
        ids = [1, *codec.encode("The state of the Union is strong, and the whale is white.")]
        model = Model(file)
        ours = model.logits(model.hidden(np.array([ids])))[0]
    theirs = llama.logits(tiny, ids)
    assert np.abs(ours - theirs).max() < 2e-3 * np.abs(theirs).max()
    assert (ours.argmax(-1) == theirs.argmax(-1)).all()


@pytest.mark.upstream
def test_importance_is_llama_cpps(llama: Llama, tiny: Path) -> None:
    """What llama-imatrix sums: it looks at the same products of the same graph."""
    ids = [int(i) for i in np.random.default_rng(1).integers(3, 4096, 128)]
    with gguf_py.open(tiny) as file:
        *_, ours = importance(Model(file), ids, ctx=64, bos=1)
    theirs = [llama.importance(tiny, [1, *ids[start + 1 : start + 64]]) for start in (0, 64)]
    expected = {name for name in theirs[0] if "norm" not in name}
    assert set(ours.sums) == expected and len(expected) == 4 * 7
    assert (ours.rows, ours.windows) == (128, 2)
    for name, sums in ours.sums.items():
        np.testing.assert_allclose(sums, theirs[0][name] + theirs[1][name], rtol=2e-3, err_msg=name)


def test_importance_of_the_first_layer_by_hand(tiny: Path) -> None:
    ids = np.arange(300, 316)
    with gguf_py.open(tiny) as file:
        first, *_ = importance(model := Model(file), ids.tolist(), ctx=8, most=1)
        assert model.watch is None  # what is measured next is not added
        x = file.tensors["token_embd.weight"].to_numpy()[ids[:8]].astype(np.float64)
        normal = x / np.sqrt((x * x).mean(1, keepdims=True) + 1e-5) * file.tensors["blk.0.attn_norm.weight"].to_numpy()
    assert (first.rows, first.windows) == (8, 1)
    for name in "qkv":
        np.testing.assert_allclose(first.sums[f"blk.0.attn_{name}.weight"], (normal**2).sum(0), rtol=1e-5)


def test_an_importance_matrix_from_text_to_file_type(tiny: Path, tmp_path: Path) -> None:
    """It is read back as measured, named after its text, and makes a small file a better one."""
    text, out = tmp_path / "text.txt", tmp_path / "imatrix.gguf"
    text.write_text(HELD_OUT.read_text("utf-8")[:60_000], "utf-8")
    words = HELD_OUT.read_text("utf-8")[60_000:80_000]

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(kquants, list(arguments), catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    said = run("imatrix", str(tiny), str(out), "--file", str(text), "--ctx", "128", "--chunks", "60")
    assert said.startswith(f"{out}: the columns of 28 tensors, by 7,680 tokens in 60 windows of 128\n")
    loaded = imatrix.load(out)
    assert (loaded.datasets, loaded.chunks, len(loaded.entries)) == ((str(text),), 60, 28)
    with gguf_py.open(tiny) as file:
        codec = load_tokenizer(file)
        *_, measured = importance(Model(file), [1, *codec.encode(text.read_text("utf-8"))], ctx=128, bos=1, most=60)
        for name, sums in measured.sums.items():
            np.testing.assert_array_equal(loaded.entries[name], sums.astype(np.float32) / np.float32(7680))
        values = []
        for options in ([], ["--imatrix", str(out)]):
            run("quantize", str(tiny), str(tmp_path / "small.gguf"), "Q2_K", *options, "--quiet")
            with gguf_py.open(tmp_path / "small.gguf") as small:
                *_, last = perplexity(Model(small), [1, *codec.encode(words)], ctx=128, bos=1)
            values.append(last.value)
    assert values[1] < values[0]


def test_an_importance_matrix_does_not_replace_its_model(tiny: Path) -> None:
    done = CliRunner().invoke(kquants, ["imatrix", str(tiny), str(tiny), "--file", str(HELD_OUT)])
    assert isinstance(done.exception, KQuantsError) and f"{tiny} is the input" in str(done.exception)


def test_a_token_of_the_users_is_matched_whole(tiny: Path) -> None:
    """Where the vocabulary says that it is one, and nowhere else."""
    with gguf_py.open(tiny) as file:
        fields = dict(file.fields)
        tokens, kinds = list(fields["tokenizer.ggml.tokens"].value), fields["tokenizer.ggml.token_type"].value.copy()
        tokens[300] = "<|x|>"
        for kind, whole in ((1, False), (4, True)):
            kinds[300] = kind
            for key, value in (("tokens", tokens), ("token_type", kinds)):
                fields[f"tokenizer.ggml.{key}"] = gguf_py.Field.of(f"tokenizer.ggml.{key}", value)
            assert (300 in load_tokenizer(replace(file, fields=fields)).encode("a<|x|>b")) is whole


def test_windows_do_not_see_each_other(tiny: Path) -> None:
    with gguf_py.open(tiny) as file:
        model = Model(file)
        tokens = np.arange(24).reshape(2, 12) + 300
        together, alone = model.hidden(tokens), model.hidden(tokens[1:])
        changed = tokens.copy()
        changed[:, -1] = 7
        np.testing.assert_allclose(together[1], alone[0], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(model.hidden(changed)[:, :-1], together[:, :-1], rtol=1e-4, atol=1e-5)


class Fixed:
    """A model whose logits do not depend on the text."""

    def __init__(self, logits: list[float]) -> None:
        self.row = np.array(logits, np.float32)
        self.vocabulary = len(logits)
        self.file = SimpleNamespace(path="fixed")

    def hidden(self, tokens: Any) -> Any:
        return np.zeros((*tokens.shape, 1), np.float32)

    def logits(self, hidden: Any) -> Any:
        return np.broadcast_to(self.row, (*hidden.shape[:-1], len(self.row)))


def test_perplexity_of_a_uniform_guess_is_the_vocabulary() -> None:
    fixed: Any = Fixed([0.0] * 10)
    *_, last = perplexity(fixed, [1] * 100, ctx=10)
    assert last.value == pytest.approx(10)
    assert (last.windows, last.tokens) == (10, 10 * 4)


def test_only_the_second_half_of_a_window_is_scored() -> None:
    fixed: Any = Fixed([np.log(0.75), np.log(0.25)])
    *_, last = perplexity(fixed, [1, 1, 1, 1, 1, 0, 1, 0] * 3, ctx=8)
    assert last.value == pytest.approx((0.75 * 0.25 * 0.75) ** (-1 / 3))
    losses = -np.log([0.75, 0.25, 0.75] * 3)
    assert last.error == pytest.approx(last.value * losses.std() / np.sqrt(8))


def test_a_short_text_and_a_foreign_token_are_refused() -> None:
    fixed: Any = Fixed([0.0] * 10)
    with pytest.raises(KQuantsError, match="fewer than two windows"):
        list(perplexity(fixed, [1] * 19, ctx=10))
    with pytest.raises(KQuantsError, match="outside the vocabulary of 10"):
        list(perplexity(fixed, [10] * 30, ctx=10))


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("general.architecture", None, "cannot run the architecture ''"),
        ("llama.attention.head_count", None, "the key llama.attention.head_count is missing"),
        ("llama.attention.head_count", [4, 4], "is no one number"),
        ("llama.attention.head_count", 0, "0 heads cannot share 2 heads"),
        ("llama.attention.head_count", 6, "attn_q.weight has the shape .*, expected 384 × 256"),
        ("llama.rope.dimension_count", 65, "rope cannot turn 65 columns of a head of 64"),
        ("llama.rope.scaling.type", "yarn", "cannot run rope scaling 'yarn'"),
        ("llama.expert_count", 8, "mixture of experts"),
        ("llama.block_count", 5, "the tensor blk.4.attn_norm.weight is missing"),
        ("llama.embedding_length", 128, "token_embd.weight has the shape .*, expected any × 128"),
        ("tokenizer.ggml.model", "rwkv", "cannot tokenize with tokenizer.ggml.model 'rwkv'"),
        ("tokenizer.ggml.model", "gpt2", "cannot tokenize with tokenizer.ggml.pre 'default'"),
        ("tokenizer.ggml.tokens", None, "tokenizer.ggml.tokens is to be an array of strings"),
        ("tokenizer.ggml.scores", None, "0 scores and the unknown token 0 do not fit 4,096 tokens"),
        ("tokenizer.ggml.unknown_token_id", 4096, "the unknown token 4096 do not fit"),
        ("tokenizer.ggml.bos_token_id", 4096, "token 4096 is outside the vocabulary of 4096"),
    ],
)
def test_what_is_missing_or_does_not_fit_is_said(tiny: Path, key: str, value: Any, says: str) -> None:
    with gguf_py.open(tiny) as file:
        fields = {name: field for name, field in file.fields.items() if name != key}
        spoiled = replace(file, fields=fields if value is None else {**fields, key: gguf_py.Field.of(key, value)})
        with pytest.raises(KQuantsError, match=says):
            list(perplexity(Model(spoiled), [1] * 8, ctx=4, bos=load_tokenizer(spoiled).bos))


def test_the_command_measures_what_llama_perplexity_does(tiny: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text(HELD_OUT.read_text("utf-8")[:24_000], "utf-8")
    with gguf_py.open(tiny) as file:  # and any shard stands for the model
        shard = shards.split(file, tmp_path / "tiny", shards.plan_split(file, max_tensors=20))[1]
    run = CliRunner().invoke(kquants, ["perplexity", str(shard), "--file", str(text), "--ctx", "128", "--json"])
    document = json.loads(run.stdout)
    assert document["windows"] == len_windows(tiny, text) // 128
    assert 25 < document["perplexity"] < 60


def len_windows(model: Path, text: Path) -> int:
    with gguf_py.open(model) as file:
        return 1 + len(load_tokenizer(file).encode(text.read_text("utf-8")))


@pytest.mark.slow
def test_held_out_perplexity_is_the_reference(tiny: Path) -> None:
    run = CliRunner().invoke(kquants, ["perplexity", str(tiny), "--file", str(HELD_OUT), "--json"])
    assert json.loads(run.stdout)["perplexity"] == pytest.approx(32.0299, abs=2e-3)
