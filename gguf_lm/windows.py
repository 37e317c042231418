"""The windows that llama.cpp's tools cut a text into: each starts from nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gguf_py.errors import KQuantsError

from .model import Model

BATCH = 8
"""Windows that go through a layer together, so that its weights are decoded once for all of them."""

Ids = npt.NDArray[np.int64]


def cut(model: Model, ids: Sequence[int], ctx: int, bos: int | None) -> tuple[Ids, Ids]:
    """The whole windows of ``ctx`` tokens, and the same as the model is to see them: int64[windows, ctx] each.

    The model sees ``bos`` in place of each first token, where there is one. Source: ``llama-perplexity`` and
    ``llama-imatrix``. Raises KQuantsError for a text shorter than two windows or a token id outside the vocabulary.
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
    return windows, inputs
