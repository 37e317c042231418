"""Write ``digests.json``: what upstream and the publishing libraries decode from the samples.

    python -m tests.hf2gguf.checkpoint.make_digests llama.cpp/convert_hf_to_gguf.py awq/utils/packing_utils.py [NAME …]

Needs torch, bitsandbytes and compressed-tensors, the converter of llama.cpp v0.5.0 and one file of AutoAWQ 0.2.9
(``packing_utils.py``; it needs nothing but torch); for the layouts, on the path, hqq 0.2.8, optimum-quanto 0.2.7,
aqlm 1.1.7, torchao 0.18.0, amd-quark 0.13, transformers 5.23.0 (for GPT-OSS) and the unpacked archives of AutoAWQ 0.2.9
and GPTQModel 7.7.0. Digests are of float32 weights, SHA-256. Names replace their own digests; with none, all are made.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

import gguf_py

from .layouts import LAYOUTS
from .libraries import decoded
from .samples import DOWN, GATE, LEVELS, SAMPLES, SHAPES, UPSTREAM, Arrays, save

ROOT = Path(__file__).resolve().parents[3]
TINY = ROOT / "fixtures" / "tiny-speeches-5m"
GGUF_NAMES = {DOWN: "blk.0.ffn_down.weight", GATE: "blk.1.ffn_gate.weight"}


def digest(values: Any) -> str:
    return hashlib.sha256(np.ascontiguousarray(values, np.float32).tobytes()).hexdigest()


def upstream(converter: str, arrays: Arrays, quantization: dict[str, Any]) -> dict[str, str]:
    """The two weights as the converter decodes them, in a copy of the tiny model."""
    from safetensors.numpy import load_file

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "model"
        shutil.copytree(TINY, folder)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"quantization_config": quantization}))
        plain = load_file(folder / "model.safetensors")
        for weight in SHAPES:
            del plain[f"{weight}.weight"]
        save(folder / "model.safetensors", plain | arrays)
        out = Path(name) / "out.gguf"
        # Lazily, upstream stumbles over BitNet.
        command = [sys.executable, converter, folder, "--outtype", "f32", "--no-lazy", "--outfile", out]
        subprocess.run(command, check=True)
        with gguf_py.open(out) as f:
            return {weight: hashlib.sha256(f.tensors[n].data.tobytes()).hexdigest() for weight, n in GGUF_NAMES.items()}


def library(kind: str, arrays: Arrays, quantization: dict[str, Any], packing: str) -> dict[str, str]:
    """The two weights as the library that publishes the encoding decodes them."""
    import torch

    def tensor(name: str) -> Any:
        array = arrays[name]
        if array.dtype == ml_dtypes.bfloat16:
            return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
        return torch.from_numpy(array.copy())

    found = {}
    for name, shape in SHAPES.items():
        weight = f"{name}.weight"
        if kind == "awq":
            spec = importlib.util.spec_from_file_location("packing", packing)
            module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
            spec.loader.exec_module(module)  # type: ignore[union-attr]
            parts = [tensor(f"{name}.{part}") for part in ("qweight", "qzeros", "scales")]
            # In float32 the product is exact; the library's own float16 is this, rounded.
            half = module.dequantize_gemm(*parts, 4, quantization["group_size"])
            whole = module.dequantize_gemm(parts[0], parts[1], parts[2].float(), 4, quantization["group_size"])
            assert torch.equal(half, whole.half())
            found[name] = digest(whole.T.numpy())
        elif kind == "int8":
            import bitsandbytes.functional as F

            found[name] = digest(F.int8_vectorwise_dequant(tensor(weight), tensor(f"{name}.SCB")).numpy())
        elif kind.startswith(("nf4", "fp4")):
            import bitsandbytes.functional as F

            levels = F.get_4bit_type(kind[:3], device="cpu").numpy()
            assert np.array_equal(levels, LEVELS[kind[:3]]), levels
            state = {key.removeprefix(f"{weight}."): tensor(key) for key in arrays if key.startswith(f"{weight}.")}
            quant_state = F.QuantState.from_dict(state, device=torch.device("cpu"))
            found[name] = digest(F.dequantize_4bit(tensor(weight), quant_state).float().numpy())
        elif kind.startswith(("packed", "rows")):
            from compressed_tensors.compressors.pack_quantized.helpers import unpack_from_int32

            scale, zero = tensor(f"{weight}_scale").float(), tensor(f"{weight}_zero_point")
            if kind.startswith("packed"):
                codes = unpack_from_int32(tensor(f"{weight}_packed"), 4, torch.Size(shape))
                zero = unpack_from_int32(zero, 4, torch.Size([shape[0], 1]), packed_dim=0)
            else:
                codes = tensor(weight)
            found[name] = digest(((codes.float() - zero.float()) * scale).numpy())
    return found


def main(converter: str, packing: str, *names: str) -> None:
    path = Path(__file__).with_name("digests.json")
    made = json.loads(path.read_text())
    # 3 bits of GPTQ: upstream has none; the tests check the packing itself.
    for name in names or [name for name in (*SAMPLES, *LAYOUTS) if not name.startswith("gptq-3")]:
        if name in LAYOUTS:
            arrays, settings = LAYOUTS[name](SHAPES)
            made[name] = {base: digest(decoded(name, arrays, settings, base, shape)) for base, shape in SHAPES.items()}
        elif name in UPSTREAM:
            made[name] = upstream(converter, *SAMPLES[name])
        else:
            made[name] = library(name, *SAMPLES[name], packing)
        print(name, flush=True)
    path.write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
