"""Folders as Meta publishes its Llamas: slices in PyTorch's files, ``params.json`` and ``tokenizer.model``, no more."""

from __future__ import annotations

import json
import shutil
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .checkpoint.test_torch import archive, described, plain
from .models import HIDDEN, LAYERS, SP, TINY, Shapes, layers, linear, norm, values

Arrays = dict[str, NDArray[Any]]

PAIRS = "th|he|in|er| t|the| the|an| a|and| and|on|re|at|en|nd".split("|")
RANKS = [bytes([i]) for i in range(256)] + [pair.encode() for pair in PAIRS]
BPE = len(RANKS) + 256
"""Tokens of a small file in tiktoken's form, and with the special ones that only code names."""


@dataclass(frozen=True)
class Llama:
    """A folder of Meta's, and what the conversion script has to be told of it."""

    params: dict[str, Any]
    version: str
    parts: int = 1
    tied: bool = False
    doubled: bool = False
    """Whether each head of keys and values stands twice, so that every part has one of its own."""

    @property
    def new(self) -> bool:
        """Whether it is Llama 3 or later."""
        return self.version >= "3"

    @property
    def tensors(self) -> Shapes:
        """All tensors, whole."""
        heads = self.params["n_heads"]
        narrow, wide = self.params.get("n_kv_heads", heads) * HIDDEN // heads, self.wide
        ends = (BPE if self.new else SP, HIDDEN)
        one = layers(
            lambda p: (
                norm(f"{p}.attention_norm")
                | norm(f"{p}.ffn_norm")
                | {f"{p}.attention.w{n}.weight": (HIDDEN, HIDDEN) for n in "qo"}
                | {f"{p}.attention.w{n}.weight": (narrow, HIDDEN) for n in "kv"}
                | {f"{p}.feed_forward.w{n}.weight": (wide, HIDDEN) for n in (1, 3)}
                | linear(f"{p}.feed_forward.w2", HIDDEN, wide)
            ),
            self.params["n_layers"],
            "layers",
        )
        return {"tok_embeddings.weight": ends} | norm("norm") | {"output.weight": ends} | one

    @property
    def wide(self) -> int:
        """The feed-forward size: two thirds of four times the width, times a factor, rounded up."""
        least = int(self.params.get("ffn_dim_multiplier", 1) * int(8 * HIDDEN / 3))
        return least + -least % int(self.params["multiple_of"])


def params(**more: Any) -> dict[str, Any]:
    return {"dim": HIDDEN, "multiple_of": 32, "n_heads": 4, "n_layers": LAYERS, "norm_eps": 1e-5} | more


THREE: dict[str, Any] = {"n_kv_heads": 2, "vocab_size": BPE, "ffn_dim_multiplier": 1.3, "rope_theta": 500000.0}
METAS = {
    "llama-1": Llama(params(norm_eps=1e-6, vocab_size=-1), "1"),
    "llama-2": Llama(params(n_kv_heads=2, ffn_dim_multiplier=1.3, vocab_size=-1, n_layers=11), "2", 2),
    "code-llama": Llama(params(vocab_size=-1, rope_theta=1000000.0), "2"),
    "llama-3": Llama(params(**THREE), "3", 2),
    "llama-3.1": Llama(params(**THREE, use_scaled_rope=True), "3.1"),
    "llama-3.1-mp16": Llama(
        params(**THREE | {"n_kv_heads": 16}, n_heads=16, use_scaled_rope=True), "3.1", 16, doubled=True
    ),
    "llama-3.2": Llama(params(**THREE, use_scaled_rope=True), "3.2", tied=True),
}


def whole(model: Llama) -> Arrays:
    """The tensors, BF16, in the file's order."""
    made = {name: values(name, shape, "BF16") for name, shape in model.tensors.items()}
    if model.tied:
        made["output.weight"] = made["tok_embeddings.weight"]
    for name in made if model.doubled else ():
        if name.endswith(("wk.weight", "wv.weight")):
            heads = made[name].reshape(model.params["n_kv_heads"] // 2, 2, -1)
            heads[:, 1] = heads[:, 0]
    return made


def sliced(name: str, array: NDArray[Any], count: int, embedding: int) -> list[NDArray[Any]]:
    """What each of ``count`` files holds of a tensor; ``embedding`` is the axis that cuts the embedding."""
    if array.ndim == 1:
        return [array] * count
    by_columns = name.endswith(("wo.weight", "w2.weight"))
    axis = embedding if name == "tok_embeddings.weight" else int(by_columns)
    return [np.ascontiguousarray(part) for part in np.split(array, count, axis)]


def save(path: Path, arrays: Arrays) -> None:
    """One of PyTorch's files; arrays that are the same one share their place."""
    keys = {id(array): str(key) for key, array in enumerate(arrays.values())}
    entries = described({name: plain(array, keys[id(array)]) for name, array in arrays.items()})
    archive(path, entries, {keys[id(array)]: array for array in arrays.values()})


def parts(folder: Path, arrays: Arrays, count: int, embedding: int) -> None:
    """Write the tensors in ``count`` files."""
    cut = {id(array): sliced(name, array, count, embedding) for name, array in arrays.items()}
    buffer = np.ones(8, np.float32)
    for i in range(count):
        slices = {name: cut[id(array)][i] for name, array in arrays.items()}
        save(folder / f"consolidated.{i:02}.pth", slices | {"rope.freqs": buffer})


def write(model: Llama, folder: Path) -> Path:
    """The folder, which is made."""
    folder.mkdir(parents=True)
    (folder / "params.json").write_text(json.dumps(model.params))
    tokenizer = folder / "tokenizer.model"
    if model.new:
        tokenizer.write_bytes(b"".join(b"%s %d\n" % (b64encode(token), i) for i, token in enumerate(RANKS)))
    else:
        shutil.copyfile(TINY / "tokenizer.model", tokenizer)
    parts(folder, whole(model), model.parts, 0 if model.new else 1)
    return folder
