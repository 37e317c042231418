"""What is installed is what is in the tree."""

from __future__ import annotations

import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
SOURCES = {"gguf_py": "gguf_py", "kquants": "kquants", "hf2gguf": "hf2gguf", "gguf_lm": "gguf_lm", "cli": "kquants_cli"}


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    """The setuptools table of pyproject.toml."""
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    return table


def files() -> list[Path]:
    """Every file of the packages that version control knows, relative to the root."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs the git checkout")
    command = ["git", "-c", "safe.directory=*", "ls-files", *SOURCES]  # whoever the checkout belongs to
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [Path(line) for line in listed.stdout.splitlines()]


def package_of(folder: Path) -> str:
    """The name under which a folder is imported once installed."""
    first, *rest = folder.parts
    return ".".join([SOURCES[first], *rest])


def test_every_folder_is_a_package(settings: dict[str, Any]) -> None:
    """Those with data alone, too, or setuptools complains."""
    assert {package_of(f.parent) for f in files()} == set(settings["packages"])


def test_every_data_file_is_installed(settings: dict[str, Any]) -> None:
    patterns: dict[str, list[str]] = settings["package-data"]

    def installed(file: Path) -> bool:
        """Whether a package above the file claims it, by a pattern told from the package's folder."""
        owners = [f for f in file.parents if f.parts and package_of(f) in settings["packages"]]
        claims = ((f, p) for f in owners for key in ("*", package_of(f)) for p in patterns.get(key, ()))
        return any(fnmatch(str(file.relative_to(folder)), pattern) for folder, pattern in claims)

    assert [str(f) for f in files() if f.suffix != ".py" and not installed(f)] == []


@pytest.mark.parametrize("name", SOURCES)
def test_every_package_is_typed(name: str) -> None:
    assert (ROOT / name / "py.typed").is_file()
