"""Every checkpoint of the zoo, converted: the bytes of upstream's converter, whose digests ``make_digests`` wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.convert import command
from hf2gguf.config import model_class
from hf2gguf.definition import classes

from .make_digests import DIGESTS, digest
from .models import write
from .zoo import OPTIONS, ZOO

EXPECTED: dict[str, dict[str, str]] = json.loads(DIGESTS.read_text())


def convert(folder: Path, out: Path, *options: str) -> dict[str, str]:
    """Digests by file name of what ``kquants convert`` writes."""
    out.mkdir()
    result = CliRunner().invoke(command, [str(folder), "--outfile", str(out / "m.gguf"), "--quiet", *options])
    if result.exception is not None:
        raise result.exception
    assert result.exit_code == 0, result.output
    return {p.name: digest(p) for p in sorted(out.iterdir())}


@pytest.mark.parametrize("name", ZOO)
def test_same_bytes(name: str, tmp_path: Path) -> None:
    folder = write(ZOO[name], tmp_path / name)
    for outtype in ZOO[name].outtypes:
        found = convert(folder, tmp_path / outtype, "--outtype", outtype)
        assert found == EXPECTED[f"{name} --outtype {outtype}"], outtype


@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=lambda o: o if isinstance(o, str) else " ".join(o))
def test_same_bytes_with_options(name: str, options: tuple[str, ...], tmp_path: Path) -> None:
    folder = write(ZOO[name], tmp_path / name)
    assert convert(folder, tmp_path / "out", *options) == EXPECTED[" ".join((name, *options))]


def test_every_page_is_tried() -> None:
    tried = {classes()[model_class(model.config, name)].stem for name, model in ZOO.items()}
    # Upstream's own converter of Baichuan calls itself until Python's stack ends, so that there is no reference.
    assert {page.stem for page in classes().values()} - tried == {"baichuan"}
