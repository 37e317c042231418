"""A checkpoint by its id on the Hugging Face hub: from the local cache, else fetched where the extra is installed."""

from __future__ import annotations

import os
import re
from pathlib import Path

from gguf_py import KQuantsError

from .checkpoint import PARTS

_ID = re.compile(r"[\w.-]+/[\w.-]+")
_BESIDE = ["LICENSE*", "*.json", "*.md", "*.txt", "*.model", "*.jinja", "*.tiktoken"]
"""What is fetched besides the weights."""


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
        from huggingface_hub import HfApi, snapshot_download
    except ImportError:
        raise KQuantsError(
            f"{name}: is neither a folder nor a model in the local Hugging Face cache, and to fetch it needs "
            "pip install 'kquants[hub]'"
        ) from None
    try:
        weights = _weights(HfApi().list_repo_files(name))
        return Path(snapshot_download(name, allow_patterns=[*_BESIDE, *weights]))
    except Exception as fault:  # whatever the network and the hub may say, it is one sentence to the user
        raise KQuantsError(f"{name}: cannot be fetched from the hub ({str(fault).splitlines()[0]})") from fault


def _weights(files: list[str]) -> list[str]:
    """The files of weights that would be read: a hub often has the same weights two or three times."""
    for prefix, suffix in PARTS:
        found = [name for name in files if name.startswith(prefix) and name.endswith(suffix) and "/" not in name]
        if found:
            return found
    return []
