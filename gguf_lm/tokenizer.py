"""The tokenizer a GGUF file carries, rebuilt with the ``tokenizers`` library."""

from __future__ import annotations

from dataclasses import dataclass

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from gguf_py import GGUFFile, ShardSet, ValueType
from gguf_py.errors import KQuantsError

USER_DEFINED = 4
"""``tokenizer.ggml.token_type`` of a token that is matched whole before anything else."""

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPLITS = {
    "gpt-2": (_GPT2,),
    "smollm": (r"\p{N}", _GPT2),
    "llama-bpe": (_LLAMA3,),
    "smaug-bpe": (_LLAMA3,),
    "qwen2": (_LLAMA3.replace("{1,3}", ""),),
}
"""``tokenizer.ggml.pre`` and the expressions that, one after another, cut a text into the pieces that byte-pair merges
stay within."""


@dataclass(frozen=True)
class TextCodec:
    """Text to token ids, with the beginning-of-text token where the file asks for one."""

    tokenizer: Tokenizer
    bos: int | None

    def encode(self, text: str) -> list[int]:
        """The ids of ``text``, without the beginning-of-text token."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids


def load_tokenizer(file: GGUFFile | ShardSet) -> TextCodec:
    """The tokenizer of ``file``.

    Raises KQuantsError for a kind, or a pre-tokenizer, that is not supported here, and when something that it needs is
    missing or does not fit the vocabulary.
    """
    kind = file.metadata.get("tokenizer.ggml.model")
    if kind not in ("llama", "gpt2"):
        raise KQuantsError(f"{file.path}: cannot tokenize with tokenizer.ggml.model {kind!r}, only llama and gpt2")
    tokens = _texts(file, "tokenizer.ggml.tokens")
    try:
        tokenizer = (_sentencepiece if kind == "llama" else _byte_pairs)(file, tokens)
    except KQuantsError:
        raise
    except Exception as fault:  # the library has no class of its own for merges that do not fit
        raise KQuantsError(f"{file.path}: the vocabulary and its merges do not fit: {fault}") from None
    types = file.metadata.get("tokenizer.ggml.token_type", ())
    whole = [AddedToken(t, normalized=False) for t, kind in zip(tokens, types, strict=False) if kind == USER_DEFINED]
    tokenizer.add_tokens(whole)
    bos = file.metadata.get("tokenizer.ggml.bos_token_id", 1 if kind == "llama" else None)
    add_bos = bool(file.metadata.get("tokenizer.ggml.add_bos_token", kind == "llama"))
    return TextCodec(tokenizer, int(bos) if add_bos and bos is not None else None)


def _texts(file: GGUFFile | ShardSet, key: str) -> list[str]:
    field = file.fields.get(key)
    if field is None or field.item is not ValueType.STRING:
        raise KQuantsError(f"{file.path}: the key {key} is to be an array of strings, and is not")
    return list(field.value)


def _sentencepiece(file: GGUFFile | ShardSet, tokens: list[str]) -> Tokenizer:
    """Sentencepiece's merges are implied: any two pieces whose joint is a piece, best score first."""
    scores = file.metadata.get("tokenizer.ggml.scores", ())
    unknown = file.metadata.get("tokenizer.ggml.unknown_token_id", 0)
    if len(scores) != len(tokens) or not 0 <= unknown < len(tokens):
        raise KQuantsError(
            f"{file.path}: {len(scores):,} scores and the unknown token {unknown} do not fit {len(tokens):,} tokens"
        )
    vocab = {token: i for i, token in enumerate(tokens)}
    merges = [
        (-float(scores[i]), left, right)
        for token, i in vocab.items()
        for at in range(1, len(token))
        if (left := token[:at]) in vocab and (right := token[at:]) in vocab
    ]
    merges.sort(key=lambda merge: merge[0])
    pairs = [(left, right) for _, left, right in merges]
    tokenizer = Tokenizer(models.BPE(vocab, pairs, unk_token=tokens[unknown], fuse_unk=True, byte_fallback=True))
    steps: list[normalizers.Normalizer] = [normalizers.Replace(" ", "▁")]
    if file.metadata.get("tokenizer.ggml.add_space_prefix", True):
        steps.insert(0, normalizers.Prepend(" "))
    tokenizer.normalizer = normalizers.Sequence(steps)
    return tokenizer


def _byte_pairs(file: GGUFFile | ShardSet, tokens: list[str]) -> Tokenizer:
    pre = str(file.metadata.get("tokenizer.ggml.pre", "gpt-2"))
    if pre not in SPLITS:
        raise KQuantsError(f"{file.path}: cannot tokenize with tokenizer.ggml.pre {pre!r}, only {', '.join(SPLITS)}")
    pairs = [(left, right) for left, _, right in (m.partition(" ") for m in _texts(file, "tokenizer.ggml.merges"))]
    tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, pairs))
    cuts = [pre_tokenizers.Split(Regex(expression), "isolated") for expression in SPLITS[pre]]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [*cuts, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    return tokenizer
