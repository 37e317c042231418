"""A checkpoint by its id on the Hugging Face hub: from the local cache, else fetched where the extra is installed."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

from gguf_py import KQuantsError

from .checkpoint import PARTS

_ID = re.compile(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")
_CONFIGS = ("config.json", "params.json")
_BESIDE = ["LICENSE*", "*.json", "*.md", "*.txt", "*.model", "*.jinja", "*.tiktoken"]
"""What is fetched besides the weights."""


def find(name: str, weights: bool = True) -> tuple[Path, str | None]:
    """The folder that ``name`` means, and the hub id if it is one: ``org/model``, or ``org/model@revision``.

    A snapshot without ``weights``, if they are wanted, is completed where it can be. Raises KQuantsError when the name
    is neither a folder nor an id that is cached or can be fetched, and when it fits several snapshots.
    """
    path, asked = Path(name), _ID.fullmatch(name)
    if path.exists() or asked is None:
        return path, None
    hub_id, revision = asked.groups()
    cached = _cached(hub_id, revision)
    if cached is not None and (not weights or _weights([p.name for p in cached.iterdir()])):
        return cached, hub_id
    try:
        return _fetched(hub_id, revision), hub_id
    except KQuantsError:
        if cached is None:
            raise
        return cached, hub_id


def _cached(hub_id: str, revision: str | None) -> Path | None:
    """The snapshot of a branch, a tag or (the beginning of) a commit, where huggingface_hub keeps it.

    Without a revision it is that of ``main``, or any where that branch was never asked for.
    """
    home = Path(os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface")
    hub = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE") or home / "hub"
    model = Path(hub).expanduser() / f"models--{hub_id.replace('/', '--')}"
    try:
        commit = (model / "refs" / (revision or "main")).read_text("ascii").strip()
    except (OSError, ValueError):
        commit = revision or ""
    snapshots = [
        snapshot
        for snapshot in model.glob("snapshots/*")
        if snapshot.name.startswith(commit) and any((snapshot / name).is_file() for name in _CONFIGS)
    ]
    if len(snapshots) > 1:
        names = ", ".join(sorted(f"{hub_id}@{s.name[:12]}" for s in snapshots))
        raise KQuantsError(f"{hub_id}: {len(snapshots)} snapshots are in the local cache, expected one of {names}")
    return snapshots[0] if snapshots else None


def _fetched(hub_id: str, revision: str | None) -> Path:
    name = hub_id if revision is None else f"{hub_id}@{revision}"
    try:
        from huggingface_hub import HfApi, snapshot_download
    except ImportError:
        raise KQuantsError(
            f"{name}: is neither a folder nor a model in the local Hugging Face cache, and to fetch it needs "
            "pip install 'kquants[hub]'"
        ) from None
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it tells of each time that it tries again
    try:
        weights = _weights(HfApi().list_repo_files(hub_id, revision=revision))
        return Path(snapshot_download(hub_id, revision=revision, allow_patterns=[*_BESIDE, *weights]))
    except Exception as fault:  # whatever the network and the hub may say, it is one sentence to the user
        raise KQuantsError(f"{name}: cannot be fetched from the hub ({str(fault).splitlines()[0]})") from fault


def _weights(files: list[str]) -> list[str]:
    """The files of weights that would be read: a hub often has the same weights two or three times."""
    for prefix, suffix in PARTS:
        found = [name for name in files if name.startswith(prefix) and name.endswith(suffix) and "/" not in name]
        if found:
            return found
    return []
