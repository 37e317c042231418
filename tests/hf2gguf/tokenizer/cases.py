"""Folders of tokenizer files that try what vocabularies can say; upstream's answers to them are in ``digests.json``."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

from . import real

ROOT = Path(__file__).resolve().parents[3]
TINY = ROOT / "fixtures" / "tiny-speeches-5m"
SMALL = ROOT / "tests" / "hf2gguf" / "tokenizers"
PIECES = {"tokenizer.model": TINY / "tokenizer.model"}

SIZES = {
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 512,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
}


def config(architecture: str, kind: str, vocab_size: int, **more: Any) -> dict[str, Any]:
    """A small model's ``config.json``."""
    return {"architectures": [architecture], "model_type": kind, "vocab_size": vocab_size} | SIZES | more


def added(token_id: int, content: str, **flags: bool) -> dict[str, Any]:
    """An added token of ``tokenizer.json``."""
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    return {"id": token_id, "content": content} | plain | flags


_DECODER = {
    "1": {"content": "<s>", "special": True},
    "4096": {"content": "<|user|>", "special": False},
    "4097": {"content": "▁two▁words", "special": False},
    "4098": {"content": "<end>", "special": True},
    "9999": {"content": "<beyond>", "special": True},
}
_TEMPLATES = [
    {"name": "default", "template": "{{ messages }}"},
    {"name": "tool use!", "template": "{{ tools }}"},
    {"name": "", "template": "nameless"},
]
_SPECIALS = {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "unk_token": "<unk>", "add_bos_token": True}
_BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
_FALLBACK = {
    "version": "1.0",
    "added_tokens": [added(i, t, special=True) for i, t in enumerate(["<unk>", "<s>", "</s>"])]
    + [added(267, "<extra>"), added(268, "<|im_end|>", special=True)],
    "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
    "pre_tokenizer": None,
    "post_processor": None,
    "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]},
    "model": {
        "type": "BPE",
        "unk_token": "<unk>",
        "byte_fallback": True,
        "fuse_unk": True,
        "ignore_merges": False,
        "vocab": {t: i for i, t in enumerate(["<unk>", "<s>", "</s>", *_BYTES, *"▁abc", "ab", "▁a", "abc", "d"])},
        "merges": [["a", "b"], ["▁", "a"], ["ab", "c"]],
    },
}


def _with_plain(path: Path) -> dict[str, Any]:
    """GPT-2's tokenizer with added tokens that are not special there."""
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    texts = ("▁pad ", "<turn>", "<tool>", "▁none ")
    document["added_tokens"] += [added(50000 + i, text, normalized=i % 2 == 0) for i, text in enumerate(texts)]
    document["added_tokens"].sort(key=lambda token: token["id"])
    return document


Files = dict[str, Path | str | dict[str, Any]]
Case = tuple[Files, dict[str, Any], str]

CASES: dict[str, Case] = {
    "added-tokens": (
        PIECES
        | {
            "added_tokens.json": {"<old>": 4099, "<beyond>": 5000},
            "tokenizer_config.json": _SPECIALS | {"added_tokens_decoder": _DECODER, "chat_template": _TEMPLATES},
            "tokenizer.json": {"added_tokens": [added(1, "<s>"), added(2, "</s>")], "model": {}},
        },
        config("LlamaForCausalLM", "llama", 4104, bos_token_id=1, eos_token_id=[2, 3], pad_token_id=4103),
        "any",
    ),
    "templates": (
        PIECES
        | {
            "tokenizer_config.json": _SPECIALS | {"add_prefix_space": False},
            "chat_template.jinja": "{{ one }}\r\nline\n",
            "additional_chat_templates/rag.jinja": "{{ rag }}",
        },
        config("LlamaForCausalLM", "llama", 4096),
        "any",
    ),
    "named-tokens": (
        {
            "tokenizer.json": _with_plain(SMALL / "gpt2" / "tokenizer.json"),
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
            "tokenizer_config.json": _SPECIALS
            | {"chat_template": [{"name": "default", "template": ""}, {"name": "rag", "template": ""}]},
        },
        config("LlamaForCausalLM", "llama", 4096),
        "any",
    ),
    "code-llama": (PIECES | {"tokenizer_config.json": _SPECIALS}, config("LlamaForCausalLM", "llama", 32016), "any"),
    "granite-small": (PIECES, config("LlamaForCausalLM", "llama", 49152), "any"),
    "phi3": (
        PIECES
        | {
            "tokenizer_config.json": _SPECIALS
            | {"tokenizer_class": "LlamaTokenizer", "added_tokens_decoder": _DECODER | {"9999": _DECODER["1"]}},
            "tokenizer.json": {"added_tokens": [added(4100, "<|x|>", special=True), added(4101, "▁y")], "model": {}},
            "added_tokens.json": {"<old>": 4099},
        },
        config("Phi3ForCausalLM", "phi3", 10000, original_max_position_embeddings=512, pad_token_id=0),
        "phi3",
    ),
    "gemma": (
        PIECES | {"tokenizer_config.json": _SPECIALS | {"chat_template": "{{ a }}"}},
        config("GemmaForCausalLM", "gemma", 4096, pad_token_id=0, bos_token_id=2, eos_token_id=1),
        "gemma",
    ),
    "nemotron": (PIECES, config("NemotronForCausalLM", "nemotron", 4100, norm_eps=1e-5), "nemotron"),
    "byte-fallback": (
        {
            "tokenizer.json": _FALLBACK,
            "tokenizer_config.json": _SPECIALS | {"tokenizer_class": "LlamaTokenizer", "eos_token": "</s>"},
        },
        config("LlamaForCausalLM", "llama", 269, bos_token_id=1),
        "any",
    ),
    "byte-fallback-unnamed": (
        {
            "tokenizer.json": _FALLBACK
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
_CHAT = {key: entry for key, entry in _DECODER.items() if key != "9999"} | {
    "0": {"content": "<unk>", "special": True},
    "4100": {"content": "<|im_end|>", "special": True},
}
_LETTERS = {f"<{letter}>": 4096 + i for i, letter in enumerate("abcdef")}
_PLAIN_EOS = _SPECIALS | {"eos_token": "</s>"}
_HYBRID = {"mamba_expand": 2, "mamba_d_conv": 4, "mamba_d_state": 16, "mamba_dt_rank": 16, "num_experts": 4}
_PERIODS = {"attn_layer_offset": 1, "attn_layer_period": 2, "expert_layer_offset": 1, "expert_layer_period": 2}
_EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}

CASES |= {
    "internlm2": (
        PIECES
        | {
            "added_tokens.json": _LETTERS,
            "tokenizer_config.json": _SPECIALS | {"added_tokens_decoder": _CHAT},
            "tokenizer.json": {
                "added_tokens": [added(1, "<s>", special=True), added(2, "</s>", special=True)],
                "model": {},
            },
        },
        config("InternLM2ForCausalLM", "internlm2", 4096, eos_token_id=2),
        "internlm2",
    ),
    "internlm3": (
        PIECES | {"tokenizer_config.json": _SPECIALS | {"add_prefix_space": True, "added_tokens_decoder": _CHAT}},
        config("InternLM3ForCausalLM", "internlm3", 4104, eos_token_id=2),
        "internlm3",
    ),
    "arctic": (
        PIECES | {"tokenizer_config.json": _SPECIALS | {"added_tokens_decoder": _CHAT}},
        config("ArcticForCausalLM", "arctic", 4104, **_EXPERTS),
        "arctic",
    ),
    "jamba": (
        {"tokenizer.json": _FALLBACK, "tokenizer_config.json": _PLAIN_EOS | {"tokenizer_class": "LlamaTokenizer"}},
        config("JambaForCausalLM", "jamba", 269, **_HYBRID, **_PERIODS, num_experts_per_tok=2),
        "jamba",
    ),
    "xverse": (
        {
            "tokenizer.json": _FALLBACK,
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


def _saved(name: str, **settings: Any) -> Files:
    """A small tokenizer with other settings; those that are ``...`` are left out."""
    files: Files = {file: SMALL / name / file for file in ("tokenizer.json", "tokenizer_config.json")}
    said = json.loads((SMALL / name / "tokenizer_config.json").read_text("utf-8")) | settings
    return files | {"tokenizer_config.json": {key: value for key, value in said.items() if value is not ...}}


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
    **_EXPERTS,
    num_experts=4,
    num_attention_heads_per_layer=[4, 8],
    moe_intermediate_size=32,
    shared_expert_intermediate_size=32,
    moe_routed_scaling_factor=2.5,
    gating="per-head",
    layer_types=["full_attention", "sliding_attention"],
)

CASES |= {
    "padded-by-its-file": (
        _saved("gpt2", pad_token=..., tokenizer_class="GPT2Tokenizer")
        | {"tokenizer.json": _document("gpt2", padding=_PADDING | {"pad_token": "ł"})},
        config("GraniteForCausalLM", "granite", 50257),
        "gpt2",
    ),
    "bert-by-its-class": (
        _saved("bert", tokenizer_class="BertTokenizer", mask_token=...)
        | {
            "tokenizer.json": _document(
                "bert", normalizer=_UNMARKED | {"lowercase": False}, post_processor=None, added_tokens=[]
            )
        },
        _BERT,
        "bert",
    ),
    "bert-as-written": (_saved("bert", tokenizer_class="PreTrainedTokenizerFast", do_lower_case=False), _BERT, "bert"),
    "bert-by-lines": ({"vocab.txt": _lines("bert"), "tokenizer_config.json": {"do_lower_case": True}}, _BERT, "bert"),
    "named-by-its-class": ({"tokenizer.json": SMALL / "gpt2/tokenizer.json"}, _MAMBA, "bpe-or-sentencepiece"),
    "only-what-is-listed": (
        _saved("gpt2", tokenizer_class="GPT2Tokenizer", added_tokens_decoder={"50257": {"content": "<a>"}})
        | {"tokenizer.json": _with_plain(SMALL / "gpt2/tokenizer.json")},
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
            "tokenizer.json": _FALLBACK,
            "tokenizer_config.json": _SPECIALS
            | {"tokenizer_class": "LlamaTokenizer", "eos_token": "</s>", "fim_token": "<extra>", "add_bos_token": "a"},
        },
        config("LlamaForCausalLM", "llama", 269, bos_token_id=1),
        "any",
    ),
    "unigram-of-berts-class": (
        _saved("unigram", tokenizer_class="BertTokenizer"),
        _NOMIC,
        "nomic-bert",
    ),
    "unigram-of-no-class": (_saved("unigram", tokenizer_class=...), _NOMIC, "nomic-bert"),
    "unigram-and-an-older-file": (
        _saved("unigram") | {"special_tokens_map.json": {"unk_token": "</s>"}},
        _XLM,
        "xlm-roberta",
    ),
    "laguna-without-a-template": (
        _saved("gpt2") | {"chat_template.jinja": ""},
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
CASES |= BUILTIN
CASES |= {name: (dict(files), settings, scheme) for name, (files, settings, scheme) in real.CASES.items()}
"""Files, config.json and scheme by name."""


def write(folder: Path, files: Files, config: dict[str, Any]) -> Path:
    """The folder, which is made; raises FileNotFoundError when a real tokenizer has not been fetched."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        if isinstance(content, Path):
            shutil.copyfile(content, path)
        else:
            path.write_bytes((content if isinstance(content, str) else json.dumps(content)).encode())
    return folder


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
        settings["chat_template"] = some(["{{ x }}", _TEMPLATES, None, 3])
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
