"""``kquants edit``: change the metadata of a GGUF file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import arguments, completion

if TYPE_CHECKING:
    from gguf_py import Field, GGUFFile, Layout

EPILOG = """\b
Examples:
  kquants edit model.gguf --set general.name="My model"
  kquants edit model.gguf --set llama.context_length=8192 --dry-run
  kquants edit model.gguf --set my.sizes:uint32[]='[1, 2, 3]' --remove general.url
  kquants edit model.gguf --chat-template template.jinja --special-token eos '<|im_end|>'
  kquants edit model.gguf --rename general.author=general.organization -o other.gguf
"""


@click.command(epilog=EPILOG)
@click.argument("file", type=arguments.FILE)
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="KEY[:TYPE]=VALUE",
    shell_complete=completion.keys,
    help="Set a key; TYPE as in uint32 or string[].",
)
@click.option(
    "--rename",
    multiple=True,
    metavar="OLD=NEW",
    shell_complete=completion.keys,
    help="Give a key another name, in its place.",
)
@click.option("--remove", multiple=True, metavar="KEY", shell_complete=completion.keys, help="Remove a key.")
@click.option(
    "--chat-template",
    type=arguments.FILE,
    help="Take the chat template from a file: a template, or a .json file with chat_template in it.",
)
@click.option("--special-token", multiple=True, nargs=2, metavar="ROLE TOKEN", help="Make a token bos, eos, pad, …")
@click.option("--special-token-by-id", multiple=True, nargs=2, metavar="ROLE ID", help="The same, by number.")
@click.option("-o", "--output", type=arguments.FILE, help="Write another file and leave FILE as it is.")
@click.option("--dry-run", is_flag=True, help="Say what would change, and write nothing.")
def command(
    file: Path,
    sets: tuple[str, ...],
    rename: tuple[str, ...],
    remove: tuple[str, ...],
    chat_template: Path | None,
    special_token: tuple[tuple[str, str], ...],
    special_token_by_id: tuple[tuple[str, str], ...],
    output: Path | None,
    dry_run: bool,
) -> None:
    """Change the metadata of FILE.

    Where the change fits into one page of the header, it is made in place. Else a new file is written beside FILE and
    takes its name when it is whole: interrupted at any moment, FILE is the old one or the new one.

    A key that exists keeps its type; a new one needs TYPE unless it is a string. An array is written as JSON. The
    metadata of a set of shards is in the first of them.
    """
    import gguf_py
    from gguf_py import KQuantsError, copying
    from gguf_py import edit as editing

    from .terminal import Terminal

    with gguf_py.open(file) as model:
        _of_the_set(model)
        try:
            fields = model.fields
            replaced = [editing.assign(text, fields) for text in sets]
            replaced += [editing.special_token(role, fields, text=token) for role, token in special_token]
            replaced += [
                editing.special_token(role, fields, number=_number(role, text)) for role, text in special_token_by_id
            ]
            templates = None if chat_template is None else editing.chat_templates(_template(chat_template))
            names = dict(_pair(text) for text in rename)
            after = editing.edit(fields, remove=remove, rename=names, replace=replaced, templates=templates)
            layout = copying.plan_rewrite(model, after)
        except KQuantsError as fault:
            raise KQuantsError(f"{file}: {fault}") from None
        changes = _changes(fields, {f.key: f for f in after})  # told before FILE, which has the old values, changes
        ending = _write(model, after, layout, output, dry_run)
    out = Terminal()
    for line, style in changes:
        out.print(line, style=style)
    click.echo(ending)


def _of_the_set(model: GGUFFile) -> None:
    """Refuse a shard whose metadata nobody reads."""
    from gguf_py import KQuantsError, shards

    number, count = (shards.number_of(model, key) for key in (shards.NUMBER, shards.COUNT))
    if number and count:
        prefix = shards.prefix_of(model.path)
        first = shards.shard_path(prefix, 0, count) if prefix else "the first shard"
        raise KQuantsError(f"{model.path} is shard {number + 1} of {count}: the metadata of the set is that of {first}")


def _write(model: GGUFFile, fields: list[Field], layout: Layout, output: Path | None, dry_run: bool) -> str:
    """Write the file in the way that suits, unless it is a rehearsal; say which way that is."""
    from gguf_py import copying

    from .show import counted, size

    would = "would be " if dry_run else ""
    span = copying.in_place_span(model, layout) if output is None else None
    if span is not None:
        if not dry_run:
            copying.change_in_place(model, layout)
        return f"{would}changed in place ({counted(span[1] - span[0], 'byte')})" if span[1] else "nothing to change"
    if not dry_run:
        copying.rewrite(model, model.path if output is None else output, fields)
    return f"{would}written {'anew' if output is None else f'to {output}'} ({size(layout.size)})"


def _changes(old: Mapping[str, Field], new: Mapping[str, Field]) -> list[tuple[str, str]]:
    """What is different, key by key, each line with its colour."""
    from .show import brief, kind, visible

    lines = []
    for key in dict.fromkeys((*old, *new)):
        if key not in new:
            lines.append((f"- {visible(key)} = {brief(old[key])}", "red"))
        elif key not in old:
            lines.append((f"+ {visible(key)} ({kind(new[key])}) = {brief(new[key])}", "green"))
        elif old[key] != new[key]:
            lines.append((f"~ {visible(key)} = {brief(old[key])} → {brief(new[key])}", "yellow"))
    return lines


def _pair(text: str) -> tuple[str, str]:
    from gguf_py import KQuantsError

    old, equals, new = text.partition("=")
    if not (old and equals and new):
        raise KQuantsError(f"{text!r} is no OLD=NEW")
    return old, new


def _number(role: str, text: str) -> int:
    from gguf_py import KQuantsError

    if not text.isdecimal():
        raise KQuantsError(f"special token {role!r}: {text!r} is no number")
    return int(text)


def _template(path: Path) -> Any:
    """A template, or what a tokenizer_config.json says."""
    from gguf_py import KQuantsError

    text = arguments.read_text(path)
    if path.suffix != ".json":
        return text
    try:
        found = json.loads(text)
    except ValueError as fault:
        raise KQuantsError(f"{path} is no JSON: {fault}") from None
    template = found.get("chat_template") if isinstance(found, dict) else found
    named = isinstance(template, list) and all(
        isinstance(t, dict) and all(isinstance(v, str) for v in t.values()) for t in template
    )
    if not (isinstance(template, str) or named):
        raise KQuantsError(f"{path} has no chat_template")
    return template
