"""Folders of tokenizer files that try what vocabularies can say; upstream's answers to them are in ``digests.json``."""

from __future__ import annotations

from . import real
from .by_class import BUILTIN, BY_CLASS
from .parts import (
    DECODER,
    EXPERTS,
    FALLBACK,
    PIECES,
    SMALL,
    SPECIALS,
    TEMPLATES,
    Case,
    added,
    config,
    with_plain,
)

CASES: dict[str, Case] = {
    "added-tokens": (
        PIECES
        | {
            "added_tokens.json": {"<old>": 4099, "<beyond>": 5000},
            "tokenizer_config.json": SPECIALS | {"added_tokens_decoder": DECODER, "chat_template": TEMPLATES},
            "tokenizer.json": {"added_tokens": [added(1, "<s>"), added(2, "</s>")], "model": {}},
        },
        config("LlamaForCausalLM", "llama", 4104, bos_token_id=1, eos_token_id=[2, 3], pad_token_id=4103),
        "any",
    ),
    "templates": (
        PIECES
        | {
            "tokenizer_config.json": SPECIALS | {"add_prefix_space": False},
            "chat_template.jinja": "{{ one }}\r\nline\n",
            "additional_chat_templates/rag.jinja": "{{ rag }}",
        },
        config("LlamaForCausalLM", "llama", 4096),
        "any",
    ),
    "named-tokens": (
        {
            "tokenizer.json": with_plain(SMALL / "gpt2" / "tokenizer.json"),
            "tokenizer_config.json": {
                "tokenizer_class": "GPT2Tokenizer",
                "eos_token": "<|endoftext|>",
                "pad_token": "▁pad ",
                "eot_token": "<turn>",
                "additional_special_tokens": ["<tool>"],
            },
        },
        config("Qwen3ForCausalLM", "qwen3", 50257),
        "gpt2",
    ),
    "named-by-its-own-names": (
        {
            "tokenizer.json": SMALL / "gpt2" / "tokenizer.json",
            "tokenizer_config.json": {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "eos_token": "<|endoftext|>",
                "extra_special_tokens": {"image_token": "<image>"},
                "additional_special_tokens": ["<tool>"],
            },
        },
        config("Qwen3ForCausalLM", "qwen3", 50304),
        "gpt2",
    ),
    "older-files": (
        {
            "tokenizer.json": SMALL / "gpt2" / "tokenizer.json",
            "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>"},
            "special_tokens_map.json": {
                "pad_token": {"content": "<pad>", "lstrip": False, "normalized": False, "rstrip": False},
                "additional_special_tokens": ["<tool>", "<|x|>"],
            },
            "added_tokens.json": {"<new>": 50300, "<tool>": 50299},
        },
        config("Qwen3ForCausalLM", "qwen3", 50304),
        "gpt2",
    ),
    "empty-templates": (
        PIECES
        | {
            "tokenizer_config.json": SPECIALS
            | {"chat_template": [{"name": "default", "template": ""}, {"name": "rag", "template": ""}]},
        },
        config("LlamaForCausalLM", "llama", 4096),
        "any",
    ),
    "code-llama": (PIECES | {"tokenizer_config.json": SPECIALS}, config("LlamaForCausalLM", "llama", 32016), "any"),
    "granite-small": (PIECES, config("LlamaForCausalLM", "llama", 49152), "any"),
    "phi3": (
        PIECES
        | {
            "tokenizer_config.json": SPECIALS
            | {"tokenizer_class": "LlamaTokenizer", "added_tokens_decoder": DECODER | {"9999": DECODER["1"]}},
            "tokenizer.json": {"added_tokens": [added(4100, "<|x|>", special=True), added(4101, "▁y")], "model": {}},
            "added_tokens.json": {"<old>": 4099},
        },
        config("Phi3ForCausalLM", "phi3", 10000, original_max_position_embeddings=512, pad_token_id=0),
        "phi3",
    ),
    "gemma": (
        PIECES | {"tokenizer_config.json": SPECIALS | {"chat_template": "{{ a }}"}},
        config("GemmaForCausalLM", "gemma", 4096, pad_token_id=0, bos_token_id=2, eos_token_id=1),
        "gemma",
    ),
    "nemotron": (PIECES, config("NemotronForCausalLM", "nemotron", 4100, norm_eps=1e-5), "nemotron"),
    "byte-fallback": (
        {
            "tokenizer.json": FALLBACK,
            "tokenizer_config.json": SPECIALS | {"tokenizer_class": "LlamaTokenizer", "eos_token": "</s>"},
        },
        config("LlamaForCausalLM", "llama", 269, bos_token_id=1),
        "any",
    ),
    "byte-fallback-unnamed": (
        {
            "tokenizer.json": FALLBACK
            | {
                "padding": {"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": None, "pad_id": 9}
                | {"pad_type_id": 0, "pad_token": "<0x06>"}
            },
            "tokenizer_config.json": {"tokenizer_class": "LlamaTokenizer"},
        },
        config("LlamaForCausalLM", "llama", 269, bos_token_id=1),
        "any",
    ),
    "t5": (
        {"spiece.model": SMALL / "unigram" / "spiece.model", "added_tokens.json": {"<extra_id_0>": 700}},
        {
            "architectures": ["T5ForConditionalGeneration"],
            "model_type": "t5",
            "vocab_size": 704,
            "d_model": 64,
            "d_ff": 128,
            "d_kv": 16,
            "num_heads": 4,
            "num_layers": 2,
            "num_decoder_layers": 2,
            "n_positions": 512,
            "relative_attention_num_buckets": 32,
            "layer_norm_epsilon": 1e-6,
            "decoder_start_token_id": 0,
        },
        "t5",
    ),
}
_CHAT = {key: entry for key, entry in DECODER.items() if key != "9999"} | {
    "0": {"content": "<unk>", "special": True},
    "4100": {"content": "<|im_end|>", "special": True},
}
_LETTERS = {f"<{letter}>": 4096 + i for i, letter in enumerate("abcdef")}
_PLAIN_EOS = SPECIALS | {"eos_token": "</s>"}
_HYBRID = {"mamba_expand": 2, "mamba_d_conv": 4, "mamba_d_state": 16, "mamba_dt_rank": 16, "num_experts": 4}
_PERIODS = {"attn_layer_offset": 1, "attn_layer_period": 2, "expert_layer_offset": 1, "expert_layer_period": 2}

CASES |= {
    "internlm2": (
        PIECES
        | {
            "added_tokens.json": _LETTERS,
            "tokenizer_config.json": SPECIALS | {"added_tokens_decoder": _CHAT},
            "tokenizer.json": {
                "added_tokens": [added(1, "<s>", special=True), added(2, "</s>", special=True)],
                "model": {},
            },
        },
        config("InternLM2ForCausalLM", "internlm2", 4096, eos_token_id=2),
        "internlm2",
    ),
    "internlm3": (
        PIECES | {"tokenizer_config.json": SPECIALS | {"add_prefix_space": True, "added_tokens_decoder": _CHAT}},
        config("InternLM3ForCausalLM", "internlm3", 4104, eos_token_id=2),
        "internlm3",
    ),
    "arctic": (
        PIECES | {"tokenizer_config.json": SPECIALS | {"added_tokens_decoder": _CHAT}},
        config("ArcticForCausalLM", "arctic", 4104, **EXPERTS),
        "arctic",
    ),
    "jamba": (
        {"tokenizer.json": FALLBACK, "tokenizer_config.json": _PLAIN_EOS | {"tokenizer_class": "LlamaTokenizer"}},
        config("JambaForCausalLM", "jamba", 269, **_HYBRID, **_PERIODS, num_experts_per_tok=2),
        "jamba",
    ),
    "xverse": (
        {
            "tokenizer.json": FALLBACK,
            "tokenizer_config.json": _PLAIN_EOS | {"tokenizer_class": "PreTrainedTokenizerFast"},
        },
        config("XverseForCausalLM", "xverse", 269),
        "xverse",
    ),
}
_CHATGLM3 = """
import sentencepiece
from transformers import PreTrainedTokenizer
NAMES = "[MASK] [gMASK] [sMASK] sop eop <|system|> <|user|> <|assistant|> <|observation|>".split()
class Inner:
    def __init__(self, path):
        self.sp_model = sentencepiece.SentencePieceProcessor(model_file=path)
        self.named = {self.sp_model.vocab_size() + i: name for i, name in enumerate(NAMES)}
class ChatGLMTokenizer(PreTrainedTokenizer):
    vocab_files_names = {"vocab_file": "tokenizer.model"}
    def __init__(self, vocab_file, **kwargs):
        self.tokenizer = Inner(vocab_file)
        super().__init__(**kwargs)
    vocab_size = property(lambda self: self.tokenizer.sp_model.vocab_size() + len(NAMES))
    def get_vocab(self):
        return {self._convert_id_to_token(i): i for i in range(self.vocab_size)}
    def _convert_id_to_token(self, index):
        if index in self.tokenizer.named:
            return self.tokenizer.named[index]
        return self.tokenizer.sp_model.IdToPiece(index) if 3 <= index < self.tokenizer.sp_model.vocab_size() else ""
    def _convert_token_to_id(self, token):
        return self.tokenizer.sp_model.PieceToId(token)
"""
"""What upstream runs of ChatGLM 3's code, as its published code answers; ours must not run it."""

CASES |= {
    "chatglm3": (
        PIECES
        | {
            "tokenization_chatglm.py": _CHATGLM3,
            "tokenizer_config.json": {
                "auto_map": {"AutoTokenizer": ["tokenization_chatglm.ChatGLMTokenizer", None]},
                "tokenizer_class": "ChatGLMTokenizer",
            },
        },
        config(
            *("ChatGLMModel", "chatglm", 4112),
            _name_or_path="THUDM/chatglm3-6b",
            padded_vocab_size=4112,
            num_layers=2,
            eos_token_id=2,
            pad_token_id=0,
        ),
        "chatglm",
    )
}

CASES |= BY_CLASS | BUILTIN
CASES |= {name: (dict(files), settings, scheme) for name, (files, settings, scheme) in real.CASES.items()}
"""Files, config.json and scheme by name."""
