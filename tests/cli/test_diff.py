"""``kquants diff``: what it finds, how it ends."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gguf_py
from gguf_py import Field, shards
from tests.command import kquants

Tensors = dict[str, tuple[str, tuple[int, ...], Any]]


def model(path: Path, fields: dict[str, Any] | None = None, tensors: Tensors | None = None, **more: Any) -> Path:
    """A small file, of which a test changes what it is about."""
    plain: dict[str, Any] = {"general.architecture": "llama", "llama.block_count": 1, "tokens": ["a", "b", "c"]}
    weights: Any = np.arange(64, dtype=np.float32).reshape(2, 32)
    if more.get("byteorder") == "big":
        weights = weights.astype(">f4")
    kept: Tensors = {"one.weight": ("F32", (2, 32), weights), "two.weight": ("F32", (2, 32), weights[::-1])}
    given = plain if fields is None else fields
    gguf_py.write(path, [Field.of(k, v) for k, v in given.items()], kept if tensors is None else tensors, **more)
    return path


def diff(*arguments: str | Path) -> tuple[int, dict[str, Any]]:
    result = kquants("diff", "--json", *arguments)
    return result.returncode, json.loads(result.stdout)


def test_same_files(tmp_path: Path) -> None:
    a, b = model(tmp_path / "a"), model(tmp_path / "b")
    assert diff(a, b) == (0, {"a": str(a), "b": str(b), "same": True, "header": [], "metadata": [], "tensors": [],
                              "same_tensors": 2})  # fmt: skip
    assert kquants("diff", a, b).stdout == "same: 3 metadata keys and 2 tensors\n"


def test_metadata_added_removed_changed(tmp_path: Path) -> None:
    a = model(tmp_path / "a", {"kept": 1, "gone": 2, "value": 3, "type": 4, "array": ["x", "y"]})
    b = model(tmp_path / "b", {"kept": 1, "new": 5, "value": 6, "type": np.uint8(4), "array": ["x", "z", "w"]})
    status, document = diff(a, b)
    assert status == 1
    found = {c["key"]: (c["change"], c["before"], c["after"]) for c in document["metadata"]}
    assert found == {
        "gone": ("removed", {"type": "INT32", "value": 2}, None),
        "value": ("changed", {"type": "INT32", "value": 3}, {"type": "INT32", "value": 6}),
        "type": ("changed", {"type": "INT32", "value": 4}, {"type": "UINT8", "value": 4}),
        "array": (
            "changed",
            {"type": "ARRAY of STRING", "value": ["x", "y"]},
            {"type": "ARRAY of STRING", "value": ["x", "z", "w"]},
        ),
        "new": ("added", None, {"type": "INT32", "value": 5}),
    }
    shown = kquants("diff", a, b).stdout
    assert "2 items, [1] is y" in shown and "3 items, [1] is z" in shown


def test_numbers_and_long_texts_are_shown_where_they_part(tmp_path: Path) -> None:
    text = "the same words, over and over, and much longer than a column is wide, again, "
    a = model(tmp_path / "a", {"ids": np.arange(5, dtype=np.int32), "text": text + "here", "eps": np.float32(1e-5)})
    b = model(tmp_path / "b", {"ids": np.array([0, 1, 7], np.int32), "text": text + "there", "eps": np.float32(1e-6)})
    shown = kquants("diff", a, b).stdout
    assert "5 items, [2] is 2" in shown and "3 items, [2] is 7" in shown
    assert "again, here" in shown and "again, there" in shown and "1e-05" in shown and "1e-06" in shown


def test_a_set_is_compared_as_one(tmp_path: Path) -> None:
    """Whichever shard is named; but for the keys of the set, it says what the whole file says."""
    whole = model(tmp_path / "whole.gguf")
    with gguf_py.open(whole) as file:
        paths = shards.split(file, tmp_path / "part", shards.plan_split(file, max_tensors=1))
    status, document = diff(paths[1], whole)
    assert status == 1 and document["tensors"] == [] and document["same_tensors"] == 2
    assert {c["key"] for c in document["metadata"]} == {"split.no", "split.count", "split.tensors.count"}


def test_the_changed_weights_as_one_tensor(tmp_path: Path) -> None:
    x, y = (np.full((2, 32), value, np.float32) for value in (1, 3))
    a = model(tmp_path / "a", tensors={"x": ("F32", x.shape, x), "y": ("F32", y.shape, y)})
    b = model(tmp_path / "b", tensors={"x": ("F32", x.shape, x + 1), "y": ("F32", y.shape, y + 1)})
    assert "as one tensor: relative RMS 44.721%" in kquants("diff", a, b).stdout  # sqrt((1 + 1) / (1 + 9))


def test_tensor_figures(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((4, 320), np.float32)
    y = x.copy()
    y[2, 5] += 3  # flat index 645: the third group of 256
    a = model(tmp_path / "a", tensors={"t": ("F32", x.shape, x)})
    b = model(tmp_path / "b", tensors={"t": ("F32", y.shape, y)})
    status, document = diff(a, b)
    (change,) = document["tensors"]
    assert status == 1 and change["change"] == "changed" and change["blocks_changed"] == 1
    d = (y - x).astype(np.float64)
    figures = change["figures"]
    assert figures["count"] == x.size
    assert figures["rms"] == pytest.approx(math.sqrt((d**2).mean()), rel=1e-6)
    assert figures["relative"] == pytest.approx(math.sqrt((d**2).sum() / (x.astype(np.float64) ** 2).sum()), rel=1e-6)
    cosine = float((x * y).sum() / np.linalg.norm(x) / np.linalg.norm(y))
    assert figures["cosine"] == pytest.approx(cosine, rel=1e-5)
    assert figures["largest"] == pytest.approx(3, rel=1e-6)
    assert figures["worst_at"] == 512
    group = x.reshape(-1)[512:768].astype(np.float64)
    assert figures["worst"] == pytest.approx(3 / math.sqrt((group**2).sum()), rel=1e-5)


def test_tensors_added_removed_other_type_other_shape(tmp_path: Path) -> None:
    x = np.ones((2, 32), np.float32)
    a = model(tmp_path / "a", tensors={"gone": ("F32", x.shape, x), "type": ("F32", x.shape, x),
                                       "shape": ("F32", x.shape, x)})  # fmt: skip
    half = x.astype(np.float16)
    b = model(tmp_path / "b", tensors={"type": ("F16", x.shape, half), "shape": ("F32", (4, 16), x.reshape(4, 16)),
                                       "new": ("F32", x.shape, x)})  # fmt: skip
    status, document = diff(a, b)
    found = {c["name"]: (c["change"], c["figures"] and c["figures"]["relative"]) for c in document["tensors"]}
    assert (status, found) == (
        1,
        {"gone": ("removed", None), "type": ("changed", 0.0), "shape": ("changed", None), "new": ("added", None)},
    )


def test_order_is_a_difference(tmp_path: Path) -> None:
    a = model(tmp_path / "a", {"x": 1, "y": 2})
    b = model(tmp_path / "b", {"y": 2, "x": 1})
    assert diff(a, b)[1]["header"] == [{"what": "order of keys", "before": "x", "after": "y"}]
    assert kquants("diff", a, b).stdout.startswith("~ order of keys: A has x where B has y\n")


def test_byte_order_alone_changes_no_tensor(tmp_path: Path) -> None:
    a, b = model(tmp_path / "a"), model(tmp_path / "b", byteorder="big")
    status, document = diff(a, b)
    assert status == 1
    assert (document["header"], document["tensors"], document["metadata"]) == (
        [{"what": "byte order", "before": "little", "after": "big"}],
        [],
        [],
    )


def test_trouble_is_status_2(tmp_path: Path) -> None:
    result = kquants("diff", model(tmp_path / "a"), tmp_path / "nowhere")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1 and "nowhere" in result.stderr


def test_control_characters_are_shown_not_obeyed(tmp_path: Path) -> None:
    a = model(tmp_path / "a", {"name": "plain"})
    b = model(tmp_path / "b", {"name": "\x1b[31mred\x07", "k\x1b]0;title\x07": 1})
    out = kquants("diff", a, b).stdout
    assert "\x1b" not in out and "\x07" not in out
    assert "\\x1b[31mred\\x07" in out and "k\\x1b]0;title\\x07" in out
