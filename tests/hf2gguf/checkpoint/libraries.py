"""The samples of ``layouts.py`` as the publishing libraries decode them; run by ``make_digests``.

Where a library multiplies in its scales' 16 bits and ours in float32, the product in float32 is exact: the function
checks that, rounded, it is the library's own. Where a layout is decoded by a kernel only, the library's packing is
turned round: it packs the numbers of the codes, digit by digit, which shows where each code lies.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from .layouts import HQQ
from .samples import Arrays

Found = dict[str, Any]


def tensor(array: Any) -> Any:
    """A torch tensor of the same bits."""
    import torch

    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    if array.dtype == ml_dtypes.float8_e4m3fn:
        return torch.from_numpy(array.view(np.uint8).copy()).view(torch.float8_e4m3fn)
    return torch.from_numpy(array.copy())


def alone(path: str) -> Any:
    """One file of a library that lies on the path, without what its package imports."""
    found = next(Path(place) / path for place in sys.path if (Path(place) / path).is_file())
    for name in ("awq", "awq.utils", "awq.utils.module"):
        sys.modules.setdefault(name, types.ModuleType(name))
    sys.modules["awq.utils.module"].try_import = lambda _: (None, "")  # type: ignore[attr-defined]
    spec = importlib.util.spec_from_file_location(found.stem, found)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def decoded(name: str, arrays: Arrays, settings: dict[str, Any], base: str, shape: tuple[int, int]) -> Any:
    """The weight ``base`` of a sample, float32[shape]."""
    kind = name.partition("-")[0]
    parts = {key.removeprefix(base)[1:]: tensor(array) for key, array in arrays.items() if key.startswith(base)}
    return _DECODERS[kind](name, parts, settings, shape).float().numpy()


def _planes(name: str, parts: Found, settings: dict[str, Any], shape: tuple[int, int]) -> Any:
    library, bits = alone("gptqmodel/utils/planar_packing.py"), settings["bits"]
    zeros = library.planar_unpack_cols(parts["qzeros"], bits).reshape(parts["scales"].shape)
    group = parts["g_idx"].long()
    return (parts["scales"].float()[group] * (library.planar_unpack_rows(parts["qweight"], bits) - zeros[group])).T


def _places(pack: Callable[[Any], Any], shape: tuple[int, int], word: Any) -> Any:
    """For each code in the packed words, which code of the matrix it is; ``pack`` packs codes of four bits."""
    numbers = np.arange(shape[0] * shape[1]).reshape(shape)
    return sum(_nibbles(pack(numbers >> 4 * i & 15), word).astype(np.int64) << 4 * i for i in range(5))


def _nibbles(packed: Any, word: Any) -> Any:
    return packed.numpy().view(word)[..., None] >> 4 * np.arange(8 * np.dtype(word).itemsize // 4, dtype=word) & 15


def _unpacked(packed: Any, pack: Callable[[Any], Any], shape: tuple[int, int], word: Any) -> Any:
    import torch

    codes = np.empty(shape[0] * shape[1], np.int64)
    codes[_places(pack, shape, word).reshape(-1)] = _nibbles(packed, word).reshape(-1)
    return torch.from_numpy(codes.reshape(shape))


def _linear(weight: Any) -> Any:
    import torch

    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight.data = torch.from_numpy(np.ascontiguousarray(weight, np.float32)).half()
    return layer


def _gemv(name: str, parts: Found, settings: dict[str, Any], shape: tuple[int, int]) -> Any:
    import torch

    size, (rows, columns) = settings["group_size"], shape
    if name == "awq-gemv-fast":
        library = alone("awq/modules/linear/gemv_fast.py")
        codes = _unpacked(
            parts["qweight"], lambda c: library.pack_intweight(torch.from_numpy(c), 4, 64), shape, np.uint16
        )
        scales, zeros = (parts[part].float().T.repeat_interleave(size, 1)[:, :columns] for part in ("scales", "qzeros"))
        return codes.float() * scales + zeros
    library, groups = alone("awq/modules/linear/gemv.py").WQLinear_GEMV, columns // size
    ones, none = torch.ones(rows, groups).half(), torch.zeros(rows, groups).half()

    def zeros_packed(numbers: Any) -> Any:
        made = library.from_linear(_linear(np.zeros(shape)), 4, size, scales=ones, zeros=torch.from_numpy(numbers))
        return made.qzeros[:, : groups // 8]

    codes = _unpacked(
        parts["qweight"],
        lambda c: library.from_linear(_linear(c), 4, size, scales=ones, zeros=none).qweight,
        shape,
        np.uint32,
    )
    zeros = _unpacked(parts["qzeros"][:, : groups // 8].contiguous(), zeros_packed, (rows, groups), np.uint32)
    group = torch.arange(columns) // size
    return (codes - zeros[:, group]).float() * parts["scales"].float()[:, group]


def _marlin(name: str, parts: Found, settings: dict[str, Any], shape: tuple[int, int]) -> Any:
    import torch

    rows, columns = shape
    size = settings["group_size"] if settings["group_size"] > 0 else columns
    library = alone("awq/modules/linear/marlin.py").WQLinear_Marlin
    weight, scale = (parts.get(a, parts.get(b)) for a, b in (("B", "qweight"), ("s", "scales")))
    groups = scale.shape[0]
    ones = torch.ones(rows, groups).half()
    codes = _unpacked(
        weight, lambda c: library.from_linear(_linear(c - 8), 4, size, scales=ones).qweight, shape, np.uint32
    )
    numbers = torch.arange(rows * groups).reshape(rows, groups).half() + 1  # up to 2048, exact in float16
    packed = library.from_linear(_linear(np.zeros(shape)), 4, size, scales=numbers).scales.long() - 1
    scales = torch.empty(rows * groups)
    scales[packed.reshape(-1)] = scale.float().reshape(-1)
    group = torch.arange(columns) // size
    return (codes - 8).float() * scales.reshape(rows, groups)[:, group]


def _hqq(name: str, parts: Found, settings: dict[str, Any], shape: tuple[int, int]) -> Any:
    from hqq.core.quantize import Quantizer

    meta = {key: int(parts[key]) for key in ("nbits", "group_size", "axis")}
    packing = HQQ[meta["nbits"]][0]
    assert Quantizer.bit_to_packing[meta["nbits"]] == packing
    more = {"shape": shape, "packing": packing, "view_as_float": False, "compute_dtype": parts["scale"].dtype}
    return Quantizer.dequantize(parts["W_q"], meta | more | {key: parts[key] for key in ("scale", "zero")})


def _quanto(name: str, parts: Found, settings: dict[str, Any], shape: tuple[int, int]) -> Any:
    from optimum.quanto import WeightQBytesTensor, qtypes

    kind = qtypes["qint8" if name == "quanto-int" else "qfloat8_e4m3fn"]
    data, scale = parts["weight._data"], parts["weight._scale"]
    return WeightQBytesTensor(kind, 0, data.size(), data.stride(), data, scale, None).dequantize()


def _aqlm(name: str, parts: Found, settings: dict[str, Any], shape: tuple[int, int]) -> Any:
    from aqlm.utils import _dequantize_weight, unpack_int_data

    codes = unpack_int_data(parts["codes"], settings["nbits_per_codebook"])
    return _dequantize_weight(codes, parts["codebooks"], parts["scales"])


def _torchao(name: str, parts: Found, settings: dict[str, Any], shape: tuple[int, int]) -> Any:
    from torchao.prototype.safetensors.safetensors_support import unflatten_tensor_state_dict

    of = next(json.loads(text) for key, text in settings["metadata"].items() if key != "tensor_names")
    of["_data"]["block_size"] = [1, shape[1] // parts["_weight_scale"].shape[1]]
    metadata = {"a.weight": json.dumps(of), "tensor_names": '["a.weight"]'}
    made, rest = unflatten_tensor_state_dict({f"a.{key}": value for key, value in parts.items()}, metadata)
    assert not rest
    return made["a.weight"].dequantize()


def _fbgemm(name: str, parts: Found, settings: dict[str, Any], shape: tuple[int, int]) -> Any:
    """FBGEMM's FP8, whose library runs on GPUs alone: what Hugging Face's library multiplies."""
    return parts["weight"].float() * parts["weight_scale"]


def _quark(name: str, parts: Found, settings: dict[str, Any], shape: tuple[int, int]) -> Any:
    from quark.torch.kernel.hw_emulation import hw_emulation_interface

    return hw_emulation_interface.dequantize_fp8_per_tensor_with_scale(parts["weight"], parts["weight_scale"])


def _mx(name: str, parts: Found, settings: dict[str, Any], shape: tuple[int, int]) -> Any:
    """The formats of compressed-tensors that have an exponent for 32 weights."""
    from compressed_tensors.compressors.mxfp4.base import MXFP4PackedCompressor
    from compressed_tensors.compressors.mxfp8.base import MXFP8QuantizationCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme

    args = QuantizationArgs(**settings["config_groups"]["group_0"]["weights"])
    compressor = MXFP8QuantizationCompressor if args.num_bits == 8 else MXFP4PackedCompressor
    return compressor.decompress(parts, QuantizationScheme(targets=["Linear"], weights=args))["weight"]


def _mxfp4(name: str, parts: Found, settings: dict[str, Any], shape: tuple[int, int]) -> Any:
    """Without the sign of zeros, which is kept in the blocks and which ggml's decoding, by whole numbers, has not."""
    return _signed_mxfp4(name, parts, settings, shape).float() + 0.0


def _signed_mxfp4(name: str, parts: Found, settings: dict[str, Any], shape: tuple[int, int]) -> Any:
    if name == "mxfp4-compressed":
        return _mx(name, parts, settings, shape)
    if name == "mxfp4-experts":
        from transformers.integrations.mxfp4 import convert_moe_packed_tensors

        return convert_moe_packed_tensors(parts["blocks"], parts["scales"])[0].T
    import torch
    from quark.torch.kernel.hw_emulation.hw_emulation_interface import dequantize_fp4_fp6_per_group
    from quark.torch.utils.pack import Pack_fp4

    scales = torch.exp2(parts["weight_scale"].float() - 127)  # the inverse of its to_e8m0_uint8
    return dequantize_fp4_fp6_per_group(Pack_fp4("per_group", "fp4").unpack(parts["weight"], False), scales, -1, 32)


_DECODERS: dict[str, Callable[[str, Found, dict[str, Any], tuple[int, int]], Any]] = {
    "planes": _planes,
    "awq": _gemv,
    "marlin": _marlin,
    "hqq": _hqq,
    "quanto": _quanto,
    "aqlm": _aqlm,
    "torchao": _torchao,
    "mxfp8": _mx,
    "mxfp4": _mxfp4,
    "fbgemm": _fbgemm,
    "quark": _quark,
}
