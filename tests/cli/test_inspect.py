"""``kquants inspect`` as people and scripts use it."""

from __future__ import annotations

import contextlib
import functools
import http.server
import itertools
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import gguf_py
from cli import show, summary
from gguf_py import Field, KQuantsError, TensorInfo, ValueType, remote, shards, tensor_type
from gguf_py.remote import open_url
from tests.command import done, kquants, on_a_terminal
from tests.files import real_files
from tests.server import serving

FIXTURES = Path(__file__).parents[2] / "fixtures" / "gguf"
MODEL = FIXTURES / "model.gguf"


def _flat(text: str) -> str:
    return re.sub(r" +", " ", text)


def test_at_a_glance() -> None:
    told = _flat(done("inspect", MODEL))
    for line in (
        "architecture llama",
        "model A name",
        "weights 171 in 7 tensors, 342 bytes",
        "file type F16, 16.00 bits per weight",
        "context 64 tokens",
        "vocabulary 4 tokens, llama (default)",
        "chat template rag (5 characters), default (3 characters)",
        "general.author string nobody",
        "tokenizer.ggml.tokens string[4] a, b, c, ü",
        "tokenizer.ggml.scores float32[4] 0, -1, -2, -3",
        "blk.4.weight F16 3 × 2 × 8 96 bytes",
    ):
        assert line in told, told


def test_filters() -> None:
    told = done("inspect", MODEL, "--tensors", r"blk\.[12]\.")
    assert re.findall(r"^blk\.\d", told, re.MULTILINE) == ["blk.1", "blk.2"] and "general" not in told
    told = done("inspect", MODEL, "--keys", "rope|eos")
    assert re.findall(r"^[a-z]+\.[\w.]+", told, re.MULTILINE) == ["llama.rope.freq_base", "tokenizer.ggml.eos_token_id"]
    wrong = kquants("inspect", MODEL, "--keys", "(")
    assert wrong.returncode == 2 and "no regular expression" in wrong.stderr


def test_full_cuts_nothing(tmp_path: Path) -> None:
    path = tmp_path / "long.gguf"
    long, many = "word " * 1000 + "end", [f"item{i}" for i in range(300)]
    gguf_py.write(path, [Field.of("long", long), Field.of("many", many)], {"t": ("I8", (64,), np.zeros(64, np.int8))})
    short, full = done("inspect", path), done("inspect", path, "--full")
    assert "end" not in short and "item299" not in short
    assert long in full and "item299" in full and f"{gguf_py.open(path).tensors['t'].offset:,}" in full


def test_one_key_for_scripts(tmp_path: Path) -> None:
    assert done("inspect", MODEL, "--get", "general.name") == "A name\n"
    assert done("inspect", MODEL, "--get", "llama.context_length") == "64\n"
    assert done("inspect", MODEL, "--get", "tokenizer.ggml.tokens") == "a\nb\nc\nü\n"
    assert done("inspect", MODEL, "--get", "tokenizer.ggml.scores") == "0\n-1\n-2\n-3\n"
    assert json.loads(done("inspect", MODEL, "--get", "tokenizer.ggml.scores", "--json")) == [0, -1, -2, -3]
    every = FIXTURES / "all-types.gguf"
    assert (
        done("inspect", every, "--get", "one.bool") == "true\n" and done("inspect", every, "--get", "one.empty") == "\n"
    )
    assert done("inspect", every, "--get", "one.float32") == "0.1\n"
    assert done("inspect", every, "--get", "nested.int32") == "[1, 2]\n[3]\n[4, 5, 6]\n"
    wrong = kquants("inspect", MODEL, "--get", "general.nam")
    assert wrong.returncode == 1 and wrong.stdout == ""
    assert "no metadata key 'general.nam' (did you mean general.name?)" in wrong.stderr


def test_json_is_one_document_with_everything() -> None:
    for path in (MODEL, FIXTURES / "all-types.gguf", FIXTURES / "all-types-big.gguf"):
        told = json.loads(done("inspect", path, "--json"))
        with gguf_py.open(path) as file:
            assert list(told["metadata"]) == list(file.metadata)
            assert [t["name"] for t in told["tensors"]] == list(file.tensors)
            for found, tensor in zip(told["tensors"], file.tensors.values(), strict=True):
                assert (found["type"], tuple(found["shape"])) == (tensor.type.name, tensor.shape)
                assert (found["offset"], found["nbytes"]) == (tensor.offset, tensor.nbytes)
            assert told["size"] == path.stat().st_size and told["byteorder"] == file.byteorder
    told = json.loads(done("inspect", MODEL, "--json"))
    assert told["summary"]["bpw"] == 16 and told["summary"]["templates"] == {"rag": 5, "default": 3}


def test_json_holds_what_json_cannot(tmp_path: Path) -> None:
    path = tmp_path / "odd.gguf"
    values = [Field.of("nan", float("nan")), Field.of("infs", [1.0, float("-inf")]), Field.of("raw", [b"\xff", b"a"])]
    gguf_py.write(path, values, {})
    told = json.loads(done("inspect", path, "--json"))["metadata"]
    assert told == {"nan": None, "infs": [1.0, None], "raw": ["\udcff", "a"]}


# --- nothing from a file is obeyed --------------------------------------------------------------------------------


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A file whose every name and text tries to command the terminal."""
    evil = "\x1b[31mred\x1b]0;title\x07\x9b2J\r\n\u202egnp[bold]"
    fields = [
        Field.of("general.architecture", evil),
        Field.of("general.name", evil),
        Field.of("general.license", evil),
        Field.of("tokenizer.chat_template", evil),
        Field.of("tokenizer.chat_template." + evil, evil),
        Field.of(evil, [evil, evil]),
        Field.of(evil + ".context_length", evil),
    ]
    path = tmp_path / "evil.gguf"
    gguf_py.write(path, fields, {evil: ("I8", (1,), np.zeros(1, np.int8)), "blk.0." + evil: ("I8", (0,), np.zeros(0))})
    return path


@pytest.mark.parametrize("how", [[], ["--full"], ["--get", "general.name"]])
def test_control_characters_are_shown_and_not_obeyed(hostile: Path, how: list[str]) -> None:
    told = on_a_terminal("inspect", hostile, *how, columns=120)
    own = r"\x1b\[[0-9;]*m"  # colours, which are the command's own
    assert "\x1b[31mred" not in told
    rest = re.sub(own, "", told)
    assert "\\x1b[31mred\\x1b]0;title\\x07\\x9b2J\\r" in rest and "\\u202e" in rest
    assert all(c == "\n" or c.isprintable() for c in rest)
    piped = done("inspect", hostile, *how)
    assert how[:1] == ["--get"] or all(c == "\n" or c.isprintable() for c in piped)


def test_no_colour_where_nobody_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[" in on_a_terminal("inspect", MODEL)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[3\d", on_a_terminal("inspect", MODEL))
    assert "\x1b" not in done("inspect", MODEL)


def test_layers_alike_are_shown_once_on_a_terminal(tmp_path: Path) -> None:
    path = tmp_path / "deep.gguf"
    tensors = {f"blk.{i}.w": ("I8", (8 if i == 3 else 4,), np.zeros(8 if i == 3 else 4, np.int8)) for i in range(6)}
    gguf_py.write(path, [], tensors)  # type: ignore[arg-type]
    told = _flat(on_a_terminal("inspect", path, columns=120))
    assert "blk.*.w 0–2, 4–5 I8 4" in told and "blk.3.w 3 I8 8" in told
    assert len(re.findall(r"^blk\.\d", done("inspect", path), re.MULTILINE)) == 6


@pytest.mark.parametrize("columns", [80, 120])
def test_nothing_of_a_table_is_cut_where_it_fits(tmp_path: Path, columns: int) -> None:
    """What is long goes on in the next line; types, shapes and sizes stay whole, and no line ends in blanks."""
    path = tmp_path / "odd.gguf"
    tensors: dict[str, Any] = {}
    for i in range(30):
        size = 256 * (1 + i % 3 // 2)  # two kinds of layers, in turn: their numbers make a long list
        tensors[f"blk.{i}.post_attention_norm.weight"] = ("I8", (64, size), np.zeros((64, size), np.int8))
    gguf_py.write(path, [Field.of("general.architecture", "x")], tensors)
    told = re.sub(r"\x1b\[[0-9;]*m", "", on_a_terminal("inspect", path, columns=columns))
    assert "…" not in told and not re.search(r" $", told, re.MULTILINE)
    assert max(map(len, told.split("\n"))) <= max(columns, len(str(path)) + 60)
    first = next(line for line in told.split("\n") if line.startswith("blk.*.post_attention_norm.weight"))
    assert re.search(r"0–1, 3–4, .* I8    64 × 256 .* 16\.4 kB$", first)


@pytest.mark.parametrize(("width", "shown"), [(20, 8), (27, 11), (80, 11)])
def test_an_array_shows_something_however_narrow_the_place(width: int, shown: int) -> None:
    text = show.brief(Field.of("merges", ["\n" * 30, "a b", "c d"]), width)
    assert text.startswith("\\n" * shown) and text.endswith("…" if width < 80 else "c d") and len(text) <= width


def test_the_memory_it_takes() -> None:
    def cache(**own: Any) -> Any:
        told = {"block_count": 2, "context_length": 100, "embedding_length": 64, "attention.head_count": 4} | own
        fields = [Field.of("general.architecture", "x"), *(Field.of(f"x.{k}", v) for k, v in told.items())]
        return summary.facts({f.key: f for f in fields}, []).get("cache")

    assert cache() == 2 * 100 * 2 * 4 * (16 + 16)
    assert cache(**{"attention.head_count_kv": 1, "attention.key_length": 8}) == 2 * 100 * 2 * (8 + 8)
    assert cache(**{"attention.head_count_kv": [0, 2], "attention.value_length": 4}) == 2 * 100 * 2 * (16 + 4)
    assert cache(**{"attention.causal": False}) is None and cache(**{"attention.head_count": 0}) is None


# --- shards and servers -------------------------------------------------------------------------------------------


def test_any_shard_shows_the_set(tmp_path: Path) -> None:
    with gguf_py.open(MODEL) as model:
        paths = shards.split(model, tmp_path / "m", shards.plan_split(model, max_tensors=3))
    for path in paths:
        told = _flat(done("inspect", path))
        assert "in 3 shards" in told and "model A name" in told and told.count("\nblk.") == 7
    told = json.loads(done("inspect", paths[1], "--json"))
    assert [Path(s["path"]) for s in told["shards"]] == paths and told["tensors"][3]["shard"] == str(paths[1])


class _Ranges(http.server.SimpleHTTPRequestHandler):
    """A server that knows ranges, unless the path says otherwise."""

    sent: list[int]
    over: threading.Event

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path.split("?")[0]))
        if self.path.startswith("/moved/"):
            self.send_response(302)
            self.send_header("Location", "/" + self.path.removeprefix("/moved/"))
            self.end_headers()
            return
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        if self.path.endswith("?rude"):
            self.send_response(500, "no\x1b]0;title\x07")
            self.end_headers()
            return
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        assert asked is not None
        if self.path.endswith("?whole"):
            start, end = 0, len(data)
            self.send_response(200)
        else:
            start, end = int(asked[1]), min(int(asked[2]) + 1, len(data))
            self.send_response(206)
            total = 2**50 if self.path.endswith("?lies") else len(data)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{total}")
        self.send_header("Content-Length", str(end - start))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if self.path.endswith("?stalls"):
                self.over.wait()
            while self.path.endswith("?drips"):
                self.wfile.write(data[start : start + 1])
                time.sleep(0.001)
            end = start + 100 if self.path.endswith("?ends") else end
            self.wfile.write(data[start:end])
            self.sent.append(end - start)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, list[int]]]:
    """Address of a server of ``tmp_path`` on the loopback interface, and the sizes of what it sent."""
    sent: list[int] = []
    over = threading.Event()
    handler = type("_Counting", (_Ranges,), {"sent": sent, "over": over})
    with serving(functools.partial(handler, directory=str(tmp_path))) as address:
        yield address, sent
        over.set()


def _large(path: Path) -> None:
    words = Field.of("tokenizer.ggml.tokens", [f"token number {i}" for i in range(150_000)])
    fields = [Field.of("general.architecture", "far"), words]
    gguf_py.write(path, fields, {"t": ("I8", (50_000_000,), np.zeros(50_000_000, np.int8))})


def test_only_the_header_of_a_url_is_fetched(tmp_path: Path, server: tuple[str, list[int]]) -> None:
    address, sent = server
    _large(tmp_path / "m.gguf")
    told = _flat(done("inspect", f"{address}/m.gguf"))
    assert "architecture far" in told and "150,000 tokens" in told and "t I8 50000000 50.0 MB" in told
    assert sum(sent) < 9_000_000 and len(sent) <= 5
    again = done("inspect", f"{address}/moved/m.gguf", "--get", "general.architecture")
    assert again == "far\n"


def test_servers_without_ranges_and_servers_that_lie(
    tmp_path: Path, server: tuple[str, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, _ = server
    _large(tmp_path / "m.gguf")
    (tmp_path / "text.gguf").write_text("nothing")
    assert done("inspect", f"{address}/m.gguf?whole", "--get", "general.architecture") == "far\n"
    assert list(open_url(f"{address}/m.gguf?lies").tensors) == ["t"]
    for path, says in [
        ("none.gguf", "the server answers 404"),
        ("text.gguf", "not a GGUF file"),
        ("m.gguf?rude", r"the server answers 500 (no\x1b]0;title\x07)"),
    ]:
        wrong = kquants("inspect", f"{address}/{path}")
        assert wrong.returncode == 1 and says in wrong.stderr and wrong.stderr.count("\n") == 1
    with pytest.raises(KQuantsError, match="invalid ipv6 url"):
        open_url("http://[::1/m.gguf")
    with socket.socket() as deaf, pytest.raises(KQuantsError, match="refused"):
        deaf.bind(("127.0.0.1", 0))
        open_url(f"http://127.0.0.1:{deaf.getsockname()[1]}/m.gguf")
    with pytest.raises(KQuantsError, match="the server sends 100 bytes where"):
        open_url(f"{address}/m.gguf?ends")
    monkeypatch.setattr(remote, "time", SimpleNamespace(monotonic=itertools.count(step=10).__next__))
    with pytest.raises(KQuantsError, match=r"the server is too slow: \d+ bytes in 40 s"):
        open_url(f"{address}/m.gguf?drips")
    monkeypatch.setattr(remote, "_SECONDS", 0.2)
    with pytest.raises(KQuantsError, match="timed out"):
        open_url(f"{address}/m.gguf?stalls")


def test_shards_on_a_server(tmp_path: Path, server: tuple[str, list[int]]) -> None:
    with gguf_py.open(MODEL) as model:
        shards.split(model, tmp_path / "m", shards.plan_split(model, max_tensors=3))
    with open_url(f"{server[0]}/m-00002-of-00003.gguf?download=true") as found:
        assert len(found.files) == 3 and len(found.tensors) == 7
        with pytest.raises(KQuantsError, match="only the header"):
            found.tensors["blk.0.weight"].to_numpy()


# --- the figures --------------------------------------------------------------------------------------------------


def _info(name: str, kind: str, *shape: int) -> TensorInfo:
    return TensorInfo(name, tensor_type(kind), shape)


def test_layers_are_grouped_by_what_they_hold() -> None:
    infos = [_info(f"blk.{i}.a", "Q6_K" if i in (0, 4) else "Q4_K", 2, 256) for i in range(6)]
    infos += [_info("output", "F16", 4), _info("v.blk.0.a", "F32", 4)]
    found = summary.by_layer(infos)
    assert [(part.stack, summary.ranges(part.numbers), part.types) for part in found] == [
        ("blk", "0, 4", {"Q6_K": 1}),
        ("blk", "1–3, 5", {"Q4_K": 1}),
        ("v.blk", "0", {"F32": 1}),
        ("", "", {"F16": 1}),
    ]
    assert found[1].each.bpw == 4.5 and found[1].each.weights == 512


def test_shares_add_up() -> None:
    infos = [_info("a", "F32", 10), _info("b", "Q8_0", 64), _info("c", "F32", 2)]
    shares = summary.by_type(infos)
    assert list(shares) == ["Q8_0", "F32"] and shares["F32"] == summary.Share(2, 12, 48)
    assert sum(s.nbytes for s in shares.values()) == summary.Share.of(infos).nbytes == 68 + 48


@pytest.mark.parametrize(
    ("number", "name"),
    [(0, "F32"), (15, "Q4_K_M"), (41, "Q2_0"), (1024 + 15, "Q4_K_M (guessed)"), (99, "unknown (99)")],
)
def test_file_types_have_names(number: int, name: str) -> None:
    assert summary.file_type(number) == name


def test_facts_of_odd_files() -> None:
    fields = {
        f.key: f
        for f in (
            Field.of("general.architecture", "x"),
            Field.of("x.attention.head_count", [8, 8, 2], item=ValueType.UINT32),
            Field.of("x.attention.head_count_kv", [4, 4], item=ValueType.UINT32),
            Field.of("general.file_type", "text"),
        )
    }
    found = summary.facts(fields, [])
    assert found["heads"] == "2–8" and found["kv_heads"] == 4 and "file_type" not in found and found["bpw"] == 0


@pytest.mark.parametrize("path", real_files(), ids=lambda p: p.name)
def test_real_files_are_shown_without_fail(path: Path) -> None:
    with gguf_py.open(path) as file:
        expected = file.metadata["general.architecture"]
    told = done("inspect", path)
    assert f"architecture  {expected}" in told and len(told) < 100_000
