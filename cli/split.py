"""``kquants split``: a GGUF file becomes a set of shards."""

from __future__ import annotations

from pathlib import Path

import click

from . import arguments

EPILOG = """\b
Examples:
  kquants split model.gguf model --split-max-size 4G
  kquants split model.gguf out/model --split-max-tensors 128 --no-tensor-first-split
  kquants split model.gguf model --split-max-size 500M --dry-run
"""


@click.command(epilog=EPILOG)
@click.argument("file", type=arguments.FILE)
@click.argument("prefix", type=arguments.FILE)
@click.option(
    "--split-max-tensors", type=click.IntRange(1), metavar="N", help="Most tensors a shard has.  [default: 128]"
)
@click.option(
    "--split-max-size", metavar="SIZE", callback=arguments.size, help="Most bytes of weights a shard has: 500M, 4G."
)
@click.option("--no-tensor-first-split", is_flag=True, help="Keep the first shard for metadata alone.")
@arguments.dry_run
def command(
    file: Path,
    prefix: Path,
    split_max_tensors: int | None,
    split_max_size: int | None,
    no_tensor_first_split: bool,
    dry_run: bool,
) -> None:
    """Split FILE into shards PREFIX-00001-of-0000N.gguf, the files that llama-gguf-split writes.

    FILE may be a shard itself: the set it belongs to is dealt out anew. Either all shards get their names or none does.
    """
    from gguf_py import open_shards, shards

    from .show import counted, one_line, size

    if split_max_tensors and split_max_size:
        raise click.UsageError("--split-max-tensors and --split-max-size exclude each other")
    with open_shards(file) as model:
        layouts = shards.plan_split(
            model,
            max_tensors=None if split_max_size else split_max_tensors or 128,
            max_size=split_max_size,
            empty_first=no_tensor_first_split,
        )
        if not dry_run:
            shards.split(model, prefix, layouts)
        for index, layout in enumerate(layouts):
            path = shards.shard_path(prefix, index, len(layouts))
            click.echo(f"{one_line(str(path))}  {counted(len(layout.infos), 'tensor')}, {size(layout.size)}")
        written = "would be written" if dry_run else "written"
        tensors = counted(len(model.tensors), "tensor")
        click.echo(f"{written}: {counted(len(layouts), 'shard')}, {tensors}, {size(sum(p.size for p in layouts))}")
