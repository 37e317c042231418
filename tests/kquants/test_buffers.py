"""The memory that threads keep."""

from __future__ import annotations

from threading import Thread

import numpy as np

from kquants.buffers import LINE, Buffers


def test_what_is_kept_begins_at_a_line_and_grows() -> None:
    buffers = Buffers()
    for size in (3, 1000, 7, 1 << 20):
        floats = buffers.get("floats", size, np.float32)
        assert (floats.shape, floats.dtype) == ((size,), np.float32)
        assert floats.ctypes.data % LINE == 0
    assert np.shares_memory(buffers.get("floats", 5, np.float32), floats)
    assert not np.shares_memory(buffers.get("other", 5, np.float32), floats)


def test_every_thread_has_its_own() -> None:
    buffers = Buffers()
    found = [buffers.get("floats", 8, np.float32)]
    thread = Thread(target=lambda: found.append(buffers.get("floats", 8, np.float32)))
    thread.start()
    thread.join()
    assert not np.shares_memory(*found)
