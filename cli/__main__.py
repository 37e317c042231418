"""``python -m kquants_cli``, and where the script ``kquants`` begins: it is there before anything is imported."""

import gc
import os
import sys


def program() -> None:
    """Import the command and run it; Ctrl-C meanwhile ends with a line, as it does later."""
    gc.set_threshold(200_000)  # what imports make stays: looking through it again and again takes as long as they do
    try:
        from .main import program as run
    except KeyboardInterrupt:
        sys.stderr.write("kquants: interrupted\n")
        os._exit(130)
    run()


if __name__ == "__main__":
    program()
