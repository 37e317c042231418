"""Is a GGUF file whole and sane? Named checks, each of which passes, fails or does not apply."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

import gguf_py
from gguf_py import GGUFFile, KQuantsError, ShardSet, Tensor, ValueType

Outcome = Literal["passed", "failed", "not applicable"]
LONGEST_NAME = 63
"""Bytes of a tensor's name that ggml has room for."""
PIECE = 1 << 20
"""Bytes between tensors that are looked at at a time."""
ENOUGH = 5
"""Faults of one kind that are told; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at, and what was found."""

    name: str
    outcome: Outcome
    detail: str


class NotApplicable(Exception):
    """The file has nothing for this check to look at; the message says what is missing."""


def check_file(path: str | os.PathLike[str], progress: Callable[[Tensor], None] = lambda _: None) -> list[Check]:
    """Every check of a file, or of the set that it is a shard of, in order.

    ``progress`` is told each tensor before its weights are read. Raises KQuantsError when there is no file to be read.
    """
    if not Path(path).is_file():
        what = "is a directory" if Path(path).is_dir() else "no such file or directory"
        raise KQuantsError(f"cannot open {os.fspath(path)}: {what}")
    if not os.access(path, os.R_OK):
        raise KQuantsError(f"cannot open {os.fspath(path)}: permission denied")
    try:
        opened = gguf_py.open_shards(path)
    except KQuantsError as fault:
        return [Check("header", "failed", str(fault))]
    with opened as model:
        counts = f"GGUF v{model.version}, {_counted(len(model.fields), 'metadata key')}, "
        counts += _counted(len(model.tensors), "tensor")
        inside = "the file's" if len(model.files) == 1 else f"the {len(model.files)} files'"
        done = [Check("header", "passed", f"{counts}, all inside {inside} {model.size:,} bytes")]
        for name, look in FILE_CHECKS.items():
            done.append(_run(name, partial(_each, model, look)))
        for name, check in MODEL_CHECKS.items():
            done.append(_run(name, partial(check, model)))
        done.append(_run("finite weights", partial(_finite, model, progress)))
    return done


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _each(model: ShardSet, look: Callable[[GGUFFile], Faults]) -> Faults:
    """A check of every file that it applies to; faults begin with the file's name when there are several."""
    said, why = "", NotApplicable("")
    for file in model.files:
        name = f"{Path(file.path).name}: " if len(model.files) > 1 else ""
        checking = look(file)
        try:
            while True:
                yield name + next(checking)
        except StopIteration as end:
            said = str(end.value)
        except NotApplicable as none:
            why = none
    if not said:
        raise why
    return said


def _run(name: str, look: Callable[[], Faults]) -> Check:
    faults: list[str] = []
    outcome: Outcome = "passed"
    checking = look()
    try:
        while True:
            faults.append(next(checking))
    except StopIteration as end:
        told = str(end.value)
    except NotApplicable as why:
        told, outcome = str(why), "not applicable"
    if faults:
        more = f", and {len(faults) - ENOUGH:,} more" if len(faults) > ENOUGH else ""
        return Check(name, "failed", "; ".join(faults[:ENOUGH]) + more)
    return Check(name, outcome, told)


Faults = Generator[str, None, str]
"""What a check yields, a fault at a time; it returns what to say when there is none."""


# ------------------------------------------------------------------------------------------------ the tensors' places


def _alignment(file: GGUFFile) -> Faults:
    if file.alignment & (file.alignment - 1):
        yield f"the alignment is {file.alignment}, expected a power of two"
    for t in _tensors(file):
        if (t.offset - file.data_offset) % file.alignment:
            yield f"tensor {t.name!r} begins at byte {t.offset:,}, which is not aligned to {file.alignment}"
    return f"every tensor begins at a multiple of {file.alignment} bytes"


def _overlaps(file: GGUFFile) -> Faults:
    placed = sorted(_tensors(file), key=lambda t: t.offset)
    for a, b in itertools.pairwise(placed):
        if a.offset + a.nbytes > b.offset:
            yield f"tensor {b.name!r} begins at byte {b.offset:,}, inside {a.name!r}"
    return "no two tensors share a byte"


def wrong_places(file: GGUFFile) -> Faults:
    """What llama.cpp demands: each tensor right behind the one before it in the table."""
    expected = file.data_offset
    if not file.tensors and file.size > expected:
        yield f"{file.size - expected:,} bytes follow the header, which names no tensors"
    for t in _tensors(file):
        if t.offset != expected:
            yield f"tensor {t.name!r} begins at byte {t.offset:,}, the one before it ends at {expected:,}"
        expected = t.offset + t.nbytes + -t.nbytes % file.alignment
    if file.size > expected:
        yield f"{file.size - expected:,} bytes follow the last tensor"
    return "the tensors follow one another, and the file ends behind the last"


def wrong_padding(file: GGUFFile) -> Faults:
    """What lies between tensors and is not zero."""
    placed = sorted(_tensors(file), key=lambda t: t.offset)
    ends = [t.offset for t in placed[1:]] + [file.size]
    for t, end in zip(placed, ends, strict=True):
        if not _zero(file, t.offset + t.nbytes, end):
            yield f"the padding behind tensor {t.name!r} is not zero"
    return "all bytes between tensors are zero"


def _zero(file: GGUFFile, lo: int, hi: int) -> bool:
    """Whether the bytes from ``lo`` to ``hi`` are all zero."""
    assert file.input is not None
    for at in range(lo, hi, PIECE):
        piece = np.empty(min(PIECE, hi - at), np.uint8)
        file.input.read_into(piece, at)
        if piece.any():
            return False
    return True


def _names(file: GGUFFile) -> Faults:
    for name in (t.name for t in _tensors(file)):
        if not name or len(name.encode("utf-8", "surrogateescape")) > LONGEST_NAME:
            yield f"the tensor name {name!r} has not 1 to {LONGEST_NAME} bytes"
    return f"every tensor has a name of at most {LONGEST_NAME} bytes"


def _tensors(file: GGUFFile | ShardSet) -> list[Tensor]:
    if not file.tensors:
        raise NotApplicable("the file has no tensors")
    return list(file.tensors.values())


# ------------------------------------------------------------------------------------- the metadata and the tensors

LAYER = re.compile(r"(?:(enc|dec)\.)?blk\.(\d+)\.")


def _architecture(model: ShardSet) -> str:
    name = model.metadata.get("general.architecture")
    if not isinstance(name, str):
        raise NotApplicable("general.architecture is not there")
    return name


def _metadata(model: ShardSet) -> Faults:
    name = model.metadata.get("general.architecture")
    if not isinstance(name, str) or not name:
        yield f"general.architecture is {name!r}, expected the name of an architecture"
    quantized = {t.type.name for t in model.tensors.values() if t.type.quantized}
    if quantized and "general.quantization_version" not in model.metadata:
        yield "tensors are quantized but general.quantization_version is missing"
    return f"the architecture is {name}"


def _layers(model: ShardSet) -> Faults:
    stated = model.metadata.get(f"{_architecture(model)}.block_count")
    if not isinstance(stated, int):
        raise NotApplicable("no block_count")
    stack = _number(model, "hrm.layers_per_stack")
    stated = stated if stack is None else 2 * stack  # which run several times; block_count counts the runs
    found: dict[str, set[int]] = {}
    for name in (t.name for t in _tensors(model)):
        if match := LAYER.match(name):
            found.setdefault(match[1] or "", set()).add(int(match[2]))
    if not found:
        raise NotApplicable("no tensor belongs to a layer")
    for which, layers in found.items():
        expected = stated if which != "dec" else _number(model, "decoder_block_count") or stated
        missing = (n for n in range(expected) if n not in layers)  # a file may state any number
        odd = sorted({*itertools.islice(missing, ENOUGH), *(n for n in layers if n >= expected)})
        if odd:
            shown = ", ".join(map(str, odd[:ENOUGH]))
            yield f"block_count is {expected}, the tensors have {len(layers)} layers (odd: {shown})"
    return f"{stated} layers, all there"


def _number(model: ShardSet, key: str) -> int | None:
    """The number under a key of the architecture; None when it is missing or differs by layer."""
    value = model.metadata.get(f"{model.metadata.get('general.architecture')}.{key}")
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _shapes(model: ShardSet) -> Faults:
    """Shapes that metadata states a second time."""
    _architecture(model)
    width, heads, kv = (
        _number(model, k) for k in ("embedding_length", "attention.head_count", "attention.head_count_kv")
    )
    key, value = (_number(model, f"attention.{k}_length") for k in ("key", "value"))
    if width and heads and not key and width % heads == 0:
        key = width // heads
    value = value or key
    experts = _number(model, "expert_count")
    inner = None if experts else _number(model, "feed_forward_length")  # beside experts it may be another's
    tokens = model.fields.get("tokenizer.ggml.tokens")
    rows = {  # role: what (rows, columns) should be, None where metadata does not say
        "token_embd.weight": (tokens.count if tokens else _number(model, "vocab_size"), width),
        "output.weight": (tokens.count if tokens else None, width),
        "output_norm.weight": (None, width),
        "attn_norm.weight": (None, width),
        "attn_q.weight": (heads * key if heads and key else None, width),
        "attn_k.weight": (kv * key if kv and key else None, width),
        "attn_v.weight": (kv * value if kv and value else None, width),
        "attn_output.weight": (width, None),
        "ffn_gate.weight": (inner, width),
        "ffn_down.weight": (width, inner),
    }
    compared = 0
    for t in _tensors(model):
        role = LAYER.sub("", t.name)
        high, wide = rows.get(role, (None, None))
        if _own_shapes(model, t.name):
            continue
        if wide is not None and t.columns != wide:
            yield f"tensor {t.name!r} has {t.columns} columns, metadata says {wide}"
        gated = role == "attn_q.weight" and high is not None and t.rows == 2 * high  # a gate beside each query
        if high is not None and t.rows != high and not gated:
            yield f"tensor {t.name!r} has {t.rows} rows, metadata says {high}"
        if experts and role.endswith("_exps.weight") and len(t.shape) > 2 and t.shape[0] != experts:
            yield f"tensor {t.name!r} has {t.shape[0]} experts, metadata says {experts}"
        compared += role in rows
    if not compared:
        raise NotApplicable("no tensor whose shape metadata states")
    return f"{_counted(compared, 'shape')} as metadata states"


def _own_shapes(model: ShardSet, name: str) -> bool:
    """Whether a layer's shapes follow other numbers than the architecture's first ones (latent attention)."""
    return "attn_" in name and any(f"{_architecture(model)}.attention.{k}" in model.metadata for k in _OTHER_HEADS)


_OTHER_HEADS = ("q_lora_rank", "kv_lora_rank", "key_length_swa", "key_length_mla")


# ------------------------------------------------------------------------------------------------------ the tokenizer


def _tokens(model: ShardSet) -> Sequence[str]:
    if "tokenizer.ggml.tokens" not in model.fields:
        raise NotApplicable("the file has no tokenizer")
    return _texts(model, "tokens")


def _texts(model: ShardSet, name: str) -> Sequence[str]:
    """The strings of a key of the tokenizer; none when it has something else."""
    field = model.fields.get(f"tokenizer.ggml.{name}")
    texts: Sequence[str] = () if field is None or field.item is not ValueType.STRING else field.value
    return texts


def _tokenizer(model: ShardSet) -> Faults:
    tokens = _tokens(model)
    kind = model.metadata.get("tokenizer.ggml.model")
    if not isinstance(kind, str):
        yield f"tokenizer.ggml.model is {kind!r}, expected a name"
    for key in ("tokens", "merges"):
        field = model.fields.get(f"tokenizer.ggml.{key}")
        if field is not None and field.item is not ValueType.STRING:
            yield f"tokenizer.ggml.{key} is {field.type_name}, expected ARRAY of STRING"
    for key in ("scores", "token_type"):
        field = model.fields.get(f"tokenizer.ggml.{key}")
        if field is not None and field.count != len(tokens):
            yield f"tokenizer.ggml.{key} has {field.count} items for {len(tokens):,} tokens"
    known = set(tokens)
    if len(known) < len(tokens):
        yield f"{len(tokens) - len(known):,} tokens come twice"
    merges = _texts(model, "merges")
    for number, merge in enumerate(merges):
        left, space, right = _halves(merge)
        if not space or left not in known or right not in known or left + right not in known:
            yield f"merge {number} ({merge!r}) is not made of tokens"
    if isinstance(kind, str) and kind == "llama" and not all(f"<0x{byte:02X}>" in known for byte in range(256)):
        yield "not every byte has a token, which a SentencePiece vocabulary needs"
    told = f", {len(merges):,} merges" if len(merges) else ""
    return f"{len(tokens):,} tokens of a {kind} vocabulary{told}"


def _halves(merge: str) -> tuple[str, str, str]:
    """The two tokens of a merge, which a space parts; one that is a space itself parts nothing."""
    at = merge.find(" ", 1)
    return (merge[:at], " ", merge[at + 1 :]) if at > 0 else (merge, "", "")


def _ids(model: ShardSet) -> Faults:
    tokens = _tokens(model)
    found = 0
    for key, value in model.metadata.items():
        if not (key.startswith("tokenizer.ggml.") and key.endswith(("_token_id", "_token_ids"))):
            continue
        for id_ in np.ravel(value).tolist():
            found += 1
            if not isinstance(id_, int) or not 0 <= id_ < len(tokens):
                yield f"{key} is {id_}, expected an id below {len(tokens):,}"
    return f"{found} special ids, all in the vocabulary of {len(tokens):,}"


def _shards(model: ShardSet) -> Faults:
    """Which shard of how many each says it is was looked at when the set was opened."""
    count = model.metadata.get("split.count")
    if count is None:
        raise NotApplicable("the file is no shard")
    total = model.metadata.get("split.tensors.count")
    if total != len(model.tensors):
        yield f"split.tensors.count is {total}, there are {_counted(len(model.tensors), 'tensor')}"
    if not count:
        return "merged from shards"
    return f"all of {_counted(len(model.files), 'shard')}, which have the tensors that the first counts"


FILE_CHECKS: Mapping[str, Callable[[GGUFFile], Faults]] = {
    "alignment": _alignment,
    "overlaps": _overlaps,
    "offsets": wrong_places,
    "padding": wrong_padding,
    "tensor names": _names,
}
"""What is checked of the header of each file of a set."""
MODEL_CHECKS: Mapping[str, Callable[[ShardSet], Faults]] = {
    "shards": _shards,
    "metadata": _metadata,
    "layers": _layers,
    "shapes": _shapes,
    "tokenizer": _tokenizer,
    "token ids": _ids,
}
"""What is checked of the whole; the weights come last because they take longest."""


# -------------------------------------------------------------------------------------------------------- the weights


def _finite(model: ShardSet, progress: Callable[[Tensor], None]) -> Faults:
    from .figures import decodes, in_chunks

    skipped = 0
    for t in _tensors(model):
        progress(t)
        if not decodes(t):
            skipped += 1
            continue
        bad = [at for at in in_chunks(partial(_first_not_finite, t), t.count) if at >= 0]
        if bad:
            place = ", ".join(str(i) for i in np.unravel_index(bad[0], t.shape or (1,)))
            yield f"tensor {t.name!r}: the weight at [{place}] is not a finite number"
    left_out = f" ({skipped} cannot be decoded here)" if skipped else ""
    return f"every scale and weight of {_counted(len(model.tensors) - skipped, 'tensor')} is finite{left_out}"


def _first_not_finite(t: Tensor, lo: int, hi: int) -> int:
    """Index of the first of some weights that is not finite, or -1; decoded only where the scales do not tell."""
    from .figures import blocks, reader
    from .finite import EXPONENTS, SCALES, first_not_finite, first_not_finite_half, scales_are_finite

    kind = t.type.name
    if kind in SCALES and scales_are_finite(blocks(t, lo, hi), kind):
        return -1
    if kind in EXPONENTS:
        at = int(first_not_finite_half(blocks(t, lo, hi).reshape(1, -1), EXPONENTS[kind]))
    else:
        at = int(first_not_finite(reader(t)(lo, hi).first(hi - lo).reshape(1, -1)))
    return lo + at if at >= 0 else -1
