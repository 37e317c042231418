"""``kquants dequantize``: blocks back to plain numbers."""

from __future__ import annotations

from pathlib import Path

import click

from . import arguments

EPILOG = """\b
Examples:
  kquants dequantize model-q4_k_m.gguf model-f32.gguf
  kquants dequantize model-q8_0.gguf model-bf16.gguf BF16
"""


@click.command(epilog=EPILOG)
@click.argument("model", metavar="IN.gguf", type=arguments.FILE)
@click.argument("target", metavar="OUT.gguf", type=arguments.FILE)
@click.argument("kind", metavar="[F32|F16|BF16]", default="F32", type=click.Choice(["F32", "F16", "BF16"], False))
@arguments.threads
@arguments.quiet
def command(model: Path, target: Path, kind: str, threads: int | None, quiet: bool) -> None:
    """Write the weights of IN.gguf as F32 (every bit of what the blocks say), F16 or BF16 (rounded).

    IN.gguf may be any shard of a set. The bytes are those of llama-quantize --allow-requantize.
    """
    import gguf_py
    from gguf_py import KQuantsError
    from kquants.execute import execute
    from kquants.quantizer import Options, quantize_model

    from .progress import closing, reporting

    with gguf_py.open_shards(model) as opened:
        if any(target.exists() and target.samefile(file.path) for file in opened.files):
            raise KQuantsError(f"{target} is the input: write to another name")
        plan = quantize_model(opened, target, kind, Options(allow_requantize=True))
        with reporting(quiet) as progress:
            summary = execute(plan, threads=threads, progress=progress)
    if not quiet:
        for line in closing(plan, summary):
            click.echo(line)
