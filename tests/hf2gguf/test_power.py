"""Powers against PyTorch's to the bit, by digest, and rope factors made of them against upstream's."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from hf2gguf.power import power
from hf2gguf.rope import llama3_factors

PYTORCH = {
    10000.0: "c2c7ca65b151119f2fff0cd4f39bbd8a2da2ddb47e529cedc6c3c2f9a78a790b",
    12345.678: "bf04709602bacb3a03d671ff0e824f093dea231bb8359a32d5a23f8aea7a91da",
    500000.0: "6bc60cc52e196a2cc7b81636fbff2b88c58017368640a27f551037f0ebbc9690",
    1e6: "c8c33458cbda0179be56cc0b9407394a653817c39a44d0e4ae4bff3848445691",
    1.2e7: "2257f95ced39d976b6615d411d33d54842a0177604b7922ddc050ca5adbd13f6",
}
"""SHA-256 of ``(base ** (torch.arange(0, 8192, dtype=torch.float32) / 8191)).numpy().tobytes()``, torch 2.13.0."""


@pytest.mark.parametrize("base", PYTORCH)
def test_as_pytorch(base: float) -> None:
    exponents = np.arange(8192, dtype=np.float32) / np.float32(8191)
    found = power(base, exponents)
    assert found.dtype == np.float32 and hashlib.sha256(found.tobytes()).hexdigest() == PYTORCH[base]
    nearest = (np.float64(np.float32(base)) ** exponents.astype(np.float64)).astype(np.float32)
    assert 0 < (found != nearest).mean() < 0.1  # or the exact power would have done


def test_a_rest_is_taken_by_the_c_library() -> None:
    found = power(500000.0, np.arange(40, dtype=np.float32) / np.float32(40))
    digest = "cd9cbfc7dd6ebf1094c5abe9b4b51411a4261670153238bc17867d06be028b72"
    assert hashlib.sha256(found.tobytes()).hexdigest() == digest


def test_factors_of_a_rope_that_the_exact_power_gets_wrong() -> None:
    """EXAONE 4's: of its 64 frequencies one is a step beside the nearest number."""
    rope = {"rope_type": "llama3", "rope_theta": 1e6, "factor": 16.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    factors = llama3_factors(rope, 128)
    assert factors is not None
    digest = hashlib.sha256(np.asarray(factors, np.float32).tobytes()).hexdigest()
    assert digest == "2ba452da5415542bd9cb6906d90ebed604b02b4b12fcc1f9c8d3cd357fac3686"
