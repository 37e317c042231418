"""Perplexity as llama.cpp measures it: windows of ``ctx`` tokens, the second half of each scored."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .model import Model
from .windows import BATCH, cut


@dataclass(frozen=True)
class Perplexity:
    """A measurement so far: ``value`` ± ``error`` (one standard error) over ``tokens`` scored tokens."""

    value: float
    error: float
    tokens: int
    windows: int


def perplexity(model: Model, ids: Sequence[int], *, ctx: int = 512, bos: int | None = None) -> Iterator[Perplexity]:
    """Measure ``model`` on the token ids of a text; yields the running result after each batch of windows.

    Of every window, cut and refused as ``windows.cut`` says, tokens from the middle on are scored. Source:
    ``llama-perplexity``.
    """
    windows, inputs = cut(model, ids, ctx, bos)
    losses: list[float] = []
    for start in range(0, len(windows), BATCH):
        hidden = model.hidden(inputs[start : start + BATCH])[:, ctx // 2 : -1]
        for states, targets in zip(hidden, windows[start : start + BATCH, ctx // 2 + 1 :], strict=True):
            logits = model.logits(states).astype(np.float64)
            top = logits.max(-1)
            total = np.log(np.exp(logits - top[:, None]).sum(-1)) + top
            losses.extend(total - logits[np.arange(len(targets)), targets])
        mean, spread = float(np.mean(losses)), float(np.std(losses))
        value = math.exp(mean)
        yield Perplexity(value, value * spread / math.sqrt(len(losses) - 1), len(losses), start + len(hidden))
