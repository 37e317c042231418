"""What departs is found and named: a single bit, another arithmetic, other weights, metadata, a matrix."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gguf_py
from gguf_py import Field, KQuantsError, ValueType
from kquants.filetypes import FILE_TYPES
from kquants.imatrix import Imatrix
from kquants.provenance.departures import ANOTHER_ARITHMETIC, DAMAGED, OTHER_WEIGHTS, OTHERWISE
from kquants.provenance.recipe import Recipe
from kquants.quantizer import Options
from kquants.rules import Wishes

from .small import flip, proof, quantized, write_source


@pytest.mark.parametrize("kind", ["Q4_K_M", "Q8_0", "IQ3_S", "Q2_K", "F32"])
def test_a_single_bit_is_found_and_its_tensor_named(tmp_path: Path, source: Path, kind: str) -> None:
    """A hundred bits in all, anywhere in the tensors' data."""
    rng = np.random.default_rng(11)
    path = quantized(source, tmp_path / "out.gguf", kind)
    with gguf_py.open(path) as file:
        tensors = list(file.tensors.values())
    for _ in range(20):
        tensor = tensors[int(rng.integers(len(tensors)))]
        byte, bit = int(rng.integers(tensor.nbytes)), int(rng.integers(8))
        flip(path, tensor.offset + byte, bit)
        found = proof(path, source)
        (departure,) = found.departures
        assert not found.holds and not found.keys and not found.header and not found.padding
        assert (departure.tensor, departure.blocks) == (tensor.name, 1)
        assert departure.first_block == byte // tensor.type.nbytes
        flip(path, tensor.offset + byte, bit)
    assert proof(path, source).holds


def parts_of_header(path: Path) -> Iterator[tuple[str, int, int, str, str]]:
    """What each byte of a header is: the part, where it begins and ends, whose it is, and which one of how many."""
    data = path.read_bytes()
    tensors, keys = struct.unpack_from("<QQ", data, 8)
    yield from [("magic", 0, 4, "", ""), ("version", 4, 8, "", ""), ("count", 8, 16, "", ""), ("count", 16, 24, "", "")]
    at = 24
    for number in range(1, keys + tensors + 1):
        nth = f"{number} of {keys}" if number <= keys else f"{number - keys} of {tensors}"
        end = at + 8 + int.from_bytes(data[at : at + 8], "little")
        name = data[at + 8 : end].decode()
        yield from [
            ("length", at, at + 8, name, nth),
            ("name", at + 8, end, name, nth),
            ("type", end, end + 4, name, nth),
        ]
        code, at = int.from_bytes(data[end : end + 4], "little"), end + 4
        if number > keys:
            end = at + 8 * code
            yield from [("size", at, end, name, nth), ("type", end, end + 4, name, nth)]
            yield from [("offset", end + 4, end + 12, name, nth)]
            at = end + 12
        elif ValueType(code) is ValueType.STRING:
            end = at + 8 + int.from_bytes(data[at : at + 8], "little")
            yield from [("length", at, at + 8, name, nth), ("value", at + 8, end, name, nth)]
            at = end
        else:
            yield "value", at, at + 4, name, nth
            at += 4
    yield "padding", at, at + -at % 32, "", ""


def test_a_bit_of_the_header_is_found_and_its_key_or_tensor_named(tmp_path: Path, source: Path) -> None:
    """A bit of each part: where the file can be read no more, the error says behind what, or at which one."""
    path = quantized(source, tmp_path / "out.gguf", "Q4_K_M")
    rng = np.random.default_rng(12)
    seen = {"read": 0, "refused": 0}
    for part, start, end, owner, nth in parts_of_header(path):
        byte, bit = int(rng.integers(start, end)), int(rng.integers(8))
        flip(path, byte, bit)
        where = f"bit {bit} of byte {byte}, in the {part} of {owner!r}"
        try:
            found = proof(path, source)
        except KQuantsError as fault:
            seen["refused"] += 1
            assert str(path) in str(fault) and (owner in str(fault) or nth in str(fault)), f"{where}: {fault}"
        else:
            seen["read"] += 1
            assert not found.holds, where
            said: set[str | None] = {key.key for key in found.keys} | {d.tensor for d in found.departures}
            said |= {change.what for change in found.header} | {found.padding}
            at = f"the header is written in another way from byte {byte:,} on"
            assert (owner or {"count": "number of tensors", "version": "version"}.get(part, at)) in said, (
                f"{where}: {found}"
            )
            if part == "type":
                assert all(d.verdict != OTHER_WEIGHTS for d in found.departures), f"{where}: {found}"
        flip(path, byte, bit)
    assert min(seen.values()) > 30, seen
    assert proof(path, source).holds


def test_bytes_between_and_behind_the_tensors_are_found(tmp_path: Path, source: Path) -> None:
    path = quantized(source, tmp_path / "out.gguf", "Q4_K_M")
    with gguf_py.open(path) as file:
        odd = file.tensors["blk.0.attn_q.bias"]
    for byte in range(odd.offset + odd.nbytes, odd.offset + 32):
        flip(path, byte, byte % 8)
        found = proof(path, source)
        assert found.padding == "the padding behind tensor 'blk.0.attn_q.bias' is not zero" and not found.departures
        flip(path, byte, byte % 8)
    assert proof(path, source).holds
    with path.open("ab") as longer:
        longer.write(bytes(32))
    found = proof(path, source)
    assert not found.holds and found.padding and not found.departures


def spoil(path: Path, name: str, change: Callable[[Any], None]) -> None:
    """Change the blocks of one tensor: uint8[blocks, bytes of one]."""
    with gguf_py.open(path) as file:
        t = file.tensors[name]
        blocks = t.data.reshape(-1, t.type.nbytes).copy()
        offset = t.offset
    change(blocks)
    with path.open("r+b") as raw:
        raw.seek(offset)
        raw.write(blocks.tobytes())


def test_another_arithmetic_is_told_from_damage_and_other_weights(
    tmp_path: Path, source: Path, matrix: Imatrix
) -> None:
    clean = quantized(source, tmp_path / "clean.gguf", "Q4_K_M", Options(Wishes(pure=True))).read_bytes()
    path, name = tmp_path / "out.gguf", "blk.0.attn_q.weight"

    def verdict() -> str:
        (departure,) = proof(path, source).departures
        assert departure.tensor == name
        return departure.verdict

    def one_step(blocks: Any) -> None:
        """One weight of three blocks goes to the level beside its own."""
        for block in (5, 17, 40):
            low = blocks[block, 60] & 15
            blocks[block, 60] = (blocks[block, 60] & 0xF0) | (low + 1 if low < 15 else 14)

    def scale(blocks: Any) -> None:
        blocks[9, 1] ^= 0x40  # the exponent of a super-block's scale

    path.write_bytes(clean)
    spoil(path, name, one_step)
    assert verdict() == ANOTHER_ARITHMETIC
    path.write_bytes(clean)
    spoil(path, name, scale)
    assert verdict() == DAMAGED
    other = quantized(
        write_source(tmp_path / "other.gguf", seed=8), tmp_path / "q.gguf", "Q4_K_M", Options(Wishes(pure=True))
    )
    found = proof(other, source)
    assert {d.verdict for d in found.departures if "norm" not in d.tensor} == {OTHER_WEIGHTS}
    assert [d.tensor for d in found.departures] == list(gguf_py.open(other).tensors)
    weighted = quantized(source, tmp_path / "w.gguf", "Q4_K_M", Options(imatrix=matrix))
    other_matrix = replace(matrix, entries={k: v[::-1].copy() for k, v in matrix.entries.items()})
    verdicts = {d.verdict for d in proof(weighted, source, other_matrix).departures}
    assert verdicts == {OTHERWISE}


def test_metadata_that_was_changed_is_named(tmp_path: Path, source: Path) -> None:
    path = quantized(source, tmp_path / "out.gguf", "Q4_K_M")
    data = path.read_bytes()
    path.write_bytes(data.replace(b"small", b"large", 1))
    found = proof(path, source)
    (change,) = found.keys
    assert (change.key, change.before and change.before.value, change.after and change.after.value) == (
        "general.name",
        "small",
        "large",
    )
    assert not found.departures


def test_a_file_type_that_is_misstated_is_named(tmp_path: Path, source: Path) -> None:
    path = quantized(source, tmp_path / "out.gguf", "Q4_K_S")
    with gguf_py.open(path) as file:
        at = file.data_offset
    data = path.read_bytes()
    key = data.index(b"general.file_type") + len("general.file_type") + 4
    assert key < at and data[key] == FILE_TYPES["Q4_K_S"].id
    path.write_bytes(data[:key] + bytes([FILE_TYPES["Q6_K"].id]) + data[key + 1 :])
    found = proof(path, source)
    assert [change.key for change in found.keys] == ["general.file_type"] and not found.departures
    assert found.recipe == Recipe("Q4_K_S")


def test_the_matrix_is_asked_for_and_refused(tmp_path: Path, source: Path, matrix: Imatrix) -> None:
    with_matrix = quantized(source, tmp_path / "with.gguf", "Q4_K_M", Options(imatrix=matrix))
    without = quantized(source, tmp_path / "without.gguf", "Q4_K_M")
    with pytest.raises(KQuantsError, match=r"somewhere/imatrix\.gguf.*--imatrix"):
        proof(with_matrix, source)
    with pytest.raises(KQuantsError, match="does not say"):
        proof(without, source, matrix)
    assert proof(with_matrix, source, matrix).holds
    fewer = replace(matrix, entries={k: v for k, v in matrix.entries.items() if "attn_q" not in k})
    assert {k.key for k in proof(with_matrix, source, fewer).keys} == {"quantize.imatrix.entries_count"}


def test_another_model_is_refused(tmp_path: Path, source: Path) -> None:
    other = tmp_path / "other.gguf"
    gguf_py.write(other, [Field.of("general.architecture", "x")], {"t": ("F32", (4,), np.ones(4, np.float32))})
    with pytest.raises(KQuantsError, match="another model"):
        proof(other, source)
