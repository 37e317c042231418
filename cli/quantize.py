"""``kquants quantize``: a GGUF file becomes a smaller one, with the bytes and the option names of llama-quantize."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gguf_py.errors import KQuantsError

from . import arguments, completion

if TYPE_CHECKING:
    from gguf_py.shards import ShardSet
    from kquants.plan import Output, Plan
    from kquants.quantizer import Options

EPILOG = """\b
Examples:
  kquants quantize model-f16.gguf model-q4_k_m.gguf Q4_K_M
  kquants quantize model-f16.gguf model-iq3_xxs.gguf IQ3_XXS --imatrix imatrix.gguf
  kquants quantize model-f16.gguf model-{type}.gguf Q4_K_M,Q5_K_M,Q6_K   three files, read once
  kquants quantize model-f16.gguf model.gguf --max-size 4.5GiB           the best type that fits
  kquants quantize --dry-run --explain model-f16.gguf Q4_K_M             what would get which type, and why
  kquants quantize --list                                                all file types
"""


@click.command("quantize", epilog=EPILOG)
@click.argument("model", required=False, metavar="IN.gguf", type=arguments.FILE)
@click.argument("rest", nargs=-1, metavar="[OUT.gguf] TYPE [THREADS]", shell_complete=completion.file_types)
@click.option("--imatrix", type=arguments.FILE_AS_TYPED, help="Importance matrix, GGUF or the older binary form.")
@click.option("--include-weights", multiple=True, metavar="NAME", help="Use it only for tensors with NAME in theirs.")
@click.option("--exclude-weights", multiple=True, metavar="NAME", help="Do not use it for tensors with NAME in theirs.")
@click.option("--pure", is_flag=True, help="Give every tensor the same type.")
@click.option("--leave-output-tensor", is_flag=True, help="Leave output.weight as it is.")
@click.option(
    "--output-tensor-type", metavar="TENSOR_TYPE", shell_complete=completion.tensor_types, help="Type of output.weight."
)
@click.option(
    "--token-embedding-type",
    metavar="TENSOR_TYPE",
    shell_complete=completion.tensor_types,
    help="Type of the token embedding.",
)
@click.option("--tensor-type", multiple=True, metavar="REGEX=TENSOR_TYPE", help="Type of tensors whose name fits.")
@click.option(
    "--tensor-type-file",
    multiple=True,
    type=arguments.FILE,
    help="A file of these, apart by white space.",
)
@click.option("--prune-layers", metavar="N,N,...", help="Leave these layers out and renumber the others.")
@click.option("--override-kv", multiple=True, metavar="KEY=TYPE:VALUE", help="Set metadata; int, float, bool or str.")
@click.option("--allow-requantize", is_flag=True, help="Quantize what is quantized already, losing more.")
@click.option("--keep-split", is_flag=True, help="Write shards as the input has them.")
@click.option(
    "--max-size",
    metavar="SIZE",
    callback=arguments.size,
    help="Choose the best type of at most this size, such as 4.5GiB or 700MB.",
)
@click.option(
    "--bpw",
    type=click.FloatRange(0, min_open=True),
    metavar="BITS",
    help="Choose the best type of at most so many bits per weight.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be written, tensor by tensor, and write nothing.")
@click.option("--explain", is_flag=True, help="Say which rule chose each tensor's type.")
@click.option("--resume", is_flag=True, help="Go on where an interrupted run stopped.")
@arguments.threads
@click.option("--max-buffer-size", type=click.IntRange(1), hidden=True, help="Accepted; memory is bounded anyway.")
@click.option("--list", "list_types", is_flag=True, help="List the file types, best first.")
@arguments.quiet
def command(model: Path | None, rest: tuple[str, ...], list_types: bool, **given: Any) -> None:
    """Quantize IN.gguf to the file type TYPE: the same bytes as llama-quantize, several times faster.

    IN.gguf may be any shard of a set, and of an architecture that llama.cpp does not know. Without OUT.gguf the file
    is ggml-model-TYPE.gguf beside the input.
    """
    if list_types:
        _list_types()
        return
    if model is None:
        raise click.UsageError("Missing argument 'IN.gguf'.")
    if given["include_weights"] and given["exclude_weights"]:
        raise click.UsageError("--include-weights and --exclude-weights cannot be used together.")
    choosing = given["max_size"] is not None or given["bpw"] is not None
    target, types, threads = _arguments(model, rest, choosing)
    import gguf_py

    from .wishes import wished

    with gguf_py.open_shards(model) as opened:
        options = wished(given)
        if choosing:
            plan = _choose(opened, target, options, given)
        else:
            from kquants.quantizer import quantize_models

            plan = quantize_models(opened, [(_filled(target, name, given), name) for name in types], options)
        _refuse_inputs([*(file.path for file in opened.files), *filter(None, [given["imatrix"]])], plan)
        _show(plan, given)
        if not given["dry_run"]:
            _run(plan, given["threads"] or threads, given)


def _list_types() -> None:
    from kquants.filetypes import ALIASES, FILE_TYPES

    names = {full: f"{full}, {alias}" for alias, full in ALIASES.items()}
    for kind in FILE_TYPES.values():
        click.echo(f"{kind.id:3}  {names.get(kind.name, kind.name):16} {kind.default.bpw:6.4g} bits  {kind.about}")
    click.echo("     COPY                         every tensor as it is")


def _arguments(model: Path, rest: Sequence[str], choosing: bool) -> tuple[str, list[str], int | None]:
    """The output (or pattern), the file types by name, and the threads if they are given behind."""
    from kquants.filetypes import ALIASES

    words = list(rest)
    default = str(model.parent / "ggml-model-{type}.gguf")
    if choosing:
        if len(words) > 1:
            raise click.UsageError("--max-size and --bpw choose the type: give IN.gguf and OUT.gguf alone.")
        return (words[0] if words else default), [], None
    if not words or (len(words) == 1 and words[0].endswith(".gguf")):
        raise click.UsageError("Missing argument 'TYPE'.")
    if len(words) == 1 or _is_type(words[0]):
        words.insert(0, default)
    if len(words) > 3 or (len(words) == 3 and not words[2].isdecimal()):
        raise click.UsageError(
            f"IN.gguf [OUT.gguf] TYPE [THREADS] is expected, found {' '.join(rest)!r} behind IN.gguf."
        )
    types = [_type_name(word) for word in words[1].split(",")]
    if len({ALIASES.get(name, name) for name in types}) < len(types):
        raise click.UsageError(f"{words[1]!r} names a type twice.")
    if len(types) > 1 and "{type}" not in words[0]:
        raise click.UsageError("Several types need {type} in the name of the output.")
    return words[0], types, int(words[2]) if len(words) == 3 and int(words[2]) else None


def _is_type(word: str) -> bool:
    try:
        return bool([_type_name(part) for part in word.split(",")])
    except KQuantsError:
        return False


def _type_name(word: str) -> str:
    """The type's name, which goes into the output's; an alias stays one, as in llama-quantize."""
    from kquants.filetypes import ALIASES, COPY, file_type

    name = word.upper()
    return name if name == COPY or name in ALIASES else file_type(word).name


def _filled(target: str, name: str, given: dict[str, Any]) -> str:
    path = target.replace("{type}", name).replace("{ftype}", name)
    return path.removesuffix(".gguf") if given["keep_split"] else path


def _choose(opened: ShardSet, target: str, options: Options, given: dict[str, Any]) -> Plan:
    from kquants.choosing import best_that_fits

    def path(name: str) -> str:
        return _filled(target, name, given)

    choice = best_that_fits(opened, path, options, given["max_size"], given["bpw"])
    if not given["quiet"]:
        click.echo(choice.reason)
    return choice.plan


def _refuse_inputs(inputs: Sequence[Path | str], plan: Plan) -> None:
    for out in plan.outputs:
        if any(out.path.exists() and out.path.samefile(path) for path in inputs):
            raise KQuantsError(f"{out.path} is an input: quantize to another name")


def _show(plan: Plan, given: dict[str, Any]) -> None:
    from gguf_py.atomic import check_target

    for out in plan.outputs:
        check_target(out.path)
    if given["quiet"]:
        return
    for out in plan.outputs if given["dry_run"] or given["explain"] else ():
        if len(plan.outputs) > 1:
            click.echo(f"{out.path}:")
        _show_tensors(out, given["explain"])
    for note in plan.notes:
        click.echo(f"note: {note}")
    if given["dry_run"]:
        _show_sizes(plan)


def _show_sizes(plan: Plan) -> None:
    import shutil

    from .show import size

    for out in plan.outputs:
        click.echo(
            f"{out.path} would have {size(out.layout.size)} ({out.layout.size:,} bytes), {out.bpw:.2f} bits per weight"
        )
    free = shutil.disk_usage(plan.outputs[0].path.parent).free
    needed = f"{size(plan.size)} are needed, " if len(plan.outputs) > 1 else ""
    click.echo(f"{needed}{size(free)} are free" + (": too little" if free < plan.size else ""))


def _show_tensors(out: Output, explain: bool) -> None:
    from .show import shape, size
    from .terminal import Table, Terminal

    terminal = Terminal()
    rows = [
        {
            "tensor": item.info.name,
            "shape": shape(item.info.shape),
            "from": item.source.type.name,
            "to": item.info.type.name,
            "size": size(item.source.count * item.source.row_bytes),
            "becomes": size(item.info.nbytes),
            "because": item.rule,
        }
        for item in out.items
    ]
    columns = ["tensor", "shape", "from", "to", "size", "becomes"]
    if explain:
        columns = [c for c in columns if terminal.width >= 110 or c not in ("shape", "size")] + ["because"]
    shown = Table(tuple(columns), right=("size", "becomes"), fold=(columns[-1],))
    for row in rows:
        shown.add(*(row[column] for column in columns))
    terminal.put(shown)


def _run(plan: Plan, threads: int | None, given: dict[str, Any]) -> None:
    from kquants.execute import execute

    from .progress import closing, reporting

    with reporting(given["quiet"]) as progress:
        summary = execute(plan, threads=threads, progress=progress, resume=given["resume"])
    if not given["quiet"]:
        for line in closing(plan, summary):
            click.echo(line)
