"""``python -m kquants_cli``, and where the script ``kquants`` begins: it is there before anything is imported."""

import os
import sys


def program() -> None:
    """Import the command and run it; Ctrl-C meanwhile ends with a line, as it does later."""
    try:
        from .main import program as run
    except KeyboardInterrupt:
        sys.stderr.write("kquants: interrupted\n")
        os._exit(130)
    run()


if __name__ == "__main__":
    program()
