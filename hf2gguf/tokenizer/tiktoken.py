"""Vocabularies of tiktoken: a file of tokens in base64 with their ranks, and special tokens that only code names.

Upstream runs the checkpoint's own code to read them. Here the file is read as it stands, and what the published code of
four families adds to it stands below. Merges follow from the ranks: a token is made of the two parts that its bytes
have become when everything of a lower rank is merged.
Source: openai/tiktoken, ``load.py``; Qwen's ``tokenization_qwen.py``, Moonshot's ``tokenization_kimi.py``, Tencent's
``tokenization_hy.py``, Meta's ``llama3/tokenizer.py``; of the order of keys, upstream.
"""

from __future__ import annotations

import base64
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from gguf_py import KQuantsError, ValueType
from hf2gguf.checkpoint import Checkpoint
from hf2gguf.checkpoint.folder import read_text, shown

from . import pre, special
from .sentencepiece import MAX_VOCAB, TokenKind, vocab_size
from .special import Fields, put
from .tekken import byte_letters, check_lengths
from .tekken import merges as all_pairs

Ranks = dict[bytes, int]

_MAX_FILE = 64 << 20

_EXTRAS = [f"<|extra_{i}|>" for i in range(205)]


@dataclass(frozen=True)
class Family:
    """What the published code of a family adds to its file."""

    files: tuple[str, ...]
    pre: str
    """The pre-tokenizer's name in llama.cpp, and the expression."""
    expression: str
    composed: bool
    """Whether texts are brought into Unicode's normal form C."""
    specials: Callable[[Checkpoint, int], Iterable[str]]
    """Special tokens by the checkpoint and the first of their ids."""
    counted: bool = False
    """Whether ranks are counted, whatever the file says."""
    pairs: bool = False
    """Whether any two tokens that make a third are a merge, as transformers has it, and not those alone that do."""
    begins: bool = False
    """Whether the first of the special tokens is put before a text."""


def _reserved(checkpoint: Checkpoint, first: int) -> list[str]:
    """Kimi's 258, each named by ``tokenizer_config.json`` or by its id."""
    added = (checkpoint.json("tokenizer_config.json") or {}).get("added_tokens_decoder") or {}
    names = {int(token_id): str(entry["content"]) for token_id, entry in added.items()}
    return [names.get(i, f"<|reserved_token_{i}|>") for i in range(first, first + 258)]


_QWEN = Family(
    ("qwen.tiktoken",),
    "qwen2",
    pre.words(r"\p{N}"),
    True,
    lambda checkpoint, first: ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *_EXTRAS],
)
HUNYUAN_SPECIALS = ["<|endoftext|>", "<|startoftext|>", "<|bos|>", "<|eos|>", "<|pad|>", *_EXTRAS]
HUNYUAN = Family(
    ("hy.tiktoken", "hunyuan.tiktoken"),
    "hunyuan",
    pre.words(r"\p{N}"),
    True,
    lambda checkpoint, first: HUNYUAN_SPECIALS,
    counted=True,
)
_TURNS = ("<|start_header_id|>", "<|end_header_id|>")
_RESERVED = [f"<|reserved_special_token_{i}|>" for i in range(256)]
_LLAMA3 = [*_RESERVED[:4], *_TURNS, _RESERVED[4], "<|eot_id|>"]
_LLAMA31 = [
    *_RESERVED[:2],
    "<|finetune_right_pad_id|>",
    _RESERVED[2],
    *_TURNS,
    "<|eom_id|>",
    "<|eot_id|>",
    "<|python_tag|>",
]


def _llama3(checkpoint: Checkpoint, first: int) -> list[str]:
    """Llama 3's 256; since 3.1, which scales its rope, some that were reserved have names."""
    named = ["<|begin_of_text|>", "<|end_of_text|>", *(_LLAMA31 if checkpoint.config.get("rope_scaling") else _LLAMA3)]
    return [*named, *(token for token in _RESERVED if token not in named)][:256]


_LLAMA = Family(("tokenizer.model",), "llama-bpe", pre.words(r"\p{N}{1,3}"), False, _llama3, pairs=True, begins=True)
_KIMI = Family(("tiktoken.model",), "kimi-k2", pre.KIMI, False, _reserved)


def qwen(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields | None:
    """The vocabulary of Qwen's first models; None when there is a ``tokenizer.json`` or no file of tiktoken's."""
    made = _made(checkpoint, config, _QWEN, halves=True)
    if made is None:
        return None
    more = special.load(checkpoint)
    more.merges = made.merges
    for kind in () if more.ids else ("bos", "eos"):
        more.set(kind, made.specials["<|endoftext|>"])
    more.set("unk", made.specials["<|endoftext|>"])
    return made.fields | more.fields()


def llama(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields | None:
    """The same of Llama 3, as transformers' conversion script makes a ``tokenizer.json`` of it."""
    made = _made(checkpoint, config, _LLAMA)
    if made is None:
        return None
    more = special.load(checkpoint)
    more.merges = made.merges
    more.set("bos", made.specials["<|begin_of_text|>"])
    more.set("eos", made.specials["<|end_of_text|>"])
    for kind in ("bos", "eos", "sep"):
        more.add.setdefault(kind, kind == "bos")
    return made.fields | more.fields()


def kimi(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields | None:
    """The same of Kimi K2's."""
    made = _made(checkpoint, config, _KIMI)
    return None if made is None else _with_merges(made, checkpoint)


def kimi_linear(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields | None:
    """The same of Kimi Linear's, whose last token is the tokenizer's own, whatever ``config.json`` says."""
    made = _made(checkpoint, config, _KIMI)
    if made is None:
        return None
    found = _with_merges(made, checkpoint)
    token = (checkpoint.json("tokenizer_config.json") or {}).get("eos_token", "[EOS]")
    name = token["content"] if isinstance(token, dict) else token
    if name in made.specials:
        put(found, "eos_token_id", made.specials[name], ValueType.UINT32)
    return found


def hunyuan(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Fields | None:
    """The same of Hunyuan's."""
    made = _made(checkpoint, config, HUNYUAN)
    return None if made is None else _with_merges(made, checkpoint)


@dataclass(frozen=True)
class _Made:
    """The tokens as metadata, their merges, and the special tokens' ids."""

    fields: Fields
    merges: list[str]
    specials: dict[str, int]


def _with_merges(made: _Made, checkpoint: Checkpoint) -> Fields:
    found = dict(made.fields)
    put(found, "merges", made.merges)
    return found | special.load(checkpoint).fields()


def _made(checkpoint: Checkpoint, config: Mapping[str, Any], family: Family, halves: bool = False) -> _Made | None:
    """What a family's file gives; with ``halves`` every token must be made of two others."""
    path = next((p for p in map(checkpoint.path, family.files) if p is not None), None)
    if path is None or checkpoint.path("tokenizer.json") is not None:
        return None
    ranks = read(path, family.counted)
    specials = {text: i for i, text in enumerate(family.specials(checkpoint, len(ranks)), len(ranks))}
    size = vocab_size(config, len(ranks) + len(specials), checkpoint.dir / "config.json")
    if max(ranks.values()) >= size:
        raise KQuantsError(f"{path}: has a token of the rank {max(ranks.values())}, but vocab_size is {size}")
    merges = all_pairs(ranks, path) if family.pairs else merged(ranks, path, halves)
    letters = byte_letters()
    texts = {"".join(letters[byte] for byte in token): rank for token, rank in ranks.items()} | specials
    by_id = {token_id: text for text, token_id in texts.items()}
    found: Fields = {}
    put(found, "model", "gpt2")
    put(found, "pre", _pre_name(ranks, family, path))
    put(found, "tokens", [by_id.get(i, f"[PAD{i}]") for i in range(size)])
    own = set(specials.values())
    kinds = [
        TokenKind.CONTROL if i in own else TokenKind.NORMAL if i in by_id else TokenKind.UNUSED for i in range(size)
    ]
    put(found, "token_type", list(map(int, kinds)), item=ValueType.INT32)
    return _Made(found, merges, specials)


def read(path: Path, counted: bool = False) -> Ranks:
    """The ranks of a file's tokens, in its order; ``counted`` says that they are the lines' own numbers.

    Raises KQuantsError unless every line is a token in base64 and a rank, each of them once.
    """
    ranks: Ranks = {}
    for number, line in enumerate(read_text(path, _MAX_FILE).splitlines(), 1):
        if not line.strip():
            continue
        try:
            text, rank = line.split()
            token = base64.b64decode(text, validate=True)
            if not token or not 0 <= int(rank) < MAX_VOCAB:
                raise ValueError
        except ValueError:
            raise KQuantsError(
                f"{path}: line {number} is {shown(line[:99].decode('latin-1'))}, expected base64 and a rank"
            ) from None
        if not counted and token in ranks:
            raise KQuantsError(f"{path}: line {number} has a token that stands in an earlier one")
        ranks.setdefault(token, len(ranks) if counted else int(rank))
    if len(set(ranks.values())) < len(ranks) or not ranks:
        raise KQuantsError(f"{path}: holds {len(ranks)} tokens of {len(set(ranks.values()))} ranks, expected one each")
    return ranks


def merged(ranks: Ranks, path: Path, halves: bool = False) -> list[str]:
    """The merges that the ranks imply, in the order of the file: of each token the two parts it is made of."""
    check_lengths(ranks, path)
    letters = byte_letters()
    found = []
    for token, rank in ranks.items():
        if len(token) == 1:
            continue
        parts = _cut(token, ranks, rank)
        if len(parts) == 2:
            found.append(" ".join("".join(letters[byte] for byte in part) for part in parts))
        elif halves:
            raise KQuantsError(f"{path}: the token of rank {rank} is made of {len(parts)} others, expected two")
    return found


def _cut(text: bytes, ranks: Ranks, below: int = MAX_VOCAB) -> list[bytes]:
    """The parts of a text after all merges into tokens whose rank is lower than ``below``, the lowest first."""
    parts = [text[i : i + 1] for i in range(len(text))]
    while len(parts) > 1:
        pairs = [ranks.get(left + right, below) for left, right in pairwise(parts)]
        lowest = min(pairs)
        if lowest >= below:
            break
        at = pairs.index(lowest)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return parts


def _pre_name(ranks: Ranks, family: Family, path: Path) -> str:
    """The name that upstream's table has for the ids of its test text; if it has none the family's, with a warning."""
    from tokenizers import Regex, pre_tokenizers

    split = pre_tokenizers.Split(Regex(family.expression), "isolated")
    text = unicodedata.normalize("NFC", pre.PROBE) if family.composed else pre.PROBE
    words = [text[lo:hi].encode() for _, (lo, hi) in split.pre_tokenize_str(text)]
    parts = [part for word in words for part in ([word] if word in ranks else _cut(word, ranks))]
    ids = [*([len(ranks)] if family.begins else []), *(ranks.get(part, -1) for part in parts)]
    name = pre.recognized([ids]) if -1 not in ids else None
    if name is None:
        name = family.pre
        warnings.warn(
            f"{path}: unknown vocabulary, its pre-tokenizer is taken for {name!r}, the family's", stacklevel=2
        )
    return name
