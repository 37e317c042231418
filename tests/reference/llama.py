"""llama.cpp itself, each call in a process of its own."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gguf_py.types import tensor_type

FILE_TYPES: dict[str, int] = {
    name: int(number)
    for name, number in (
        pair.split("=")
        for pair in """F32=0 F16=1 Q4_0=2 Q4_1=3 Q8_0=7 Q5_0=8 Q5_1=9 Q2_K=10 Q3_K_S=11 Q3_K_M=12 Q3_K_L=13 Q4_K_S=14
        Q4_K_M=15 Q5_K_S=16 Q5_K_M=17 Q6_K=18 IQ2_XXS=19 IQ2_XS=20 Q2_K_S=21 IQ3_XS=22 IQ3_XXS=23 IQ1_S=24 IQ4_NL=25
        IQ3_S=26 IQ3_M=27 IQ2_S=28 IQ2_M=29 IQ4_XS=30 IQ1_M=31 BF16=32 TQ1_0=36 TQ2_0=37 MXFP4_MOE=38 NVFP4=39 Q1_0=40
        Q2_0=41""".split()
    )
}
"""File types by name, as ``llama_ftype`` numbers them; the tests' own table, so that ours can be wrong."""

_ROOT = Path(__file__).resolve().parents[2]


class ReferenceFailed(Exception):
    """llama.cpp refused or aborted; the message ends with what it wrote on stderr."""


@dataclass(frozen=True)
class Continuation:
    """What the model says next, greedily: tokens, their text, and float32[count, vocabulary] logits behind each."""

    tokens: list[int]
    text: str
    logits: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Llama:
    """The prebuilt llama.cpp in ``folder``."""

    folder: Path

    def quantize(
        self,
        source: Path | str,
        target: Path | str,
        ftype: str | int,
        *,
        threads: int = 1,
        imatrix: Mapping[str, npt.NDArray[np.float32]] | None = None,
        kv_overrides: Mapping[str, int | float | bool | str] | None = None,
        tensor_types: Sequence[tuple[str, str]] | None = None,
        prune_layers: Sequence[int] | None = None,
        output_tensor_type: str | None = None,
        token_embedding_type: str | None = None,
        **flags: bool | int,
    ) -> str:
        """Run ``llama_model_quantize`` and return its log; raises ReferenceFailed.

        ``flags`` are the structure's own: allow_requantize, quantize_output_tensor, only_copy, pure, keep_split,
        dry_run, max_buf_size. ``imatrix``: tensor name to flat float32, as the quantizer holds it after dividing by
        counts. ``tensor_types``: regular expressions over tensor names, in order, and type names.
        """
        params: dict[str, Any] = {
            "nthread": threads,
            "ftype": FILE_TYPES[ftype.upper()] if isinstance(ftype, str) else ftype,
            **flags,
        }
        if output_tensor_type:
            params["output_tensor_type"] = tensor_type(output_tensor_type).id
        if token_embedding_type:
            params["token_embedding_type"] = tensor_type(token_embedding_type).id
        request: dict[str, Any] = {"source": str(source), "target": str(target), "params": params}
        arrays = {}
        if imatrix is not None:
            request["imatrix"] = {name: f"a{i}" for i, name in enumerate(imatrix)}
            arrays = {f"a{i}": np.asarray(a, np.float32) for i, a in enumerate(imatrix.values())}
        if kv_overrides is not None:
            request["kv_overrides"] = dict(kv_overrides)
        if tensor_types is not None:
            request["tensor_types"] = [(pattern, tensor_type(name).id) for pattern, name in tensor_types]
        if prune_layers is not None:
            request["prune_layers"] = list(prune_layers)
        answer, _, log = self._call("quantize", request, arrays)
        if answer["status"] != 0:
            raise ReferenceFailed(f"llama_model_quantize answered {answer['status']}\n{log}")
        return log

    def tokenize(
        self, model: Path | str, texts: Sequence[str], *, add_special: bool = True, parse_special: bool = True
    ) -> list[list[int]]:
        """The tokens of each text by the vocabulary in a GGUF file (weights are not loaded)."""
        request = {
            "model": str(model),
            "texts": list(texts),
            "add_special": add_special,
            "parse_special": parse_special,
        }
        return list(self._call("tokenize", request)[0]["tokens"])

    def generate(self, model: Path | str, prompt: str, count: int = 16, *, threads: int = 1) -> Continuation:
        """Continue a prompt greedily by ``count`` tokens."""
        request = {"model": str(model), "prompt": prompt, "count": count, "threads": threads}
        answer, arrays, _ = self._call("generate", request)
        return Continuation(answer["tokens"], answer["text"], arrays["logits"])

    def logits(self, model: Path | str, tokens: Sequence[int], *, threads: int = 1) -> npt.NDArray[np.float32]:
        """float32[len(tokens), vocabulary]: the logits after each token of one sequence.

        A model with an encoder and a decoder has the same tokens in both.
        """
        request = {"model": str(model), "tokens": [int(t) for t in tokens], "threads": threads}
        return np.asarray(self._call("logits", request)[1]["logits"])

    def importance(
        self, model: Path | str, tokens: Sequence[int], *, threads: int = 1
    ) -> dict[str, npt.NDArray[np.float64]]:
        """The squares of what each matrix of a layer is multiplied with over one sequence, summed by column."""
        request = {"model": str(model), "tokens": [int(t) for t in tokens], "threads": threads}
        return dict(self._call("importance", request)[1])

    def embeddings(
        self, model: Path | str, tokens: Sequence[int], *, rank: bool = False, threads: int = 1
    ) -> npt.NDArray[np.float32]:
        """float32[rows, width]: a row for each token of one sequence, or one for it all where the model pools.

        ``rank`` asks for the scores that the model's classification head gives the sequence: float32[1, scores].
        """
        request = {"model": str(model), "tokens": [int(t) for t in tokens], "rank": rank, "threads": threads}
        return np.asarray(self._call("embeddings", request)[1]["embeddings"])

    def _call(
        self, do: str, request: dict[str, Any], arrays: Mapping[str, npt.NDArray[np.float32]] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any], str]:
        with tempfile.TemporaryDirectory() as scratch:
            place = Path(scratch)
            (place / "request.json").write_text(json.dumps({"do": do, **request}))
            if arrays:
                np.savez(place / "request.npz", allow_pickle=False, **arrays)
            status = _asked(self.folder, scratch)
            log = (place / "log").read_text(errors="replace")
            if status != 0:
                raise ReferenceFailed(f"{do} ended with status {status}\n{log[-2000:]}")
            answer = json.loads((place / "answer.json").read_text())
            return answer, dict(np.load(place / "answer.npz")), log


def _asked(folder: Path, scratch: str) -> int:
    """The exit status of the process that answered the request in ``scratch``."""
    parent = _parent(folder)
    assert parent.stdin is not None and parent.stdout is not None and parent.stderr is not None
    try:
        with suppress(BrokenPipeError):  # it has ended, and told why
            print(scratch, file=parent.stdin, flush=True)
        told = parent.stdout.readline()
    except BaseException:  # whose answer nobody is to take for another's
        _parent.cache_clear()
        parent.kill()
        raise
    if not told:
        raise ReferenceFailed(f"the library does not load: {parent.stderr.read()[-2000:]}")
    return int(told)


@cache
def _parent(folder: Path) -> subprocess.Popen[str]:
    """A process that has the library and forks for each request; to begin and load anew would take most of the time."""
    environment = {**os.environ, "GGML_NO_BACKTRACE": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.reference.child", str(folder)]
    pipe = subprocess.PIPE
    parent = subprocess.Popen(command, cwd=_ROOT, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    atexit.register(parent.kill)
    return parent
