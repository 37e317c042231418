"""The classes that transformers reads a tokenizer by, as far as upstream's converter sees what they do.

The generic class takes a file as it stands. Any other builds the tokenizer anew: vocabulary, merges and what is put
around a text are the file's; the class's are how a text is cut and which tokens have a name that nobody gave them, and
it adds no token but those that are listed.
Source: ``AutoTokenizer`` and the tokenizers' classes of transformers 5.23.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from . import pre

Document = dict[str, Any]

_SAID = """
    GPT2Tokenizer unk=<|endoftext|> bos=<|endoftext|> eos=<|endoftext|> pad=
    CodeGenTokenizer unk=<|endoftext|> bos=<|endoftext|> eos=<|endoftext|> pad=
    GPTNeoXTokenizer unk=<|endoftext|> bos=<|endoftext|> eos=<|endoftext|> pad=<|padding|>
    Qwen2Tokenizer unk=<|endoftext|> bos= eos=<|endoftext|> pad=<|endoftext|>
    Qwen3_5Tokenizer unk=<|endoftext|> bos= eos=<|endoftext|> pad=<|endoftext|>
    LlamaTokenizer unk=<unk> bos=<s> eos=</s>
    GemmaTokenizer unk=<unk> bos=<bos> eos=<eos> pad=<pad> mask=<mask>
    RobertaTokenizer bos=<s> eos=</s> sep=</s> cls=<s> unk=<unk> pad=<pad> mask=<mask>
    CohereTokenizer unk=<UNK> bos=<BOS_TOKEN> eos=<|END_OF_TURN_TOKEN|> pad=<PAD> cls=<CLS> sep=<SEP> mask=<MASK_TOKEN>
    BertTokenizer unk=[UNK] sep=[SEP] pad=[PAD] cls=[CLS] mask=[MASK]
    DistilBertTokenizer unk=[UNK] sep=[SEP] pad=[PAD] cls=[CLS] mask=[MASK]
    XLMRobertaTokenizer bos=<s> eos=</s> sep=</s> cls=<s> unk=<unk> pad=<pad> mask=<mask>
    CamembertTokenizer bos=<s> eos=</s> sep=</s> cls=<s> unk=<unk> pad=<pad> mask=<mask>
    T5Tokenizer eos=</s> unk=<unk> pad=<pad>
"""
NAMES: dict[str, dict[str, str | None]] = {
    name: {kind: text or None for kind, _, text in (token.partition("=") for token in tokens)}
    for name, *tokens in map(str.split, _SAID.strip().splitlines())
}
"""The tokens that a class names; None where it says that there is none, whatever a file's padding says."""

_ALIASES = {"BartTokenizer": "RobertaTokenizer", "ElectraTokenizer": "BertTokenizer"}

GENERIC, _MISTRAL = "TokenizersBackend", "MistralCommonBackend"

_KINDS = {
    "BertTokenizer": "bert distilbert electra ernie nomic_bert",
    "RobertaTokenizer": "roberta bart",
    "XLMRobertaTokenizer": "xlm-roberta",
    "CamembertTokenizer": "camembert",
    "T5Tokenizer": "t5 mt5",
    "GPT2Tokenizer": "gpt2 gpt_neo gptj opt phi starcoder2 codegen dbrx jais2",
    "GPTNeoXTokenizer": "gpt_neox falcon_mamba mamba mamba2 mpt olmo olmoe rwkv",
    "CohereTokenizer": "cohere cohere2 aya_vision",
    "GemmaTokenizer": "gemma gemma2 gemma3 gemma3_text gemma3n gemma3n_text recurrent_gemma zaya",
    "Qwen2Tokenizer": (
        "qwen2 qwen2_5_omni qwen2_5_vl qwen2_audio qwen2_moe qwen2_vl qwen3 qwen3_asr qwen3_moe qwen3_next"
        " qwen3_omni_moe qwen3_vl qwen3_vl_moe audioflamingo3 dots3_note hunyuan_vl internvl lighton_ocr"
    ),
    "Qwen3_5Tokenizer": "qwen3_5 qwen3_5_moe qwen3_5_moe_text qwen3_5_text qwen4_exp",
    GENERIC: (
        "flex_olmo glm glm4 glm4_moe glm4_moe_lite glm4v glm4v_moe gpt_bigcode granite granitemoe granitemoehybrid"
        " granitemoeshared kimi_k25 kimi_linear mimo_v2_flash minicpmv4_6 olmo2 olmo3 olmo_hybrid persimmon"
        " stablelm umt5"
    ),
    _MISTRAL: "ministral ministral3 mistral mistral3 mixtral pixtral voxtral",
}
_WRONG = (
    "arctic ernie4_5 ernie4_5_moe hyperclovax internlm2 internlm3 iquestcoder jamba llava llava_next minicpm3 minicpmv"
    " minimax_m2 modernbert modernbert-decoder nemotron opencua phi3 phi3_v phimoe qwen2 qwen3_5 qwen3_5_moe"
    " qwen3_5_moe_text qwen4_exp step3_vl smolvlm"
).split()
"""Types of models whose files are known to name a wrong class."""
_REGISTERED = dict.fromkeys(_WRONG, GENERIC) | {kind: name for name, kinds in _KINDS.items() for kind in kinds.split()}


def named(config: Mapping[str, Any], model: Mapping[str, Any], document: Mapping[str, Any] | None) -> str | None:
    """The class by which a tokenizer is read, None for the generic one, or one that nothing is known of.

    ``config`` and ``model`` are what ``tokenizer_config.json`` and ``config.json`` hold, ``document`` what
    ``tokenizer.json`` does, if there is one.
    """
    given = (source.get("tokenizer_class") for source in (config, model))
    said = next((name.removesuffix("Fast") for name in given if isinstance(name, str) and name), None)
    kind = model.get("model_type")
    registered = _REGISTERED.get(kind) if isinstance(kind, str) else None
    mapped = isinstance(config.get("auto_map"), Mapping | list) and "AutoTokenizer" in str(config["auto_map"])
    if not mapped and said is not None:
        byte_level = said == "LlamaTokenizer" and document is not None and _is_byte_level(document)
        if byte_level and registered != _MISTRAL and kind not in _WRONG:
            return None
        if registered is not None and registered != said:
            if registered in (GENERIC, _MISTRAL):
                return None
            said = registered if kind in _WRONG else said
    name = said or registered
    name = _ALIASES.get(name, name) if name else None
    return name if name in NAMES else None


def _is_byte_level(document: Mapping[str, Any]) -> bool:
    """Whether any part of ``tokenizer.json`` is of bytes."""
    return '"ByteLevel"' in json.dumps({name: part for name, part in document.items() if name != "model"})


def built(name: str, document: Document, config: Mapping[str, Any]) -> Document | None:
    """The tokenizer as a class builds it; None where that takes it as it is, or where the file is of another kind."""
    model = document.get("model")
    kind = "WordPiece" if name in ("BertTokenizer", "DistilBertTokenizer") else "BPE"
    if name not in _PARTS or not isinstance(model, dict) or model.get("type") != kind:
        return None
    parts = _PARTS[name](config)
    own = {"type": kind} | {part: model[part] for part in ("vocab", "merges") if part in model}
    around = _around(config, model["vocab"]) if kind == "WordPiece" else document.get("post_processor")
    whole: Document = {"version": "1.0", "normalizer": None, "post_processor": around, "added_tokens": []} | parts
    return whole | {"model": own | parts.get("model", {})}


def _around(config: Mapping[str, Any], vocab: Mapping[str, int]) -> Document:
    """What BERT's classes put around a text, whatever the file says."""
    first, last = (text_of(config.get(f"{kind}_token")) or "" for kind in ("cls", "sep"))
    ids = {text: vocab.get(text, otherwise) for text, otherwise in ((first, 2), (last, 3))}
    begin, end = ({"SpecialToken": {"id": text, "type_id": 0}} for text in (first, last))
    a, b = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    return {
        "type": "TemplateProcessing",
        "single": [begin, a, end],
        "pair": [begin, a, end, b, end],
        "special_tokens": {text: {"id": text, "ids": [i], "tokens": [text]} for text, i in ids.items()},
    }


def _bytes(config: Mapping[str, Any], regex: bool = True) -> Document:
    prefix = config.get("add_prefix_space") or False
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}


def _sequence(*parts: Document) -> Document:
    return {"type": "Sequence", "pretokenizers": list(parts)}


def _plain(config: Mapping[str, Any]) -> Document:
    return {"pre_tokenizer": _bytes(config), "decoder": _bytes(config)}


def _composed(config: Mapping[str, Any], *before: Document, regex: bool = True) -> Document:
    cut = _sequence(*before, _bytes(config, regex)) if before else _bytes(config)
    return {"normalizer": {"type": "NFC"}, "pre_tokenizer": cut, "decoder": _bytes(config)}


def _split(expression: str) -> Document:
    return {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": False}


def _llama(config: Mapping[str, Any]) -> Document:
    prefix = config.get("add_prefix_space")
    scheme = "never" if prefix is False else "first" if not config.get("legacy") else "always"
    cut = {"type": "Metaspace", "replacement": _SPACE, "prepend_scheme": scheme, "split": False}
    model = {"fuse_unk": True, "byte_fallback": True}
    strip = [] if prefix is False else [{"type": "Strip", "content": " ", "start": 1, "stop": 0}]
    return {"pre_tokenizer": cut, "decoder": _fused(*strip), "model": model}


def _gemma(config: Mapping[str, Any]) -> Document:
    model = {"fuse_unk": True, "byte_fallback": True, "unk_token": text_of(config.get("unk_token"))}
    cut = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
    spaces = {"type": "Replace", "pattern": {"String": " "}, "content": _SPACE}
    return {"normalizer": spaces, "pre_tokenizer": cut, "decoder": _fused(), "model": model}


_SPACE = "▁"


def _fused(*more: Document) -> Document:
    spaces = {"type": "Replace", "pattern": {"String": _SPACE}, "content": " "}
    return {"type": "Sequence", "decoders": [spaces, {"type": "ByteFallback"}, {"type": "Fuse"}, *more]}


def _bert(config: Mapping[str, Any]) -> Document:
    normalizer = {
        "handle_chinese_chars": config.get("tokenize_chinese_chars", True),
        "strip_accents": config.get("strip_accents"),
        "lowercase": config.get("do_lower_case", True),
    }
    unk = text_of(config.get("unk_token"))
    return {
        "normalizer": {"type": "BertNormalizer", "clean_text": True} | normalizer,
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {"unk_token": unk, "continuing_subword_prefix": "##", "max_input_chars_per_word": 100},
    }


_PARTS: dict[str, Callable[[Mapping[str, Any]], Document]] = {
    "GPT2Tokenizer": _plain,
    "CodeGenTokenizer": _plain,
    "RobertaTokenizer": _plain,
    "GPTNeoXTokenizer": _composed,
    "CohereTokenizer": lambda config: _composed(config, {"type": "Digits", "individual_digits": True}),
    "Qwen2Tokenizer": lambda config: _composed(config, _split(pre.words(r"\p{N}")), regex=False),
    "Qwen3_5Tokenizer": lambda config: _composed(
        config, _split(pre.words(r"\p{N}", letters=r"[\p{L}\p{M}]+", no=r"\p{L}\p{M}")), regex=False
    ),
    "LlamaTokenizer": _llama,
    "GemmaTokenizer": _gemma,
    "BertTokenizer": _bert,
    "DistilBertTokenizer": _bert,
}


def text_of(entry: Any) -> str | None:
    """The text of a token, which stands for itself or in an object."""
    text = entry.get("content") if isinstance(entry, dict) else entry
    return text if isinstance(text, str) else None
