"""The C structures of llama.h v0.5.0 that cross the ctypes boundary by value or by pointer."""

from __future__ import annotations

import ctypes as c


class Imatrix(c.Structure):
    """One tensor's importance; an array of these ends with a null name."""

    _fields_ = (("name", c.c_char_p), ("data", c.c_void_p), ("size", c.c_size_t))


class _Value(c.Union):
    _fields_ = (("int", c.c_int64), ("float", c.c_double), ("bool", c.c_bool), ("str", c.c_char * 128))


class KeyOverride(c.Structure):
    """One metadata override; an array of these ends with an empty key. Tags: 0 int, 1 float, 2 bool, 3 string."""

    _fields_ = (("tag", c.c_int), ("key", c.c_char * 128), ("value", _Value))


class TypeOverride(c.Structure):
    """A regular expression over tensor names and the type for those that match; ends with a null pattern."""

    _fields_ = (("pattern", c.c_char_p), ("type", c.c_int))


class QuantizeParams(c.Structure):
    """``llama_model_quantize_params``."""

    _fields_ = (
        ("nthread", c.c_int32),
        ("ftype", c.c_int),
        ("output_tensor_type", c.c_int),
        ("token_embedding_type", c.c_int),
        ("allow_requantize", c.c_bool),
        ("quantize_output_tensor", c.c_bool),
        ("only_copy", c.c_bool),
        ("pure", c.c_bool),
        ("keep_split", c.c_bool),
        ("dry_run", c.c_bool),
        ("imatrix", c.POINTER(Imatrix)),
        ("kv_overrides", c.POINTER(KeyOverride)),
        ("tt_overrides", c.POINTER(TypeOverride)),
        ("prune_layers", c.POINTER(c.c_int32)),
        ("max_buf_size", c.c_size_t),
    )


class ModelParams(c.Structure):
    """``llama_model_params``."""

    _fields_ = (
        ("devices", c.c_void_p),
        ("tensor_buft_overrides", c.c_void_p),
        ("n_gpu_layers", c.c_int32),
        ("split_mode", c.c_int),
        ("load_mode", c.c_int),
        ("lazy_mode", c.c_int),
        ("main_gpu", c.c_int32),
        ("tensor_split", c.c_void_p),
        ("progress_callback", c.c_void_p),
        ("progress_callback_user_data", c.c_void_p),
        ("kv_overrides", c.c_void_p),
        *((name, c.c_bool) for name in "vocab_only check_tensors use_extra_bufts no_host no_alloc load_mtp".split()),
    )


class ContextParams(c.Structure):
    """``llama_context_params``."""

    _fields_ = (
        *(
            (f"n_{name}", c.c_uint32)
            for name in "ctx batch ubatch seq_max rs_seq outputs_max outputs_max_per_seq".split()
        ),
        ("n_threads", c.c_int32),
        ("n_threads_batch", c.c_int32),
        *((name, c.c_int) for name in "ctx_type rope_scaling_type pooling_type attention_type flash_attn_type".split()),
        *((f"rope_freq_{name}", c.c_float) for name in ("base", "scale")),
        *((f"yarn_{name}", c.c_float) for name in "ext_factor attn_factor beta_fast beta_slow".split()),
        ("yarn_orig_ctx", c.c_uint32),
        ("defrag_thold", c.c_float),
        ("cb_eval", c.c_void_p),
        ("cb_eval_user_data", c.c_void_p),
        ("type_k", c.c_int),
        ("type_v", c.c_int),
        ("abort_callback", c.c_void_p),
        ("abort_callback_data", c.c_void_p),
        *((name, c.c_bool) for name in "embeddings offload_kqv no_perf op_offload swa_full kv_unified".split()),
        ("samplers", c.c_void_p),
        ("n_samplers", c.c_size_t),
        ("ctx_other", c.c_void_p),
    )


class Tensor(c.Structure):
    """``ggml_tensor``, up to its name."""


Tensor._fields_ = (
    ("type", c.c_int),
    ("buffer", c.c_void_p),
    ("ne", c.c_int64 * 4),
    ("nb", c.c_size_t * 4),
    ("op", c.c_int),
    ("op_params", c.c_int32 * 16),
    ("flags", c.c_int32),
    ("src", c.POINTER(Tensor) * 10),
    ("view_src", c.c_void_p),
    ("view_offs", c.c_size_t),
    ("data", c.c_void_p),
    ("name", c.c_char * 64),
)

Watcher = c.CFUNCTYPE(c.c_bool, c.POINTER(Tensor), c.c_bool, c.c_void_p)
"""``ggml_backend_sched_eval_callback``: asked whether a tensor is of interest, and told when it is there."""


class Batch(c.Structure):
    """``llama_batch``; null positions and sequences let the library count them."""

    _fields_ = (
        ("n_tokens", c.c_int32),
        ("token", c.POINTER(c.c_int32)),
        ("embd", c.c_void_p),
        ("pos", c.c_void_p),
        ("n_seq_id", c.c_void_p),
        ("seq_id", c.c_void_p),
        ("logits", c.POINTER(c.c_int8)),
    )
