"""Make the small tokenizers under ``tokenizers/`` from llama.cpp's vocabulary files (its sdist's ``models``).

    python -m tests.hf2gguf.make_tokenizers path/to/llama.cpp/models

Upstream's converter names a pre-tokenizer by a digest of the ids that one test string gets. The ids are all that
counts, so the vocabulary keeps the entries and merges that the string needs, at their own ids, and no others.
"""

from __future__ import annotations

import base64
import json
import sys
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import gguf_py
from hf2gguf.tokenizer.pre import PROBE
from hf2gguf.tokenizer.protobuf import as_varint, varint
from hf2gguf.tokenizer.unigram import normalizer

HERE = Path(__file__).with_name("tokenizers")


_QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def byte_level(vocabulary: Path, split: str | None = None) -> dict[str, Any]:
    """``tokenizer.json`` for a vocabulary of byte-level BPE, reduced; ``split`` replaces GPT-2's expression."""
    from tokenizers import Tokenizer

    with gguf_py.open(vocabulary) as f:
        tokens = list(f.metadata["tokenizer.ggml.tokens"])
        merges = [tuple(m.split(" ")) for m in f.metadata["tokenizer.ggml.merges"]]
    ids = {token: i for i, token in enumerate(tokens)}
    ranks = {merge: rank for rank, merge in enumerate(merges)}
    full = _byte_level_json(ids, merges, split)
    pre = Tokenizer.from_str(json.dumps(full)).pre_tokenizer
    end = "<|endoftext|>"
    needed: set[tuple[str, str]] = set()
    for word, _ in pre.pre_tokenize_str(PROBE):
        parts = list(word)
        while pairs := [p for p in pairwise(parts) if p in ranks]:
            best = min(pairs, key=ranks.__getitem__)
            needed.add(best)
            at = next(i for i in range(len(parts) - 1) if (parts[i], parts[i + 1]) == best)
            parts[at : at + 2] = ["".join(best)]
    kept = set(tokens[:256]) | {a + b for a, b in needed} | {a for p in needed for a in p} | {end}
    return _byte_level_json({t: ids[t] for t in tokens if t in kept}, [m for m in merges if m in needed], split)


def _byte_level_json(ids: dict[str, int], merges: list[tuple[str, str]], split: str | None) -> dict[str, Any]:
    last = "<|endoftext|>"
    cut = {"type": "Split", "pattern": {"Regex": split}, "behavior": "Isolated", "invert": False}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    in_two = {"type": "Sequence", "pretokenizers": [cut, {**level, "use_regex": False}]}
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "fuse_unk": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": ids[last], "content": last, **special}],
        "normalizer": {"type": "NFC"} if split else None,
        "pre_tokenizer": in_two if split else level,
        "post_processor": None,
        "decoder": level,
        "model": {**model, "end_of_word_suffix": "", "vocab": ids, "merges": [" ".join(m) for m in merges]},
    }


def wordpiece(vocabulary: Path) -> dict[str, Any]:
    """``tokenizer.json`` for BERT's vocabulary, reduced."""
    from tokenizers import Tokenizer

    with gguf_py.open(vocabulary) as f:  # upstream marks the beginning of words where WordPiece marks continuations
        tokens = [
            t if t.startswith("[") and t.endswith("]") else t[1:] if t.startswith("\u2581") else f"##{t}"
            for t in f.metadata["tokenizer.ggml.tokens"]
        ]
    ids = {token: i for i, token in enumerate(tokens)}
    encoded = Tokenizer.from_str(json.dumps(wordpiece_json(ids))).encode(PROBE)
    specials = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    kept = {*encoded.tokens, *specials}
    return wordpiece_json({t: i for t, i in ids.items() if t in kept})


def wordpiece_json(ids: dict[str, int]) -> dict[str, Any]:
    """``tokenizer.json`` for BERT with these tokens."""
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    specials = [t for t in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]") if t in ids]
    cls_, sep = ({"id": t, "ids": [ids[t]], "tokens": [t]} for t in ("[CLS]", "[SEP]"))
    part, end, begin = {"Sequence": {"id": "A", "type_id": 0}}, "[SEP]", "[CLS]"
    single = [{"SpecialToken": {"id": begin, "type_id": 0}}, part, {"SpecialToken": {"id": end, "type_id": 0}}]
    pair = [*single, {"Sequence": {"id": "B", "type_id": 1}}, {"SpecialToken": {"id": end, "type_id": 1}}]
    normalizer = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": ids[t], "content": t, **flags} for t in specials],
        "normalizer": {**normalizer, "strip_accents": None, "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": single,
            "pair": pair,
            "special_tokens": {begin: cls_, end: sep},
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": ids,
        },
    }


def unigram(text: Path, folder: Path) -> None:
    """A small unigram model of a text, deterministic with one thread."""
    import sentencepiece

    with tempfile.TemporaryDirectory() as place:
        rules = Path(place) / "rules.tsv"  # a small normalizer: the standard one would take a quarter of a megabyte
        rules.write_text("FB01\t66 69\n2026\t2E 2E 2E\n")
        sentencepiece.SentencePieceTrainer.train(
            input=str(text), model_prefix=f"{place}/spiece", vocab_size=384, model_type="unigram", num_threads=1,
            input_sentence_size=400, pad_id=0, eos_id=1, unk_id=2, bos_id=-1, hard_vocab_limit=False,
            normalization_rule_tsv=str(rules), shuffle_input_sentence=False, minloglevel=2,
        )  # fmt: skip
        (folder / "spiece.model").write_bytes(without_paths((Path(place) / "spiece.model").read_bytes()))


def without_paths(model: bytes) -> bytes:
    """A SentencePiece model that does not say from which files it was trained, on whose machine."""
    made = b""
    for number, head, value in _fields(model):
        gone = {2: (1, 2), 3: (6,)}.get(number, ())  # of the trainer: inputs, prefix; of the normalizer: rules
        if gone:
            value = b"".join(h + v for n, h, v in _fields(value) if n not in gone)
            head = head[:1] + as_varint(len(value))
        made += head + value
    return made


def _fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """The fields of a Protocol Buffers message: number, tag with the length if there is one, and the value's bytes."""
    at = 0
    while at < len(message):
        tag, begin = varint(message, at)
        if tag & 7 == 2:
            size, begin = varint(message, begin)
            end = begin + size
        else:
            end = varint(message, begin)[1] if tag & 7 == 0 else begin + {1: 8, 5: 4}[tag & 7]
        yield tag >> 3, message[at:begin], message[begin:end]
        at = end


def unigram_json(model: Path) -> dict[str, Any]:
    """``tokenizer.json`` as XLM-RoBERTa's are, of a SentencePiece model that begins with three special pieces."""
    from sentencepiece import SentencePieceProcessor

    pieces = SentencePieceProcessor(model_file=str(model))
    first = ["<s>", "<pad>", "</s>", "<unk>"]
    learnt = [[pieces.IdToPiece(i), pieces.GetScore(i)] for i in range(3, pieces.vocab_size())]
    vocab = [*([t, 0.0] for t in first), *learnt, ["<mask>", 0.0]]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    added = [{"id": i, "content": t, **flags} for i, t in enumerate(first)]
    added.append({"id": len(vocab) - 1, "content": "<mask>", **flags, "lstrip": True})
    space = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True}
    begin, end = ({"SpecialToken": {"id": t, "type_id": 0}} for t in ("<s>", "</s>"))
    a, b = ({"Sequence": {"id": part, "type_id": 0}} for part in "AB")
    charsmap = base64.b64encode(normalizer(model).charsmap).decode()
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": {"type": "Precompiled", "precompiled_charsmap": charsmap},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, space]},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [begin, a, end],
            "pair": [begin, a, end, end, b, end],
            "special_tokens": {t: {"id": t, "ids": [first.index(t)], "tokens": [t]} for t in ("<s>", "</s>")},
        },
        "decoder": space,
        "model": {"type": "Unigram", "unk_id": 3, "vocab": vocab, "byte_fallback": False},
    }


def _write(name: str, files: dict[str, Any]) -> Path:
    folder = HERE / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        (folder / file).write_text(json.dumps(content, ensure_ascii=False, indent=0) + "\n", "utf-8")
    return folder


def main() -> None:
    models = Path(sys.argv[1])
    text = "<|endoftext|>"
    config: dict[str, Any] = {"add_bos_token": False, "bos_token": text, "eos_token": text}
    config["tokenizer_class"] = "GPT2TokenizerFast"
    config["chat_template"] = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    made = byte_level(models / "ggml-vocab-gpt-2.gguf")
    _write("gpt2", {"tokenizer.json": made, "tokenizer_config.json": config})
    free = (i for i in range(50000, 50256) if i not in made["model"]["vocab"].values())
    for token in ("<|user|>", "<|observation|>", "[gMASK]"):
        made["added_tokens"].append({**made["added_tokens"][0], "id": next(free), "content": token})
    made["added_tokens"].sort(key=lambda t: t["id"])
    _write("glm", {"tokenizer.json": made, "tokenizer_config.json": config})
    made = byte_level(models / "ggml-vocab-qwen2.gguf", _QWEN2)
    _write("qwen2", {"tokenizer.json": made, "tokenizer_config.json": {**config, "tokenizer_class": "Qwen2Tokenizer"}})
    named = {f"{t.lower()}_token": f"[{t}]" for t in ("PAD", "UNK", "CLS", "SEP", "MASK")}
    made = wordpiece(models / "ggml-vocab-bert-bge.gguf")
    _write("bert", {"tokenizer.json": made, "tokenizer_config.json": {**named, "tokenizer_class": "BertTokenizer"}})
    unigram(HERE.parents[2] / "fixtures/text/held-out.txt", _write("unigram", {}))
    named = {f"{kind}_token": text for kind, text in (("bos", "<s>"), ("cls", "<s>"), ("eos", "</s>"), ("sep", "</s>"))}
    named |= {f"{kind}_token": f"<{kind}>" for kind in ("pad", "unk", "mask")} | {"clean_up_tokenization_spaces": True}
    made = unigram_json(HERE / "unigram/spiece.model")
    _write(
        "unigram",
        {"tokenizer.json": made, "tokenizer_config.json": {**named, "tokenizer_class": "XLMRobertaTokenizer"}},
    )


if __name__ == "__main__":
    main()
