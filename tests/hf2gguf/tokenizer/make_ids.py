"""Write ``ids.json``: digests of the ids that the original tokenizers give, in the libraries that they were made for.

    python -m tests.hf2gguf.tokenizer.make_ids

The texts are the ten scripts of ``scripts.py`` and llama.cpp's test strings. Where llama.cpp cannot give the original's
ids from the very bytes that upstream's converter writes, ``DEPARTING`` says why; its ids must then be those of the
original when that does what llama.cpp does. Needs the real tokenizers and files fetched; takes a minute.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import unicodedata
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from hf2gguf.tokenizer.sentencepiece import processor

from .cases import CASES
from .parts import write
from .scripts import SEEDS, strings, texts

IDS = Path(__file__).with_name("ids.json")
Encode = Callable[[str], list[int]]
REAL = "mistral llama3_2 qwen3 gemma3 deepseek_v3 mistral_nemo gptoss minilm tekken".split()
"""Not Llama 2's tokenizer.json: upstream gives its pieces one score, so that llama.cpp cannot tell what joins first."""

BESIDE = {"tekken": "mistral_nemo"}
"""The same vocabulary in another form, which the tokenizers library reads."""


def parts() -> dict[str, list[str]]:
    """The texts by what they are; none without the files that hold llama.cpp's strings."""
    own = dict.fromkeys(text for name in ("llama-bpe", "qwen35", "gemma-4") for text in strings(name))
    return {script: texts(script) for script in SEEDS} | {"strings": list(own)} if own else {}


def digests(wanted: dict[str, list[str]], ids: list[list[int]]) -> dict[str, str]:
    """SHA-256, shortened, of the ids of each part; ``ids`` has those of every text of all parts in order."""
    rest = iter(ids)
    return {
        name: hashlib.sha256(json.dumps(list(islice(rest, len(some)))).encode()).hexdigest()[:24]
        for name, some in wanted.items()
    }


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


def first_letters(model: Any) -> Encode:
    """BERT's tokenizer, but of what a letter decomposes into only the first is left, and no word is too long."""
    from tokenizers import normalizers

    model.normalizer = normalizers.BertNormalizer(strip_accents=False, lowercase=True)
    whole = model.model
    whole.max_input_chars_per_word = 10**6
    model.model = whole

    def encode(text: str) -> list[int]:
        letters = (unicodedata.normalize("NFD", letter)[0] for letter in text)
        return encoder(model)("".join(c for c in letters if not unicodedata.category(c).startswith("M")))

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


DEPARTING: dict[str, Callable[[Any], Encode]] = {
    # llama.cpp's expressions for these know no marks, and no case but of a to z.
    "mistral_nemo": cut_by(_cased(r"\p{N}", "")),
    "gptoss": cut_by(_cased(r"\p{N}{1,3}", _END)),
    # llama.cpp puts the first letter of its decomposition in a letter's place, strips every mark, where BERT keeps
    # spacing ones, and has no [UNK] for a long word.
    "minilm": first_letters,
    # llama.cpp has no NFC.
    "qwen3": undecomposed,
}
"""Tokenizers of which llama.cpp gives other ids by upstream's own bytes, and what makes the original's equal."""


def main() -> None:
    wanted, made = parts(), {}
    for name in REAL:
        of = BESIDE.get(name, name)
        with tempfile.TemporaryDirectory() as place:
            folder = write(Path(place) / of, *CASES[of][:2])
            encodes = [encoder(original(folder))]
            if of in DEPARTING:
                encodes.append(DEPARTING[of](original(folder)))
            plain, *changed = [digests(wanted, [e(t) for some in wanted.values() for t in some]) for e in encodes]
        made[name] = {"original": plain}
        for other in changed:
            made[name]["llama.cpp"] = {part: found for part, found in other.items() if found != plain[part]}
    IDS.write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
