"""Decoders and encoders of families that have one member here, each with something of its own."""

from __future__ import annotations

from ..models import (
    BPE,
    GROUPS,
    HEADS,
    HIDDEN,
    SIZE,
    WIDE,
    Shapes,
    attention,
    base,
    ends,
    experts,
    gated,
    layers,
    linear,
    llama,
    norm,
    qk_norms,
    two_norms,
)
from .table import POOLING, add, bpe

# fmt: off
add("tiny-dream", bpe("DreamModel", "dream_as_written", mask_token_id=50000, rope_theta=1e6), llama(BPE, bias=True),
    "gpt2", outtypes=("bf16",))


def llada(p: str) -> Shapes:
    """LLaDA's layer."""
    rows = {"q_proj": (HIDDEN, HIDDEN), "k_proj": (GROUPS * SIZE, HIDDEN), "v_proj": (GROUPS * SIZE, HIDDEN),
            "attn_out": (HIDDEN, HIDDEN), "ff_proj": (WIDE, HIDDEN), "up_proj": (WIDE, HIDDEN),
            "ff_out": (HIDDEN, WIDE)}
    return norm(f"{p}.attn_norm") | norm(f"{p}.ff_norm") | {f"{p}.{n}.weight": s for n, s in rows.items()}


add("tiny-llada", {"architectures": ["LLaDAModelLM"], "model_type": "llada", "d_model": HIDDEN, "n_heads": HEADS,
    "n_kv_heads": GROUPS, "n_layers": 2, "mlp_hidden_size": WIDE, "max_sequence_length": 512, "vocab_size": BPE,
    "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "embedding_size": BPE, "mask_token_id": 50000},
    {"model.transformer.wte.weight": (BPE, HIDDEN), "model.transformer.ff_out.weight": (BPE, HIDDEN)}
    | norm("model.transformer.ln_f") | layers(llada, prefix="model.transformer.blocks"), "gpt2")


def jais(p: str) -> Shapes:
    """GPT-2's layer with a gate; its matrices lie the other way round."""
    made = norm(f"{p}.ln_1", bias=True) | norm(f"{p}.ln_2", bias=True)
    for name, rows, columns in (("attn.c_attn", HIDDEN, 3 * HIDDEN), ("attn.c_proj", HIDDEN, HIDDEN),
                                ("mlp.c_fc", HIDDEN, WIDE), ("mlp.c_fc2", HIDDEN, WIDE), ("mlp.c_proj", WIDE, HIDDEN)):
        made |= {f"{p}.{name}.weight": (rows, columns), f"{p}.{name}.bias": (columns,)}
    return made


JAIS = {"architectures": ["JAISLMHeadModel"], "model_type": "jais", "n_embd": HIDDEN, "n_layer": 2, "n_head": HEADS,
        "n_positions": 128, "n_inner": WIDE, "vocab_size": BPE, "layer_norm_epsilon": 1e-5, "bos_token_id": 50256,
        "eos_token_id": 50256, "activation_function": "swiglu", "position_embedding_type": "alibi"}
JAIS_TENSORS = {"transformer.wte.weight": (BPE, HIDDEN)} | norm("transformer.ln_f", bias=True) | layers(jais,
    prefix="transformer.h")
add("tiny-jais", JAIS | {"mup_embeddings_scale": 9.1705, "mup_output_alpha": 1.09, "mup_width_scale": 0.16},
    JAIS_TENSORS | {"lm_head.weight": (BPE, HIDDEN)}, "gpt2", dtype="F16")
add("jais-30b", JAIS | {"embeddings_scale": 14.6, "width_scale": 0.11}, JAIS_TENSORS | {"lm_head.weight":
    (BPE, HIDDEN)}, "gpt2", outtypes=("f32",))
add("tiny-rugpt3xl", bpe("RuGPT3XLForCausalLM", "rugpt3xl_as_written", layer_norm_eps=1e-5, rms_norm_eps=...,
    num_key_value_heads=HEADS), {"model.embed_positions.weight": (512, HIDDEN)} | ends(BPE, tied=True, bias=True)
    | layers(lambda p: two_norms(p, True) | attention(p, groups=HEADS, bias=True) | {f"{p}.self_attn.o_proj.bias":
    (HIDDEN,)} | linear(f"{p}.mlp.up_proj", WIDE, HIDDEN, True) | linear(f"{p}.mlp.down_proj", HIDDEN, WIDE, True)),
    "gpt2")
add("tiny-grovemoe", bpe("GroveMoeForCausalLM", "grove_as_written", head_dim=SIZE, num_experts=6,
    num_experts_per_tok=2, moe_intermediate_size=32), ends(BPE) | layers(lambda p: two_norms(p) | attention(p)
    | qk_norms(p) | experts(p, 6) | {n.replace("experts", "chunk_experts"): s for n, s in experts(p, 3, 16).items()
    if "experts" in n} | {f"{p}.mlp.expert_bias": (6,)}), "gpt2")


def hrm(p: str) -> Shapes:
    """A layer without norms, with fused projections and a gate on attention."""
    return (linear(f"{p}.attn.gqkv_proj", 4 * HIDDEN, HIDDEN) | linear(f"{p}.attn.o_proj", HIDDEN, HIDDEN)
            | linear(f"{p}.mlp.gate_up_proj", 2 * WIDE, HIDDEN) | linear(f"{p}.mlp.down_proj", HIDDEN, WIDE))


add("tiny-hrm-text", bpe("HrmTextForCausalLM", "hrm_text", num_layers_per_stack=2, num_hidden_layers=16, H_cycles=2,
    L_cycles=3, head_dim=SIZE, embedding_scale=8.0, num_key_value_heads=HEADS), {"model.embed_tokens.weight":
    (BPE, HIDDEN), "lm_head.weight": (BPE, HIDDEN), "model.z_L_init": (HIDDEN,)} | layers(hrm,
    prefix="model.L_module.layers") | layers(hrm, prefix="model.H_module.layers"), "gpt2")
add("hrm-trained", bpe("HrmTextForCausalLM", "hrm_as_written", num_hidden_layers=2, H_cycles=1, L_cycles=2,
    embedding_scale=8.0, num_key_value_heads=HEADS, rope_theta=10000.0), {"model.embed_tokens.weight": (BPE, HIDDEN),
    "model.z_L_init": (HIDDEN,)} | layers(hrm, prefix="model.L_module.layers")
    | layers(hrm, prefix="model.H_module.layers"), "gpt2", outtypes=("bf16",))
WINDOWS = {"sliding_window": 128, "layer_types": ["sliding_attention", "full_attention"]}
TWO_ROPES = {"full_attention": {"rope_type": "default", "rope_theta": 500000.0, "partial_rotary_factor": 0.5},
             "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 1.0}}
add("tiny-mellum", bpe("MellumForCausalLM", "mellum", head_dim=SIZE, num_local_experts=4, num_experts_per_tok=2,
    moe_intermediate_size=32, rope_parameters=TWO_ROPES, **WINDOWS), ends(BPE) | layers(lambda p: two_norms(p)
    | attention(p) | qk_norms(p) | experts(p, 4)), "gpt2")
add("tiny-maple", bpe("MapleForCausalLM", "maple_as_written", head_dim=SIZE, num_experts=4, num_experts_per_tok=2,
    moe_intermediate_size=32, hidden_act="silu", nope_on_global_attention=True, norm_topk_prob=True,
    partial_rotary_factor=0.5, **WINDOWS), ends(BPE) | layers(lambda p: two_norms(p) | attention(p) | qk_norms(p)
    | experts(p, 4)), "gpt2")


def talkie(p: str) -> Shapes:
    """A layer with gains in the place of norms."""
    made: Shapes = {f"{p}.{n}": (1,) for n in ("attn_gain.a_g", "mlp_gain.a_g", "embed_skip.a_g")}
    made |= {f"{p}.attn.head_gain.head_g": (HEADS,)}
    for name in ("query", "key", "value", "resid"):
        made |= linear(f"{p}.attn.attn_{name}", HIDDEN, HIDDEN)
    return (made | linear(f"{p}.mlp.mlp_gate", WIDE, HIDDEN) | linear(f"{p}.mlp.mlp_linear", WIDE, HIDDEN)
            | linear(f"{p}.mlp.mlp_resid", HIDDEN, WIDE))


add("tiny-talkie", bpe("TalkieForCausalLM", "talkie_as_written", head_dim=SIZE, num_key_value_heads=HEADS,
    rms_norm_eps=..., rope_theta=1e6), {"model.embed.weight": (BPE, HIDDEN), "lm_head": (BPE, HIDDEN),
    "lm_head_gain.w_g": (1,)} | layers(talkie, prefix="model.blocks"), "gpt2")
add("tiny-spark", bpe("Spark2_5ForCausalLM", "spark_as_written", head_dim=SIZE, rope_parameters=TWO_ROPES, **WINDOWS,
    gate_attn_act_mode="sigmoid", headwise_attn_output_gate=True, hidden_act="gelu"), ends(BPE, tied=True)
    | layers(lambda p: two_norms(p) | gated(p) | linear(f"{p}.self_attn.q_k_v_proj", 8 * SIZE, HIDDEN)
    | linear(f"{p}.self_attn.g_proj", HEADS, HIDDEN) | linear(f"{p}.self_attn.o_proj", HIDDEN, HIDDEN)), "gpt2")


def chatglm(p: str) -> Shapes:
    """Fused projections; keys and values of two groups."""
    made = norm(f"{p}.input_layernorm") | norm(f"{p}.post_attention_layernorm")
    made |= linear(f"{p}.self_attention.query_key_value", 8 * SIZE, HIDDEN, True)
    made |= linear(f"{p}.self_attention.dense", HIDDEN, HIDDEN) | linear(f"{p}.mlp.dense_h_to_4h", 2 * WIDE, HIDDEN)
    return made | linear(f"{p}.mlp.dense_4h_to_h", HIDDEN, WIDE)


add("tiny-chatglm", {"architectures": ["ChatGLMModel"], "model_type": "chatglm", "hidden_size": HIDDEN,
    "num_attention_heads": HEADS, "num_layers": 2, "ffn_hidden_size": WIDE, "multi_query_group_num": GROUPS,
    "seq_length": 512, "padded_vocab_size": BPE, "vocab_size": BPE, "layernorm_epsilon": 1.5625e-7,
    "rope_ratio": 500, "kv_channels": SIZE, "eos_token_id": [50256], "pad_token_id": 50256},
    {f"transformer.{n}": s for n, s in ({"embedding.word_embeddings.weight": (BPE, HIDDEN), "output_layer.weight":
    (BPE, HIDDEN), "rotary_pos_emb.inv_freq": (4,)} | norm("encoder.final_layernorm")
    | layers(chatglm, prefix="encoder.layers")).items()}, "glm")


def cogvlm(p: str) -> Shapes:
    """Two experts for everything, of which one sees."""
    made = two_norms(p)
    for expert in ("language", "vision"):
        made |= linear(f"{p}.self_attn.{expert}_expert_query_key_value", 3 * HIDDEN, HIDDEN)
        made |= linear(f"{p}.self_attn.{expert}_expert_dense", HIDDEN, HIDDEN) | gated(p, name=f"mlp.{expert}_mlp")
    return made


add("tiny-cogvlm", base("CogVLMForCausalLM", "cogvlm_as_written", num_key_value_heads=HEADS), ends() | layers(cogvlm)
    | linear("model.vision.transformer.layers.0.mlp.fc1", 32, 32))
add("tiny-chameleon", bpe("ChameleonForConditionalGeneration", "chameleon", num_key_value_heads=HEADS), ends(BPE)
    | layers(lambda p: two_norms(p) | attention(p, groups=HEADS) | gated(p) | {f"{p}.self_attn.{n}_norm.{w}":
    (HEADS, SIZE) for n in "qk" for w in ("weight", "bias")}) | linear("model.vqmodel.encoder.conv_in", 8, 8), "gpt2")
NEO_BERT = {"model_type": "neobert_as_written", "hidden_size": HIDDEN, "intermediate_size": WIDE, "num_hidden_layers":
            2, "num_attention_heads": HEADS, "max_length": 128, "vocab_size": 30522, "norm_eps": 1e-6,
            "pad_token_id": 0}
NEO_BERT_TENSORS = {"encoder.weight": (30522, HIDDEN)} | norm("layer_norm") | layers(lambda p:
    norm(f"{p}.attention_norm") | norm(f"{p}.ffn_norm") | linear(f"{p}.qkv", 3 * HIDDEN, HIDDEN)
    | linear(f"{p}.wo", HIDDEN, HIDDEN) | linear(f"{p}.ffn.w12", 128, HIDDEN) | linear(f"{p}.ffn.w3", HIDDEN, 64),
    prefix="transformer_encoder")
add("tiny-neobert", NEO_BERT | {"architectures": ["NeoBERTLMHead"]}, {f"model.{n}": s for n, s in
    NEO_BERT_TENSORS.items()} | linear("decoder", 30522, HIDDEN, True), "bert", dtype="F32")
add("neobert-ranker", NEO_BERT | {"architectures": ["NeoBERTForSequenceClassification"], "id2label": {"0": "no",
    "1": "maybe", "2": "yes"}, "label2id": {"no": 0, "maybe": 1, "yes": 2}}, {f"model.{n}": s for n, s in
    NEO_BERT_TENSORS.items()} | linear("dense", HIDDEN, HIDDEN, True) | linear("classifier", 3, HIDDEN, True), "bert",
    dtype="F32", outtypes=("f16",))
add("tiny-jina-v5", bpe("JinaEmbeddingsV5Model", "jina_v5_as_written", rope_theta=250000, is_causal=False),
    llama(BPE, tied=True), "gpt2", files=POOLING | {"1_Pooling/config.json": '{"pooling_mode": "lasttoken"}'},
    outtypes=("f16",))
