"""Quantized weights against what upstream and the publishing libraries decode, and the packings against naive twins."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import kquants
from gguf_py import KQuantsError
from hf2gguf import checkpoint
from hf2gguf.checkpoint import Source
from hf2gguf.checkpoint.awq import PLACE as AWQ_PLACE
from hf2gguf.checkpoint.bits import unpack
from hf2gguf.checkpoint.blocks import mxfp4

from .layouts import LAYOUTS
from .samples import OTHERS, SAMPLES, SHAPES, Arrays, gptq, save

DIGESTS = json.loads(Path(__file__).with_name("digests.json").read_text())


def write(folder: Path, arrays: Arrays, quantization: dict[str, Any]) -> Path:
    save(folder / "model.safetensors", arrays, quantization.get("metadata"))
    (folder / "config.json").write_text(json.dumps({"quantization_config": quantization}))
    return folder


def numbers(source: Source, step: int = 97) -> NDArray[np.float32]:
    """All of a tensor, read in pieces of an awkward size."""
    pieces = [source.rows(lo, min(lo + step, source.count)) for lo in range(0, source.count, step)]
    raw = np.concatenate(pieces)
    if source.type.name == "F32":
        return raw.view(np.float32)
    if source.type.name == "MXFP4":
        return kquants.dequantize(raw, "MXFP4")
    if source.type.name == "F16":
        return raw.view(np.float16).astype(np.float32)
    assert source.type.name == "BF16"
    return (raw.view(np.uint16).astype(np.uint32) << 16).view(np.float32)


@pytest.mark.parametrize("name", [name for name in (*SAMPLES, *LAYOUTS) if not name.startswith("gptq-3")])
def test_decodes_as_the_reference(name: str, tmp_path: Path) -> None:
    sample = SAMPLES[name] if name in SAMPLES else LAYOUTS[name](SHAPES)
    with checkpoint.open(write(tmp_path, *sample)) as c:
        assert set(c.tensors) == {f"{weight}.weight" for weight in SHAPES}
        for weight, shape in SHAPES.items():
            source = c.tensors[f"{weight}.weight"]
            assert source.shape[-2:] == shape and source.count == shape[0]
            assert hashlib.sha256(numbers(source).tobytes()).hexdigest() == DIGESTS[name][weight]


def bits_of(words: NDArray[np.int32], bits: int) -> list[int]:
    """The codes in a line of words: one long number, low bits first."""
    number = sum(int(word) << (32 * i) for i, word in enumerate(words.view(np.uint32)))
    return [number >> at & (1 << bits) - 1 for at in range(0, 32 * len(words), bits) if at + bits <= 32 * len(words)]


@pytest.mark.parametrize("name", [name for name in OTHERS if name.startswith("gptq-3")])
def test_three_bits_as_the_naive_twin(name: str, tmp_path: Path) -> None:
    arrays, config = SAMPLES[name]
    offset = 0 if config["checkpoint_format"] == "gptq_v2" else 1
    with checkpoint.open(write(tmp_path, arrays, config)) as c:
        for weight in SHAPES:
            found = numbers(c.tensors[f"{weight}.weight"], 37)
            scales, index = arrays[f"{weight}.scales"], arrays[f"{weight}.g_idx"]
            zeros = [bits_of(line, 3) for line in arrays[f"{weight}.qzeros"]]
            for row in (0, 1, 10, 21, 31, 32, 100, found.shape[0] - 1):
                codes = bits_of(arrays[f"{weight}.qweight"][:, row], 3)
                wanted = [
                    np.float32(scales[g, row]) * np.float32(code - zeros[g][row] - offset)
                    for code, g in zip(codes, index, strict=True)
                ]
                assert found[row].tolist() == wanted


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_unpack_anywhere(bits: int) -> None:
    words = np.random.default_rng(1).integers(-(2**31), 2**31, 12, np.int64).astype(np.int32)
    codes = bits_of(words, bits)
    for first in range(0, len(codes), 5):
        for last in (first, first + 1, min(first + 40, len(codes))):
            assert unpack(words, bits, first, last).tolist() == codes[first:last]


def test_awq_places_are_the_inverse_of_its_order() -> None:
    assert [AWQ_PLACE.index(nibble) for nibble in range(8)] == [0, 2, 4, 6, 1, 3, 5, 7]


def test_gptq_without_group_indices(tmp_path: Path) -> None:
    arrays, config = gptq(4, act_order=False, v2=False)
    bare = {name: array for name, array in arrays.items() if not name.endswith("g_idx")}
    with checkpoint.open(write(tmp_path, bare, config)) as c:
        found = {n: hashlib.sha256(numbers(c.tensors[f"{n}.weight"]).tobytes()).hexdigest() for n in SHAPES}
    assert found == DIGESTS["gptq-4"]


def test_modelopt_in_a_file_of_its_own(tmp_path: Path) -> None:
    save(tmp_path / "model.safetensors", SAMPLES["modelopt-fp8"][0])
    (tmp_path / "hf_quant_config.json").write_text(json.dumps({"producer": {"name": "ModelOpt"}}))
    with checkpoint.open(tmp_path) as c:
        found = {n: hashlib.sha256(numbers(c.tensors[f"{n}.weight"]).tobytes()).hexdigest() for n in SHAPES}
    assert found == DIGESTS["modelopt-fp8"]


def test_upstream_order(tmp_path: Path) -> None:
    arrays, config = gptq(4, act_order=False, v2=False)
    more = {"a.weight": np.ones(4, np.float32), "zz.weight": np.ones(4, np.float32)}
    with checkpoint.open(write(tmp_path, more | arrays, config)) as c:
        assert list(c.tensors) == ["a.weight", "zz.weight", *(f"{name}.weight" for name in SHAPES)]


def test_mxfp4_keeps_every_weight(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    blocks = rng.integers(0, 256, (3, 6, 2, 16), np.uint8)
    scales = rng.integers(0, 256, (3, 6, 2), np.uint8)
    config = {"quant_method": "mxfp4"}
    base = "model.layers.0.mlp.experts."
    arrays = {
        "a.weight": np.ones(4, np.float32),
        f"{base}down_proj_blocks": blocks,
        f"{base}down_proj_scales": scales,
        f"{base}gate_up_proj_blocks": blocks,
        f"{base}gate_up_proj_scales": scales,
    }
    with checkpoint.open(write(tmp_path, arrays, config)) as c:
        names = [f"{base}{part}.weight" for part in ("down_proj", "gate_proj", "up_proj")]
        assert list(c.tensors) == [*names, "a.weight"]
        down, gate, up = (c.tensors[name] for name in names)
        assert (down.shape, gate.shape, down.type.name) == ((3, 6, 64), (3, 3, 64), "MXFP4")
        whole = down.rows(0, 18).reshape(3, 6, 2, 17)
        assert np.array_equal(whole[..., 0], scales)
        for e, r, g, j in np.ndindex(3, 6, 2, 32):
            wanted = blocks[e, r, g, j // 2] >> 4 * (j % 2) & 15
            assert whole[e, r, g, 1 + j % 16] >> 4 * (j // 16) & 15 == wanted
        rows = whole.reshape(3, 6, 34)
        assert np.array_equal(gate.rows(0, 9), rows[:, ::2].reshape(9, 34))
        assert np.array_equal(up.rows(0, 9), rows[:, 1::2].reshape(9, 34))
        assert np.array_equal(up.rows(2, 5), up.rows(0, 9)[2:5])
        assert np.array_equal(
            mxfp4(c.stored[f"{base}down_proj_blocks"], c.stored[f"{base}down_proj_scales"]).rows(4, 9), down.rows(4, 9)
        )


@pytest.mark.parametrize("layout", ["auto_round:auto_gptq", "auto_round:gptqmodel"])
def test_auto_round_packs_as_gptq(layout: str, tmp_path: Path) -> None:
    arrays, config = SAMPLES["gptq-8-act-order-v2" if "model" in layout else "gptq-4"]
    settings = {"quant_method": "auto-round", "bits": config["bits"], "packing_format": layout}
    with checkpoint.open(write(tmp_path, arrays, settings)) as c:
        found = {n: hashlib.sha256(numbers(c.tensors[f"{n}.weight"]).tobytes()).hexdigest() for n in SHAPES}
    assert found == DIGESTS["gptq-8-act-order-v2" if "model" in layout else "gptq-4"]


def _without(arrays: Arrays, end: str) -> Arrays:
    return {name: array for name, array in arrays.items() if not name.endswith(end)}


def _cut(arrays: Arrays, end: str) -> Arrays:
    return {name: array[..., :-1].copy() if name.endswith(end) else array for name, array in arrays.items()}


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("gptq-4", ".qzeros"),
        ("gptq-4", ".scales"),
        ("awq", ".qzeros"),
        ("awq", ".scales"),
        ("nf4", ".absmax"),
        ("nf4-nested", ".nested_absmax"),
        ("nf4-nested", ".nested_quant_map"),
        ("packed-4", "_scale"),
        ("packed-4-zero", "_shape"),
    ],
)
def test_parts_that_are_missing_or_short(name: str, part: str, tmp_path: Path) -> None:
    arrays, config = SAMPLES[name]
    for i, changed in enumerate((_without(arrays, part), _cut(arrays, part))):
        folder = tmp_path / str(i)
        folder.mkdir()
        with checkpoint.open(write(folder, changed, config)) as c, pytest.raises(KQuantsError):
            for source in c.tensors.values():
                source.rows(0, source.count)


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("gptq-4", {"bits": 9}, "9 bits"),
        ("gptq-4", {"bits": 5}, "expected"),
        ("gptq-4", {"quant_method": "vptq"}, "vptq.*expected one of fp8, fbgemm_fp8"),
        ("gptq-4", {"checkpoint_format": "exllama"}, "exllama"),
        ("awq", {"version": "llm-awq"}, "llm-awq"),
        ("awq", {"bits": 3}, "3 bits"),
        ("packed-4", {"config_groups": {"a": {"weights": {"num_bits": 9}}}}, "9 bits"),
        ("fp8-block", {"weight_block_size": [0, 0]}, "blocks of"),
        ("fp8-block", {"weight_block_size": [64, 64]}, "does not fit"),
        ("fp8-block", {"weight_block_size": "x"}, "does not fit"),
        ("packed-4", {"format": "marlin-24"}, "marlin-24"),
        ("packed-4", {"config_groups": {}}, "recipes"),
        ("packed-4", {"config_groups": [3]}, "no sense"),
        ("packed-4", {"config_groups": {"a": {"weights": {"num_bits": 4, "group_size": "x"}}}}, "no sense"),
        ("gptq-4", {"bits": "4"}, "of 4 bits"),
    ],
)
def test_settings_that_are_wrong(name: str, change: dict[str, Any], says: str, tmp_path: Path) -> None:
    arrays, config = SAMPLES[name]
    with checkpoint.open(write(tmp_path, arrays, config | change)) as c, pytest.raises(KQuantsError, match=says):
        for source in c.tensors.values():
            source.rows(0, source.count)


def test_group_indices_beyond_the_groups(tmp_path: Path) -> None:
    arrays, config = gptq(4, act_order=True, v2=False)
    for name in SHAPES:
        arrays[f"{name}.g_idx"] = arrays[f"{name}.g_idx"] + 1000
    with checkpoint.open(write(tmp_path, arrays, config)) as c, pytest.raises(KQuantsError, match="beyond"):
        next(iter(c.tensors.values())).rows(0, 1)
