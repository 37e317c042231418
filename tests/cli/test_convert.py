"""``kquants convert`` as a user meets it: names, options, and what it says when something is wrong."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import gguf_py
from gguf_py import KQuantsError
from hf2gguf.hub import find
from tests.command import TINY, done, kquants
from tests.hf2gguf import make_endian
from tests.hf2gguf.models import Model, base, llama, write
from tests.hf2gguf.zoo import ZOO
from tests.server import serving

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def checkpoint(place: Path, name: str = "Tiny-1M-Chat", **config: Any) -> Path:
    return write(Model(base("LlamaForCausalLM", "llama", **config), llama()), place / name)


def test_default_name_is_in_the_folder(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path)
    result = kquants("convert", folder)
    assert result.returncode == 0, result.stderr
    (made,) = folder.glob("*.gguf")
    assert made.name == "Tiny-1M-Chat-BF16.gguf"
    assert str(made) in result.stdout and "kquants quantize" in result.stdout
    assert kquants("convert", folder, "--quiet").stdout == ""


def test_braces_and_folders_in_outfile(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path)
    for outfile, name in (
        ("m-{ftype}.gguf", "m-q8_0.gguf"),
        ("{OUTTYPE}.gguf", "Q8_0.gguf"),
        ("", "Tiny-1M-Chat-Q8_0.gguf"),
    ):
        out = tmp_path / f"out{len(name)}"
        out.mkdir()
        assert kquants("convert", folder, "--outtype", "Q8_0", "--outfile", f"{out}/{outfile}").returncode == 0
        assert [p.name for p in out.iterdir()] == [name]
    assert "braces" in kquants("convert", folder, "--outfile", tmp_path / "{nonsense}").stderr


def test_dry_run_writes_nothing(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    said = kquants("convert", folder, "--dry-run", "--split-max-tensors", "9")
    assert said.returncode == 0 and said.stdout.count("of-00003.gguf: ") == 3
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_is_not_there_becomes_no_file(tmp_path: Path) -> None:
    said = kquants("convert", checkpoint(tmp_path), "--outfile", f"{tmp_path}/out/")
    assert said.returncode == 2 and "there is no folder" in said.stderr
    assert not (tmp_path / "out").exists()


def test_the_checkpoint_is_spared(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path)
    before = (folder / "model.safetensors").read_bytes()
    said = kquants("convert", folder, "--outfile", folder / "model.safetensors")
    assert said.returncode == 1 and "the checkpoint itself" in said.stderr
    assert (folder / "model.safetensors").read_bytes() == before


def test_what_is_said_of_files_without_weights(tmp_path: Path) -> None:
    folder, out = checkpoint(tmp_path), tmp_path / "out.gguf"
    for option, said, more in (
        ("--vocab-only", "94.9 kB, 0 tensors", 0),
        ("--bigendian", "1.3 MB, 16.01 bits per weight, 21 tensors", 1),  # and how long it took, but no next step
    ):
        lines = kquants("convert", folder, option, "--outfile", out).stdout.splitlines()
        assert len(lines) == 2 + more and lines[1] == f"{out}: {said}"


@pytest.mark.parametrize("name", ["tiny-mixtral", "tiny-bert", "tiny-mamba", "tiny-falcon-7b"])
@pytest.mark.parametrize("file_type", ["q4_k_m", "q5_0"])
def test_one_pass_is_two_steps(tmp_path: Path, name: str, file_type: str) -> None:
    folder = write(ZOO[name], tmp_path / name)
    f16, two, one = tmp_path / "f16.gguf", tmp_path / "two.gguf", tmp_path / "one.gguf"
    assert kquants("convert", folder, "--outtype", "f16", "--outfile", f16).returncode == 0
    assert kquants("quantize", f16, two, file_type).returncode == 0
    result = kquants("convert", folder, "--outtype", file_type, "--outfile", one)
    assert result.returncode == 0, result.stderr
    assert one.read_bytes() == two.read_bytes()


SPLITS = [
    ("--split-max-size", "1M"),
    ("--split-max-tensors", "9"),
    ("--split-max-tensors", "9", "--no-tensor-first-split"),
]


@pytest.mark.parametrize("options", SPLITS, ids=" ".join)
def test_quantized_shards_are_those_of_split(tmp_path: Path, options: tuple[str, ...]) -> None:
    for folder in ("whole", "two", "one"):
        (tmp_path / folder).mkdir()
    done("convert", TINY, "--outtype", "q4_k_m", "--outfile", tmp_path / "whole/m.gguf")
    done("split", tmp_path / "whole/m.gguf", tmp_path / "two/m", *options)
    done("convert", TINY, "--outtype", "q4_k_m", "--outfile", tmp_path / "one/m.gguf", *options)
    two, one = ({p.name: p.read_bytes() for p in (tmp_path / folder).iterdir()} for folder in ("two", "one"))
    assert one == two and len(one) > 3


def test_quantized_into_one_shard_is_the_whole_file(tmp_path: Path) -> None:
    whole, one = tmp_path / "whole.gguf", tmp_path / "one.gguf"
    assert "next:" not in done("convert", TINY, "--outtype", "q4_0", "--outfile", whole), "it is quantized already"
    assert "fits in one file" in done("convert", TINY, "--outtype", "q4_0", "--outfile", one, "--split-max-size", "1G")
    assert one.read_bytes() == whole.read_bytes()
    both = kquants("convert", TINY, "--outtype", "q4_0", "--split-max-size", "1G", "--split-max-tensors", "9")
    assert both.returncode == 2 and "exclude each other" in both.stderr


def test_one_pass_with_an_importance_matrix(tmp_path: Path) -> None:
    f16, two, one, matrix = (tmp_path / name for name in ("f16.gguf", "two.gguf", "one.gguf", "imatrix.dat"))
    done("convert", TINY, "--outtype", "f16", "--outfile", f16)
    with gguf_py.open(f16) as f:
        entries = {name: t.shape[-1] for name, t in f.tensors.items() if len(t.shape) > 1}
    data = struct.pack("<i", len(entries))
    for name, columns in entries.items():
        sums = np.random.default_rng(columns).uniform(0.5, 2, columns).astype("<f4")
        data += struct.pack("<i", len(name)) + name.encode() + struct.pack("<2i", 1, columns) + sums.tobytes()
    matrix.write_bytes(data)
    done("quantize", f16, two, "iq2_xs", "--imatrix", matrix)
    done("convert", TINY, "--outtype", "iq2_xs", "--imatrix", matrix, "--outfile", one)
    assert one.read_bytes() == two.read_bytes()
    assert kquants("convert", TINY, "--outtype", "f16", "--imatrix", matrix).returncode == 2


@pytest.mark.parametrize("kind", make_endian.RUNS)
def test_quantized_for_big_endian(tmp_path: Path, kind: str) -> None:
    expected = json.loads(make_endian.DIGESTS.read_text())[kind]
    assert make_endian.convert(tmp_path, kind, "--bigendian", *make_endian.RUNS[kind]) == expected


def test_a_type_without_big_endian_form_is_refused(tmp_path: Path) -> None:
    said = kquants("convert", TINY, "--outtype", "q5_k_m", "--bigendian", "--outfile", tmp_path / "m.gguf")
    assert said.returncode == 1 and said.stderr.count("\n") == 1 and "Q5_K" in said.stderr and "Q4_K" in said.stderr
    assert not list(tmp_path.iterdir())


def test_architectures_are_listed() -> None:
    listed = kquants("convert", "--list-architectures").stdout.splitlines()
    assert len(listed) > 130 and [line.split()[0] for line in listed] == sorted(line.split()[0] for line in listed)


def test_an_unknown_architecture_names_the_nearest_first(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, architectures=["Qwen33ForCausalLM"])
    said = kquants("convert", folder).stderr
    assert said.count("\n") == 1 and "nearest to which are Qwen3ForCausalLM" in said
    assert "--architecture" in said and "LlamaForCausalLM" not in said


def test_a_definition_of_ones_own(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, architectures=["MineForCausalLM"], rms_norm_eps=0.25)
    page = tmp_path / "mine.toml"
    page.write_text('base = "llama"\narchitecture = "mine"\n[metadata]\nmy_scale = "hidden_size // 2"\n')
    out = tmp_path / "out.gguf"
    assert kquants("convert", folder, "--architecture", page, "--outfile", out).returncode == 0
    with gguf_py.open(out) as f:
        assert f.metadata["general.architecture"] == "mine" and f.metadata["mine.my_scale"] == 32


PAGES = [
    ("base = [", "is no TOML"),
    ('base = "../../llama"', "which is no page beside it"),
    ('nonsense = 1\nbase = "llama"', "there is no table 'nonsense'"),
    ('base = "llama"\n[metadata]\nx = "missing_key"', "lacks 'missing_key'"),
    ('base = "llama"\n[metadata]\nx = "1 +"', "no expression"),
    ('base = "llama"\n[tensors]\n"model.norm" = "output_norm | melt"', "no operation 'melt'"),
    ('base = "llama"\n[tensors]\n"model.norm" = "token_embd"', "two tensors"),
]


@pytest.mark.parametrize(("text", "said"), PAGES)
def test_a_wrong_definition_is_said(tmp_path: Path, text: str, said: str) -> None:
    page = tmp_path / "mine.toml"
    page.write_text(text)
    result = kquants("convert", checkpoint(tmp_path), "--architecture", page, "--outfile", tmp_path / "out.gguf")
    assert result.returncode == 1 and result.stderr.count("\n") == 1 and said in result.stderr
    assert not list(tmp_path.glob("*.gguf*"))


def with_config(place: Path, **config: Any) -> Path:
    return checkpoint(place, **config)


def with_file(place: Path, **files: Any) -> Path:
    folder = checkpoint(place)
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


WRONG: list[tuple[Callable[[Path], Path], str]] = [
    (partial(with_config, num_hidden_layers=10**9), "gives 1000000000 as the number of layers"),
    (partial(with_config, num_hidden_layers=3), "no tensors of layer 2"),
    (partial(with_config, num_hidden_layers=1), "config.json says 1 layers"),
    (partial(with_config, num_hidden_layers="2"), "gives '2' as the number of layers"),
    (partial(with_config, hidden_size=128), "hidden size of 128"),
    (partial(with_config, num_attention_heads=7), "64 rows do not make 7 heads"),
    (partial(with_config, num_key_value_heads=4), "4 heads of 16 for keys"),
    (partial(with_config, vocab_size=5000), "5000 tokens, but token_embd.weight has 4096 rows"),
    (partial(with_config, architectures=...), "lacks 'architectures'"),
    (partial(with_config, max_position_embeddings=-1), "'llama.context_length': -1 is no UINT32"),
    (partial(with_config, rms_norm_eps="small"), "llama.attention.layer_norm_rms_epsilon"),
    (partial(with_file, modules=[{"type": "x.Pooling", "path": "../../etc"}]), "'../../etc'"),
]


@pytest.mark.parametrize(("make", "said"), WRONG, ids=lambda w: w if isinstance(w, str) else "")
def test_a_wrong_checkpoint_is_said(tmp_path: Path, make: Callable[[Path], Path], said: str) -> None:
    result = kquants("convert", make(tmp_path), "--outfile", tmp_path / "out.gguf")
    assert result.returncode == 1 and result.stderr.count("\n") == 1, result.stderr
    assert said in result.stderr
    assert not list(tmp_path.glob("out*"))


def test_a_link_to_the_weights_is_not_written_through(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path)
    weights = folder / "model.safetensors"
    before = weights.read_bytes()
    (tmp_path / "out.gguf").symlink_to(weights)
    result = kquants("convert", folder, "--outfile", tmp_path / "out.gguf")
    assert result.returncode == 1 and "out.gguf: is a file of the checkpoint itself" in result.stderr
    assert weights.read_bytes() == before


def cached(place: Path) -> str:
    """A Hugging Face cache with acme/Tiny-1M in it, laid out as huggingface_hub does: links to blobs."""
    plain = checkpoint(place, "plain")
    model = place / "hub/models--acme--Tiny-1M"
    snapshot = model / "snapshots" / COMMIT
    for folder in (model / "blobs", model / "refs", snapshot):
        folder.mkdir(parents=True)
    (model / "refs/main").write_text(COMMIT)
    for i, path in enumerate(plain.iterdir()):
        path.rename(model / f"blobs/{i:040x}")
        (snapshot / path.name).symlink_to(f"../../blobs/{i:040x}")
    return str(place / "hub")


def test_a_hub_id_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", cached(tmp_path))
    result = kquants("convert", "acme/Tiny-1M", "--outfile", tmp_path / "out.gguf")
    assert result.returncode == 0, result.stderr
    with gguf_py.open(tmp_path / "out.gguf") as f:
        assert f.metadata["general.name"] == "acme/Tiny-1M"


def test_revisions_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", cached(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    model = tmp_path / "hub/models--acme--Tiny-1M"
    first, other = model / "snapshots" / COMMIT, model / "snapshots" / COMMIT[::-1]
    other.mkdir()
    (other / "config.json").symlink_to("../../blobs/" + "0" * 40)
    assert find("acme/Tiny-1M") == (first, "acme/Tiny-1M")  # the branch, whatever else is there
    (model / "refs/main").rename(model / "refs/v1")
    for revision in ("v1", COMMIT, COMMIT[:7]):
        assert find(f"acme/Tiny-1M@{revision}") == (first, "acme/Tiny-1M")
    assert find(f"acme/Tiny-1M@{COMMIT[::-1]}") == (other, "acme/Tiny-1M")  # no weights, none to be had
    with pytest.raises(KQuantsError, match=f"2 snapshots .* acme/Tiny-1M@{COMMIT[:12]}, acme/Tiny-1M@"):
        find("acme/Tiny-1M")
    with pytest.raises(KQuantsError, match="acme/Tiny-1M@v2: "):
        find("acme/Tiny-1M@v2")
    (other / "config.json").unlink()
    assert find("acme/Tiny-1M") == (first, "acme/Tiny-1M")  # the only one: it was asked for by its commit


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as a download asks for."""

    folder: Path
    asked: ClassVar[list[str]] = []
    busy: ClassVar[bool] = False

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        name = self.path.split("?")[0].rpartition("/")[2]
        self.asked.append(name)
        if self.busy and len(self.asked) == 1:
            self.send_error(503)
            return
        if self.path.startswith("/api/models/acme/Tiny-1M/tree/"):
            sizes = {p.name: p.stat().st_size for p in self.folder.iterdir()}
            data = json.dumps([{"type": "file", "path": n, "size": s, "oid": n} for n, s in sizes.items()]).encode()
        elif self.path.startswith("/api/models/acme/Tiny-1M"):
            files = [{"rfilename": p.name} for p in self.folder.iterdir()]
            data = json.dumps({"id": "acme/Tiny-1M", "sha": COMMIT, "siblings": files}).encode()
        elif (self.folder / name).is_file() and "/resolve/" in self.path:
            data = (self.folder / name).read_bytes()
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{name}-{len(data)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hub on the loopback address, and an empty cache."""
    folder = checkpoint(tmp_path, "served")
    (folder / "pytorch_model.bin").write_bytes(b"the same weights once more")
    (folder / "tokenizer.model.v3").write_bytes(b"the tokenizer of Mistral's own form")
    Hub.asked.clear()
    handler = type("Served", (Hub,), {"folder": folder})
    with serving(handler) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
        yield


@pytest.mark.usefixtures("hub")
def test_a_hub_id_is_fetched(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    arguments = ("--outfile", tmp_path / "out.gguf", "--quiet")
    result = kquants("convert", "acme/Tiny-1M", *arguments)
    assert result.returncode == 0, result.stderr
    with gguf_py.open(tmp_path / "out.gguf") as f:
        assert f.metadata["general.name"] == "acme/Tiny-1M" and len(f.tensors) == 21
    assert {"model.safetensors", "tokenizer.model.v3"} <= set(Hub.asked) and "pytorch_model.bin" not in Hub.asked
    (weights,) = (tmp_path / "cache").rglob("model.safetensors")
    weights.unlink()  # as where only the tokenizer was asked for
    assert kquants("convert", f"acme/Tiny-1M@{COMMIT}", *arguments).returncode == 0 and weights.exists()
    lost = kquants("convert", "acme/Nothing", *arguments)
    assert lost.returncode == 1 and "acme/Nothing: is neither a folder" in lost.stderr.splitlines()[-1]


@pytest.mark.usefixtures("hub")
def test_a_hub_that_is_busy_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(Hub, "busy", True)
    result = kquants("convert", "acme/Tiny-1M", "--outfile", tmp_path / "out.gguf", "--dry-run")
    assert result.returncode == 0, result.stderr


@pytest.mark.usefixtures("hub")
def test_nobody_at_the_address_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that is taken and listens to nobody; a wait before another try would fail."""
    pytest.importorskip("huggingface_hub")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{taken.getsockname()[1]}")
        code = "import time; time.sleep = None; from hf2gguf.hub import find; find('acme/Tiny-1M')"
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "acme/Tiny-1M: is neither a folder nor" in result.stderr and "refused)" in result.stderr.splitlines()[-1]


def test_an_id_that_is_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    result = kquants("convert", "acme/Nowhere")
    assert result.returncode == 1 and "acme/Nowhere: " in result.stderr
