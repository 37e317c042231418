"""``kquants inspect``: what is in a GGUF file."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from . import arguments, completion

if TYPE_CHECKING:
    from gguf_py import Field, ShardSet, Tensor

EPILOG = """\b
Examples:
  kquants inspect model.gguf
  kquants inspect model-00002-of-00004.gguf --tensors 'attn_(q|k)'
  kquants inspect model.gguf --keys tokenizer --full
  kquants inspect model.gguf --get tokenizer.chat_template > template.jinja
  kquants inspect model.gguf --json | jq .summary.bpw
  kquants inspect https://example.org/model.gguf
"""


def _regex(context: click.Context, option: click.Parameter, value: str | None) -> re.Pattern[str] | None:
    try:
        return None if value is None else re.compile(value)
    except re.error as fault:
        raise click.BadParameter(f"{value!r} is no regular expression: {fault}", context, option) from None


@click.command(epilog=EPILOG)
@click.argument("file", type=arguments.FILE_AS_TYPED)
@click.option(
    "--tensors", metavar="REGEX", callback=_regex, help="List the tensors whose names match, and nothing else."
)
@click.option("--keys", metavar="REGEX", callback=_regex, help="List the metadata keys that match, and nothing else.")
@click.option("--full", is_flag=True, help="Cut nothing short: whole values, each tensor and its place in the file.")
@click.option(
    "--get",
    "key",
    metavar="KEY",
    shell_complete=completion.keys,
    help="Print the value of one metadata key as it is, an array line by line.",
)
@arguments.as_json
def command(
    file: str,
    tensors: re.Pattern[str] | None,
    keys: re.Pattern[str] | None,
    full: bool,
    key: str | None,
    as_json: bool,
) -> None:
    """Show what is in FILE: what the model is, its metadata, its tensors.

    FILE is a path or a URL, of which only the header is fetched. Any shard of a set shows the whole set.

    On a terminal, layers that are alike are shown once; --full, --tensors and a pipe list every tensor.
    """
    with _open(file) as model:
        if key is not None:
            _get(model, file, key, as_json)
            return
        everything = tensors is None and keys is None
        fields = [f for k, f in model.fields.items() if everything or (keys is not None and keys.search(k))]
        chosen = [t for n, t in model.tensors.items() if everything or (tensors is not None and tensors.search(n))]
        if as_json:
            from .show import json_text

            click.echo(json_text(_document(model, fields, chosen)))
            return
        from . import overview
        from .terminal import Terminal

        out = Terminal()
        if everything:
            overview.glance(out, model)
        if everything or keys is not None:
            overview.metadata(out, fields, full)
        if everything or tensors is not None:
            overview.tensors(out, chosen, alike=out.is_terminal and not full and tensors is None, full=full)
        if everything:
            overview.shares(out, chosen)


def _open(file: str) -> ShardSet:
    if file.lower().startswith(("http://", "https://")):
        from gguf_py.remote import open_url

        return open_url(file)
    from gguf_py import open_shards

    return open_shards(file)


def _get(model: ShardSet, file: str, key: str, as_json: bool) -> None:
    from gguf_py import KQuantsError

    from .show import json_text, plain, visible, word

    field = model.fields.get(key)
    if field is None:
        import difflib

        near = difflib.get_close_matches(key, model.fields, 1)
        raise KQuantsError(f"{file} has no metadata key {key!r}" + (f" (did you mean {near[0]}?)" if near else ""))
    if as_json:
        click.echo(json_text(plain(field.value)))
        return
    values = [field.value] if field.count is None else field.value
    text = "\n".join(word(value, field.item or field.type) for value in values) + "\n"
    if sys.stdout.isatty():  # elsewhere, in a file or a pipe, what is wanted is the value itself
        text = "\n".join(map(visible, text.split("\n")))
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    sys.stdout.flush()


def _document(model: ShardSet, fields: Iterable[Field], tensors: Iterable[Tensor]) -> dict[str, Any]:
    from . import summary
    from .show import plain

    fields, tensors = list(fields), list(tensors)
    return {
        "path": str(model.path),
        "shards": [{"path": str(f.path), "size": f.size, "data_offset": f.data_offset} for f in model.files],
        "version": model.version,
        "byteorder": model.byteorder,
        "alignment": model.alignment,
        "size": model.size,
        "summary": {k: plain(found) for k, found in summary.facts(model.fields, model.tensors.values()).items()},
        "types": {
            name: {"tensors": s.tensors, "weights": s.weights, "nbytes": s.nbytes}
            for name, s in summary.by_type(tensors).items()
        },
        "metadata": {f.key: plain(f.value) for f in fields},
        "metadata_types": {f.key: f.type_name for f in fields},
        "tensors": [
            {
                "name": t.name,
                "type": t.type.name,
                "shape": list(t.shape),
                "offset": t.offset,
                "nbytes": t.nbytes,
                **({"shard": str(t.file.path)} if t.file is not None and len(model.files) > 1 else {}),
            }
            for t in tensors
        ],
    }
