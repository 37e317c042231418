"""What several commands take: files, sizes, texts, and the options that are the same everywhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from gguf_py.errors import KQuantsError

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


class _File(click.Path):
    """A path. No name at all, which ``Path`` would take for the folder one is in, is wrong usage."""

    def __init__(self, made: type) -> None:
        super().__init__(path_type=made, readable=False)  # who opens it says more, and that it is no wrong usage
        self.name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("the name of a file is expected, found nothing", param, ctx)
        if self.type is Path and str(value).lower().startswith(("http://", "https://")):
            self.fail(f"{value} is a URL, which only inspect reads: fetch the file first", param, ctx)
        return super().convert(value, param, ctx)


FILE = _File(Path)
FILE_AS_TYPED = _File(str)
"""For a URL, and for a name that is put down in the output to the letter."""

threads = click.option("--threads", type=click.IntRange(1), metavar="N", help="Threads to use; all cores by default.")
quiet = click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
dry_run = click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")


def size(context: click.Context, option: click.Parameter, text: str | None) -> int | None:
    """A callback: ``4.5GiB``, ``700MB``, ``2G`` or ``123456`` in bytes, thousands unless an ``i`` says otherwise."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?", text.strip().lower())
    count = 0 if found is None else int(float(found[1]) * _UNITS[found[2] or ""])
    if not count:
        raise click.BadParameter(f"{text!r} is no size such as 4.5GiB, 700MB or 2G", context, option)
    return count


def read_text(path: Path) -> str:
    """The text of a file; raises KQuantsError when it cannot be read or is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as fault:
        raise KQuantsError(f"cannot open {path}: {(fault.strerror or str(fault)).lower()}") from None
    except UnicodeDecodeError as fault:
        raise KQuantsError(f"{path} is no text in UTF-8: byte {fault.start:,} cannot be read") from None
