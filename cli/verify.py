"""``kquants verify``: is a file whole and sane?"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from kquants.sanity import Check

EPILOG = """\b
Examples:
  kquants verify model-q4_k_m.gguf
"""
STYLES = {"passed": "green", "failed": "red", "not applicable": "dim"}


@click.command(epilog=EPILOG)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def command(file: Path, as_json: bool) -> None:
    """Check that FILE is whole and sane: one line a check, exit status 1 when one fails."""
    from kquants.sanity import check_file

    from .show import console

    with console(stderr=True).status("reading weights"):
        checks = check_file(file)
    failed = [check for check in checks if check.outcome == "failed"]
    if as_json:
        document = {"file": str(file), "passed": not failed, "checks": [asdict(check) for check in checks]}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        _show(checks)
    sys.exit(1 if failed else 0)


def _show(checks: list[Check]) -> None:
    from rich.text import Text

    from .show import console, visible

    width = max(len(check.name) for check in checks)
    out = console()
    for check in checks:
        mark = {"passed": "ok", "failed": "FAILED", "not applicable": "-"}[check.outcome]
        line = Text(f"{mark:6}  {check.name:{width}}  ", STYLES[check.outcome])
        out.print(line.append(visible(check.detail), "default" if check.outcome != "not applicable" else "dim"))
