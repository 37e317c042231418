"""Tokenizers of which the class that transformers reads them by decides, and models that are published without one."""

from __future__ import annotations

import json
from typing import Any

from .parts import EXPERTS, FALLBACK, ROOT, SMALL, SPECIALS, Case, Files, config, saved, with_plain


def _document(name: str, **parts: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((SMALL / name / "tokenizer.json").read_text("utf-8"))
    return document | parts


def _merges(name: str) -> Files:
    """The files that there were before ``tokenizer.json``."""
    document = _document(name)
    return {
        "vocab.json": document["model"]["vocab"],
        "merges.txt": "#version: 0.2\n" + "\n".join(document["model"]["merges"]) + "\n",
        "added_tokens.json": {token["content"]: token["id"] for token in document["added_tokens"]},
    }


def _lines(name: str) -> str:
    """WordPiece's older file, with fillers where the small vocabulary has holes."""
    texts = {i: text for text, i in _document(name)["model"]["vocab"].items()}
    return "".join(texts.get(i, f"##\ue000{i}") + "\n" for i in range(max(texts) + 1))


_PADDING = {"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0}
_UNMARKED = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None}
_GPT2 = config("GPT2LMHeadModel", "gpt2", 50304, n_ctx=512, n_embd=256, n_layer=2, n_head=4, layer_norm_epsilon=1e-5)
_BERT = config("BertModel", "bert", 30522, type_vocab_size=2, layer_norm_eps=1e-12)
_MAMBA = config("MambaForCausalLM", "mamba", 50304, conv_kernel=4, state_size=16, time_step_rank=16)
_XLM = config("XLMRobertaModel", "xlm-roberta", 386, type_vocab_size=1, pad_token_id=1, layer_norm_eps=1e-5)

_NOMIC = {
    "architectures": ["NomicBertModel"],
    "model_type": "nomic_bert_as_written",
    "n_embd": 64,
    "n_inner": 96,
    "n_head": 4,
    "n_layer": 2,
    "layer_norm_epsilon": 1e-12,
    "type_vocab_size": 2,
    "causal": False,
    "prenorm": False,
    "rotary_emb_fraction": 1.0,
    "rotary_emb_interleaved": False,
    "rotary_emb_scale_base": None,
    "n_positions": 2048,
    "max_trained_positions": 2048,
    "vocab_size": 386,
    "rotary_emb_base": 10000,
    "activation_function": "gelu",
    "qkv_proj_bias": True,
    "mlp_fc1_bias": True,
    "mlp_fc2_bias": True,
    "moe_every_n_layers": 2,
    "moe_top_k": 2,
    "num_experts": 4,
    "pad_token_id": 1,
}
_OPENELM = {
    "architectures": ["OpenELMForCausalLM"],
    "model_type": "openelm",
    "model_dim": 64,
    "num_transformer_layers": 2,
    "head_dim": 16,
    "num_query_heads": [2, 4],
    "num_kv_heads": [1, 2],
    "ffn_multipliers": [0.5, 1.1],
    "ffn_dim_divisor": 32,
    "max_context_length": 512,
    "rope_freq_constant": 10000,
    "vocab_size": 32000,
}
_LAGUNA = config(
    *("LagunaForCausalLM", "laguna", 50257),
    **EXPERTS,
    num_experts=4,
    num_attention_heads_per_layer=[4, 8],
    moe_intermediate_size=32,
    shared_expert_intermediate_size=32,
    moe_routed_scaling_factor=2.5,
    gating="per-head",
    layer_types=["full_attention", "sliding_attention"],
)

BY_CLASS: dict[str, Case] = {
    "padded-by-its-file": (
        saved("gpt2", pad_token=..., tokenizer_class="GPT2Tokenizer")
        | {"tokenizer.json": _document("gpt2", padding=_PADDING | {"pad_token": "ł"})},
        config("GraniteForCausalLM", "granite", 50257),
        "gpt2",
    ),
    "bert-by-its-class": (
        saved("bert", tokenizer_class="BertTokenizer", mask_token=...)
        | {
            "tokenizer.json": _document(
                "bert", normalizer=_UNMARKED | {"lowercase": False}, post_processor=None, added_tokens=[]
            )
        },
        _BERT,
        "bert",
    ),
    "bert-as-written": (saved("bert", tokenizer_class="PreTrainedTokenizerFast", do_lower_case=False), _BERT, "bert"),
    "bert-by-lines": ({"vocab.txt": _lines("bert"), "tokenizer_config.json": {"do_lower_case": True}}, _BERT, "bert"),
    "named-by-its-class": ({"tokenizer.json": SMALL / "gpt2/tokenizer.json"}, _MAMBA, "bpe-or-sentencepiece"),
    "only-what-is-listed": (
        saved("gpt2", tokenizer_class="GPT2Tokenizer", added_tokens_decoder={"50257": {"content": "<a>"}})
        | {"tokenizer.json": with_plain(SMALL / "gpt2/tokenizer.json")},
        _GPT2,
        "gpt2",
    ),
    "qwen2-in-two-files": (
        _merges("qwen2") | {"tokenizer_config.json": {"tokenizer_class": "Qwen2Tokenizer"}},
        config("Qwen2ForCausalLM", "qwen2", 151936),
        "gpt2",
    ),
    "gpt2-in-two-files": (
        _merges("gpt2") | {"tokenizer_config.json": {"tokenizer_class": "GPT2Tokenizer"}},
        _GPT2,
        "gpt2",
    ),
    "byte-fallback-own-names": (
        {
            "tokenizer.json": FALLBACK,
            "tokenizer_config.json": SPECIALS
            | {"tokenizer_class": "LlamaTokenizer", "eos_token": "</s>", "fim_token": "<extra>", "add_bos_token": "a"},
        },
        config("LlamaForCausalLM", "llama", 269, bos_token_id=1),
        "any",
    ),
    "unigram-of-berts-class": (
        saved("unigram", tokenizer_class="BertTokenizer"),
        _NOMIC,
        "nomic-bert",
    ),
    "unigram-of-no-class": (saved("unigram", tokenizer_class=...), _NOMIC, "nomic-bert"),
    "unigram-and-an-older-file": (
        saved("unigram") | {"special_tokens_map.json": {"unk_token": "</s>"}},
        _XLM,
        "xlm-roberta",
    ),
    "laguna-without-a-template": (
        saved("gpt2") | {"chat_template.jinja": ""},
        _LAGUNA,
        "laguna",
    ),
}
_FETCHED = ROOT / ".reference" / "files"
BUILTIN: dict[str, Case] = {
    "openelm-alone": ({"ggml-vocab-llama-spm.gguf": _FETCHED / "ggml-vocab-llama-spm.gguf"}, _OPENELM, "llama"),
    "mamba-alone": (
        {"ggml-vocab-gpt-neox.gguf": _FETCHED / "ggml-vocab-gpt-neox.gguf"},
        _MAMBA,
        "bpe-or-sentencepiece",
    ),
}
"""Models that are published without a tokenizer, beside the file that upstream's converter then takes."""
