"""A checkpoint by its id on the Hugging Face hub: from the local cache, else fetched where the extra is installed."""

from __future__ import annotations

import os
import re
from pathlib import Path

from gguf_py import KQuantsError

_ID = re.compile(r"[\w.-]+/[\w.-]+")
_WANTED = ["LICENSE*", "*.json", "*.md", "*.txt", "*.model", "*.jinja", "*.safetensors", "*.tiktoken", "*.jsonl"]


def find(name: str) -> tuple[Path, str | None]:
    """The folder that ``name`` means, and the hub id if it is one.

    Raises KQuantsError when it is neither a folder nor an id that is cached or can be fetched.
    """
    path = Path(name)
    if path.exists() or not _ID.fullmatch(name):
        return path, None
    cached = _cached(name)
    return (cached if cached is not None else _fetched(name)), name


def _cached(name: str) -> Path | None:
    """The snapshot of the branch ``main``, where huggingface_hub keeps it."""
    home = Path(os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface")
    hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()
    model = hub / f"models--{name.replace('/', '--')}"
    try:
        revision = (model / "refs" / "main").read_text("ascii").strip()
    except (OSError, ValueError):
        return None
    snapshot = model / "snapshots" / revision
    return snapshot if re.fullmatch(r"[0-9a-zA-Z]+", revision) and (snapshot / "config.json").is_file() else None


def _fetched(name: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise KQuantsError(
            f"{name}: is neither a folder nor a model in the local Hugging Face cache, and to fetch it needs "
            "pip install 'kquants[hub]'"
        ) from None
    try:
        return Path(snapshot_download(name, allow_patterns=_WANTED))
    except Exception as fault:  # whatever the network and the hub may say, it is one sentence to the user
        raise KQuantsError(f"{name}: cannot be fetched from the hub ({str(fault).splitlines()[0]})") from fault
