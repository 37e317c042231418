"""The ``kquants`` command: finds a command's module only when it is called, so that ``--help`` starts fast."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

import click

from gguf_py.errors import KQuantsError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {
    "convert": "Convert a Hugging Face checkpoint to a GGUF file.",
    "quantize": "Quantize a GGUF file: F16 to Q4_K_M and every other file type.",
    "inspect": "Show what is in a GGUF file.",
    "edit": "Change the metadata of a GGUF file.",
    "split": "Split a GGUF file into shards.",
    "merge": "Merge shards into one GGUF file.",
    "dequantize": "Write the weights of a quantized file as F32, F16 or BF16.",
    "export": "Write a GGUF file as a Hugging Face checkpoint.",
    "verify": "Check that a file is whole and sane, and was made from that source.",
    "diff": "Say what is different between two GGUF files.",
    "report": "Write one HTML page about a file: layers, weights, errors, vocabulary.",
    "imatrix": "Measure on a text which columns matter, for quantize --imatrix.",
    "perplexity": "Measure how well a file predicts a text.",
    "completion": "Print a script that completes commands and files in a shell.",
}
"""Each command, in the order of ``--help``, and its line there. Its module in this folder has the same name."""

EPILOG = """\b
Examples:
  kquants convert Llama-3.2-1B --outtype f16 --outfile llama.gguf
  kquants quantize llama.gguf llama-q4_k_m.gguf Q4_K_M
  kquants verify llama-q4_k_m.gguf --source llama.gguf
  kquants inspect llama-q4_k_m.gguf

The exit status is 0 for success, 1 for a failure that one line on stderr explains, and 2 for wrong usage. Colours are
for terminals, and with NO_COLOR set there are none. Compiled kernels are kept in ~/.cache/kquants.
"""

LLAMA_CPP = "v0.5.0"
"""The version of llama.cpp whose bytes are the specification."""


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            import difflib

            near = difflib.get_close_matches(cmd_name, COMMANDS, 1)
            ctx.fail(f"There is no command {cmd_name!r}." + (f" Did you mean {near[0]}?" if near else ""))
        if cmd_name in ("imatrix", "perplexity"):  # multiply matrices: threads are to sleep, not spin, between two
            os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "10")  # 2 to that many cycles
        else:  # NumPy need not start threads
            os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        command: click.Command = importlib.import_module(f".{cmd_name}", __package__).command
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer the commands with their lines, importing none of them."""
        from click.shell_completion import CompletionItem

        own = [CompletionItem(name, help=line) for name, line in COMMANDS.items() if name.startswith(incomplete)]
        return own + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _version(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    """Print the versions that bytes and speed depend on."""
    if not wanted or context.resilient_parsing:
        return
    import platform
    from importlib.metadata import version

    peers = ", ".join(f"{name} {version(name)}" for name in ("numpy", "numba", "llvmlite"))
    python = f"{platform.python_implementation()} {platform.python_version()}"
    click.echo(f"kquants {version('kquants')}")
    click.echo(f"{peers}, {python} on {platform.system()} {platform.machine()}")
    click.echo(f"same bytes as llama.cpp {LLAMA_CPP}")
    context.exit()


@click.group(
    cls=_Lazy, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120}
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the versions."
)
def kquants() -> None:
    """GGUF files and K-quants: the bytes llama.cpp writes, several times faster."""


_MOST = 600
"""Characters of a message that are shown."""


def complain(message: object) -> None:
    """Print a line on stderr: a sentence, or what an error of the system says."""
    from .show import one_line

    if isinstance(message, OSError):
        why = (message.strerror or str(message)).lower()
        message = why if message.filename is None else f"{os.fspath(message.filename)}: {why}"
    text = str(message)
    if len(text) > _MOST:  # a value of a file, that may be as long as the file
        text = f"{text[: _MOST // 2]} … {text[-_MOST // 2 :]}"
    click.echo(f"kquants: {one_line(text)}", err=True)


def _tell(message: Warning | str, *_: object, **__: object) -> None:
    complain(f"warning: {message}")


def main() -> None:
    """Run the command line; a fault the user caused becomes one line on stderr and exit status 1."""
    warnings.showwarning = _tell
    try:
        kquants.main(standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as wrong:
        wrong.show()
        sys.exit(wrong.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("kquants: interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (KQuantsError, OSError, UserWarning) as fault:  # a warning, where Python is told that they are faults
        complain(fault)
        sys.exit(1)
    except MemoryError:
        click.echo("kquants: there is not enough memory", err=True)
        sys.exit(1)
    except RuntimeError as fault:
        if "can't start new thread" not in str(fault):  # which is how Python says that a limit is reached
            raise
        click.echo("kquants: the system lets no more threads start", err=True)
        sys.exit(1)


def program() -> NoReturn:
    """The ``kquants`` script: ``main``, after which the process ends at once, without taking itself apart.

    That would cost as much as reading a header, or more where kernels were loaded, and nothing is left to do: files
    are closed and threads joined by those who began them.
    """
    status: object = 0
    try:
        main()
    except SystemExit as stop:
        status = stop.code
    with suppress(OSError):  # a pipe that nobody reads any more
        sys.stdout.flush()
    os._exit(status if isinstance(status, int) else status is not None)
