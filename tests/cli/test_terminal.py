"""Tables: aligned whatever stands in them, whole where there is room, and folded where there is not."""

from __future__ import annotations

import json

import pytest

from cli.show import json_text, named
from cli.terminal import Table, Terminal, cells_of


def put(table: Table, width: int, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines of a table on a terminal of so many columns."""
    terminal = Terminal()
    terminal.width = width
    terminal.put(table)
    return capsys.readouterr().out.split("\n")[:-1]


def test_a_table_loses_no_column_however_narrow_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    made = Table(("tensor", "what it is", "blocks"), fold=("what it is",))
    made.add("blk.0.attn_output.weight", "damaged or edited", "1 of 27,648")
    told = put(made, 30, capsys)
    assert told[0].split() == ["tensor", "what", "it", "blocks"] and told[1].split() == ["is"]
    assert told[2].split() == ["blk.0.attn_output.weight", "damaged", "1", "of", "27,648"]
    assert told[3].split() == ["or", "edited"]


def test_columns_stand_under_one_another_in_any_script(capsys: pytest.CaptureFixture[str]) -> None:
    made = Table(("name", "size"), right=("size",))
    for name in ("a", "日本語", "e\u0301te\u0301", "1 × 2"):
        made.add(name, "12")
    told = put(made, 80, capsys)
    assert {cells_of(line) for line in told} == {cells_of("日本語  size")} and told[1] == "a         12"


def test_names_are_folded_between_their_parts(capsys: pytest.CaptureFixture[str]) -> None:
    made = Table(("key", "value"), fold=("key", "value"))
    made.add("llama.attention.layer_norm_rms_epsilon", "x" * 30)
    told = put(made, 40, capsys)
    assert [line.split() for line in told[1:]] == [
        ["llama.attention.", "x" * 19],
        ["layer_norm_rms_", "x" * 11],
        ["epsilon"],
    ]
    assert max(map(len, told)) <= 40


def test_colours_are_where_they_are_wanted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    made = Table(("a",), headed=False)
    made.add(("word", "red"))
    assert put(made, 80, capsys) == ["word"]
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert put(made, 80, capsys) == ["\x1b[31mword\x1b[0m"]
    monkeypatch.setenv("NO_COLOR", "1")
    assert put(made, 80, capsys) == ["word"]


def test_json_is_indented_but_for_lists_of_words() -> None:
    document = {"a": {"b": [1, 2], "c": {}}, "d": [{"e": None}, {"f": "\x1b"}], "g": []}
    told = json_text(document)
    assert json.loads(told) == document
    assert told.split("\n")[:4] == ["{", '  "a": {', '    "b": [1, 2],', '    "c": {}']


def test_names_without_end_cost_nothing_much(capsys: pytest.CaptureFixture[str]) -> None:
    made = Table(("key", "value"), fold=("key", "value"))
    made.add("k" * 50_000, "日" * 10_000)
    told = put(made, 60, capsys)
    assert max(map(cells_of, told)) <= 60 and sum(line.count("日") for line in told) == 10_000
    assert named("t" * 10**6) == "t" * 199 + "…" and named("\x1b" * 100).endswith("…")
