"""What a model's name says: organization, basename, size, version, fine-tune; and the file name made of them."""

from __future__ import annotations

import re
from dataclasses import dataclass

_VERSION = re.compile(r"(v|iter)?\d+([.]\d+)*", re.IGNORECASE)
_ENCODING = re.compile(r"i?q\d(_\w)*|b?fp?(16|32)", re.IGNORECASE)
_SIZE = re.compile(r"(([A]|\d+[x])?\d+([._]\d+)?[KMBT][\d]?|small|mini|medium|large|x?xl)", re.IGNORECASE)
_TUNED = re.compile(r"chat|instruct|vision|lora", re.IGNORECASE)
_AS_WRITTEN = re.compile(r"(v\d+(?:\.\d+)*|\d.*)")


@dataclass(frozen=True)
class ModelName:
    """The parts of a model's name; None for what it does not say."""

    name: str | None = None
    organization: str | None = None
    basename: str | None = None
    finetune: str | None = None
    version: str | None = None
    size_label: str | None = None


def title(name: str) -> str:
    """``tiny-speeches-5m`` as ``Tiny Speeches 5m``: lower-case words capitalized, versions and numbers left alone."""
    words = name.strip().replace("-", " ").split()
    return " ".join(w.title() if w.islower() and not _AS_WRITTEN.fullmatch(w) else w for w in words)


def parse(name: str, parameters: int) -> ModelName:
    """The parts of ``organization/Base-Name-7B-Chat-v1.0``.

    ``parameters`` is how many weights the model has: a number like 32k that is far from it is a context length and
    not a size. Source: the naming convention of the GGUF specification, with the exceptions that gguf-py makes.
    """
    if " " in name:  # a human title, which follows no convention
        return ModelName(name=name)
    organization, _, rest = name.partition("/") if "/" in name else (None, "", name)
    parts = [part for part in rest.split("-") if part]
    kinds: list[set[str]] = []
    for i, part in enumerate(parts):
        parts[i], kind = _kind(part, i == 0, parameters)
        kinds.append({kind} if kind else set())
    sized = [i for i, kind in enumerate(kinds) if "size" in kind]
    if any(c.isdecimal() for i in sized for c in parts[i]):  # 7B beats "mini"
        for i in sized:
            if parts[i].isalpha():
                kinds[i].clear()
    _mark_basename(parts, kinds)

    def joined(kind: str, but: str = "") -> list[str]:
        return [p for p, k in zip(parts, kinds, strict=True) if kind in k and but not in k]

    size = "-".join(dict.fromkeys(joined("size"))) or None
    finetune, version = "-".join(joined("finetune")) or None, "-".join(joined("version", but="basename")) or None
    basename = "-".join(joined("basename")) or None
    if not (size or finetune or version):
        basename = None  # alone it would be a guess
    named = None if organization is not None and organization.startswith(".") else organization
    return ModelName(rest, named, basename, finetune, version, size)


def _kind(part: str, first: bool, parameters: int) -> tuple[str, str | None]:
    """One part of a name as it is to be spelled, and what it is: version, encoding, size, finetune or unknown."""
    if _VERSION.fullmatch(part):
        return part, "version"
    if _ENCODING.fullmatch(part):
        return part.upper(), "encoding"
    if first:
        return part, None
    if _SIZE.fullmatch(part):
        return _size(part, parameters)
    return part, "finetune" if _TUNED.fullmatch(part) else None


def _size(part: str, parameters: int) -> tuple[str, str]:
    part = part.replace("_", ".")
    if part[-1].isdecimal():  # bloom's 7b1 means 7.1B
        part = f"{part[:-2]}.{part[-1]}{part[-2]}"
    if len(part) > 1 and part[-2].isdecimal() and part[-1] in "kmbt":
        part = part[:-1] + part[-1].upper()
    if parameters:
        try:
            label = float(part[:-1]) * 1000 ** " KMBT".find(part[-1])
        except ValueError:
            return part, "size"
        if abs(label - parameters) > 7 * parameters // 8:
            return part[:-1] + part[-1].lower(), "finetune"
    return part, "size"


def _mark_basename(parts: list[str], kinds: list[set[str]]) -> None:
    """The leading words and versions are the basename; a version that ends it is a version all the same."""
    leading = True
    for part, kind in zip(parts, kinds, strict=True):
        if leading and ((not kind and part[0].isalpha()) or "version" in kind):
            kind.add("basename")
        else:
            leading = False
            if not kind:
                kind.add("finetune")
    for kind in reversed(kinds):
        if "basename" not in kind or len(kind) == 1:
            break
        kind.remove("basename")


def rounded(count: int, digits: int = 2) -> str:
    """A number of weights as people say it: 5.2M, 135M, 1.1B; at least ``digits`` digits."""
    for limit, suffix in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        if count > limit:
            scaled = count * {"T": 1e-12, "B": 1e-9, "M": 1e-6}[suffix]
            break
    else:
        scaled, suffix = count * 1e-3, "K"
    decimals = max(digits - len(str(round(scaled)).lstrip("0")), 0)
    return f"{scaled:.{decimals}f}{suffix}"


def size_label(total: int, shared: int, expert: int, experts: int) -> str:
    """``5.2M``, or ``8x7B`` for a mixture: ``shared`` weights, and ``expert`` in each of ``experts``."""
    return f"{experts}x{rounded(shared + expert)}" if experts else rounded(total)


def file_name(parts: ModelName, encoding: str | None, kind: str | None = None) -> str:
    """The file name upstream gives: ``Base-Name-7B-Chat-v1.0-F16`` and, for ``kind="vocab"``, ``…-vocab``.

    A separator, or what no name should hold, becomes a hyphen in any part, for a model card must not choose the folder.
    """
    base = parts.basename if parts.basename is not None else parts.name
    name = base.strip().replace(" ", "-") if base is not None else "ggml-model"
    tail = [parts.finetune, parts.version, encoding.upper() if encoding else None, kind]
    label = [] if parts.size_label is None else [parts.size_label]
    whole = "-".join([name, *label, *(t.strip().replace(" ", "-") for t in tail if t is not None)])
    return re.sub(r"[/\\\x00-\x1f\x7f]", "-", whole)
