"""``kquants completion``: let the shell complete commands, options and files."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

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
