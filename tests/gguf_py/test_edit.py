"""Editing: the bytes of gguf-new-metadata, in place where that is safe, and never a broken file."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gguf_py
from gguf_py import Field, KQuantsError, ValueType, copying, edit

FIXTURES = Path(__file__).parents[2] / "fixtures" / "gguf"
MODEL = FIXTURES / "model.gguf"
DIGESTS: dict[str, str] = json.loads((FIXTURES / "digests.json").read_text())["edit"]


def _edits(case: str, fields: Any) -> dict[str, Any]:
    """What ``make_fixtures`` asked gguf-new-metadata for, in our words."""

    def by_name(*texts: str) -> list[Field]:
        return [edit.assign(text, fields) for text in texts]

    named = [{"name": "default", "template": "A"}, {"name": "tool_use", "template": "B"}]
    token = edit.special_token
    cases: dict[str, dict[str, Any]] = {
        "name": {"replace": by_name("general.name=Another, longer name")},
        "description": {"replace": by_name("general.description=What was not there before")},
        "template": {"templates": edit.chat_templates("{{ messages }}")},
        "templates": {"templates": edit.chat_templates(named)},
        "pre": {"replace": by_name("tokenizer.ggml.pre=gpt-2")},
        "remove": {"remove": ["general.author", "llama.rope.freq_base"]},
        "special": {"replace": [token("eos", fields, text="c"), token("pad", fields, number=1)]},
        "many": {
            "replace": [*by_name("general.name=x", "tokenizer.ggml.pre=p"), token("bos", fields, number=2)],
            "templates": edit.chat_templates("T"),
        },
    }
    return cases[case]


@pytest.mark.parametrize("case", DIGESTS)
def test_edits_are_gguf_new_metadatas(case: str, tmp_path: Path) -> None:
    path = tmp_path / "edited.gguf"
    with gguf_py.open(MODEL) as file:
        gguf_py.rewrite(file, path, edit.edit(file.fields, **_edits(case, file.fields)))
    assert hashlib.sha256(path.read_bytes()).hexdigest() == DIGESTS[case]


def test_values_are_read_by_their_type() -> None:
    with gguf_py.open(FIXTURES / "all-types.gguf") as file:
        fields = file.fields
        for text, value, kind in [
            ("one.uint8=0x10", 16, ValueType.UINT8),
            ("one.float32=1", 1.0, ValueType.FLOAT32),
            ("one.bool=false", False, ValueType.BOOL),
            ("one.bool=TRUE", True, ValueType.BOOL),
            ("one.bool=1", True, ValueType.BOOL),
            ("one.bool=0", False, ValueType.BOOL),
            ("one.string=a=b", "a=b", ValueType.STRING),
            ("new=text", "text", ValueType.STRING),
            ("new:int64=-5", -5, ValueType.INT64),
            ("a:b=c", "c", ValueType.STRING),
        ]:
            field = edit.assign(text, fields)
            assert (field.value, field.type) == (value, kind)
        assert edit.assign("a:b=c", fields).key == "a:b"
        np.testing.assert_array_equal(edit.assign("many.int16=[1, -2]", fields).value, np.array([1, -2], np.int16))
        np.testing.assert_array_equal(edit.assign("new:float32[]=[1, 2.5]", fields).value, np.array([1, 2.5], "f4"))
        assert edit.assign('new:string[]=["a", "b"]', fields).value == ["a", "b"]
        assert len(edit.assign("new:string[]=[]", fields).value) == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nothing", "is no KEY=VALUE"),
        ("=x", "is no KEY=VALUE"),
        ("new=5", "say which type it has, such as new:uint32=5"),
        ("new=true", "say which type"),
        ("new=[1]", "say which type"),
        ("one.uint8=256", "256 is no UINT8"),
        ("one.uint8=x", "UINT8 is expected, found 'x'"),
        ("one.bool=maybe", "BOOL is expected"),
        ("many.uint8=[1, 2000]", "2000 is no UINT8"),
        ("many.uint8=1", "a JSON array of UINT8 is expected"),
        ("many.uint8=[1.5]", "UINT8 is expected"),
        ("nested.int32=[[1], 2]", "one type|an array is expected"),
    ],
)
def test_values_that_do_not_fit(text: str, says: str) -> None:
    with gguf_py.open(FIXTURES / "all-types.gguf") as file, pytest.raises(KQuantsError, match=says):
        edit.assign(text, file.fields)


def test_what_cannot_be_done() -> None:
    with gguf_py.open(MODEL) as file:
        for how, says in [
            ({"remove": ["none"]}, "no metadata key 'none'"),
            ({"rename": {"none": "some"}}, "no metadata key 'none'"),
            ({"rename": {"general.name": "general.author"}}, "'general.author' already"),
            ({"rename": {"general.name": "x", "general.author": "x"}}, "'x' already"),
        ]:
            with pytest.raises(KQuantsError, match=says):
                edit.edit(file.fields, **how)  # type: ignore[arg-type]
        for role, kind, says in [
            ("boss", {"number": 1}, "no special token 'boss'"),
            ("bos", {"number": 4}, "4 is no token of a vocabulary of 4"),
            ("bos", {"text": "zz"}, "no token 'zz'"),
        ]:
            with pytest.raises(KQuantsError, match=says):
                edit.special_token(role, file.fields, **kind)  # type: ignore[arg-type]


def test_what_is_set_by_its_key_wins_over_the_template() -> None:
    with gguf_py.open(MODEL) as file:
        own = edit.assign("tokenizer.chat_template=mine", {})
        after = edit.edit(file.fields, replace=[own], templates=edit.chat_templates("theirs"))
    assert [f.value for f in after if f.key == "tokenizer.chat_template"] == ["mine"]


def test_renaming_keeps_place_and_value() -> None:
    with gguf_py.open(MODEL) as file:
        swapped = edit.edit(file.fields, rename={"general.name": "general.author", "general.author": "general.name"})
        assert [f.key for f in swapped][:3] == ["general.architecture", "general.author", "general.name"]
        assert [f.value for f in swapped][1:3] == ["A name", "nobody"]


def _changed(path: Path, *texts: str) -> bool:
    with gguf_py.open(path) as file:
        after = edit.edit(file.fields, replace=[edit.assign(text, file.fields) for text in texts])
        return copying.change_in_place(file, copying.plan_rewrite(file, after))


def test_what_fits_is_changed_in_place(tmp_path: Path) -> None:
    path, other = tmp_path / "m.gguf", tmp_path / "other.gguf"
    shutil.copy(MODEL, path)
    inode = path.stat().st_ino
    for text in ("llama.context_length=128", "general.name=B name", "general.name=A"):
        with gguf_py.open(path) as file:
            gguf_py.rewrite(file, other, edit.edit(file.fields, replace=[edit.assign(text, file.fields)]))
        fits = other.stat().st_size == path.stat().st_size
        assert _changed(path, text) is fits
        if fits:
            assert path.read_bytes() == other.read_bytes()
    with gguf_py.open(path) as file:
        assert copying.in_place_span(file, copying.plan_rewrite(file)) == (0, 0), "nothing changes"
    assert path.stat().st_ino == inode
    assert not _changed(path, "general.name=" + 100 * "much longer")


def test_a_change_of_more_than_a_page_is_not_made_in_place(tmp_path: Path) -> None:
    path = tmp_path / "big.gguf"
    words = Field.of("words", [f"{i:08}" for i in range(4000)])
    gguf_py.write(path, [Field.of("a", 1), words, Field.of("z", 1)], {})
    before = path.read_bytes()
    assert not _changed(path, "a=2", "z=2")
    assert path.read_bytes() == before
    assert _changed(path, "z=2")


def test_a_new_alignment_lays_the_tensors_out_anew(tmp_path: Path) -> None:
    path = tmp_path / "wide.gguf"
    with gguf_py.open(MODEL) as file:
        gguf_py.rewrite(file, path, [*file.fields.values(), Field.of("general.alignment", 256, ValueType.UINT32)])
        with gguf_py.open(path) as wide:
            assert wide.alignment == 256 and all(t.offset % 256 == 0 for t in wide.tensors.values())
            assert [t.data.tobytes() for t in wide.tensors.values()] == [
                t.data.tobytes() for t in file.tensors.values()
            ]


def test_permissions_stay(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    shutil.copy(MODEL, path)
    path.chmod(0o600)
    with gguf_py.open(path) as file:
        gguf_py.rewrite(file, path, edit.edit(file.fields, remove=["general.author"]))
    assert path.stat().st_mode & 0o777 == 0o600


def test_killed_at_any_moment_a_file_is_the_old_or_the_new(tmp_path: Path) -> None:
    """A loop that edits in place, through new files, and back, killed again and again."""
    path = tmp_path / "m.gguf"
    data = {"t": ("I8", (1 << 20,), np.ones(1 << 20, np.int8))}
    gguf_py.write(path, [Field.of("name", "short"), Field.of("number", 0)], data)
    loop = (
        "import gguf_py, itertools, sys\n"
        "from gguf_py import copying, edit\n"
        "for i in itertools.count():\n"
        "    with gguf_py.open(sys.argv[1]) as file:\n"
        "        texts = [f'number={i}'] if i % 3 else [f'name={\"x\" * (i % 200)}']\n"
        "        after = edit.edit(file.fields, replace=[edit.assign(t, file.fields) for t in texts])\n"
        "        if not copying.change_in_place(file, copying.plan_rewrite(file, after)):\n"
        "            gguf_py.rewrite(file, sys.argv[1], after)\n"
        "    print(i, flush=True)\n"
    )
    random = np.random.default_rng(3)
    for _ in range(12):
        with subprocess.Popen([sys.executable, "-c", loop, path], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None and child.stdout.readline()
            time.sleep(float(random.random()) / 20)
            os.kill(child.pid, signal.SIGKILL)
        with gguf_py.open(path) as file:
            assert list(file.metadata) == ["name", "number"]
            assert file.tensors["t"].data.sum() == 1 << 20
