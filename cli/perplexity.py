"""``kquants perplexity``: how well a file predicts a text."""

from __future__ import annotations

import json
from pathlib import Path

import click

EPILOG = """\b
Examples:
  kquants perplexity model-q4_k_m.gguf --file text.txt
  kquants perplexity model-f16.gguf --file text.txt --ctx 2048 --json
"""


@click.command(epilog=EPILOG)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--file", "text", required=True, type=click.Path(path_type=Path), help="The text, UTF-8.")
@click.option("--ctx", default=512, show_default=True, type=click.IntRange(4), help="Tokens a window.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def command(file: Path, text: Path, ctx: int, as_json: bool) -> None:
    """Measure the perplexity of FILE on a text, as llama-perplexity does: lower is better."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    import gguf_py
    from gguf_lm import Model, load_tokenizer, perplexity
    from gguf_py.errors import KQuantsError

    with gguf_py.open(file) as gguf:
        model, codec = Model(gguf), load_tokenizer(gguf)
        try:
            words = text.read_text(encoding="utf-8")
        except UnicodeDecodeError as fault:
            raise KQuantsError(f"{text}: not UTF-8 at byte {fault.start}") from None
        ids = ([] if codec.bos is None else [codec.bos]) + codec.encode(words)
        columns = (
            TextColumn("perplexity"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[value]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("", total=len(ids) // ctx, value="")
            for now in perplexity(model, ids, ctx=ctx, bos=codec.bos):
                bar.update(task, completed=now.windows, value=f"{now.value:.4f}")
    if as_json:
        document = {
            "perplexity": now.value,
            "error": now.error,
            "tokens": now.tokens,
            "windows": now.windows,
            "ctx": ctx,
        }
        click.echo(json.dumps({"file": str(file), "text": str(text), **document}))
    else:
        click.echo(
            f"perplexity {now.value:.4f} ± {now.error:.4f}  ({now.tokens:,} tokens in {now.windows} windows of {ctx})"
        )
