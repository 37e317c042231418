"""llama.cpp's own record of its choices for twelve real models (``tests/snapshots`` of its sources), reproduced.

The models are written down here as their tensors' names and shapes; the page that the rules make of one is upstream's
file if their digests are equal. The digests: ``sha256sum tests/snapshots/*.schema`` in llama.cpp v0.5.0.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

import pytest

from gguf_py import TensorInfo, tensor_type
from kquants.filetypes import FILE_TYPES
from kquants.rules import Model, Wishes, choose, in_order, kept

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Real:
    """A published model: its architecture, what its page says of it, its tensors without those in no layer."""

    architecture: str
    width: int
    inner: int
    vocabulary: int
    layers: int
    heads: int
    kv_heads: int
    experts: int
    tensors: Shapes
    tied: bool = False
    said_vocabulary: int | None = None


def layers(which: Iterable[int], **tensors: tuple[int, ...]) -> Shapes:
    """The matrices of some layers."""
    return {f"blk.{i}.{name}.weight": shape for i in which for name, shape in tensors.items()}


def attention(width: int, query: int, key: int, value: int | None = None) -> Shapes:
    """Four projections; ``query`` and ``key`` are rows."""
    return {
        "attn_k": (key, width),
        "attn_output": (width, query),
        "attn_q": (query, width),
        "attn_v": (value or key, width),
    }


def dense(width: int, inner: int) -> Shapes:
    """A gated feed-forward part."""
    return {"ffn_down": (width, inner), "ffn_gate": (inner, width), "ffn_up": (inner, width)}


def experts(count: int, width: int, inner: int, shared: int = 0) -> Shapes:
    """Experts, and perhaps one that all tokens share."""
    made: Shapes = {f"{name}_exps": (count, *shape) for name, shape in dense(width, inner).items()}
    return made | {f"{name}_shexp": shape for name, shape in dense(width, shared).items() if shared}


def qwen3(width: int, inner: int, count: int, heads: int) -> Real:
    """A Qwen3 model without experts."""
    own = layers(range(count), **attention(width, heads * 128, 1024), **dense(width, inner))
    return Real("qwen3", width, inner, 151936, count, heads, 8, 0, own)


def hybrid(architecture: str, width: int, count: int, heads: int, kv: int, linear: Shapes, feed: Shapes) -> Shapes:
    """Every fourth layer attends, the others are linear."""
    every_fourth = range(3, count, 4)
    others = [i for i in range(count) if i not in every_fourth]
    full = attention(width, heads * 256, kv * 256) | {"attn_q": (heads * 512, width)}
    return layers(every_fourth, **full, **feed) | layers(others, **linear, **feed)


def linear(width: int, inner: int, keys: int, heads: int, *, joined: bool) -> Shapes:
    """The projections of a linear-attention layer."""
    small: Shapes = (
        {"ssm_ba": (2 * heads, width)} if joined else {"ssm_beta": (heads, width), "ssm_alpha": (heads, width)}
    )
    return {"attn_qkv": (2 * keys + inner, width), "attn_gate": (inner, width), "ssm_out": (width, inner)} | small


MLA: Shapes = {
    "attn_q_a": (1536, 7168),
    "attn_q_b": (24576, 1536),
    "attn_kv_a_mqa": (576, 7168),
    "attn_k_b": (128, 512, 128),
    "attn_v_b": (128, 128, 512),
    "attn_output": (7168, 16384),
}
NEMOTRON = "MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME"
"""NVIDIA-Nemotron-3-Nano's layers: M a state-space layer, E experts, * attention."""


def nemotron() -> Shapes:
    """Its tensors, one kind of layer after the other."""
    kinds = {
        "M": {"ssm_in": (10304, 2688), "ssm_out": (2688, 4096)},
        "*": attention(2688, 4096, 256),
        "E": {
            "ffn_up_exps": (128, 1856, 2688),
            "ffn_down_exps": (128, 2688, 1856),
            "ffn_up_shexp": (3712, 2688),
            "ffn_down_shexp": (2688, 3712),
        },
    }
    return {k: v for i, kind in enumerate(NEMOTRON) for k, v in layers([i], **kinds[kind]).items()}


def step() -> Shapes:
    """Step 3.5 Flash: three dense layers, then experts; wider queries where attention slides."""
    made: Shapes = {}
    for i in range(45):
        heads = 64 if i % 4 == 0 else 96
        feed = dense(4096, 11264) if i < 3 else experts(288, 4096, 1280, 1280)
        made |= layers([i], **attention(4096, heads * 128, 1024), attn_gate=(heads, 4096), **feed)
    return made


MODELS = {
    "deepseek-v3.1": Real(
        "deepseek2",
        7168,
        18432,
        129280,
        61,
        128,
        1,
        256,
        layers(range(61), **MLA)
        | layers(range(3), **dense(7168, 18432))
        | layers(range(3, 61), **experts(256, 7168, 2048, 2048)),
    ),
    "gemma-3-4b-it": Real(
        "gemma3",
        2560,
        10240,
        262144,
        34,
        8,
        4,
        0,
        layers(range(34), **attention(2560, 2048, 1024), **dense(2560, 10240)),
        tied=True,
    ),
    "glm-4.6v": Real(
        "glm4moe",
        4096,
        10944,
        151552,
        46,
        96,
        8,
        128,
        layers(range(46), **attention(4096, 12288, 1024))
        | layers([0], **dense(4096, 10944))
        | layers(range(1, 46), **experts(128, 4096, 1408, 1408)),
    ),
    "gpt-oss-120b": Real(
        "gpt-oss",
        2880,
        2880,
        201088,
        36,
        64,
        8,
        128,
        layers(range(36), **attention(2880, 4096, 512), **experts(128, 2880, 2880)),
        said_vocabulary=0,
    ),
    "meta-llama-3.1-70b-instruct": Real(
        "llama",
        8192,
        28672,
        128256,
        80,
        64,
        8,
        0,
        layers(range(80), **attention(8192, 8192, 1024), **dense(8192, 28672)),
    ),
    "nvidia-nemotron-3-nano-30b-a3b": Real("nemotron_h_moe", 2688, 0, 131072, 52, 32, 0, 128, nemotron()),
    "qwen3-0.6b": qwen3(1024, 3072, 28, 16),
    "qwen3-14b": qwen3(5120, 17408, 40, 40),
    "qwen3-coder-next": Real(
        "qwen3next",
        2048,
        5120,
        151936,
        48,
        16,
        2,
        512,
        hybrid("qwen3next", 2048, 48, 16, 2, linear(2048, 4096, 2048, 32, joined=True), experts(512, 2048, 512, 512)),
    ),
    "qwen3.5-397b-a17b": Real(
        "qwen35moe",
        4096,
        0,
        248320,
        60,
        32,
        2,
        512,
        hybrid(
            "qwen35moe", 4096, 60, 32, 2, linear(4096, 8192, 2048, 64, joined=False), experts(512, 4096, 1024, 1024)
        ),
    ),
    "qwen3.6-27b": Real(
        "qwen35",
        5120,
        17408,
        248320,
        64,
        24,
        4,
        0,
        hybrid("qwen35", 5120, 64, 24, 4, linear(5120, 6144, 2048, 48, joined=False), dense(5120, 17408)),
    ),
    "step-3.5-flash": Real("step35", 4096, 11264, 128896, 45, 64, 8, 288, step()),
}
TITLES = {  # as upstream's pages have them
    "deepseek-v3.1": "DeepSeek-V3.1",
    "gemma-3-4b-it": "gemma-3-4b-it",
    "glm-4.6v": "GLM-4.6V",
    "gpt-oss-120b": "gpt-oss-120b",
    "meta-llama-3.1-70b-instruct": "Meta-Llama-3.1-70B-Instruct",
    "nvidia-nemotron-3-nano-30b-a3b": "Nemotron-Nano-3-30B-A3B",
    "qwen3-0.6b": "Qwen3-0.6B",
    "qwen3-14b": "Qwen3-14B",
    "qwen3-coder-next": "Qwen3-Coder-Next",
    "qwen3.5-397b-a17b": "Qwen3.5-397B-A17B",
    "qwen3.6-27b": "Qwen3.5-27B",
    "step-3.5-flash": "Step-3.5-Flash",
}
DIGESTS = """
15ddeb983cc8041eb2c12effd5a4a0b702649b2557dcdb27011abc148e638594 deepseek-v3.1
c1c380e2d0399238373232ae8c9a3672cf7c1e1e17077ad141a3dcdb0634d5ac gemma-3-4b-it
a15600c575cd715c01e2c2b20259e2b7f02a836e4155b7f105e84173865ca7ca glm-4.6v
fda9db4e0b84ee3453a9b1b5b3c0b8480280f598dbea560fde0ef35f876e7109 gpt-oss-120b
b82548268a1281e244a57f0d358cfcc315a3da74b3b937a8729adbd8995146ac meta-llama-3.1-70b-instruct
725ff2e1851450d547bc8a7ad105e129c6a62292dbc1c7cc1b6c2208422e9903 nvidia-nemotron-3-nano-30b-a3b
7059f53787894768403915aadeb7f80083a4b019e79d84b920a7c2fd4ac32edc qwen3-0.6b
10532e520522603b571a238989da0ae424c05c02f9c669fc760bce1556986a69 qwen3-14b
32835949c8562ad546e7128bde983a7b8814868d5ef2e4646b7f73e0b4b5449b qwen3-coder-next
217f7e343c4d83046f321189582adc390c75288851e96c5d1c6144a54e465aa1 qwen3.5-397b-a17b
2e690a5e47f6d052a6f6c4dc0cee2873bfb871e25fcdd80c4929d86fcfe8aa8c qwen3.6-27b
79958024f1acbb92d81ef3fcbff79f466aa03414cc1babc15f979479f3715524 step-3.5-flash
"""


def page(name: str) -> str:
    """Upstream's page for a model, from our rules: what does not get its file type's own type."""
    real = MODELS[name]
    outside: Shapes = {"token_embd.weight": (real.vocabulary, real.width)}
    if not real.tied:
        outside["output.weight"] = (real.vocabulary, real.width)
    infos = [TensorInfo(n, tensor_type("F32"), shape) for n, shape in (outside | real.tensors).items()]
    keys = {"block_count": real.layers, "expert_count": real.experts}
    keys |= {"attention.head_count": real.heads, "attention.head_count_kv": real.kv_heads}
    metadata = {"general.architecture": real.architecture} | {f"{real.architecture}.{k}": v for k, v in keys.items()}
    model = Model.of(metadata)
    infos = sorted((t for t in infos if kept(t, model, Wishes()) is None), key=lambda t: in_order(t.name))
    vocabulary = real.vocabulary if real.said_vocabulary is None else real.said_vocabulary
    lines = [f"# Model: {TITLES[name]}"]
    lines.append(
        f"# n_embd={real.width}, n_ff={real.inner}, n_vocab={vocabulary}, n_layer={real.layers}, n_head={real.heads}, "
        f"n_head_kv={real.kv_heads}" + (f", n_expert={real.experts}" if real.experts else "")
    )
    for kind in sorted(FILE_TYPES.values(), key=lambda k: k.id):
        if kind.name in ("NVFP4", "Q1_0", "Q2_0"):
            continue
        lines += ["", f"[{kind.name}] {spelled(kind.default.name)}"]
        chosen = choose(infos, kind, model, Wishes())
        lines += [
            f"{t.name} {spelled(c.type.name)}" for t, c in zip(infos, chosen, strict=True) if c.type != kind.default
        ]
    return "\n".join(lines) + "\n"


def spelled(name: str) -> str:
    """A tensor type as ggml spells it: in lower case, but for the K."""
    return re.sub("_k$", "_K", name.lower())


@pytest.mark.parametrize("name", MODELS)
def test_the_page_is_upstreams(name: str) -> None:
    digests = {model: digest for digest, model in map(str.split, DIGESTS.strip().splitlines())}
    assert hashlib.sha256(page(name).encode()).hexdigest() == digests[name]
