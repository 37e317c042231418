"""``kquants perplexity``: how well a file predicts a text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from . import arguments

EPILOG = """\b
Examples:
  kquants perplexity model-q4_k_m.gguf --file text.txt
  kquants perplexity model-f16.gguf --file text.txt --ctx 2048 --json
"""


@click.command(epilog=EPILOG)
@click.argument("file", type=arguments.FILE)
@click.option("--file", "text", required=True, type=arguments.FILE, help="The text, UTF-8.")
@click.option("--ctx", default=512, show_default=True, type=click.IntRange(4), metavar="N", help="Tokens in a window.")
@arguments.as_json
def command(file: Path, text: Path, ctx: int, as_json: bool) -> None:
    """Measure the perplexity of FILE on a text, as llama-perplexity does: lower is better.

    FILE may be any shard of a set: then the whole set is meant. It is a model of the Llama family or Qwen 2 or 3.
    """
    import gguf_py
    from gguf_lm import Model, load_tokenizer, perplexity

    from .progress import measuring

    words = arguments.read_text(text)
    with gguf_py.open_shards(file) as gguf:
        model, codec = Model(gguf), load_tokenizer(gguf)
        ids = ([] if codec.bos is None else [codec.bos]) + codec.encode(words)
        with measuring("perplexity", len(ids) // ctx) as told:
            for now in perplexity(model, ids, ctx=ctx, bos=codec.bos):
                told(now.windows, f"{now.value:.4f}")
    if as_json:
        figures: dict[str, Any] = {
            "perplexity": now.value,
            "error": now.error,
            "tokens": now.tokens,
            "windows": now.windows,
            "ctx": ctx,
        }
        from .show import json_text, plain

        figures = {key: plain(found) for key, found in figures.items()}
        click.echo(json_text({"file": str(file), "text": str(text), **figures}))
    else:
        click.echo(
            f"perplexity {now.value:.4f} ± {now.error:.4f}  ({now.tokens:,} tokens in {now.windows} windows of {ctx})"
        )
