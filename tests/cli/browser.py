"""A headless Chromium, driven over the WebDriver protocol; None where Debian's chromium-driver is not installed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

KEYS = {"ArrowDown": "\ue015", "ArrowUp": "\ue013", "ArrowRight": "\ue014", "ArrowLeft": "\ue012", "Enter": "\ue007"}


def installed() -> bool:
    """Whether there is a browser and its driver."""
    return bool(shutil.which("chromedriver") and (shutil.which("chromium") or shutil.which("google-chrome")))


class Browser:
    """One window."""

    def __init__(self, port: int, arguments: Sequence[str]) -> None:
        self._root = f"http://127.0.0.1:{port}/session"
        always = {"goog:chromeOptions": {"args": ["--headless=new", "--no-sandbox", "--disable-gpu", *arguments]},
                  "goog:loggingPrefs": {"browser": "ALL"}}  # fmt: skip
        session = self._call("POST", "", {"capabilities": {"alwaysMatch": always}})["sessionId"]
        self._root += f"/{session}"

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = json.dumps(body or {}).encode() if method == "POST" else None
        request = urllib.request.Request(self._root + path, data, {"Content-Type": "application/json"}, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as answer:
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
    """A window for the length of a block."""
    with tempfile.TemporaryFile("w+") as log:
        driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert driver.stdout is not None
            port = next(int(m[1]) for line in driver.stdout if (m := re.search(r"successfully on port (\d+)", line)))
            window = Browser(port, arguments)
            try:
                yield window
            finally:
                window.close()
        finally:
            driver.terminate()
            driver.wait(10)
            driver.stdout and driver.stdout.close()
