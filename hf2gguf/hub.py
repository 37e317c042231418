"""A checkpoint by its id on the Hugging Face hub: from the local cache, else fetched where the extra is installed."""

from __future__ import annotations

import errno
import logging
import os
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from gguf_py import KQuantsError

from .checkpoint.weights import PARTS

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_ID = re.compile(r"(?:https://huggingface\.co/)?([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")
_CONFIGS = ("config.json", "params.json")
_BESIDE = ["LICENSE*", "*.json", "*.md", "*.txt", "*.model", "*.model.v*", "*.jinja", "*.tiktoken"]
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
        weights = _weights(_listed(HfApi(), hub_id, revision))
        return Path(snapshot_download(hub_id, revision=revision, allow_patterns=[*_BESIDE, *weights]))
    except Exception as fault:  # whatever the network and the hub may say, it is one sentence to the user
        absent = _unreachable(fault)
        said = str(fault).splitlines()[0] if absent is None else absent.strerror
        raise KQuantsError(
            f"{name}: is neither a folder nor whole in the local Hugging Face cache, and cannot be fetched ({said})"
        ) from fault


def _listed(api: HfApi, hub_id: str, revision: str | None) -> list[str]:
    """The names of a model's files. Only where the hub answers at all is it asked again, as the library does."""
    try:
        return [file.rfilename for file in api.model_info(hub_id, revision=revision).siblings or ()]
    except Exception as fault:
        if _unreachable(fault) is not None:
            raise
    return api.list_repo_files(hub_id, revision=revision)


def _unreachable(fault: BaseException | None) -> OSError | None:
    """What the system says, beneath the library's exceptions, where there is no network or nobody at the address."""
    while fault is not None:
        if isinstance(fault, (socket.gaierror, ConnectionRefusedError)):
            return fault
        if isinstance(fault, OSError) and fault.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
            return fault
        fault = fault.__cause__ or fault.__context__
    return None


def _weights(files: list[str]) -> list[str]:
    """The files of weights that would be read: a hub often has the same weights two or three times."""
    for prefix, suffix in PARTS:
        found = [name for name in files if name.startswith(prefix) and name.endswith(suffix) and "/" not in name]
        if found:
            return found
    return []
