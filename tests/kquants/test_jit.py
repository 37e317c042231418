"""Kernels on disk: compiled once, found again, never stale, and done without where nothing can be written."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

import kquants
from kquants import execute, jit, machine_code
from kquants.codecs import codec

PROBE = """
import numpy as np
from kquants import jit
from kquants.codecs import q8_0
new = bool(jit.missing([q8_0.encode]))
out = np.zeros((1, 34), np.uint8)
q8_0.encode(np.linspace(-1, 1, 32, dtype=np.float32).reshape(1, 32), out)
print(new, out[0, 2:].view(np.int8).tolist())
"""
LEVELS = str([round(-127 + i * 254 / 31) for i in range(32)])


def probe(cache: Path, package: Path | None = None) -> tuple[bool, str]:
    """In a fresh process: whether the kernel had to be compiled, and the levels it gave."""
    env = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    where = package or Path(kquants.__file__).parents[1]
    command = [sys.executable, "-c", PROBE]
    done = subprocess.run(command, env=env, cwd=where, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    new, levels = done.stdout.strip().split(" ", 1)
    return new == "True", levels


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the packages to change, in the folder that is returned."""
    for name in ("kquants", "gguf_py"):
        source = Path(kquants.__file__).parents[1] / name
        shutil.copytree(source, tmp_path / "site" / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "site"


def test_a_kernel_is_compiled_once_and_a_damaged_one_again(tmp_path: Path) -> None:
    assert probe(tmp_path) == (True, LEVELS)
    assert probe(tmp_path) == (False, LEVELS)
    (kept,) = tmp_path.rglob("*.kernel")
    kept.write_bytes(kept.read_bytes()[:100])
    assert probe(tmp_path) == (True, LEVELS)
    assert probe(tmp_path) == (False, LEVELS)


def test_what_older_versions_left_goes_when_it_is_old(tmp_path: Path) -> None:
    probe(tmp_path)
    (kept,) = tmp_path.rglob("*.kernel")
    module, stamp = kept.name.rsplit("-", 1)
    old, killed, young, other = (
        kept.with_name(name)
        for name in (f"{module}-0.kernel", f"{module}-{stamp}.7", f"{module}-1.kernel", f"{module}_weighted-0.kernel")
    )
    for path, days in ((old, 31), (killed, 31), (young, 29), (other, 31)):
        path.write_bytes(b"")
        os.utime(path, (time.time() - days * 86400,) * 2)
    os.utime(kept, (0, 0))
    assert probe(tmp_path) == (False, LEVELS) and old.exists()  # nothing was compiled
    kept.unlink()
    assert probe(tmp_path) == (True, LEVELS)
    assert set(kept.parent.iterdir()) == {kept, young, other}


def test_a_change_in_a_module_the_kernel_imports_is_seen(tmp_path: Path, package: Path) -> None:
    assert probe(tmp_path / "cache", package) == (True, LEVELS)
    module = package / "kquants" / "kernels" / "numerics.py"
    text = module.read_text()
    assert text.count("0x3EFFFFFF") == 1
    module.write_text(text.replace("0x3EFFFFFF", "0x00000000"))  # cut instead of rounded
    new, levels = probe(tmp_path / "cache", package)
    assert new
    assert levels != LEVELS
    module.write_text(text)
    assert probe(tmp_path / "cache", package) == (False, LEVELS)


def test_a_change_elsewhere_leaves_the_kernel(tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    probe(tmp_path / "cache", package)
    module = package / "kquants" / "codecs" / "q4_k.py"
    module.write_text(module.read_text() + "\n# changed\n")
    monkeypatch.setenv("KQUANTS_REFERENCE", "elsewhere")
    assert probe(tmp_path / "cache", package) == (False, LEVELS)
    monkeypatch.setenv("KQUANTS_LANES", "8")
    assert probe(tmp_path / "cache", package) == (True, LEVELS)


def test_without_a_place_to_write_kernels_are_compiled_each_time(tmp_path: Path) -> None:
    nowhere = tmp_path / "file"
    nowhere.write_text("not a folder")
    assert probe(nowhere) == (True, LEVELS)
    assert probe(nowhere) == (True, LEVELS)


def test_kernels_that_cannot_be_kept_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = codec("Q8_0").encode
    kernel.compile()
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setattr(execute, "jobs_of", lambda plan: [])
    monkeypatch.setattr(execute, "kernels_of", lambda jobs: [kernel])
    monkeypatch.setattr(jit, "missing", list)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    said: list[str] = []
    execute.compile_kernels(cast(Any, None), cast(Any, SimpleNamespace(note=said.append)))
    assert len(said) == 2 and "cannot be kept" in said[1]
    monkeypatch.setattr(kernel, "kept", lambda: True)
    execute.compile_kernels(cast(Any, None), cast(Any, SimpleNamespace(note=said.append)))
    assert len(said) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="is Linux's own")
def test_a_relative_cache_folder_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("HOME", "/home/somebody")
    for stated, base in (("relative", "/home/somebody/.cache"), ("", "/home/somebody/.cache"), ("/cache", "/cache")):
        monkeypatch.setenv("XDG_CACHE_HOME", stated)
        assert machine_code._path("kquants.codecs.q8_0", "encode").parent == Path(base, "kquants")


def test_kept_kernels_run_without_numba(tmp_path: Path) -> None:
    code = """
import sys
import numpy as np
import kquants
from kquants import jit
x = np.linspace(-1, 1, 256, dtype=np.float32).reshape(1, 256)
blocks = kquants.quantize(x, "Q4_0", imatrix=np.ones(256, np.float32))
print(kquants.dequantize(blocks, "Q4_0")[0, 0], "numba" in sys.modules)
"""
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    said = [
        subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout.split()
        for _ in range(2)
    ]
    assert [s[1] for s in said] == ["True", "False"]
    assert said[0][0] == said[1][0]


def test_arrays_of_another_kind_are_refused() -> None:
    encode = codec("Q8_0").encode
    x, out = np.zeros((1, 32), np.float32), np.zeros((1, 34), np.uint8)
    encode(x, out)
    for bad in (x.astype(np.float64), x[0], np.zeros((32, 2), np.float32)[:, :1].T):
        with pytest.raises(TypeError, match="C-contiguous float32 array of 2 axes"):
            encode(bad, out)
    out.flags.writeable = False
    with pytest.raises(TypeError, match="writable"):
        encode(x, out)


def test_importing_kquants_does_not_import_numba() -> None:
    code = "import sys, kquants; print('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def _error_function(x: np.ndarray) -> float:
    return math.erf(x[0])


def test_a_kernel_that_calls_what_not_every_process_has_is_not_compiled() -> None:
    with pytest.raises(RuntimeError, match="erf"):
        jit.kernel((jit.array_in("float64", 1),))(_error_function).compile()
