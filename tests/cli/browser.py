"""A headless Chromium, driven over the WebDriver protocol."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

_ALWAYS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
KEYS = {"ArrowDown": "\ue015", "ArrowUp": "\ue013", "ArrowRight": "\ue014", "ArrowLeft": "\ue012", "Enter": "\ue007"}


_SECONDS = 300
"""A browser that has not answered by then never will, however loaded the machine is."""


class Browser:
    """One window."""

    def __init__(self, port: int, arguments: Sequence[str]) -> None:
        self._root = f"http://127.0.0.1:{port}/session"
        always = {"goog:chromeOptions": {"args": [*_ALWAYS, *arguments]},
                  "goog:loggingPrefs": {"browser": "ALL"}}  # fmt: skip
        session = self._call("POST", "", {"capabilities": {"alwaysMatch": always}})["sessionId"]
        self._root += f"/{session}"

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = json.dumps(body or {}).encode() if method == "POST" else None
        request = urllib.request.Request(self._root + path, data, {"Content-Type": "application/json"}, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=_SECONDS) as answer:
            return json.load(answer)["value"]

    def open(self, page: Path) -> None:
        """Load a file."""
        self._call("POST", "/url", {"url": page.resolve().as_uri()})

    def run(self, script: str, *arguments: Any) -> Any:
        """The value a script returns."""
        return self._call("POST", "/execute/sync", {"script": script, "args": arguments})

    def press(self, *keys: str) -> None:
        """Type keys, by name or as text, wherever the focus is."""
        actions = [{"type": t, "value": KEYS.get(key, key)} for key in keys for t in ("keyDown", "keyUp")]
        self._call("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def complaints(self) -> list[str]:
        """What the console said: errors of scripts, refused requests."""
        return [entry["message"] for entry in self._call("POST", "/se/log", {"type": "browser"})]

    def close(self) -> None:
        """End the session."""
        self._call("DELETE", "")


@contextmanager
def browser(*arguments: str) -> Iterator[Browser]:
    """A window for the length of a block; a test is skipped where there is no browser, or none that begins."""
    if not shutil.which("chromedriver") or not (shutil.which("chromium") or shutil.which("google-chrome")):
        pytest.skip("needs Debian's chromium and chromium-driver")
    with tempfile.TemporaryFile("w+") as log:
        driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            window = _window(driver, arguments)
            try:
                _see_a_file(window)
                yield window
            finally:
                with suppress(OSError):
                    window.close()
        finally:
            driver.terminate()
            driver.wait()
            driver.stdout and driver.stdout.close()


def _see_a_file(window: Browser) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".html") as page:
        page.write("<title>seen</title>")
        page.flush()
        window.open(Path(page.name))
        if window.run("return document.title") != "seen":
            pytest.skip("the browser is not allowed to look at files that tests make")


def _window(driver: subprocess.Popen[str], arguments: Sequence[str]) -> Browser:
    for line in driver.stdout or ():
        if found := re.search(r"successfully on port (\d+)", line):
            try:
                return Browser(int(found[1]), arguments)
            except urllib.error.HTTPError as fault:
                pytest.skip(f"the browser does not begin here: {json.load(fault)['value']['message'][:300]}")
        if "successfully" in line:
            break
    pytest.skip("chromedriver does not say where it listens")
