"""``kquants report``: a page about a file."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import click

from . import arguments

EPILOG = """\b
Examples:
  kquants report model-q4_k_m.gguf -o report.html
  kquants report model-q4_k_m.gguf --source model-f16.gguf -o report.html
"""


@click.command(epilog=EPILOG)
@click.argument("file", type=arguments.FILE)
@click.option("--source", type=arguments.FILE, help="What FILE was quantized from: shows each tensor's error.")
@click.option("-o", "--output", required=True, type=arguments.FILE, help="The page to write.")
def command(file: Path, source: Path | None, output: Path) -> None:
    """Write one self-contained HTML page about FILE: layers, weights, errors, metadata, vocabulary, chat template.

    With --source, how far each tensor's weights lie from those that it was quantized from. FILE and SOURCE may be any
    shard of a set: then the whole set is meant. The page needs no network.
    """
    import gguf_py
    from gguf_py import KQuantsError
    from gguf_py.atomic import replacing, write_all

    from .progress import moving
    from .report_page import describe, render
    from .show import one_line, size

    start = time.perf_counter()
    with ExitStack() as open_files:
        opened = open_files.enter_context(gguf_py.open_shards(file))
        origin = open_files.enter_context(gguf_py.open_shards(source)) if source else None
        if any(output.exists() and output.samefile(f.path) for f in (*opened.files, *(origin.files if origin else ()))):
            raise KQuantsError(f"{output} is one of the files that are read: write the page to another name")
        total = sum(t.nbytes for t in opened.tensors.values())
        advance = open_files.enter_context(moving(total, "reading weights"))
        page = render(describe(opened, origin, advance))
        read_bytes = opened.size + (origin.size if origin else 0)
    with replacing(output, len(page)) as handle:
        write_all(handle, page, 0)
    seconds = time.perf_counter() - start
    click.echo(f"{one_line(str(output))}: {size(len(page))}, from {size(read_bytes)} in {seconds:.1f} s", err=True)
