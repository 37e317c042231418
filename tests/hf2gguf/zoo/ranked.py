"""Models with a vocabulary of tiktoken, made of GPT-2's small one: the ranks are the order of its ids.

Upstream runs the checkpoint's code; what stands here in its place is as much as upstream asks for.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from hf2gguf.tokenizer.tekken import byte_letters

from ..models import (  # fmt: skip
    HIDDEN,
    SIZE,
    TOKENIZERS,
    WIDE,
    Model,
    Shapes,
    attention,
    base,
    ends,
    experts,
    gated,
    layers,
    linear,
    norm,
    two_norms,
)
from . import dense, latent  # noqa: F401  (whose models these are)
from . import linear as _linear  # noqa: F401
from .table import ZOO, add

CODE = """
import base64
from transformers import PreTrainedTokenizer


class Tokenizer(PreTrainedTokenizer):
    vocab_files_names = {"vocab_file": FILE}

    def __init__(self, vocab_file, eos_token="[EOS]", added_tokens_decoder=None, **more):
        lines = [line.split() for line in open(vocab_file, "rb")]
        self.mergeable_ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
        self.special_tokens = {text: i for i, text in enumerate(SPECIALS, len(lines))}
        for i, token in (added_tokens_decoder or {}).items():
            self.special_tokens = {str(token) if n == i else t: n for t, n in self.special_tokens.items()}
        self.model = self
        self._mergeable_ranks = self.mergeable_ranks
        self.eos_id = self.special_tokens.get(str(eos_token))
        super().__init__(eos_token=eos_token, **more)

    @property
    def vocab_size(self):
        return SIZE

    def get_vocab(self):
        return self.special_tokens
"""
"""The tokenizer's program."""

VOCAB = 700


def ranked() -> str:
    """GPT-2's small vocabulary as tiktoken writes it."""
    byte_of = {letter: byte for byte, letter in enumerate(byte_letters())}
    vocab = json.loads(TOKENIZERS["gpt2"]["tokenizer.json"].read_text("utf-8"))["model"]["vocab"]
    tokens = [bytes(byte_of[c] for c in text) for text in sorted(vocab, key=vocab.__getitem__) if text[0] != "<"]
    return "".join(f"{base64.b64encode(token).decode()} {i}\n" for i, token in enumerate(tokens))


COUNT = ranked().count("\n")


def files(name: str, specials: list[str], **config: Any) -> dict[str, str]:
    """The vocabulary, its program and its configuration."""
    program = CODE.replace("FILE", repr(name)).replace("SPECIALS", repr(specials)).replace("SIZE", str(VOCAB))
    auto = {"tokenizer_class": "Tokenizer", "auto_map": {"AutoTokenizer": ["tokenization.Tokenizer", None]}}
    return {name: ranked(), "tokenization.py": program, "tokenizer_config.json": json.dumps(auto | config)}


def again(name: str, model: Model, files: dict[str, str], pre: str, **more: Any) -> None:
    """Another of the zoo's models with a vocabulary of tiktoken."""
    tensors = {n: (VOCAB, HIDDEN) if n in ends() and len(shape) == 2 else shape for n, shape in model.tensors.items()}
    config = model.config | {"vocab_size": VOCAB} | more
    add(name, config, tensors, "none", files=files, pre=pre, outtypes=("f16",), dtypes=model.dtypes)


EXTRAS = [f"<|extra_{i}|>" for i in range(205)]
QWEN = files("qwen.tiktoken", ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *EXTRAS])
HY = files("hy.tiktoken", ["<|endoftext|>", "<|startoftext|>", "<|bos|>", "<|eos|>", "<|pad|>", *EXTRAS])
NAMES = {"0": "[BOS]", "1": "[EOS]", "5": "<|im_end|>"}
MOONSHOT = files(
    "tiktoken.model",
    [f"<|reserved_token_{i}|>" for i in range(COUNT, COUNT + 258)],
    added_tokens_decoder={str(COUNT + int(i)): {"content": text, "special": True} for i, text in NAMES.items()},
    bos_token="[BOS]",
    eos_token="[EOS]",
)


def qwen(p: str) -> Shapes:
    """A layer of Qwen's first models."""
    made = norm(f"{p}.ln_1") | norm(f"{p}.ln_2") | linear(f"{p}.attn.c_attn", 3 * HIDDEN, HIDDEN, bias=True)
    made |= linear(f"{p}.attn.c_proj", HIDDEN, HIDDEN) | linear(f"{p}.mlp.w1", WIDE, HIDDEN)
    return made | linear(f"{p}.mlp.w2", WIDE, HIDDEN) | linear(f"{p}.mlp.c_proj", HIDDEN, WIDE)


QWEN_TENSORS = {"transformer.wte.weight": (VOCAB, HIDDEN), "lm_head.weight": (VOCAB, HIDDEN)}
QWEN_TENSORS |= norm("transformer.ln_f") | layers(qwen, prefix="transformer.h")
# The epsilon that these models have gets a key that llama.cpp does not ask for; one of the other's name, the right one.
for name, more in (("tiny-qwen", {"bos_token_id": ..., "eos_token_id": ..., "rms_norm_eps": ...}), ("qwen-with-ids",
    {"eos_token_id": 3})):  # fmt: skip
    add(name, base("QWenLMHeadModel", "qwen", num_key_value_heads=..., intermediate_size=2 * WIDE, seq_length=512,
        layer_norm_epsilon=1e-6, rotary_emb_base=10000, rotary_pct=1.0, kv_channels=SIZE, vocab_size=VOCAB, **more),
        QWEN_TENSORS, "none", files=QWEN, pre="qwen2", outtypes=("f16",))  # fmt: skip
MOE = {"num_experts": 4, "moe_topk": [2, 2], "moe_intermediate_size": [WIDE, WIDE], "num_shared_expert": [1, 1]}
MOE_TENSORS = ends(VOCAB, tied=True) | layers(lambda p: two_norms(p) | attention(p)
    | norm(f"{p}.self_attn.query_layernorm", SIZE) | norm(f"{p}.self_attn.key_layernorm", SIZE)
    | {n.replace("mlp.gate.", "mlp.gate.wg."): s for n, s in experts(p, 4, WIDE).items()}
    | gated(p, name="mlp.shared_mlp"))  # fmt: skip
add("tiny-hunyuan-moe", base("HunYuanMoEV1ForCausalLM", "hunyuan_v1_moe", tie_word_embeddings=True, vocab_size=VOCAB,
    bos_token_id=1, eos_token_id=2, pad_token_id=0, **MOE), MOE_TENSORS, "none", files=HY, pre="hunyuan",
    outtypes=("f16",))  # fmt: skip
ENDS = {"generation_config.json": json.dumps({"eos_token_id": [9, 7]})}
again("hunyuan-ranked", ZOO["tiny-hunyuan"], HY | ENDS, "hunyuan", eod_token_id=7, pad_token_id=0)
again("kimi-ranked", ZOO["tiny-kimi-linear"], MOONSHOT, "kimi-k2", bos_token_id=COUNT, eos_token_id=COUNT + 5)
again("tiny-kimi-k2", ZOO["tiny-deepseek-v3"], MOONSHOT, "kimi-k2", bos_token_id=COUNT, eos_token_id=COUNT + 5)
