"""A source that rounds another one: what is made of it in one go is what is made of it in two."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import gguf_py
from gguf_py import KQuantsError, tensor_type
from kquants.execute import execute
from kquants.quantizer import Options, quantize_model, quantized
from kquants.recode import convert_rows
from kquants.source import Source, converted, of_tensors

SHAPE = (3, 37, 256)
REQUANTIZE = Options(allow_requantize=True)


def write(path: Path, stored: str, x: np.ndarray) -> None:
    rows = convert_rows(x.reshape(-1, x.shape[-1]).view(np.uint8), tensor_type("F32"), tensor_type(stored))
    gguf_py.write(path, [], {"blk.0.ffn_up_exps.weight": (tensor_type(stored), x.shape, rows)})


def sources(path: Path, between: str, read: bool) -> dict[str, Source]:
    """The tensors as another type, their bytes in the file or, with ``read``, rows that somebody reads."""
    with gguf_py.open(path) as file:
        found = of_tensors(dict(file.tensors))
    plain = {name: s.other(s.rows) if read else s for name, s in found.items()}
    return {name: converted(s, tensor_type(between)) for name, s in plain.items()}


@pytest.mark.parametrize("stored", ["F32", "BF16", "Q8_0"])
@pytest.mark.parametrize("between", ["F16", "BF16", "Q8_0"])
@pytest.mark.parametrize("read", [False, True])
def test_rounded_on_the_way(tmp_path: Path, stored: str, between: str, read: bool) -> None:
    x = np.random.default_rng(7).standard_normal(SHAPE, dtype=np.float32)
    x[0, 0, :8] = [1e-8, -1e-8, 6.1e-5, 60000, 0, -0.0, 5.97e-8, 2.98e-8]  # subnormal F16 numbers and a large one
    write(tmp_path / "stored.gguf", stored, x)
    execute(quantized(tmp_path / "between.gguf", [], sources(tmp_path / "stored.gguf", between, read), "COPY"))
    for kind in ("F32", "F16", "BF16", "Q8_0", "Q4_K_M"):
        made = quantized(tmp_path / "one.gguf", [], sources(tmp_path / "stored.gguf", between, read), kind, REQUANTIZE)
        execute(made)
        with gguf_py.open(tmp_path / "between.gguf") as model:
            execute(quantize_model(model, tmp_path / "two.gguf", kind, REQUANTIZE))
        assert (tmp_path / "one.gguf").read_bytes() == (tmp_path / "two.gguf").read_bytes(), kind


@pytest.mark.parametrize("bad", [65520.0, -1e30, np.nan, np.inf])
def test_what_does_not_fit_f16_is_named(tmp_path: Path, bad: float) -> None:
    x = np.zeros(SHAPE, np.float32)
    x[2, 36, 255] = bad
    write(tmp_path / "stored.gguf", "F32", x)
    with pytest.raises(KQuantsError, match=r"\[2, 36, 255\] is (nan|-?inf), expected a finite number"):
        execute(quantized(tmp_path / "one.gguf", [], sources(tmp_path / "stored.gguf", "F16", False), "Q8_0"))
    assert not (tmp_path / "one.gguf").exists()
