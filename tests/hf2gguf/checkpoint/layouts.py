"""Small quantized checkpoints in the layouts of kernels and of further libraries, made as those in ``samples.py``."""

from __future__ import annotations

import json
from typing import Any

import ml_dtypes
import numpy as np

from .samples import (
    SHAPES,
    Arrays,
    Maker,
    Sample,
    Shapes,
    compressed_config,
    fp8_bits,
    gptq,
    made,
    random_bits,
    scales,
    words,
)

BF16, F16 = np.dtype(ml_dtypes.bfloat16), np.dtype(np.float16)


def planes(bits: int, *, shapes: Shapes = SHAPES) -> Sample:
    """GPTQModel's planes of bits."""
    arrays, config = gptq(bits, act_order=True, v2=True, shapes=shapes)
    return arrays, config | {"checkpoint_format": "gptq_p"}


def padded(columns: int, size: int) -> int:
    """Groups that AutoAWQ makes room for in a row of its GEMV layouts."""
    many = max(1, 128 // size)
    return 8 * many * -(-(columns // size) // (8 * many))


def gemv(size: int = 32, *, shapes: Shapes = SHAPES) -> Sample:
    """AWQ for GEMV: rows lie as they are."""
    arrays: Arrays = {}
    for name, (rows, columns) in shapes.items():
        rng, groups = random_bits(name + "gemv"), padded(columns, size)
        arrays[f"{name}.qweight"] = words(rng, rows, columns // 8)
        arrays[f"{name}.qzeros"] = words(rng, rows, groups // 8)
        arrays[f"{name}.scales"] = scales(rng, rows, groups).astype(F16)
    return arrays, _awq("gemv", size)


def gemv_fast(size: int = 128, *, shapes: Shapes = SHAPES) -> Sample:
    """AWQ for its newer GEMV: columns shuffled, four rows in a word, zeros times scales."""
    arrays: Arrays = {}
    for name, (rows, columns) in shapes.items():
        rng, groups = random_bits(name + "fast"), padded(columns, size)
        arrays[f"{name}.qweight"] = rng.integers(-(2**15), 2**15, (rows // 4, columns), np.int16)
        arrays[f"{name}.scales"] = scales(rng, groups, rows).astype(F16)
        arrays[f"{name}.qzeros"] = -(scales(rng, groups, rows) * 8).astype(F16)
    return arrays, _awq("gemv_fast", size)


def marlin(method: str, size: int, *, shapes: Shapes = SHAPES) -> Sample:
    """Marlin's tiles, from AutoGPTQ or AutoAWQ, with groups of ``size`` or (-1) a scale a row."""
    arrays: Arrays = {}
    weight, scale = ("B", "s") if method == "gptq" else ("qweight", "scales")
    for name, (rows, columns) in shapes.items():
        rng = random_bits(f"{name}marlin{size}")
        arrays[f"{name}.{weight}"] = words(rng, columns // 16, 2 * rows)
        arrays[f"{name}.{scale}"] = scales(rng, columns // size if size > 0 else 1, rows).astype(F16)
        arrays[f"{name}.workspace"] = np.zeros(rows // 128 * 16, np.int32)
    if method == "awq":
        return arrays, _awq("marlin", size) | {"zero_point": False}
    return arrays, {"quant_method": "gptq", "bits": 4, "group_size": size, "checkpoint_format": "marlin"}


def _awq(version: str, size: int) -> dict[str, Any]:
    return {"quant_method": "awq", "bits": 4, "group_size": size, "version": version, "zero_point": True}


HQQ = {8: ("8bit_u8", 1), 4: ("4bit_u8", 2), 3: ("3bit_32", 10), 2: ("2bit_u8", 4), 1: ("1bit_u8", 8)}
"""HQQ's packings by bits: name, codes in a number."""


def hqq(bits: int, axis: int, kind: np.dtype[Any] = F16, size: int = 64, *, shapes: Shapes = SHAPES) -> Sample:
    """HQQ: groups along an axis of the matrix that the weights are reshaped to."""
    arrays: Arrays = {}
    packing, many = HQQ[bits]
    for name, (rows, columns) in shapes.items():
        rng, groups = random_bits(f"{name}hqq{bits}{axis}"), rows * columns // size
        high, wide = (groups, size) if axis else (size, groups)
        codes = rng.integers(0, 1 << bits, (many, -(-high // many), wide), np.int64)
        shifts = bits * np.arange(many - 1, -1, -1)
        packed = (codes << shifts[:, None, None]).sum(0)
        scale = (groups, 1) if axis else (1, groups)
        said = {"nbits": bits, "group_size": size, "axis": axis}
        arrays |= {
            f"{name}.W_q": packed.astype(np.int32 if bits == 3 else np.uint8),
            f"{name}.scale": scales(rng, *scale).astype(kind),
            f"{name}.zero": rng.uniform(0, 1 << bits, scale).astype(kind),
            f"{name}.shape": np.array([rows, columns], np.int64),
            f"{name}.packing": np.frombuffer(packing.encode(), np.uint8),
        } | {f"{name}.{key}": np.array(value, np.int32) for key, value in said.items()}
    return arrays, {"quant_method": "hqq"}


def quanto(kind: str, scale: np.dtype[Any], *, shapes: Shapes = SHAPES) -> Sample:
    """Quanto's eight bits."""
    arrays: Arrays = {}
    for name, (rows, columns) in shapes.items():
        rng = random_bits(f"{name}quanto{kind}")
        integers = rng.integers(-127, 128, (rows, columns), np.int8)
        arrays[f"{name}.weight._data"] = integers if kind == "int" else fp8_bits(rng, rows, columns)
        arrays[f"{name}.weight._scale"] = scales(rng, rows, 1).astype(scale)
        arrays[f"{name}.input_scale"] = np.ones((), scale)
    return arrays, {"quant_method": "quanto"}


def aqlm(books: int, bits: int, *, shapes: Shapes = SHAPES) -> Sample:
    """AQLM: words of eight weights."""
    arrays: Arrays = {}
    code = np.dtype(np.int8 if bits <= 8 else np.int16)
    low, high = -(1 << bits - 1), 1 << bits - 1
    for name, (rows, columns) in shapes.items():
        rng = random_bits(f"{name}aqlm{books}{bits}")
        arrays[f"{name}.codes"] = rng.integers(low, high, (rows, columns // 8, books), code)
        arrays[f"{name}.codebooks"] = rng.standard_normal((books, 1 << bits, 1, 8), np.float32).astype(F16)
        arrays[f"{name}.scales"] = scales(rng, rows, 1, 1, 1).astype(F16)
    return arrays, {"quant_method": "aqlm", "nbits_per_codebook": bits, "num_codebooks": books}


def torchao(kind: str, size: int = 32, *, shapes: Shapes = SHAPES) -> Sample:
    """TorchAO's eight bits, a scale a row, or a group of ``size``; the settings hold the file's metadata."""
    arrays: Arrays = {}
    metadata: dict[str, str] = {"tensor_names": json.dumps([f"{name}.weight" for name in shapes])}
    grouped = kind.startswith("Intx")
    for name, (rows, columns) in shapes.items():
        rng = random_bits(name + kind)
        shape = (rows, columns // size) if grouped else (rows, 1)
        low, high = (-8, 8) if grouped else (-128, 128)
        integers = rng.integers(low, high, (rows, columns), np.int8)
        arrays[f"{name}._weight_qdata"] = fp8_bits(rng, rows, columns) if kind.startswith("Float8") else integers
        arrays[f"{name}._weight_scale"] = scales(rng, *shape).astype(BF16 if grouped else np.float32)
        parts = ["qdata", "scale"]
        if not kind.startswith("Float8"):
            arrays[f"{name}._weight_zero_point"] = rng.integers(
                -4 if grouped else 0, 4 if grouped else 1, shape, np.int8
            )
            parts.append("zero_point")
        of: dict[str, Any] = {"block_size": [1, size if grouped else columns]}
        of["dtype"] = {"_type": "torch.dtype", "_data": "bfloat16"}
        of |= _TORCHAO[kind]
        metadata[f"{name}.weight"] = json.dumps({"_type": kind, "_data": of, "_tensor_data_names": parts})
    return arrays, {"quant_method": "torchao", "metadata": metadata}


_TORCHAO: dict[str, dict[str, Any]] = {
    "Int8Tensor": {"act_quant_kwargs": None, "reduce_range": False},
    "Float8Tensor": {"mm_config": None, "act_quant_kwargs": None}
    | {"kernel_preference": {"_type": "KernelPreference", "_data": "AUTO"}},
    "IntxUnpackedToInt8Tensor": {"activation_quantization": None}
    | {"target_dtype": {"_type": "torch.dtype", "_data": "int4"}},
}


def mxfp8(*, shapes: Shapes = SHAPES) -> Sample:
    """compressed-tensors' MXFP8: FP8 and an exponent for 32 weights."""
    arrays: Arrays = {}
    for name, (rows, columns) in shapes.items():
        rng = random_bits(name + "mxfp8")
        arrays[f"{name}.weight"] = fp8_bits(rng, rows, columns)
        arrays[f"{name}.weight_scale"] = rng.integers(110, 125, (rows, columns // 32), np.uint8)
    recipe = {"num_bits": 8, "type": "float", "strategy": "group", "group_size": 32, "symmetric": True}
    return arrays, compressed_config("mxfp8-quantized", recipe)


def mxfp4(method: str, *, shapes: Shapes = SHAPES) -> Sample:
    """MXFP4: experts' of GPT-OSS, of which there is one here, or rows of compressed-tensors and of Quark."""
    arrays: Arrays = {}
    for name, (rows, columns) in shapes.items():
        rng = random_bits(name + "mxfp4")
        packed = rng.integers(0, 256, (rows, columns // 2), np.uint8)
        exponents = rng.integers(110, 140, (rows, columns // 32), np.uint8)
        if method == "mxfp4":
            arrays |= {f"{name}_blocks": packed.reshape(1, rows, -1, 16), f"{name}_scales": exponents[None]}
        else:
            end = "_packed" if method == "compressed-tensors" else ""
            arrays |= {f"{name}.weight{end}": packed, f"{name}.weight_scale": exponents}
    if method == "compressed-tensors":
        recipe = {"num_bits": 4, "type": "float", "strategy": "group", "group_size": 32, "symmetric": True}
        return arrays, compressed_config("mxfp4-pack-quantized", recipe)
    return arrays, {"quant_method": method}


def rows_fp8(method: str, *, shapes: Shapes = SHAPES) -> Sample:
    """FP8 with a scale a row (FBGEMM) or a tensor (Quark)."""
    arrays: Arrays = {}
    for name, (rows, columns) in shapes.items():
        rng = random_bits(name + method)
        arrays[f"{name}.weight"] = fp8_bits(rng, rows, columns)
        arrays[f"{name}.weight_scale"] = scales(rng, *((rows, 1) if method == "fbgemm_fp8" else ()))
    return arrays, {"quant_method": method}


LAYOUTS: dict[str, Maker] = {
    **{f"planes-{bits}": made(planes, bits) for bits in (3, 5, 6, 7)},
    "awq-gemv": made(gemv),
    "awq-gemv-fast": made(gemv_fast),
    "marlin-gptq": made(marlin, "gptq", 128),
    "marlin-rows": made(marlin, "gptq", -1),
    "marlin-awq": made(marlin, "awq", 128),
    **{f"hqq-{bits}-{axis}": made(hqq, bits, axis) for bits in (8, 4, 3, 2, 1) for axis in (0, 1)},
    "hqq-4-bfloat16": made(hqq, 4, 1, BF16),
    "quanto-int": made(quanto, "int", BF16),
    "quanto-float": made(quanto, "float", F16),
    "aqlm-2x8": made(aqlm, 2, 8),
    "aqlm-1x12": made(aqlm, 1, 12),
    **{f"torchao-{kind}": made(torchao, kind) for kind in _TORCHAO},
    "mxfp8": made(mxfp8),
    "mxfp4-experts": made(mxfp4, "mxfp4"),
    "mxfp4-compressed": made(mxfp4, "compressed-tensors"),
    "mxfp4-quark": made(mxfp4, "quark"),
    "fbgemm-fp8": made(rows_fp8, "fbgemm_fp8"),
    "quark-fp8": made(rows_fp8, "quark"),
}
"""What the libraries of further methods decode, and kernels by their packing."""
