"""The picture in the README: the page that ``kquants report`` writes about the model in ``fixtures/``.

``python examples/picture.py`` needs Chromium and Pillow and writes ``examples/report.png``.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

HERE = Path(__file__).resolve().parent
MODEL = HERE.parent / "fixtures" / "tiny-speeches-5m"
F16, Q4 = "tiny-speeches-5m-F16.gguf", "tiny-speeches-5m-Q4_K_M.gguf"
STEPS = (
    ("convert", MODEL, "--outtype", "f16", "--outfile", F16),
    ("quantize", F16, Q4, "Q4_K_M"),
    ("report", Q4, "--source", F16, "-o", "report.html"),
)
COLOURS = 96
"""As many as the page's own colours and the edges of its letters need; the file is a third as large."""


def main() -> None:
    """Make the page, look at it, and keep what is seen."""
    with tempfile.TemporaryDirectory() as folder:
        for step in STEPS:
            subprocess.run([Path(sys.executable).with_name("kquants"), *step], cwd=folder, check=True)
        page, seen = Path(folder, "report.html"), Path(folder, "report.png")
        browser = shutil.which("chromium") or shutil.which("google-chrome") or "chromium"
        look = ("--headless=new", "--no-sandbox", "--hide-scrollbars", "--window-size=1100,940", f"--screenshot={seen}")
        subprocess.run([browser, *look, page.as_uri()], check=True, stderr=subprocess.DEVNULL)
        Image.open(seen).convert("RGB").quantize(COLOURS).save(HERE / "report.png", optimize=True)


if __name__ == "__main__":
    main()
