"""``kquants imatrix``: which columns of a model's matrices a text makes use of."""

from __future__ import annotations

from pathlib import Path

import click

from . import arguments

EPILOG = """\b
Examples:
  kquants imatrix model-f16.gguf imatrix.gguf --file calibration.txt
  kquants quantize model-f16.gguf model-iq3_xxs.gguf IQ3_XXS --imatrix imatrix.gguf
  kquants imatrix model-q8_0.gguf imatrix.gguf --file calibration.txt --chunks 100
"""


@click.command(epilog=EPILOG)
@click.argument("file", type=arguments.FILE)
@click.argument("out", metavar="OUT.gguf", type=arguments.FILE)
@click.option("--file", "text", required=True, type=arguments.FILE, help="The text, UTF-8.")
@click.option("--ctx", default=512, show_default=True, type=click.IntRange(4), metavar="N", help="Tokens in a window.")
@click.option("--chunks", type=click.IntRange(1), metavar="N", help="Windows to look at; all by default.")
@arguments.quiet
def command(file: Path, out: Path, text: Path, ctx: int, chunks: int | None, quiet: bool) -> None:
    """Write the importance matrix of FILE on a text, as llama-imatrix does, for quantize and convert --imatrix.

    FILE may be any shard of a set: then the whole set is meant. It is a model of the Llama family or Qwen 2 or 3.
    The text should be like what the model is to be used for, and some 50,000 tokens long.
    """
    import gguf_py
    from gguf_lm import Model, importance, load_tokenizer
    from gguf_py import KQuantsError
    from kquants import imatrix

    from .progress import measuring

    with gguf_py.open_shards(file) as gguf:
        if any(out.exists() and out.samefile(one.path) for one in gguf.files):
            raise KQuantsError(f"{out} is the input: write to another name")
        gguf_py.atomic.check_target(out)
        words = arguments.read_text(text)
        model, codec = Model(gguf), load_tokenizer(gguf)
        ids = ([] if codec.bos is None else [codec.bos]) + codec.encode(words)
        with measuring("importance", min(len(ids) // ctx, chunks or len(ids))) as told:
            for now in importance(model, ids, ctx=ctx, bos=codec.bos, most=chunks):
                told(now.windows, "")
    imatrix.save(out, now.sums, now.rows, [str(text)], now.windows, ctx)
    if not quiet:
        click.echo(
            f"{out}: the columns of {len(now.sums)} tensors, by {now.rows:,} tokens in {now.windows} windows of {ctx}"
        )
        click.echo(f"next: kquants quantize {file} OUT.gguf TYPE --imatrix {out}")
