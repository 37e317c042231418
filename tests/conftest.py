"""The references as fixtures; a test that asks for one that is missing is skipped with the reason."""

from __future__ import annotations

import pytest

from .reference import PREBUILT, Ggml, Llama, ggml_library, prebuilt


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
