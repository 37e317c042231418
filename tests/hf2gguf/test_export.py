"""A checkpoint back from a GGUF file: converting it gives the file again, byte for byte, or it says what differs."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import gguf_py
from gguf_py import Field, KQuantsError, tensor_type
from hf2gguf import checkpoint as checkpoints
from hf2gguf.convert import prepare
from hf2gguf.export import Exported, export, vocabulary
from hf2gguf.export.eight import eight_bits
from hf2gguf.export.inverses import INVERSES
from hf2gguf.export.undo import COLUMNS, ROWS
from hf2gguf.files import Shape, plan
from hf2gguf.operations import OPERATIONS
from kquants import quantize
from kquants.execute import execute
from kquants.source import Source
from tests.command import TINY, done, kquants, reference_digests, sha256

from .models import write
from .zoo import ZOO


def converted(folder: Path, path: Path, outtype: str = "f16") -> Path:
    """Convert a checkpoint."""
    with checkpoints.open(folder) as opened:
        execute(plan(prepare(opened, outtype), path, Shape()), threads=2)
    return path


def exported(path: Path, folder: Path) -> Exported:
    """Take a file back."""
    with gguf_py.open(path) as file:
        return export(file, folder)


@pytest.mark.parametrize("name", ["tiny-t5", "tiny-mixtral", "tiny-bert"])
def test_exact_is_no_empty_word(tmp_path: Path, name: str) -> None:
    first = converted(write(ZOO[name], tmp_path / "model"), tmp_path / "first.gguf")
    (tmp_path / "back").mkdir()
    assert exported(first, tmp_path / "back" / "model").exact
    second = converted(tmp_path / "back" / "model", tmp_path / "second.gguf")
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("outtype", ["f32", "f16", "bf16"])
def test_the_real_model_by_the_commands(tmp_path: Path, outtype: str) -> None:
    first, second, back = tmp_path / "first.gguf", tmp_path / "second.gguf", tmp_path / "tiny-speeches-5m"
    done("convert", TINY, "--outtype", outtype, "--outfile", first)
    out = done("export", first, back)
    assert out.splitlines()[-1] == f"exact: kquants convert {back} gives {first} back, byte for byte"
    done("convert", back, "--outtype", outtype, "--outfile", second)
    assert sha256(second) == reference_digests()[f"tiny-{outtype}"]


def test_weights_of_a_checkpoint_come_back(tmp_path: Path) -> None:
    """BF16 weights through F32: the tensors, by the names and in the row order that the checkpoint had."""
    done("convert", TINY, "--outtype", "bf16", "--outfile", tmp_path / "f.gguf")
    done("export", tmp_path / "f.gguf", tmp_path / "back")
    with checkpoints.open(TINY) as before, checkpoints.open(tmp_path / "back") as after:
        assert list(before.tensors) == list(after.tensors)
        for name, source in before.tensors.items():
            other = after.tensors[name]
            assert source.shape == other.shape
            if len(source.shape) > 1:
                np.testing.assert_array_equal(source.rows(0, source.count), other.rows(0, other.count))


def test_odd_metadata_is_said_and_no_accident(tmp_path: Path) -> None:
    """Lists for a name, a number for tags, lists of lists for a size."""
    first = converted(write(ZOO["tiny-mixtral"], tmp_path / "model"), tmp_path / "first.gguf")
    odd = {"general.name": [1, 2], "general.tags": 5, "llama.feed_forward_length": [[1], [2]], "general.file_type": [1]}
    with gguf_py.open(first) as file:
        gguf_py.rewrite(file, tmp_path / "odd.gguf", (file.fields | {k: Field.of(k, odd[k]) for k in odd}).values())
    found = exported(tmp_path / "odd.gguf", tmp_path / "back")
    assert not found.exact and "general.name" in {change.key for change in found.keys}


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("ggml.model", [1, 2], "is ARRAY of INT32, expected a text"),
        ("ggml.tokens", 1.5, "is FLOAT32, expected an array of texts"),
        ("ggml.merges", True, "is BOOL, expected an array of texts"),
        ("ggml.scores", 1.5, "is FLOAT32, expected an array of numbers"),
        ("ggml.token_type", ["a"], "is ARRAY of STRING, expected an array of numbers"),
        ("ggml.bos_token_id", "x", "is STRING, expected a whole number"),
        ("ggml.add_bos_token", [1], "is ARRAY of INT32, expected true or false"),
        ("chat_template", [1], "is ARRAY of INT32, expected a text"),
    ],
)
def test_a_tokenizer_of_odd_types_is_refused(tmp_path: Path, key: str, value: Any, says: str) -> None:
    gguf_py.write(tmp_path / "f.gguf", [Field.of(f"tokenizer.{key}", value)], {})
    with gguf_py.open(tmp_path / "f.gguf") as file, pytest.raises(KQuantsError, match=rf"tokenizer\.{key} {says}"):
        vocabulary.read(file)


def test_another_folder_name_is_said(tmp_path: Path) -> None:
    """The folder's name says things about the model: when the file does not say them, that is no secret."""
    done("convert", TINY, "--outtype", "f16", "--outfile", tmp_path / "f.gguf")
    out = done("export", tmp_path / "f.gguf", tmp_path / "Other-7B-Chat-v2")
    assert "general.finetune: the file has nothing, converted it is" in out
    assert out.splitlines()[-1] == "not exact: converting gives the differences above"


def test_a_quantized_file_is_rounded_to_f16(tmp_path: Path) -> None:
    done("convert", TINY, "--outtype", "q4_k_m", "--outfile", tmp_path / "q4.gguf")
    assert "rounded to F16" in done("export", tmp_path / "q4.gguf", tmp_path / "tiny-speeches-5m")
    done("convert", tmp_path / "tiny-speeches-5m", "--outtype", "f16", "--outfile", tmp_path / "f16.gguf")
    with gguf_py.open(tmp_path / "q4.gguf") as q4, gguf_py.open(tmp_path / "f16.gguf") as f16:
        assert set(q4.tensors) == set(f16.tensors)
        for name, tensor in q4.tensors.items():
            half = tensor.to_numpy().astype(np.float16 if len(tensor.shape) > 1 else np.float32)
            np.testing.assert_array_equal(half.astype(np.float32), f16.tensors[name].to_numpy())


def small(path: Path, **fields: Any) -> Path:
    """A file that cannot be taken back."""
    made = [Field.of(key.replace("__", "."), value) for key, value in fields.items()]
    gguf_py.write(path, made, {"t": ("F32", (4,), np.ones(4, np.float32))})
    return path


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"general__architecture": "fancy"}, "'fancy'"),
        ({"general__architecture": "llama"}, "no tokenizer.ggml.model"),
        ({"general__architecture": "llama", "split__count": np.uint16(2)}, "is a shard"),
        ({"general__architecture": "llama", "tokenizer__ggml__model": "fancy"}, "'fancy' vocabulary"),
    ],
)
def test_what_cannot_be_taken_back(tmp_path: Path, fields: dict[str, Any], words: str) -> None:
    path = small(tmp_path / "f.gguf", **fields)
    with pytest.raises(KQuantsError, match=words):
        exported(path, tmp_path / "back")
    assert [p.name for p in tmp_path.iterdir()] == ["f.gguf"]


def test_a_folder_with_files_is_left_alone(tmp_path: Path) -> None:
    done("convert", TINY, "--outtype", "f16", "--outfile", tmp_path / "f.gguf")
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / "mine").write_text("mine")
    result = kquants("export", tmp_path / "f.gguf", tmp_path / "back")
    assert result.returncode == 1 and result.stderr.count("\n") == 1 and "not an empty folder" in result.stderr
    assert [p.name for p in (tmp_path / "back").iterdir()] == ["mine"]


def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object, **__: object) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "a name of ours")

    path = small(tmp_path / "f.gguf")
    monkeypatch.setattr("tempfile.mkdtemp", refuses)
    with pytest.raises(KQuantsError, match=f"cannot write {tmp_path}/back: permission denied"):
        exported(path, tmp_path / "back")


def test_the_configuration_reads_like_one(tmp_path: Path) -> None:
    done("convert", TINY, "--outtype", "f16", "--outfile", tmp_path / "f.gguf")
    done("export", tmp_path / "f.gguf", tmp_path / "back")
    config = json.loads((tmp_path / "back" / "config.json").read_text())
    original = json.loads((TINY / "config.json").read_text())
    shared = set(config) & set(original) - {"torch_dtype"}
    assert {k: config[k] for k in shared} == {k: original[k] for k in shared}
    assert {"hidden_size", "num_hidden_layers", "num_attention_heads", "rms_norm_eps", "vocab_size"} <= shared


def test_each_operation_has_a_way_back() -> None:
    """But one that ``names`` takes back, and one whose page has another way beside it."""
    assert OPERATIONS.keys() - {*ROWS, *COLUMNS, *INVERSES} == {"filled", "centered"}


@pytest.mark.parametrize("shape", [(300, 160), (128, 128), (1, 32)])
def test_eight_bits_that_became_q8_0_come_back(shape: tuple[int, int]) -> None:
    """Numbers of FP8, the smallest too, under powers of two: what comes back makes the same blocks."""
    rng = np.random.default_rng(5)
    numbers = rng.integers(0, 127, shape, np.uint8) | rng.integers(0, 2, shape, np.uint8) << 7
    numbers[0, :32] = 0
    powers = np.exp2(rng.integers(-12, 4, [-(-n // 128) for n in shape])).astype(np.float32)
    blocks = q8_0(decoded(numbers, powers))
    found = eight_bits(Source(tensor_type("Q8_0"), shape, lambda lo, hi: blocks[lo:hi]))
    assert found is not None
    scales = np.concatenate([found.origin.rows(i, i + 1) for i in range(found.origin.count)])
    again = np.concatenate([found.rows(lo, min(lo + 77, shape[0])) for lo in range(0, shape[0], 77)])
    np.testing.assert_array_equal(q8_0(decoded(again, scales.view(ml_dtypes.float8_e8m0fnu))), blocks)


def decoded(numbers: Any, powers: Any) -> Any:
    """FP8 with a scale for each 128 x 128."""
    spread = np.kron(powers.astype(np.float32), np.ones((128, 128), np.float32))
    rows, columns = numbers.shape
    return numbers.view(ml_dtypes.float8_e4m3fn).astype(np.float32) * spread[:rows, :columns]


def test_weights_that_never_were_eight_bits() -> None:
    blocks = q8_0(np.random.default_rng(6).standard_normal((4, 128), np.float32))
    assert eight_bits(Source(tensor_type("Q8_0"), (4, 128), lambda lo, hi: blocks[lo:hi])) is None
    blocks = q8_0(np.zeros((200, 32), np.float32))
    blocks[150, :2] = 0xFF  # no number
    assert eight_bits(Source(tensor_type("Q8_0"), (200, 32), lambda lo, hi: blocks[lo:hi])) is None


def q8_0(weights: Any) -> Any:
    """Q8_0."""
    return quantize(np.ascontiguousarray(weights, np.float32), "Q8_0")
