"""What a quantizer is measured by: reading the input and writing as many bytes as the output has.

``python -m bench.plain_copy IN OUT BYTES`` does it, synced, in one thread, pieces of a megabyte, the room reserved
first, past the system's memory where that can be done, as kquants writes, and prints the seconds.
"""

from __future__ import annotations

import os
import sys
import time

from gguf_py.atomic import write_all

PIECE = 1 << 20


def main(source: str, target: str, size: int) -> None:
    """Read all of ``source``, write ``size`` bytes of it to ``target``, sync, print the seconds."""
    piece = memoryview(bytearray(2 * PIECE))
    start = time.perf_counter()
    with open(source, "rb", buffering=0) as reads, open(target, "wb", buffering=0) as writes:  # noqa: PTH123
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(writes.fileno(), 0, size)
        total, written = os.fstat(reads.fileno()).st_size, 0
        for done in range(0, total, PIECE):
            reads.readinto(piece[:PIECE])
            due = size * min(total, done + PIECE) // total - written  # as much of the output as of the input
            assert due <= len(piece), "the output must not be twice as large as the input"
            write_all(writes.fileno(), piece[:due], written, through=True)
            written += due
        os.fsync(writes.fileno())
    print(time.perf_counter() - start)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
