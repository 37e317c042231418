"""``kquants convert``: a Hugging Face checkpoint becomes a GGUF file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import arguments

if TYPE_CHECKING:
    from hf2gguf.convert import Converted
    from hf2gguf.files import Shape
    from kquants.plan import Plan
    from kquants.quantizer import Options

_EPILOG = """\b
Examples:
  kquants convert Llama-3.2-1B                           into the folder, in the checkpoint's own 16 bits
  kquants convert Llama-3.2-1B --outtype f16 --outfile llama.gguf
  kquants convert Llama-3.2-1B --outtype q4_k_m --outfile llama-{ftype}.gguf
  kquants convert Llama-3.2-1B --outtype iq3_xxs --imatrix imatrix.gguf --outfile llama.gguf
  kquants convert HuggingFaceTB/SmolLM2-135M --dry-run   from the local Hugging Face cache

f32, f16, bf16, q8_0, tq1_0 and tq2_0 are the files of llama.cpp's convert_hf_to_gguf.py, its shards and its big-endian
files too. Any other type is the file that convert to F16 and quantize give; its shards are those that split makes of
it, its big-endian form is the one that llama.cpp's gguf_convert_endian gives it.
"""


def _place(context: click.Context, option: click.Parameter, text: str | None) -> Path | None:
    """Where to write; what ends as a folder does has to be one, or a file would get the folder's name."""
    if text is None:
        return None
    if text.endswith(("/", os.sep)) and not Path(text).is_dir():
        raise click.BadParameter(f"there is no folder {text}")
    return Path(text)


@click.command("convert", epilog=_EPILOG)
@click.argument("checkpoint", required=False)
@click.option("--outfile", callback=_place, help="File or folder to write; {ftype} becomes the type.", metavar="PATH")
@click.option(
    "--outtype",
    default="auto",
    show_default=True,
    metavar="TYPE",
    help="auto (the checkpoint's own 16 bits), f32, f16, bf16, q8_0, tq1_0, tq2_0, or any file type of quantize.",
)
@click.option("--imatrix", type=arguments.FILE_AS_TYPED, help="Importance matrix, for a file type of quantize.")
@arguments.threads
@click.option("--model-name", metavar="NAME", help="Name to put into the file instead of the folder's.")
@click.option("--metadata", type=arguments.FILE, help="JSON of general.* keys to set.")
@click.option(
    "--split-max-size",
    metavar="SIZE",
    callback=arguments.size,
    help="Write shards with at most this many bytes of weights.",
)
@click.option("--split-max-tensors", type=click.IntRange(1), metavar="N", help="Write shards of at most N tensors.")
@click.option("--no-tensor-first-split", is_flag=True, help="Put no tensors into the first shard.")
@click.option("--vocab-only", is_flag=True, help="Write the metadata and the vocabulary, no weights.")
@click.option("--bigendian", is_flag=True, help="Write for big-endian machines.")
@arguments.dry_run
@click.option("--resume", is_flag=True, help="Go on where an interrupted run stopped.")
@click.option("--architecture", type=arguments.FILE, help="Definition of an architecture.")
@click.option(
    "--list-architectures",
    is_flag=True,
    help="List the model classes that can be converted (text models; encoders of images and sound are not).",
)
@arguments.quiet
def command(
    checkpoint: str | None,
    outfile: Path | None,
    outtype: str,
    imatrix: str | None,
    threads: int | None,
    model_name: str | None,
    metadata: Path | None,
    architecture: Path | None,
    list_architectures: bool,
    quiet: bool,
    **shape: Any,
) -> None:
    """Convert CHECKPOINT, a folder with config.json, a tokenizer and weights, to GGUF: llama.cpp's own bytes.

    Where there is no config.json, the params.json of Mistral's own form and that of Meta's own folders are known.

    CHECKPOINT may also be a hub id such as Qwen/Qwen3-0.6B, or Qwen/Qwen3-0.6B@REVISION, which is looked for in the
    local Hugging Face cache, and fetched where huggingface_hub is installed (pip install 'kquants[hub]').
    """
    from hf2gguf import checkpoint as checkpoints
    from hf2gguf import definition, hub
    from hf2gguf.convert import prepare
    from hf2gguf.files import named, plan

    if list_architectures:
        for name, place in definition.classes().items():
            click.echo(f"{name:45} {place.stem}")
        return
    if checkpoint is None:
        raise click.UsageError("Missing argument 'CHECKPOINT'.")
    page = definition.load(architecture) if architecture is not None else None
    folder, hub_id = hub.find(checkpoint, weights=not shape["vocab_only"])
    plain, quantized = _types(outtype)
    wanted, options = _shape(shape, quantized), _options(imatrix, quantized, shape["dry_run"])
    with checkpoints.open(folder) as opened:
        made = prepare(
            opened,
            plain,
            name=hub_id if model_name is None else model_name,
            overrides=metadata,
            vocab_only=shape["vocab_only"],
            definition=page,
        )
        if hub_id is not None and outfile is None:
            outfile = Path(f"{hub_id.replace('/', '-')}-{{ftype}}.gguf")
        path = named(outfile, opened.dir, made, shape["vocab_only"], quantized)
        again = quantized is None and plain in ("auto", "f32", "f16", "bf16")
        files = plan(made, path, wanted, quantized, options)
        _spare(folder, files)
        _write(made, files, shape, threads, quiet, again)


def _options(imatrix: str | None, quantized: str | None, dry_run: bool) -> Options | None:
    if quantized is None:
        if imatrix is not None:
            raise click.UsageError("--imatrix is for a file type of quantize, such as iq3_xxs")
        return None
    from kquants.imatrix import load
    from kquants.quantizer import Options

    return Options(imatrix=load(imatrix) if imatrix is not None else None, imatrix_later=dry_run)


def _spare(folder: Path, plan: Plan) -> None:
    """Raise KQuantsError when the plan would replace a file of the checkpoint that it reads."""
    from gguf_py import KQuantsError

    own = [path for path in folder.iterdir() if path.suffix != ".gguf" and path.exists()]
    for path in (out.path for out in plan.outputs):
        if path.exists() and any(path.samefile(other) for other in own):
            raise KQuantsError(f"{path}: is a file of the checkpoint itself, expected another to write")


def _types(outtype: str) -> tuple[str, str | None]:
    """The converter's output type, and the file type to quantize to from there, if any."""
    from hf2gguf.outtype import OUTTYPES

    if outtype.lower() == "auto" or outtype.lower() in OUTTYPES:
        return outtype.lower(), None
    from kquants.filetypes import COPY, file_type

    if outtype.upper() == COPY:
        raise click.UsageError("a checkpoint is not copied: auto keeps its own 16 bits")
    return "f16", file_type(outtype).name


def _shape(shape: dict[str, Any], quantized: str | None) -> Shape:
    from hf2gguf.files import Shape

    if quantized and shape["split_max_size"] and shape["split_max_tensors"]:
        raise click.UsageError(f"--split-max-size and --split-max-tensors exclude each other for {quantized}")
    return Shape(
        max_size=shape["split_max_size"] or 0,
        max_tensors=shape["split_max_tensors"] or 0,
        empty_first=shape["no_tensor_first_split"],
        big_endian=shape["bigendian"],
        vocab_only=shape["vocab_only"],
    )


def _write(made: Converted, plan: Plan, shape: dict[str, Any], threads: int | None, quiet: bool, again: bool) -> None:
    from kquants.execute import execute

    from .progress import closing, described, reporting

    if shape["dry_run"]:
        for out in plan.outputs:
            click.echo(described(out))
        return
    with reporting(quiet) as progress:
        for note in (f"{made.model_class}: {made.architecture}, {len(made.tensors)} tensors", *plan.notes):
            progress.note(note)
        lines = closing(plan, execute(plan, threads=threads, progress=progress, resume=shape["resume"]))
    if not quiet:
        for line in lines:
            click.echo(line)
        if again and plan.outputs[0].items and not shape["bigendian"]:
            click.echo(f"next: kquants quantize {plan.outputs[0].path} OUT.gguf Q4_K_M")
