"""``kquants completion``: let the shell complete commands, options and files."""

from __future__ import annotations

import contextlib

import click
from click.shell_completion import CompletionItem, get_completion_class

EPILOG = """\b
Examples:
  eval "$(kquants completion bash)"                                    # in ~/.bashrc
  eval "$(kquants completion zsh)"                                     # in ~/.zshrc
  kquants completion fish > ~/.config/fish/completions/kquants.fish
"""


@click.command(epilog=EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print a script for SHELL that completes the words of this command."""
    from .main import kquants

    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(kquants, {}, "kquants", "_KQUANTS_COMPLETE").source())


def file_types(context: click.Context, argument: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer the file types of ``quantize`` where two files stand before, and files or what has begun as a type does."""
    from gguf_py.types import FILE_TYPES

    third = bool(context.params.get(argument.name or ""))  # OUT.gguf is among them already
    types = [CompletionItem(name) for name in FILE_TYPES if (begun or third) and name.startswith(begun.upper())]
    return types if third else [CompletionItem(begun, type="file"), *types]


def tensor_types(context: click.Context, option: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer the types of a tensor."""
    from gguf_py.types import TENSOR_TYPES

    return [CompletionItem(name) for name in TENSOR_TYPES if name.startswith(begun.upper())]


def keys(context: click.Context, option: click.Parameter, begun: str) -> list[CompletionItem]:
    """Offer the metadata keys of the file that is named before."""
    from gguf_py import KQuantsError, open

    file = context.params.get("file") or next(iter(context.args), "")  # an option without a value ends the parsing
    with contextlib.suppress(KQuantsError, OSError), open(file) as model:
        return [CompletionItem(key) for key in model.fields if key.startswith(begun)]
    return []
