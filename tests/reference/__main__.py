"""``python -m tests.reference fetch``: bring the prebuilt llama.cpp; ``where``: say what the tests will use."""

from __future__ import annotations

import subprocess
import sys

from .locate import fetch, ggml_library, prebuilt


def main(arguments: list[str]) -> int:
    """Exit status 0 when done, 1 when fetching failed (offline, no npm), 2 for wrong usage."""
    if arguments == ["where"]:
        print(f"llama.cpp: {prebuilt() or 'not fetched'}\nggml: {ggml_library() or 'not installed'}")
        return 0
    if arguments != ["fetch"]:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        print(fetch())
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        print(f"the prebuilt llama.cpp could not be fetched: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
