"""Encoders, and encoders with decoders."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ..models import BPE, HEADS, HIDDEN, LAYERS, SIZE, TOKENIZERS, WIDE, Shapes, layers, linear, llama, norm
from .table import POOLING, ZOO, add, added, bpe


def bert(p: str) -> Shapes:
    """A layer of BERT."""
    made: Shapes = {}
    for part in ("query", "key", "value"):
        made |= linear(f"{p}.attention.self.{part}", HIDDEN, HIDDEN, True)
    made |= linear(f"{p}.attention.output.dense", HIDDEN, HIDDEN, True)
    made |= norm(f"{p}.attention.output.LayerNorm", bias=True) | norm(f"{p}.output.LayerNorm", bias=True)
    return (
        made | linear(f"{p}.intermediate.dense", WIDE, HIDDEN, True) | linear(f"{p}.output.dense", HIDDEN, WIDE, True)
    )


def bert_model(vocab: int, positions: int = 128, types: int = 2) -> Shapes:
    """BERT's tensors, pooler included."""
    return {"embeddings.word_embeddings.weight": (vocab, HIDDEN), "embeddings.position_embeddings.weight":
        (positions, HIDDEN), "embeddings.token_type_embeddings.weight": (types, HIDDEN)} | norm(
        "embeddings.LayerNorm", bias=True) | layers(bert, prefix="encoder.layer") | linear(
        "pooler.dense", HIDDEN, HIDDEN, True)  # fmt: skip


BERT = {"model_type": "bert", "hidden_size": HIDDEN, "intermediate_size": WIDE, "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS, "max_position_embeddings": 128, "layer_norm_eps": 1e-12, "type_vocab_size": 2,
        "vocab_size": 30522, "pad_token_id": 0}  # fmt: skip
add("tiny-bert", BERT | {"architectures": ["BertModel"]}, bert_model(30522), "bert", dtype="F32", files=POOLING
    | {"1_Pooling/config.json": '{"pooling_mode_cls_token": true}'})  # fmt: skip
add("bert-ranker", BERT | {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "no", "1": "maybe",
    "2": "yes"}, "label2id": {"no": 0, "maybe": 1, "yes": 2}}, {f"bert.{n}": s for n, s in bert_model(30522).items()}
    | linear("classifier", 3, HIDDEN, True), "bert", dtype="F32")  # fmt: skip
add("tiny-xlm-roberta", BERT | {"architectures": ["XLMRobertaModel"], "model_type": "xlm-roberta", "pad_token_id": 1,
    "vocab_size": 384, "max_position_embeddings": 130, "type_vocab_size": 1}, bert_model(384, 130, 1), "xlm-roberta",
    files=POOLING | {"1_Pooling/config.json": '{"pooling_mode_mean_tokens": true}'})  # fmt: skip
JSON_SIZE = 386


def xlm_json(name: str, size: int = JSON_SIZE, tokens: tuple[dict[str, Any], ...] = (), **settings: Any) -> None:
    """Enter XLM-RoBERTa with no SentencePiece model beside ``tokenizer.json``, to which more tokens are added."""
    files = {n: json.loads(path.read_text("utf-8")) for n, path in TOKENIZERS["unigram-json"].items()}
    files["tokenizer.json"]["added_tokens"] += tokens
    files["tokenizer_config.json"] |= settings
    config = ZOO["tiny-xlm-roberta"].config | {"vocab_size": size}
    texts = {n: json.dumps(document) for n, document in files.items()}
    add(name, config, bert_model(size, 130, 1), "none", outtypes=("f16",), files=texts)


xlm_json("xlm-json")
xlm_json("xlm-json-added", 400, (added(JSON_SIZE, "<more>", special=False), added(JSON_SIZE + 1, "[CONTROL]")),
    additional_special_tokens=["<mask>", "[CONTROL]"], add_prefix_space=False)  # fmt: skip
xlm_json("xlm-json-saved-anew", tokenizer_class="TokenizersBackend")
add("xlm-json-alone", ZOO["xlm-json"].config, ZOO["xlm-json"].tensors, "none", outtypes=("f16",),
    files={"tokenizer.json": ZOO["xlm-json"].files["tokenizer.json"]})  # fmt: skip
NOMIC = {"architectures": ["NomicBertModel"], "model_type": "nomic_bert_as_written", "n_embd": HIDDEN, "n_inner": WIDE,
         "n_head": HEADS, "n_layer": LAYERS, "layer_norm_epsilon": 1e-12, "type_vocab_size": 2, "causal": False,
         "prenorm": False, "rotary_emb_fraction": 1.0, "rotary_emb_interleaved": False,
         "rotary_emb_scale_base": None}  # fmt: skip


def nomic_model(vocab: int, bias: bool, feed_forward: Callable[[str], Shapes]) -> Shapes:
    return (
        {"embeddings.word_embeddings.weight": (vocab, HIDDEN), "embeddings.token_type_embeddings.weight": (2, HIDDEN)}
        | norm("emb_ln", bias=True)
        | layers(lambda p: linear(f"{p}.attn.Wqkv", 3 * HIDDEN, HIDDEN, bias)
        | linear(f"{p}.attn.out_proj", HIDDEN, HIDDEN, bias) | norm(f"{p}.norm1", bias=True)
        | norm(f"{p}.norm2", bias=True) | feed_forward(p), prefix="encoder.layers")
    )  # fmt: skip


def nomic_experts(p: str) -> Shapes:
    """Experts in every second layer."""
    if p.endswith("0"):
        return linear(f"{p}.mlp.fc1", WIDE, HIDDEN, True) | linear(f"{p}.mlp.fc2", HIDDEN, WIDE, True)
    made = {f"{p}.mlp.experts.mlp.{w}": (4 * WIDE, HIDDEN) for w in ("w1", "w2")}
    return made | {f"{p}.mlp.experts.bias": (HIDDEN,)} | linear(f"{p}.mlp.router.layer", 4, HIDDEN)


add("tiny-nomic-bert", NOMIC | {"n_positions": 8192, "vocab_size": 30528, "rotary_emb_base": 1000,
    "activation_function": "swiglu", "qkv_proj_bias": False, "mlp_fc1_bias": False, "mlp_fc2_bias": False},
    nomic_model(30528, False, lambda p: linear(f"{p}.mlp.fc11", WIDE, HIDDEN) | linear(f"{p}.mlp.fc12", WIDE, HIDDEN)
    | linear(f"{p}.mlp.fc2", HIDDEN, WIDE)), "bert", dtype="F32")  # fmt: skip
add("nomic-experts", NOMIC | {"n_positions": 2048, "max_trained_positions": 2048, "vocab_size": 30522,
    "rotary_emb_base": 10000, "activation_function": "gelu", "qkv_proj_bias": True, "mlp_fc1_bias": True,
    "mlp_fc2_bias": True, "moe_every_n_layers": 2, "moe_top_k": 2, "num_experts": 4, "pad_token_id": 1},
    nomic_model(30522, True, nomic_experts), "bert", dtype="F32")  # fmt: skip
add("nomic-json", ZOO["nomic-experts"].config | {"vocab_size": JSON_SIZE}, nomic_model(JSON_SIZE, True, nomic_experts),
    "unigram-json", dtype="F32", outtypes=("f16",))  # fmt: skip


def t5(p: str, decoder: bool) -> Shapes:
    """A block; the first has the relative positions."""
    made: Shapes = {}
    for layer, name in enumerate(["SelfAttention", "EncDecAttention"] if decoder else ["SelfAttention"]):
        made |= norm(f"{p}.layer.{layer}.layer_norm")
        for part in "qkvo":
            made |= linear(f"{p}.layer.{layer}.{name}.{part}", HIDDEN, HIDDEN)
    if p.endswith("0"):
        made |= {f"{p}.layer.0.SelfAttention.relative_attention_bias.weight": (32, HEADS)}
    q = f"{p}.layer.{2 if decoder else 1}"
    made |= norm(f"{q}.layer_norm") | linear(f"{q}.DenseReluDense.wi_0", WIDE, HIDDEN)
    return made | linear(f"{q}.DenseReluDense.wi_1", WIDE, HIDDEN) | linear(f"{q}.DenseReluDense.wo", HIDDEN, WIDE)


T5 = {"model_type": "t5", "d_model": HIDDEN, "d_kv": SIZE, "d_ff": WIDE, "num_layers": LAYERS, "num_heads": HEADS,
      "num_decoder_layers": LAYERS, "vocab_size": 384, "n_positions": 256, "layer_norm_epsilon": 1e-6,
      "relative_attention_num_buckets": 32, "decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1,
      "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}  # fmt: skip
T5_ENCODER: Shapes = (
    {"shared.weight": (384, HIDDEN), "encoder.embed_tokens.weight": (384, HIDDEN)}
    | norm("encoder.final_layer_norm")
    | layers(lambda p: t5(p, False), prefix="encoder.block")
)
add("tiny-t5", T5 | {"architectures": ["T5ForConditionalGeneration"]}, T5_ENCODER | {"lm_head.weight": (384, HIDDEN)}
    | norm("decoder.final_layer_norm") | layers(lambda p: t5(p, True), prefix="decoder.block"), "t5",
    dtype="F32")  # fmt: skip
add("tiny-t5-encoder", T5 | {"architectures": ["T5EncoderModel"]}, T5_ENCODER, "t5", dtype="F32")
add("tiny-distilbert", {"architectures": ["DistilBertModel"], "model_type": "distilbert", "dim": HIDDEN, "hidden_dim":
    WIDE, "n_layers": LAYERS, "n_heads": HEADS, "max_position_embeddings": 128, "vocab_size": 30522},
    {"embeddings.word_embeddings.weight": (30522, HIDDEN), "embeddings.position_embeddings.weight": (128, HIDDEN)}
    | norm("embeddings.LayerNorm", bias=True) | layers(lambda p: {n: s for q in ("q_lin", "k_lin", "v_lin", "out_lin")
    for n, s in linear(f"{p}.attention.{q}", HIDDEN, HIDDEN, True).items()} | norm(f"{p}.sa_layer_norm", bias=True)
    | norm(f"{p}.output_layer_norm", bias=True) | linear(f"{p}.ffn.lin1", WIDE, HIDDEN, True)
    | linear(f"{p}.ffn.lin2", HIDDEN, WIDE, True), prefix="transformer.layer"), "bert", dtype="F32")  # fmt: skip
add("tiny-modernbert", bpe("ModernBertModel", "modernbert", norm_eps=1e-5, layer_norm_eps=1e-5, rms_norm_eps=...,
    local_attention=64, global_attn_every_n_layers=3, global_rope_theta=160000.0, local_rope_theta=10000.0,
    num_key_value_heads=..., hidden_activation="gelu", classifier_pooling="mean", cls_token_id=50256,
    sep_token_id=50256, pad_token_id=50256),
    {"embeddings.tok_embeddings.weight": (BPE, HIDDEN)} | norm("embeddings.norm") | norm("final_norm")
    | layers(lambda p: ({} if p.endswith("0") else norm(f"{p}.attn_norm")) | norm(f"{p}.mlp_norm")
    | linear(f"{p}.attn.Wqkv", 3 * HIDDEN, HIDDEN) | linear(f"{p}.attn.Wo", HIDDEN, HIDDEN)
    | linear(f"{p}.mlp.Wi", 2 * WIDE, HIDDEN) | linear(f"{p}.mlp.Wo", HIDDEN, WIDE), prefix="layers"),
    "gpt2")  # fmt: skip
add("tiny-eurobert", bpe("EuroBertModel", "eurobert_as_written", rope_theta=250000), {n.removeprefix("model."): s for
    n, s in llama(BPE, tied=True).items()}, "gpt2")  # fmt: skip
add("tiny-roberta", BERT | {"architectures": ["RobertaModel"], "model_type": "roberta_as_written", "pad_token_id": 1,
    "vocab_size": BPE, "max_position_embeddings": 130, "type_vocab_size": 1}, {f"roberta.{n}": s for n, s in
    bert_model(BPE, 130, 1).items() if "pooler" not in n}, "gpt2")  # fmt: skip
add("tiny-jina-bert", BERT | {"architectures": ["JinaBertModel"], "model_type": "jina_as_written"}, {n: s for n, s in
    bert_model(30522).items() if "position" not in n and "dense" not in n.replace("attention.output.dense", "")
    and ".output.LayerNorm" not in n.replace("attention.output.LayerNorm", "")} | layers(lambda p:
    linear(f"{p}.mlp.gated_layers", 2 * WIDE, HIDDEN) | linear(f"{p}.mlp.wo", HIDDEN, WIDE, True)
    | norm(f"{p}.mlp.layernorm", bias=True), prefix="encoder.layer"), "bert", dtype="F16")  # fmt: skip
