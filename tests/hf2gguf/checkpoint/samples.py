"""Small quantized checkpoints, one an encoding, made of fixed random bits without any library.

Whatever the bits of a packed weight are, they mean some weight: the references decode the same bits.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from hf2gguf.checkpoint.stored import DTYPES

Arrays = dict[str, NDArray[Any]]
Shapes = dict[str, tuple[int, int]]
Sample = tuple[Arrays, dict[str, Any]]

DOWN, GATE = "model.layers.0.mlp.down_proj", "model.layers.1.mlp.gate_proj"
SHAPES: Shapes = {DOWN: (256, 768), GATE: (768, 256)}
"""The two weights of the tiny model that a sample replaces: out, in."""

_NAMES = {dtype: name for name, dtype in DTYPES.items()}


def save(path: Path, tensors: Arrays, metadata: dict[str, str] | None = None) -> Path:
    """Write a safetensors file."""
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    data = b""
    for name, array in tensors.items():
        raw = array.tobytes()
        offsets = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": _NAMES[array.dtype], "shape": list(array.shape), "data_offsets": offsets}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def random_bits(seed: str) -> np.random.Generator:
    return np.random.default_rng(list(seed.encode()))


def words(rng: np.random.Generator, *shape: int) -> NDArray[np.int32]:
    return rng.integers(-(2**31), 2**31, shape, np.int64).astype(np.int32)


def scales(rng: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    return np.asarray(rng.uniform(0.5, 1.5, shape) * 2.0 ** rng.integers(-9, -6, shape), np.float32)


def fp8_bits(rng: np.random.Generator, *shape: int) -> NDArray[Any]:
    bits = rng.integers(0, 256, shape, np.uint8)
    bits[(bits & 0x7F) == 0x7F] = 0x3C  # no NaN
    return bits.view(ml_dtypes.float8_e4m3fn)


def fp8(scale: str, *, shapes: Shapes = SHAPES) -> Sample:
    """FP8 with a scale a tensor, a row, or a block of 128 by 128 (the last ones cut off)."""
    arrays: Arrays = {}
    for name, (rows, columns) in shapes.items():
        rng = random_bits(name + scale)
        shape = {"tensor": (1,), "row": (rows, 1), "block": (-(-rows // 128), -(-columns // 128))}[scale]
        arrays[f"{name}.weight"] = fp8_bits(rng, rows, columns)
        arrays[f"{name}.weight_scale_inv"] = scales(rng, *shape)
    return arrays, {"quant_method": "fp8"} | ({"weight_block_size": [128, 128]} if scale == "block" else {})


def modelopt(shapes: Shapes = SHAPES) -> Sample:
    """ModelOpt's FP8, a scale a tensor and one for activations, which is of no use here."""
    arrays: Arrays = {}
    for name, shape in shapes.items():
        rng = random_bits(name + "modelopt")
        arrays[f"{name}.weight"] = fp8_bits(rng, *shape)
        arrays[f"{name}.weight_scale"] = scales(rng)
        arrays[f"{name}.input_scale"] = scales(rng)
    return arrays, {"quant_method": "modelopt", "quant_algo": "FP8"}


def gptq(bits: int, *, act_order: bool, v2: bool, size: int = 128, shapes: Shapes = SHAPES) -> Sample:
    """GPTQ; the order of the columns' groups is shuffled for act-order."""
    arrays: Arrays = {}
    for name, (rows, columns) in shapes.items():
        rng = random_bits(f"{name}gptq{bits}{act_order}")
        groups = columns // size
        arrays[f"{name}.qweight"] = words(rng, columns * bits // 32, rows)
        arrays[f"{name}.qzeros"] = words(rng, groups, rows * bits // 32)
        arrays[f"{name}.scales"] = scales(rng, groups, rows).astype(np.float16)
        index = (np.arange(columns) // size).astype(np.int32)
        arrays[f"{name}.g_idx"] = rng.permutation(index) if act_order else index
    config = {"quant_method": "gptq", "bits": bits, "group_size": size, "desc_act": act_order}
    return arrays, config | {"checkpoint_format": "gptq_v2" if v2 else "gptq"}


def awq(size: int = 64, *, shapes: Shapes = SHAPES) -> Sample:
    """AWQ, version gemm."""
    arrays: Arrays = {}
    for name, (rows, columns) in shapes.items():
        rng = random_bits(name + "awq")
        arrays[f"{name}.qweight"] = words(rng, columns, rows // 8)
        arrays[f"{name}.qzeros"] = words(rng, columns // size, rows // 8)
        arrays[f"{name}.scales"] = scales(rng, columns // size, rows).astype(np.float16)
    return arrays, {"quant_method": "awq", "bits": 4, "group_size": size, "version": "gemm", "zero_point": True}


def bitsandbytes(kind: str, *, nested: bool, dtype: str = "bfloat16", shapes: Shapes = SHAPES) -> Sample:
    """NF4 or FP4 (levels as the library stores them), or INT8."""
    arrays: Arrays = {}
    for name, (rows, columns) in shapes.items():
        rng = random_bits(f"{name}{kind}{nested}")
        weight = f"{name}.weight"
        if kind == "int8":
            arrays[weight] = rng.integers(-127, 128, (rows, columns), np.int8)
            arrays[f"{name}.SCB"] = scales(rng, rows) * 100
            continue
        count, block = rows * columns, 64
        state: dict[str, Any] = {"quant_type": kind, "blocksize": block, "dtype": dtype, "shape": [rows, columns]}
        arrays[weight] = rng.integers(0, 256, (count // 2, 1), np.uint8)
        arrays[f"{weight}.quant_map"] = LEVELS[kind]
        if nested:
            state |= {"nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": 0.0123456}
            arrays[f"{weight}.absmax"] = rng.integers(0, 256, count // block, np.uint8)
            arrays[f"{weight}.nested_absmax"] = scales(rng, -(-count // block // 256))
            arrays[f"{weight}.nested_quant_map"] = np.sort(rng.uniform(-1, 1, 256)).astype(np.float32)
        else:
            arrays[f"{weight}.absmax"] = scales(rng, count // block)
        arrays[f"{weight}.quant_state.bitsandbytes__{kind}"] = np.frombuffer(json.dumps(state).encode(), np.uint8)
    return arrays, {"quant_method": "bitsandbytes", "load_in_4bit": kind != "int8", "load_in_8bit": kind == "int8"}


_NF4 = (
    "-1 -0.6961928009986877 -0.5250730514526367 -0.39491748809814453 -0.28444138169288635 -0.18477343022823334"
    " -0.09105003625154495 0 0.07958029955625534 0.16093020141124725 0.24611230194568634 0.33791524171829224"
    " 0.44070982933044434 0.5626170039176941 0.7229568362236023 1"
)
_FP4 = "0 0.0052083333 0.6666667 1 0.33333333 0.5 0.16666667 0.25"
LEVELS = {
    "nf4": np.array(_NF4.split(), np.float64).astype(np.float32),
    "fp4": np.concatenate([(fp4 := np.array(_FP4.split(), np.float64).astype(np.float32)), 0 - fp4]),
}


def compressed(bits: int, *, size: int | None, zero: bool, shapes: Shapes = SHAPES) -> Sample:
    """compressed-tensors, packed, by groups or (without ``size``) by rows."""
    arrays: Arrays = {}
    for name, (rows, columns) in shapes.items():
        rng = random_bits(f"{name}packed{bits}{size}{zero}")
        groups = columns // size if size else 1
        weight = f"{name}.weight"
        arrays[f"{weight}_packed"] = words(rng, rows, columns * bits // 32)
        arrays[f"{weight}_scale"] = scales(rng, rows, groups).astype(ml_dtypes.bfloat16)
        arrays[f"{weight}_shape"] = np.array([rows, columns], np.int64)
        if zero:
            arrays[f"{weight}_zero_point"] = words(rng, rows * bits // 32, groups)
    recipe = {"num_bits": bits, "type": "int", "strategy": "group" if size else "channel", "group_size": size}
    return arrays, compressed_config("pack-quantized", recipe | {"symmetric": not zero})


def compressed_rows(kind: str, *, zero: bool = False, shapes: Shapes = SHAPES) -> Sample:
    """compressed-tensors, FP8 or INT8, a scale a row."""
    arrays: Arrays = {}
    for name, (rows, columns) in shapes.items():
        rng = random_bits(f"{name}{kind}{zero}")
        weight = f"{name}.weight"
        fp8 = kind == "float"
        arrays[weight] = fp8_bits(rng, rows, columns) if fp8 else rng.integers(-128, 128, (rows, columns), np.int8)
        arrays[f"{weight}_scale"] = scales(rng, rows, 1).astype(ml_dtypes.bfloat16)
        if zero:
            arrays[f"{weight}_zero_point"] = rng.integers(-20, 20, (rows, 1), np.int8)
    recipe = {"num_bits": 8, "type": kind, "strategy": "channel", "group_size": None, "symmetric": not zero}
    return arrays, compressed_config(f"{kind}-quantized", recipe)


def compressed_config(layout: str, recipe: dict[str, Any]) -> dict[str, Any]:
    groups = {"group_0": {"targets": ["Linear"], "weights": recipe}}
    return {"quant_method": "compressed-tensors", "format": layout, "config_groups": groups}


def bitnet(shapes: Shapes = SHAPES) -> Sample:
    """BitNet: three values in two bits (the fourth pattern never occurs)."""
    arrays: Arrays = {}
    for name, (rows, columns) in shapes.items():
        rng = random_bits(name + "bitnet")
        digits = rng.integers(0, 3, (4, rows // 4, columns), np.uint8)
        arrays[f"{name}.weight"] = (digits << np.array([0, 2, 4, 6], np.uint8)[:, None, None]).sum(0).astype(np.uint8)
        arrays[f"{name}.weight_scale"] = np.array([37.25], ml_dtypes.bfloat16)
    return arrays, {"quant_method": "bitnet"}


def nvfp4(publisher: str, algorithm: str = "NVFP4", *, shapes: Shapes = SHAPES) -> Sample:
    """NVFP4 of ModelOpt, or of compressed-tensors, which stores the inverse of the tensor's scales.

    The first weight's scale is one, which GGUF leaves out; ModelOpt's scale for activations is there for every other.
    """
    arrays: Arrays = {}
    modelopt = publisher == "modelopt"
    for i, (name, (rows, columns)) in enumerate(shapes.items()):
        rng = random_bits(name + "nvfp4")
        packed, bits = rng.integers(0, 256, (rows, columns // 2), np.uint8), rng.integers(0, 127, (rows, columns // 16))
        arrays[f"{name}.weight" if modelopt else f"{name}.weight_packed"] = packed
        arrays[f"{name}.weight_scale"] = bits.astype(np.uint8).view(ml_dtypes.float8_e4m3fn)
        own = np.ones(1, np.float32) if i == 0 else scales(rng, 1)
        meets = scales(rng, 1)
        if not modelopt:
            arrays |= {f"{name}.weight_global_scale": 1 / own, f"{name}.input_global_scale": 1 / meets}
            continue
        arrays[f"{name}.weight_scale_2"] = own.reshape(())
        if i % 2:
            arrays[f"{name}.input_scale"] = meets.reshape(())
    if modelopt:
        return arrays, {"quant_method": "modelopt", "quant_algo": algorithm}
    recipe = {"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16, "symmetric": True}
    return arrays, compressed_config("nvfp4-pack-quantized", recipe)


def nvfp4_mixed(*, shapes: Shapes = SHAPES) -> Sample:
    """ModelOpt's mixed precision: feed-forward layers NVFP4, one with activations in 16 bits, attention FP8."""
    arrays: Arrays = {}
    layers = {}
    for name, shape in shapes.items():
        mlp = "mlp" in name
        made, _ = nvfp4("modelopt", shapes={name: shape}) if mlp else modelopt(shapes={name: shape})
        arrays |= made
        wide = name.endswith("up_proj")
        layers[name] = {"quant_algo": ("W4A16_NVFP4" if wide else "NVFP4") if mlp else "FP8"}
    return arrays, {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers": layers}


Maker = Callable[[Shapes], Sample]


def made(maker: Callable[..., Sample], *arguments: Any, **options: Any) -> Maker:
    """The sample of the maker with these arguments, for any shapes."""
    return lambda shapes: maker(*arguments, shapes=shapes, **options)


UPSTREAM: dict[str, Maker] = {
    "fp8-tensor": made(fp8, "tensor"),
    "fp8-row": made(fp8, "row"),
    "fp8-block": made(fp8, "block"),
    **{f"gptq-{bits}": made(gptq, bits, act_order=False, v2=False) for bits in (2, 4, 8)},
    "gptq-4-act-order": made(gptq, 4, act_order=True, v2=False),
    "gptq-8-act-order-v2": made(gptq, 8, act_order=True, v2=True),
    "packed-4": made(compressed, 4, size=128, zero=False),
    "packed-4-zero": made(compressed, 4, size=32, zero=True),
    "packed-8": made(compressed, 8, size=128, zero=False),
    "rows-fp8": made(compressed_rows, "float"),
    "rows-int8": made(compressed_rows, "int"),
    "bitnet": made(bitnet),
    "modelopt-fp8": made(modelopt),
}
"""What upstream's converter decodes."""

KEPT: dict[str, Maker] = {
    "nvfp4-modelopt": made(nvfp4, "modelopt"),
    "nvfp4-wide": made(nvfp4, "modelopt", "W4A16_NVFP4"),
    "nvfp4-compressed": made(nvfp4, "compressed-tensors"),
    "nvfp4-mixed": made(nvfp4_mixed),
}
"""What upstream's converter keeps in blocks."""

OTHERS: dict[str, Maker] = {
    "gptq-3": made(gptq, 3, act_order=False, v2=False),
    "gptq-3-act-order": made(gptq, 3, act_order=True, v2=True, size=64),
    "awq": made(awq),
    "nf4": made(bitsandbytes, "nf4", nested=False),
    "nf4-nested": made(bitsandbytes, "nf4", nested=True),
    "nf4-nested-float16": made(bitsandbytes, "nf4", nested=True, dtype="float16"),
    "fp4-float32": made(bitsandbytes, "fp4", nested=False, dtype="float32"),
    "int8": made(bitsandbytes, "int8", nested=False),
    "packed-4-rows": made(compressed, 4, size=None, zero=True),
    "rows-int8-zero": made(compressed_rows, "int", zero=True),
}
"""What only the publishing libraries decode."""

SAMPLES: dict[str, Sample] = {name: maker(SHAPES) for name, maker in (UPSTREAM | OTHERS).items()}
