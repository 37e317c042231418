"""Tokenizer files of random content."""

from __future__ import annotations

import random
from typing import Any

from .parts import TEMPLATES, Files, added


def random_files(seed: int) -> tuple[Files, dict[str, Any]]:
    """Files about special tokens, of random content: what the many rules about them are tried on."""
    rng = random.Random(seed)
    names = ["<s>", "</s>", "<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]", "<eot>"]

    def some(values: list[Any]) -> Any:
        return rng.choice(values)

    def part(texts: list[str]) -> dict[str, Any]:
        return {"Sequence": {"id": some(texts), "type_id": 0}}

    def special() -> dict[str, Any]:
        return {"SpecialToken": {"id": some(names), "type_id": 0}}

    def maybe(make: Any, chance: float = 0.5) -> list[Any]:
        return [make()] if rng.random() < chance else []

    def processor() -> dict[str, Any] | None:
        kind = some(["ByteLevel", "RobertaProcessing", *["TemplateProcessing"] * 5, None])
        if kind == "RobertaProcessing":
            return {"type": kind, "cls": [some(names), 0]} | ({"sep": [some(names), 1]} if rng.random() < 0.7 else {})
        if kind == "TemplateProcessing":
            first, last = maybe(special), maybe(special)
            single = [*first, part(["A"]), *last]
            middle = [special() for _ in range(rng.randrange(3))]
            pair = [*(first if rng.random() < 0.8 else []), part(["A", "A", "B"]), *middle, part(["B", "B", "A"])]
            return {"type": kind, "single": single, "pair": [*pair, *(last if rng.random() < 0.8 else [])]}
        return None if kind is None else {"type": kind}

    def post() -> dict[str, Any] | None:
        if rng.random() < 0.3:
            return {"type": "Sequence", "processors": [p for p in (processor(), processor()) if p]}
        return processor()

    def normalizer() -> dict[str, Any] | None:
        kind = some(["Lowercase", "StripAccents", "BertNormalizer", "NFC", "Sequence", None])
        if kind == "BertNormalizer":
            values = {"lowercase": some([True, False]), "strip_accents": some([True, False, None])}
            return {"type": kind} | {key: value for key, value in values.items() if rng.random() < 0.7}
        if kind == "Sequence":
            return {"type": kind, "normalizers": [n for n in (normalizer(), normalizer()) if n]}
        return None if kind is None else {"type": kind}

    def token() -> Any:
        name = some(names)
        return some([name, {"content": name}, {"content": None}, None, "<none>"])

    kinds = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"]
    settings: dict[str, Any] = {f"{kind}_token": token() for kind in kinds if rng.random() < 0.5}
    settings |= {f"add_{kind}_token": some([True, False, None]) for kind in kinds if rng.random() < 0.3}
    if rng.random() < 0.5:
        settings["chat_template"] = some(["{{ x }}", TEMPLATES, None, 3])
    merges: list[Any] = some([[], ["a b", "ab c"], [["a", "b"], ["x y", " "]]])
    tokenizer = {
        "added_tokens": [added(i * 3, name) for i, name in enumerate(rng.sample(names, rng.randrange(len(names))))],
        "normalizer": normalizer(),
        "post_processor": post(),
        "model": {"type": "BPE", "merges": merges},
    }
    ids = {f"{kind}_token_id": some([rng.randrange(40), [1, 2], None]) for kind in kinds if rng.random() < 0.4}
    if rng.random() < 0.2:
        ids["text_config"] = {"bos_token_id": 7, "pad_token_id": 8}
    files: Files = {}
    if rng.random() < 0.9:
        files["tokenizer.json"] = tokenizer
    if rng.random() < 0.9:
        files["tokenizer_config.json"] = settings
    if rng.random() < 0.3:
        files["merges.txt"] = "#version: 0.2\na b\n\nbroken\nab c\n"
    if rng.random() < 0.2:
        files["chat_template.jinja"] = "{{ file }}"
    if rng.random() < 0.2:
        files["chat_template.json"] = {"chat_template": "{{ json }}"}
    return files, ids
