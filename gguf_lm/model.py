"""The Llama family's forward pass: token ids in, logits out, one layer's weights decoded at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from gguf_py import GGUFFile, ShardSet
from gguf_py.errors import KQuantsError

Floats = npt.NDArray[np.float32]

ROPE: Mapping[str, Literal["pairs", "halves"]] = {"llama": "pairs", "qwen2": "halves", "qwen3": "halves"}
"""Architectures that this forward pass computes, and which columns of a head rope turns together: neighbours (2i,
2i+1), or one from each half (i, i + n/2). Source: ``llama_model_rope_type`` of llama.cpp."""


@dataclass(frozen=True)
class Shape:
    """The numbers of the metadata that the forward pass needs."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    head: int
    value: int
    """Columns of a head's values; ``head`` is those of its queries and keys."""
    rope: int
    rope_base: float
    rope_scale: float
    eps: float

    @classmethod
    def of(cls, file: GGUFFile | ShardSet) -> Shape:
        """Read from ``file``; raises KQuantsError for what is not computed here, and for numbers that are none."""
        arch = str(file.metadata.get("general.architecture", ""))
        if arch not in ROPE:
            raise KQuantsError(f"{file.path}: cannot run the architecture {arch!r}, only {', '.join(ROPE)}")

        def number(key: str, default: float | None = None) -> float:
            value = file.metadata.get(f"{arch}.{key}", default)
            if value is None:
                raise KQuantsError(f"{file.path}: the key {arch}.{key} is missing")
            if not isinstance(value, (int, float)) or not 0 <= value < 2**32:
                raise KQuantsError(f"{file.path}: the key {arch}.{key} is no one number, which is expected")
            return value

        if number("expert_count", 0):
            raise KQuantsError(f"{file.path}: cannot run a mixture of experts")
        heads, width = int(number("attention.head_count")), int(number("embedding_length"))
        kv_heads = int(number("attention.head_count_kv", heads))
        if not heads or not kv_heads or heads % kv_heads:
            raise KQuantsError(f"{file.path}: {heads} heads cannot share {kv_heads} heads of keys and values")
        head = int(number("attention.key_length", width // heads))
        rope = int(number("rope.dimension_count", head))
        if rope > head or rope % 2 or head > 2**16:
            raise KQuantsError(f"{file.path}: rope cannot turn {rope} columns of a head of {head}")
        kind = str(file.metadata.get(f"{arch}.rope.scaling.type", "none"))
        if kind not in ("none", "linear"):
            raise KQuantsError(f"{file.path}: cannot run rope scaling {kind!r}")
        return cls(
            layers=int(number("block_count")),
            width=width,
            heads=heads,
            kv_heads=kv_heads,
            head=head,
            value=int(number("attention.value_length", head)),
            rope=rope,
            rope_base=float(number("rope.freq_base", 10000.0)),
            rope_scale=float(number("rope.scaling.factor", 1.0)) if kind == "linear" else 1.0,
            eps=float(number("attention.layer_norm_rms_epsilon")),
        )


class Model:
    """The forward pass over one open GGUF file."""

    def __init__(self, file: GGUFFile | ShardSet) -> None:
        """Read the shape and the embedding; raises KQuantsError as ``Shape.of`` does and when there is no embedding."""
        self.file = file
        self.watch: Callable[[str, Floats], None] | None = None
        """Is told the name of each matrix and what it is multiplied with, shape (..., columns of the matrix)."""
        self.shape = Shape.of(file)
        self._order = ROPE[str(file.metadata["general.architecture"])]
        self._embedding = self._weight("token_embd.weight", None, self.shape.width)

    @property
    def vocabulary(self) -> int:
        """How many tokens there are."""
        return len(self._embedding)

    def _weight(self, name: str, *shape: int | None) -> Floats:
        """A tensor as float32; raises KQuantsError unless it is there and of that shape, None being any size."""
        tensor = self.file.tensors.get(name)
        if tensor is None:
            raise KQuantsError(f"{self.file.path}: the tensor {name} is missing")
        found = tensor.shape
        if len(found) != len(shape) or any(want not in (None, have) for want, have in zip(shape, found, strict=True)):
            wanted = " × ".join("any" if want is None else str(want) for want in shape)
            raise KQuantsError(f"{self.file.path}: the tensor {name} has the shape {found}, expected {wanted}")
        return np.asarray(tensor.to_numpy(), np.float32)

    def _linear(self, x: Floats, name: str, rows: int | None = None) -> Floats:
        """``x @ W.T + b`` with the bias where the file has one, ``rows`` columns wide."""
        if self.watch is not None:
            self.watch(f"{name}.weight", x)
        y = x @ self._weight(f"{name}.weight", rows, x.shape[-1]).T
        return y + self._weight(f"{name}.bias", y.shape[-1]) if f"{name}.bias" in self.file.tensors else y

    def _norm(self, x: Floats, name: str) -> Floats:
        size = np.sqrt(np.mean(x * x, axis=-1, keepdims=True, dtype=np.float32) + np.float32(self.shape.eps))
        return np.asarray(x / size * self._weight(f"{name}.weight", x.shape[-1]), np.float32)

    def _turns(self, positions: int) -> tuple[Floats, Floats]:
        """Cosine and sine of each position's rope angles: two arrays of shape (positions, 1, rope/2)."""
        s = self.shape
        rates = s.rope_base ** -(np.arange(0, s.rope, 2) / s.rope) / s.rope_scale
        if "rope_freqs.weight" in self.file.tensors:
            rates = rates / self._weight("rope_freqs.weight", len(rates))
        angles = np.outer(np.arange(positions), rates)[:, None, :]
        return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)

    def _rotate(self, x: Floats, cos: Floats, sin: Floats) -> Floats:
        n = self.shape.rope
        one, two = (slice(0, n, 2), slice(1, n, 2)) if self._order == "pairs" else (slice(0, n // 2), slice(n // 2, n))
        out = x.copy()
        out[..., one] = x[..., one] * cos - x[..., two] * sin
        out[..., two] = x[..., one] * sin + x[..., two] * cos
        return out

    def _attend(self, x: Floats, layer: str, cos: Floats, sin: Floats) -> Floats:
        """Causal attention of x, shape (sequences, positions, width)."""
        s, (batch, length, _) = self.shape, x.shape
        q = self._linear(x, f"{layer}.attn_q", s.heads * s.head).reshape(batch, length, s.heads, s.head)
        k = self._linear(x, f"{layer}.attn_k", s.kv_heads * s.head).reshape(batch, length, s.kv_heads, s.head)
        v = self._linear(x, f"{layer}.attn_v", s.kv_heads * s.value).reshape(batch, length, s.kv_heads, s.value)
        if f"{layer}.attn_q_norm.weight" in self.file.tensors:
            q, k = self._norm(q, f"{layer}.attn_q_norm"), self._norm(k, f"{layer}.attn_k_norm")
        q, k = self._rotate(q, cos, sin), self._rotate(k, cos, sin)
        grouped = q.reshape(batch, length, s.kv_heads, -1, s.head).transpose(0, 2, 3, 1, 4)
        scores = grouped @ k.transpose(0, 2, 3, 1)[:, :, None] / np.float32(np.sqrt(s.head))
        scores += np.triu(np.full((length, length), -np.inf, np.float32), 1)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        mixed = scores @ v.transpose(0, 2, 1, 3)[:, :, None]
        mixed = mixed.transpose(0, 3, 1, 2, 4).reshape(batch, length, -1)
        return self._linear(mixed, f"{layer}.attn_output", s.width)

    def _feed_forward(self, x: Floats, layer: str) -> Floats:
        gate = self._linear(x, f"{layer}.ffn_gate")
        up = self._linear(x, f"{layer}.ffn_up", gate.shape[-1])
        return self._linear(gate / (1 + np.exp(-gate)) * up, f"{layer}.ffn_down", self.shape.width)

    def hidden(self, tokens: npt.NDArray[np.int64]) -> Floats:
        """The last layer's normalized state: tokens (sequences, positions) to (sequences, positions, width).

        Raises KQuantsError when a tensor that the architecture needs is missing or has another shape.
        """
        x = self._embedding[tokens]
        cos, sin = self._turns(tokens.shape[1])
        with np.errstate(over="ignore"):  # exp(-gate) of a very negative gate is infinite, and its quotient 0
            for i in range(self.shape.layers):
                x = x + self._attend(self._norm(x, f"blk.{i}.attn_norm"), f"blk.{i}", cos, sin)
                x = x + self._feed_forward(self._norm(x, f"blk.{i}.ffn_norm"), f"blk.{i}")
        return self._norm(x, "output_norm")

    def logits(self, hidden: Floats) -> Floats:
        """Scores of every token after ``hidden`` (..., width): shape (..., vocabulary)."""
        if "output.weight" in self.file.tensors:
            return self._linear(hidden, "output", self.vocabulary)
        return hidden @ self._embedding.T
