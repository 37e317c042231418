"""``kquants report``: the figures on the page, that nothing of a file becomes markup, and the page in a browser."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gguf_py
import kquants
from gguf_py import Field, shards
from tests.command import TINY, done
from tests.command import kquants as command

from .browser import Browser, browser

HOSTILE = "</script><img src=x onerror=alert(1)><!-- {{css}} \x1b[31m"


def data_of(page: Path) -> dict[str, Any]:
    """What the page carries."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text("utf-8"), re.DOTALL)
    assert found
    document: dict[str, Any] = json.loads(found[1])
    return document


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A quantized file and its source: one odd row length, one tensor with an outlier, names that try to be markup."""
    place = tmp_path_factory.mktemp("report")
    rng = np.random.default_rng(5)
    weights: dict[str, Any] = {
        "token_embd.weight": rng.standard_normal((8, 512), np.float32),
        "blk.0.attn_q.weight": rng.standard_normal((16, 512), np.float32) * np.float32(0.02),
        "blk.0.ffn_norm.weight": rng.standard_normal(300).astype(np.float32),
        "blk.1.attn_q.weight": rng.standard_normal((16, 512), np.float32),
        "blk.10.attn_q.weight": rng.standard_normal((16, 512), np.float32),
        HOSTILE[:40]: rng.standard_normal((1, 512), np.float32),
    }
    weights["blk.1.attn_q.weight"][3, 300] = 50
    fields = [
        Field.of("general.architecture", "llama"),
        Field.of("general.name", HOSTILE),
        Field.of("llama.block_count", 11),
        Field.of("tokenizer.ggml.tokens", [f"token{i}" for i in range(700)] + [HOSTILE]),
        Field.of("tokenizer.ggml.token_type", np.array([1] * 700 + [3], np.int32)),
        Field.of("tokenizer.chat_template", "{% for m in messages %}{{ m.content }}{# note #}{% endfor %}" + HOSTILE),
    ]
    source, quantized = place / "source.gguf", place / "quantized.gguf"
    gguf_py.write(source, fields, {name: ("F32", w.shape, w) for name, w in weights.items()})
    packed = {
        name: ("Q4_K", w.shape, kquants.quantize(w, "Q4_K")) if w.shape[-1] == 512 else ("F32", w.shape, w)
        for name, w in weights.items()
    }
    gguf_py.write(quantized, fields, packed)
    return quantized, source


def test_figures_are_those_of_the_weights(tmp_path: Path, files: tuple[Path, Path]) -> None:
    quantized, source = files
    done("report", quantized, "--source", source, "-o", tmp_path / "page.html")
    rows = {t["name"]: t for t in data_of(tmp_path / "page.html")["tensors"]}
    with gguf_py.open(quantized) as ours, gguf_py.open(source) as theirs:
        assert list(rows) == list(ours.tensors)
        for name, row in rows.items():
            y, x = (f.tensors[name].to_numpy().astype(np.float64).reshape(-1) for f in (ours, theirs))
            assert row["type"] == ours.tensors[name].type.name and row["weights"] == x.size
            assert row["rms"] == pytest.approx(np.sqrt((y**2).mean()), rel=1e-6)
            assert row["mean"] == pytest.approx(y.mean(), rel=1e-4, abs=1e-7)
            assert (row["least"], row["most"]) == (pytest.approx(y.min()), pytest.approx(y.max()))
            assert row["crest"] == pytest.approx(np.abs(y).max() / np.sqrt((y**2).mean()), rel=1e-6)
            assert row["relative"] == pytest.approx(np.linalg.norm(y - x) / np.linalg.norm(x), rel=1e-5)
            assert row["cosine"] == pytest.approx(x @ y / np.linalg.norm(x) / np.linalg.norm(y), rel=1e-6)
            assert row["largest"] == pytest.approx(np.abs(y - x).max(), rel=1e-5)
            groups = [np.linalg.norm(d) / np.linalg.norm(g) for d, g in zip(_groups(y - x), _groups(x), strict=True)]
            assert row["worst"] == pytest.approx(max(groups), rel=1e-5)
            assert row["worst_at"] == 256 * int(np.argmax(groups))
            scales = sorted(np.sqrt((g**2).mean()) for g in _groups(y))
            assert row["scales"] == pytest.approx([scales[0], np.median(scales), scales[-1]], rel=1e-6)
            assert sum(row["histogram"]) == min(x.size, 8192)
        x, y = (
            np.concatenate([t.to_numpy().astype(np.float64).reshape(-1) for t in f.tensors.values()])
            for f in (theirs, ours)
        )
    told = dict(data_of(tmp_path / "page.html")["facts"])["relative RMS error"]
    assert float(told.rstrip("%")) / 100 == pytest.approx(np.linalg.norm(y - x) / np.linalg.norm(x), rel=1e-3)
    assert rows["blk.1.attn_q.weight"]["crest"] > 10 > rows["blk.0.attn_q.weight"]["crest"]


def _groups(x: Any) -> list[Any]:
    return [x[i : i + 256] for i in range(0, len(x), 256)]


def test_histogram_counts_the_weights(tmp_path: Path) -> None:
    x = np.repeat(np.array([-1, 0, 1, 1], np.float32), 256)  # rms sqrt(3/4), reach four times that
    gguf_py.write(tmp_path / "f", [Field.of("general.architecture", "x")], {"t": ("F32", (1024,), x)})
    done("report", tmp_path / "f", "-o", tmp_path / "page.html")
    (row,) = data_of(tmp_path / "page.html")["tensors"]
    reach = 4 * np.sqrt(0.75)
    assert row["reach"] == pytest.approx(reach)
    assert len(row["histogram"]) == 65
    at = {int((v + reach) / (2 * reach) * 65): n for v, n in ((-1, 256), (0, 256), (1, 512))}
    assert {i: n for i, n in enumerate(row["histogram"]) if n} == at


def test_the_page_stands_alone(tmp_path: Path, files: tuple[Path, Path]) -> None:
    done("report", files[0], "-o", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert page.count("<script") == 2 and page.count("</script>") == 2
    assert not re.search(
        r"(?:src|href)=[\"']?(?:https?:)?//|@import|url\(", page.replace("http://www.w3.org/2000/svg", "")
    )
    assert str(files[0].parent) not in page and str(tmp_path) not in page, "where it lay is nobody's business"
    document = data_of(tmp_path / "page.html")
    assert document["name"] == HOSTILE and document["tokens"][700] == HOSTILE
    assert f"<title>{html.escape(HOSTILE)}: report</title>" in page


def test_a_set_is_shown_as_one(tmp_path: Path, files: tuple[Path, Path]) -> None:
    for path, name in zip(files, ("quantized", "source"), strict=True):
        with gguf_py.open(path) as file:
            shards.split(file, tmp_path / name, shards.plan_split(file, max_tensors=2))
    places = [tmp_path / f"{name}-00002-of-00003.gguf" for name in ("quantized", "source")]
    done("report", places[0], "--source", places[1], "-o", tmp_path / "set.html")
    done("report", files[0], "--source", files[1], "-o", tmp_path / "whole.html")
    told = [
        [{**t, "shape": None} for t in data_of(tmp_path / f"{name}.html")["tensors"]]  # splitting drops axes of 1
        for name in ("set", "whole")
    ]
    assert told[0] == told[1]


def test_names_that_are_no_text(tmp_path: Path) -> None:
    fields = [Field.of("general.architecture", "x"), Field.of("general.name", b"\xff\xfe")]
    gguf_py.write(tmp_path / "f", fields, {"t": ("F32", (4,), np.ones(4, np.float32))})
    done("report", tmp_path / "f", "-o", tmp_path / "page.html")
    assert data_of(tmp_path / "page.html")["name"] == "??"


def test_nothing_in_common_is_an_error(tmp_path: Path, files: tuple[Path, Path]) -> None:
    other = tmp_path / "other.gguf"
    gguf_py.write(other, [Field.of("general.architecture", "x")], {"t": ("F32", (4,), np.ones(4, np.float32))})
    result = command("report", files[0], "--source", other, "-o", tmp_path / "page.html")
    assert result.returncode == 1 and result.stderr.count("\n") == 1 and "other.gguf" in result.stderr
    assert not (tmp_path / "page.html").exists()


def test_weights_that_are_not_finite(tmp_path: Path) -> None:
    x = np.ones(512, np.float32)
    x[3] = np.nan
    gguf_py.write(tmp_path / "f", [Field.of("general.architecture", "x")], {"t": ("F32", (512,), x)})
    done("report", tmp_path / "f", "-o", tmp_path / "page.html")
    (row,) = data_of(tmp_path / "page.html")["tensors"]
    assert row["rms"] is None and row["histogram"] is None


# ----------------------------------------------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    """A desktop's window."""
    with browser("--window-size=1280,1000") as opened:
        yield opened


@pytest.fixture(scope="module")
def page(files: tuple[Path, Path]) -> Path:
    """The report of the hostile file."""
    quantized, source = files
    path = quantized.with_name("page.html")
    done("report", quantized, "--source", source, "-o", path)
    return path


def test_it_loads_without_complaints(window: Browser, page: Path) -> None:
    window.open(page)
    assert window.run("return document.documentElement.dataset.ready") == "yes"
    assert window.run("return document.querySelectorAll('img').length") == 0
    assert window.run("return document.getElementById('name').textContent") == HOSTILE.replace("\x1b", "\\x1b")
    assert window.complaints() == []


def test_layers_are_rows_in_order(window: Browser, page: Path) -> None:
    window.open(page)
    rows = window.run("return [...document.querySelectorAll('#map tbody tr')].map(r => r.cells[0].textContent)")
    assert rows[:3] == ["0", "1", "10"] and "token_embd" in rows


def test_the_keyboard_moves_and_chooses(window: Browser, page: Path) -> None:
    window.open(page)
    window.run("document.querySelector('#map button').focus()")
    window.press("ArrowDown", "Enter")
    assert window.run("return document.querySelector('#detail h3').textContent") == "blk.1.attn_q.weight"
    window.press("ArrowUp", "ArrowRight", "Enter")
    assert window.run("return document.querySelector('#detail h3').textContent") == "blk.0.ffn_norm.weight"
    assert window.run("return document.querySelectorAll('#map button[tabindex=\"0\"]').length") == 1


def test_tables_sort_and_filter(window: Browser, page: Path) -> None:
    window.open(page)
    names = "return [...document.querySelectorAll('#tensor-table tbody tr')].map(r => r.cells[0].textContent)"
    window.run("[...document.querySelectorAll('#tensor-table th button')].find(b => b.textContent == 'RMS').focus()")
    window.press("Enter")
    assert window.run(names)[-1] == "blk.0.attn_q.weight"
    sorts = "return [...document.querySelectorAll('#tensor-table th')].map(t => t.ariaSort).filter(s => s != 'none')"
    assert window.run(sorts) == ["descending"]
    window.run("document.getElementById('tensor-filter').focus()")
    window.press(*"blk.1 q4")
    assert set(window.run(names)) == {"blk.1.attn_q.weight", "blk.10.attn_q.weight"}


def test_the_vocabulary_is_searched(window: Browser, page: Path) -> None:
    window.open(page)
    window.run("document.getElementById('token-filter').focus()")
    window.press(*"token69")
    texts = "return [...document.querySelectorAll('#token-table tbody tr')].map(r => r.cells[1].textContent)"
    assert window.run(texts) == ["token69", *(f"token69{i}" for i in range(10))]
    window.press(*["\ue003"] * 10, *"onerror")
    kinds = "return [...document.querySelectorAll('#token-table tbody tr')].map(r => r.cells[2].textContent)"
    assert window.run(kinds) == ["control"]
    assert window.run(texts) == [HOSTILE.replace("\x1b", "\\x1b")], "what cannot be seen is spelled"


def test_a_vocabulary_alone_has_no_empty_tables(tmp_path: Path, window: Browser) -> None:
    fields = [Field.of("general.architecture", "llama"), Field.of("tokenizer.ggml.tokens", ["a", "\n", "\u200b"])]
    gguf_py.write(tmp_path / "f", fields, {})
    done("report", tmp_path / "f", "-o", tmp_path / "page.html")
    window.open(tmp_path / "page.html")
    shown = "return [...document.querySelectorAll('section:not([hidden]) h2')].map(h => h.textContent)"
    assert window.run(shown) == ["Metadata", "Vocabulary"] and window.complaints() == []
    texts = "return [...document.querySelectorAll('#token-table tbody tr')].map(r => r.cells[1].textContent)"
    assert window.run(texts) == ["a", "\\n", "\\u200b"]


def test_what_scrolls_is_reached_by_keyboard(window: Browser, page: Path) -> None:
    window.open(page)
    regions = "[...document.querySelectorAll('.scroll')]"
    assert window.run(
        f"return {regions}.every(r => r.role == 'region' && (r.tabIndex == 0 || r.querySelector('[tabindex]')))"
    )


def test_the_template_is_code(window: Browser, page: Path) -> None:
    window.open(page)
    parts = "return [...document.querySelectorAll('#templates span')].map(s => [s.className, s.textContent])"
    kinds = window.run(parts)
    assert kinds[:3] == [["tag", "{% for m in messages %}"], ["value", "{{ m.content }}"], ["comment", "{# note #}"]]


@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_itself_never_scrolls_sideways(page: Path, width: int) -> None:
    with browser() as narrow:
        narrow.open(page)
        narrow._call("POST", "/goog/cdp/execute", {"cmd": "Emulation.setDeviceMetricsOverride", "params": {
            "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}})  # fmt: skip
        assert narrow.run("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(window: Browser, page: Path, scheme: str) -> None:
    """Contrast of at least 4.5, as WCAG AA asks, for text, soft text, links, and a cell at either end of the ramp."""
    window.open(page)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    window._call("POST", "/goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia", "params": {"features": features}})
    computed = "const style = getComputedStyle(document.documentElement);"
    style = computed + "return arguments[0].map(name => style.getPropertyValue('--' + name))"
    names = ["ink", "soft", "accent", "mark", "paper", "card", "code", "low", "mid", "high"]
    colour = dict(zip(names, window.run(style, names), strict=True))
    pairs = [(text, ground) for text in ("ink", "soft", "accent") for ground in ("paper", "card")]
    for text, ground in [*pairs, ("ink", "low"), ("ink", "mid"), ("ink", "high"), ("mark", "code"), ("soft", "code")]:
        a, b = sorted((_luminance(colour[text].strip()), _luminance(colour[ground].strip())))
        assert (b + 0.05) / (a + 0.05) >= 4.5, (scheme, text, ground)


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_a_real_model(tmp_path: Path, window: Browser) -> None:
    done("convert", TINY, "--outtype", "f16", "--outfile", tmp_path / "f16.gguf")
    done("report", tmp_path / "f16.gguf", "-o", tmp_path / "page.html")
    window.open(tmp_path / "page.html")
    facts = "return [...document.querySelectorAll('#facts > div')].map(d => d.textContent)"
    assert {"architecturellama", "weights5,245,184", "context512", "vocabulary4,096"} <= set(window.run(facts))
    assert window.complaints() == []
