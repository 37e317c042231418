"""``kquants export``: a Hugging Face checkpoint back from a GGUF file."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click

from . import arguments

EPILOG = """\b
Examples:
  kquants export model-f16.gguf my-model
  kquants export model-q4_k_m.gguf my-model     the weights rounded to F16
  kquants export vocabulary.gguf my-tokenizer   for convert --vocab-only, or for transformers' AutoTokenizer
"""
MOST = 10
"""Keys that are listed; the rest is counted."""


@click.command(epilog=EPILOG)
@click.argument("file", type=arguments.FILE)
@click.argument("folder", metavar="DIR", type=arguments.FILE)
@arguments.quiet
def command(file: Path, folder: Path, quiet: bool) -> None:
    """Write FILE as a Hugging Face checkpoint into DIR: safetensors, configuration, model card, tokenizer.

    The checkpoint is converted again and compared: the last line says whether that gives FILE back, byte for byte.

    Quantized weights are decoded and rounded to F16: what quantizing lost stays lost. (MXFP4 stays as it is, if the
    model is published so, as GPT-OSS is.) Of a vocabulary alone, the tokenizer and the configuration are written.

    Call DIR as the model is called: converting reads a version or a size in the folder's name, as in My-Model-7B-v2.
    """
    import gguf_py
    from hf2gguf.export import export

    from .progress import moving
    from .show import counted, one_line, value, visible

    with ExitStack() as opened:
        model = opened.enter_context(gguf_py.open(file))
        total = sum(t.nbytes for t in model.tensors.values())
        found = export(model, folder, opened.enter_context(moving(total, "writing", quiet)))
    if quiet:
        return
    click.echo(f"{one_line(str(folder))}: {found.model_class}, {counted(found.tensors, 'tensor')}")
    for header in found.header:
        click.echo(f"{header.what}: the file has {visible(header.before)}, converted it is {visible(header.after)}")
    for key in found.keys[:MOST]:
        before, after = ("nothing" if f is None else value(f.value, 40) for f in (key.before, key.after))
        click.echo(f"metadata key {visible(key.key)}: the file has {before}, converted it is {after}")
    if len(found.keys) > MOST:
        click.echo(f"… and {counted(len(found.keys) - MOST, 'more key')}")
    if found.departing:
        click.echo(f"tensor {visible(found.departing)}: converted it has other bytes")
    if found.exact:
        only = "" if found.tensors else " --vocab-only"
        made, given = one_line(str(folder)), one_line(str(file))
        click.echo(f"exact: kquants convert{only} {made} gives {given} back, byte for byte")
    elif found.rounded:
        click.echo("the file is quantized: its weights were rounded to F16")
    else:
        why = ", an older converter wrote the file" if found.older else ""
        click.echo(f"not exact: converting gives the differences above{why}")
