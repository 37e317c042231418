"""The command itself: versions, completion, and a start that waits for nothing it does not need."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import version

import pytest

from cli.main import COMMANDS
from tests.command import COMMAND, FIXTURES, done


def test_the_versions_that_matter() -> None:
    told = done("--version")
    for name in ("kquants", "numpy", "numba"):
        assert f"{name} {version(name)}" in told
    assert platform.python_version() in told and "llama.cpp v0.5.0" in told


def _completed(words: str) -> list[str]:
    asked = {"_KQUANTS_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    told = subprocess.run([COMMAND], capture_output=True, text=True, check=True, env={**os.environ, **asked}).stdout
    return [line.partition(",")[2] for line in told.splitlines()]


def test_the_shell_completes() -> None:
    assert _completed("kquants ins") == ["inspect"]
    assert set(COMMANDS) <= set(_completed("kquants "))
    assert "--json" in _completed("kquants inspect --j")
    assert _completed("kquants --ver") == ["--version"]


@pytest.mark.parametrize(
    ("shell", "has"), [("bash", "complete -o"), ("zsh", "#compdef kquants"), ("fish", "complete ")]
)
def test_completion_scripts(shell: str, has: str) -> None:
    told = done("completion", shell)
    assert has in told and "_KQUANTS_COMPLETE" in told


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["inspect", str(FIXTURES / "gguf" / "model.gguf")], ["completion", "bash"]],
)
def test_what_must_be_quick_does_not_wait_for_numpy(arguments: list[str]) -> None:
    run = (
        "import sys\nfrom cli.main import main\n"
        "try: main()\nexcept SystemExit: pass\nprint(*sys.modules, file=sys.stderr)"
    )
    told = subprocess.run([sys.executable, "-c", run, *arguments], capture_output=True, text=True, check=True).stderr
    assert not {"numpy", "numba", "kquants", "yaml", "tokenizers"} & set(told.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_examples(name: str) -> None:
    told = done(name, "--help")
    assert f"Usage: kquants {name}" in told and f"\n    kquants {name}" in told.replace('eval "$(', "")
