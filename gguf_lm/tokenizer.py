"""The tokenizer a GGUF file carries, rebuilt with the ``tokenizers`` library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from gguf_py import GGUFFile
from gguf_py.errors import KQuantsError

USER_DEFINED = 4
"""``tokenizer.ggml.token_type`` of a token that is matched whole before anything else."""

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPLITS = {
    "gpt-2": _GPT2,
    "llama-bpe": _LLAMA3,
    "smaug-bpe": _LLAMA3,
    "qwen2": _LLAMA3.replace("{1,3}", ""),
}
"""``tokenizer.ggml.pre`` and the expression that cuts a text into the pieces byte-pair merges stay within."""


@dataclass(frozen=True)
class TextCodec:
    """Text to token ids, with the beginning-of-text token where the file asks for one."""

    tokenizer: Tokenizer
    bos: int | None

    def encode(self, text: str) -> list[int]:
        """The ids of ``text``, without the beginning-of-text token."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids


def load_tokenizer(file: GGUFFile) -> TextCodec:
    """The tokenizer of ``file``; raises KQuantsError for a kind, or a pre-tokenizer, that is not supported here."""
    kind = file.metadata.get("tokenizer.ggml.model")
    tokens: Sequence[str] = file.metadata.get("tokenizer.ggml.tokens", ())
    if kind == "llama":
        tokenizer, bos = _sentencepiece(file, list(tokens)), True
    elif kind == "gpt2":
        tokenizer, bos = _byte_pairs(file, list(tokens)), False
    else:
        raise KQuantsError(f"{file.path}: cannot tokenize with tokenizer.ggml.model {kind!r}, only llama and gpt2")
    types = file.metadata.get("tokenizer.ggml.token_type", ())
    whole = [AddedToken(t, normalized=False) for t, kind in zip(tokens, types, strict=False) if kind == USER_DEFINED]
    tokenizer.add_tokens(whole)
    bos_id = file.metadata.get("tokenizer.ggml.bos_token_id", 1 if kind == "llama" else None)
    add_bos = bool(file.metadata.get("tokenizer.ggml.add_bos_token", bos))
    return TextCodec(tokenizer, int(bos_id) if add_bos and bos_id is not None else None)


def _sentencepiece(file: GGUFFile, tokens: list[str]) -> Tokenizer:
    """Sentencepiece's merges are implied: any two pieces whose joint is a piece, best score first."""
    scores = file.metadata["tokenizer.ggml.scores"]
    vocab = {token: i for i, token in enumerate(tokens)}
    merges = [
        (-float(scores[i]), left, right)
        for token, i in vocab.items()
        for at in range(1, len(token))
        if (left := token[:at]) in vocab and (right := token[at:]) in vocab
    ]
    merges.sort(key=lambda merge: merge[0])
    pairs = [(left, right) for _, left, right in merges]
    unknown = tokens[int(file.metadata.get("tokenizer.ggml.unknown_token_id", 0))]
    tokenizer = Tokenizer(models.BPE(vocab, pairs, unk_token=unknown, fuse_unk=True, byte_fallback=True))
    steps: list[normalizers.Normalizer] = [normalizers.Replace(" ", "▁")]
    if file.metadata.get("tokenizer.ggml.add_space_prefix", True):
        steps.insert(0, normalizers.Prepend(" "))
    tokenizer.normalizer = normalizers.Sequence(steps)
    return tokenizer


def _byte_pairs(file: GGUFFile, tokens: list[str]) -> Tokenizer:
    pre = str(file.metadata.get("tokenizer.ggml.pre", "gpt-2"))
    if pre not in SPLITS:
        raise KQuantsError(f"{file.path}: cannot tokenize with tokenizer.ggml.pre {pre!r}, only {', '.join(SPLITS)}")
    pairs = [(left, right) for left, right in (m.split(" ", 1) for m in file.metadata["tokenizer.ggml.merges"])]
    tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, pairs))
    cut = pre_tokenizers.Split(Regex(SPLITS[pre]), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [cut, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    return tokenizer
