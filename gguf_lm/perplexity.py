"""Perplexity as llama.cpp measures it: windows of ``ctx`` tokens, the second half of each scored."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gguf_py.errors import KQuantsError

from .model import Model

BATCH = 8
"""Windows that go through a layer together, so that its weights are decoded once for all of them."""


@dataclass(frozen=True)
class Perplexity:
    """A measurement so far: ``value`` ± ``error`` (one standard error) over ``tokens`` scored tokens."""

    value: float
    error: float
    tokens: int
    windows: int


def perplexity(model: Model, ids: Sequence[int], *, ctx: int = 512, bos: int | None = None) -> Iterator[Perplexity]:
    """Measure ``model`` on the token ids of a text; yields the running result after each batch of windows.

    Every window starts from nothing, its first token replaced by ``bos`` where there is one; tokens from the middle
    on are scored. Source: ``llama-perplexity``. Raises KQuantsError for a text shorter than two windows or a token
    id outside the vocabulary.
    """
    count = len(ids) // ctx
    if ctx < 4 or count < 2:
        raise KQuantsError(f"the text has {len(ids):,} tokens, fewer than two windows of {ctx:,}")
    windows = np.asarray(ids[: count * ctx], np.int64).reshape(count, ctx)
    if (largest := max(windows.max(), bos or 0)) >= model.vocabulary:
        raise KQuantsError(f"{model.file.path}: token {largest} is outside the vocabulary of {model.vocabulary}")
    inputs = windows.copy()
    if bos is not None:
        inputs[:, 0] = bos
    losses: list[float] = []
    for start in range(0, count, BATCH):
        hidden = model.hidden(inputs[start : start + BATCH])[:, ctx // 2 : -1]
        for states, targets in zip(hidden, windows[start : start + BATCH, ctx // 2 + 1 :], strict=True):
            logits = model.logits(states).astype(np.float64)
            top = logits.max(-1)
            total = np.log(np.exp(logits - top[:, None]).sum(-1)) + top
            losses.extend(total - logits[np.arange(len(targets)), targets])
        mean, spread = float(np.mean(losses)), float(np.std(losses))
        value = math.exp(mean)
        yield Perplexity(value, value * spread / math.sqrt(len(losses) - 1), len(losses), start + len(hidden))
