"""``kquants merge``: a set of shards becomes one GGUF file."""

from __future__ import annotations

from pathlib import Path

import click

from . import arguments

EPILOG = """\b
Examples:
  kquants merge model-00001-of-00003.gguf model.gguf
  kquants merge model-00001-of-00003.gguf model.gguf --dry-run
"""


@click.command(epilog=EPILOG)
@click.argument("shard", type=arguments.FILE)
@click.argument("output", type=arguments.FILE)
@arguments.dry_run
def command(shard: Path, output: Path, dry_run: bool) -> None:
    """Join the set that SHARD, any one of its files, belongs to: the file that llama-gguf-split --merge writes.

    OUTPUT must not exist. The shards stay.
    """
    from gguf_py import KQuantsError, open_shards, shards

    from .show import counted, one_line, size

    if output.exists():
        raise KQuantsError(f"{output} exists already")
    with open_shards(shard) as model:
        layout = shards.plan_merge(model) if dry_run else shards.merge(model, output)
        for file in model.files:
            click.echo(f"{one_line(str(file.path))}  {counted(len(file.tensors), 'tensor')}, {size(file.size)}")
        told = "would be written" if dry_run else "written"
        click.echo(f"{told}: {one_line(str(output))}, {counted(len(layout.infos), 'tensor')}, {size(layout.size)}")
