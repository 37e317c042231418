"""The command itself: versions, completion, and a start that waits for nothing it does not need."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import pytest

from cli import main
from cli.main import COMMANDS
from gguf_py.types import FILE_TYPES
from tests.command import COMMAND, FIXTURES, ROOT, done, kquants


def test_the_versions_that_matter() -> None:
    told = done("--version")
    for name in ("kquants", "numpy", "numba"):
        assert f"{name} {version(name)}" in told
    assert platform.python_version() in told and "llama.cpp v0.5.0" in told


def test_a_warning_that_is_to_be_a_fault(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def warns(**_: object) -> None:
        raise UserWarning("a sentence")  # as `python -W error` makes of it

    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.setattr(main.kquants, "main", warns)
    with pytest.raises(SystemExit, match="1"):
        main.main()
    assert capsys.readouterr().err == "kquants: a sentence\n"


def _completed(words: str) -> list[str]:
    asked = {"_KQUANTS_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    told = subprocess.run([COMMAND], capture_output=True, text=True, check=True, env={**os.environ, **asked}).stdout
    return [line.partition(",")[2] for line in told.split()]


def test_the_shell_completes() -> None:
    assert _completed("kquants ins") == ["inspect"]
    assert set(COMMANDS) <= set(_completed("kquants "))
    assert "--json" in _completed("kquants inspect --j")
    assert _completed("kquants --ver") == ["--version"]


def test_the_shell_completes_what_a_file_and_a_quantizer_have() -> None:
    model = FIXTURES / "gguf" / "model.gguf"
    assert _completed(f"kquants inspect {model} --get general.a") == ["general.architecture", "general.author"]
    assert _completed(f"kquants edit {model} --remove llama.rope") == ["llama.rope.freq_base"]
    assert _completed("kquants inspect nothing --get general.a") == []
    assert _completed("kquants quantize a q4_k") == ["q4_k", "Q4_K_S", "Q4_K_M"], "a file, or a type"
    assert _completed("kquants quantize a ") == [""], "a file; a type when one has begun"
    assert _completed("kquants quantize a b q4_k") == ["Q4_K_S", "Q4_K_M"]
    assert set(FILE_TYPES) >= set(_completed("kquants quantize a b ")) > {"F16", "Q4_K_M", "IQ2_XXS"}
    assert _completed("kquants quantize a b Q4_K_M --output-tensor-type Q6") == ["Q6_K"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_in_the_shell_itself(shell: str, tmp_path: Path) -> None:
    """The script is loaded, and asked what completes a word that has begun."""
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    (tmp_path / "script").write_text(done("completion", shell))
    asks = {  # each shell in its own way
        "bash": "COMP_WORDS=(kquants inspect --j); COMP_CWORD=2; _kquants_completion kquants; echo ${COMPREPLY[@]}",
        "zsh": "_describe() { print -l -- ${(P)3} }; words=(kquants inspect --j); CURRENT=3; _kquants_completion",
        "fish": "complete -C 'kquants inspect --j'",
    }
    flags = {"bash": ["--norc"], "zsh": ["-f"], "fish": []}[shell]
    path = {**os.environ, "PATH": f"{Path(COMMAND).parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    ask = f"compdef() {{ :; }}; source ./script; {asks[shell]}" if shell == "zsh" else f"source ./script; {asks[shell]}"
    told = subprocess.run([shell, *flags, "-c", ask], capture_output=True, text=True, cwd=tmp_path, env=path)
    assert "--json" in told.stdout, told


@pytest.mark.parametrize(
    ("shell", "has"), [("bash", "complete -o"), ("zsh", "#compdef kquants"), ("fish", "complete ")]
)
def test_completion_scripts(shell: str, has: str) -> None:
    told = done("completion", shell)
    assert has in told and "_KQUANTS_COMPLETE" in told


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["completion", "bash"],
        ["inspect", str(FIXTURES / "gguf" / "model.gguf")],
        *([name, "--help"] for name in COMMANDS),
    ],
    ids=" ".join,
)
def test_what_must_be_quick_does_not_wait_for_numpy(arguments: list[str]) -> None:
    run = (
        "import sys\nfrom cli.main import main\n"
        "try: main()\nexcept SystemExit: pass\nprint(*sys.modules, file=sys.stderr)"
    )
    command = [sys.executable, "-c", run, *arguments]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=True).stderr
    assert not {"numpy", "numba", "kquants", "yaml", "tokenizers"} & set(told.split())


def test_a_command_that_is_misspelled() -> None:
    wrong = kquants("inspct")
    assert wrong.returncode == 2 and "There is no command 'inspct'. Did you mean inspect?" in wrong.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_examples(name: str) -> None:
    told = done(name, "--help")
    assert f"Usage: kquants {name}" in told and f"\n    kquants {name}" in told.replace('eval "$(', "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect", FIXTURES / "gguf" / "model.gguf"],
        ["diff", FIXTURES / "gguf" / "model.gguf", FIXTURES / "gguf" / "all-types.gguf"],
        ["verify", FIXTURES / "gguf" / "model.gguf"],
        ["convert", "--list-architectures"],
        ["--help"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_reader_who_has_gone_is_no_fault(arguments: list[str | Path]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run([COMMAND, *arguments], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (result.returncode, result.stderr) == (1, "")


def test_interrupted_while_it_is_imported() -> None:
    code = """
import sys
class Interrupting:
    def find_spec(self, name, *_):
        if name == "click":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupting())
from kquants_cli.__main__ import program
program()
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (130, "kquants: interrupted\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_output_that_cannot_be_written_is_told() -> None:
    """The process ends without Python's own last words, so that what was said must be out before."""
    with Path("/dev/full").open("w") as full:
        asked = [COMMAND, "inspect", FIXTURES / "gguf" / "model.gguf"]
        result = subprocess.run(asked, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr == "kquants: no space left on device\n"
