"""The main job as a user runs it: a checkpoint becomes F16, then every file type, with llama.cpp's bytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .command import FIXTURES, TINY, done, reference_digests, sha256
from .reference import Llama

DIGESTS = reference_digests()
OUTTYPES = sorted(name.removeprefix("tiny-") for name in DIGESTS if "." not in name)
FILE_TYPES = sorted(name.removeprefix("tiny-f16.") for name in DIGESTS if "." in name)
THREADS = ("1", "3")


@pytest.fixture(scope="module")
def f16(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint as F16."""
    path = tmp_path_factory.mktemp("main-job") / "tiny-f16.gguf"
    done("convert", TINY, "--outtype", "f16", "--outfile", path)
    return path


def test_the_reference_page_is_read() -> None:
    assert OUTTYPES == ["bf16", "f16", "f32", "q8_0"]
    assert {"Q4_K_M", "Q4_K_S", "Q6_K", "Q8_0"} <= set(FILE_TYPES)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("outtype", OUTTYPES)
def test_convert_writes_upstreams_bytes(tmp_path: Path, outtype: str, threads: str) -> None:
    path = tmp_path / "out.gguf"
    done("convert", TINY, "--outtype", outtype, "--outfile", path, "--threads", threads)
    assert sha256(path) == DIGESTS[f"tiny-{outtype}"]


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("file_type", FILE_TYPES)
def test_quantize_writes_upstreams_bytes(tmp_path: Path, f16: Path, file_type: str, threads: str) -> None:
    path = tmp_path / "out.gguf"
    done("quantize", f16, path, file_type, "--threads", threads)
    assert sha256(path) == DIGESTS[f"tiny-f16.{file_type}"]


@pytest.mark.parametrize("file_type", ["Q4_K_M", "Q8_0", "q2_k"])
def test_one_pass_is_two_steps(tmp_path: Path, f16: Path, file_type: str) -> None:
    one, two = tmp_path / "one.gguf", tmp_path / "two.gguf"
    if file_type == "Q8_0":  # as an output type of the converter, Q8_0 is encoded from the checkpoint's own weights
        done("convert", TINY, "--outtype", "q8_0", "--outfile", one)
        assert sha256(one) == DIGESTS["tiny-q8_0"]
        return
    done("convert", TINY, "--outtype", file_type.lower(), "--outfile", one)
    done("quantize", f16, two, file_type)
    assert one.read_bytes() == two.read_bytes()


def test_auto_is_the_checkpoints_own_type(tmp_path: Path) -> None:
    done("convert", TINY, "--outfile", tmp_path / "out.gguf")
    assert sha256(tmp_path / "out.gguf") == DIGESTS["tiny-bf16"]


@pytest.mark.upstream
def test_llama_cpp_continues_a_prompt_alike(tmp_path: Path, f16: Path, llama: Llama) -> None:
    ours, theirs = tmp_path / "ours.gguf", tmp_path / "theirs.gguf"
    done("quantize", f16, ours, "Q4_K_M")
    llama.quantize(f16, theirs, "Q4_K_M")
    told = [llama.generate(path, "The state of the Union is", 24) for path in (ours, theirs)]
    assert told[0].tokens == told[1].tokens
    assert len(set(told[0].tokens)) > 4, f"the model should say something: {told[0].text!r}"
    assert (told[0].logits == told[1].logits).all()


def test_the_example_ends_with_its_verdict(tmp_path: Path) -> None:
    example = FIXTURES.parent / "examples" / "main_job.py"
    run = subprocess.run([sys.executable, example, tmp_path], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Same bytes as llama.cpp v0.5.0" in run.stdout
    assert {p.name for p in tmp_path.iterdir()} == {"tiny-speeches-5m-F16.gguf", "tiny-speeches-5m-Q4_K_M.gguf"}
