"""From Python's and NumPy's values to the bytes of metadata."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import strings
from .errors import KQuantsError
from .strings import Strings
from .types import ValueType
from .values import DTYPES

_OF_DTYPE = {dtype: type_ for type_, dtype in DTYPES.items()}


def encode(key: str, value: Any, type_: ValueType, item: ValueType | None, order: str) -> bytes:
    """The bytes of a value of a type; raises KQuantsError, naming the key, when it does not fit."""
    if type_ is ValueType.ARRAY:
        assert item is not None
        if not isinstance(value, (Sequence, np.ndarray)) or isinstance(value, str):
            raise KQuantsError(f"metadata key {key!r}: an array is expected, found {value!r}")
        return struct.pack(order + "IQ", item, len(value)) + _items(key, value, item, order)
    if type_ is ValueType.STRING:
        return _texts(key, [value], order)
    if isinstance(value, (Sequence, np.ndarray)):
        raise KQuantsError(f"metadata key {key!r}: one {type_.name} is expected, found {_shown(value)}")
    return _numbers(key, [value], type_, order)


def _items(key: str, values: Sequence[Any] | NDArray[Any], item: ValueType, order: str) -> bytes:
    if item is ValueType.STRING:
        return _texts(key, values, order)
    if item is ValueType.ARRAY:
        return b"".join(encode(key, value, item, infer_item(key, value, inside=True), order) for value in values)
    return _numbers(key, values, item, order)


def _texts(key: str, values: Sequence[Any] | NDArray[Any], order: str) -> bytes:
    try:
        return strings.pack(values, order)
    except (TypeError, UnicodeEncodeError):
        pass
    wrong = next(v for v in values if not _is_text(v))
    raise KQuantsError(f"metadata key {key!r}: text is expected, found {_shown(wrong)}")


def _is_text(value: Any) -> bool:
    try:
        strings.to_bytes(value)
    except (TypeError, UnicodeEncodeError):
        return False
    return True


def _numbers(key: str, values: Sequence[Any] | NDArray[Any], type_: ValueType, order: str) -> bytes:
    """Numbers as the file's; what would be cut, rounded to another integer or overflow raises instead."""
    dtype = np.dtype(order + DTYPES[type_])
    fits = {"u": "ui", "i": "ui", "f": "fui", "b": "b"}[dtype.kind]
    found = np.asarray(values)
    if found.size == 0:
        return b""
    if dtype.kind in "ui" and found.dtype.kind in "fO" and all(isinstance(v, int) for v in values):
        found = np.asarray(values, object)  # Python integers that no one NumPy type holds together
    if found.ndim == 1 and found.dtype.kind in fits + ("O" if dtype.kind in "ui" else ""):
        if dtype.kind in "ui" and found.dtype != dtype:
            low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
            if not (low <= int(found.min()) and int(found.max()) <= high):
                wrong = next(v for v in found.tolist() if not low <= v <= high)
                raise KQuantsError(f"metadata key {key!r}: {wrong} is no {type_.name} ({low} to {high})")
        try:
            with np.errstate(over="raise"):
                return found.astype(dtype).tobytes()
        except (FloatingPointError, OverflowError, ValueError, TypeError):
            pass
    raise KQuantsError(f"metadata key {key!r}: {type_.name} is expected, found {_shown(values)}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def infer(key: str, value: Any) -> tuple[ValueType, ValueType | None]:
    """Type and item type of a value that came without; raises KQuantsError when no type holds it."""
    if isinstance(value, (bool, np.bool_)):
        return ValueType.BOOL, None
    if isinstance(value, np.generic) and f"{value.dtype.kind}{value.dtype.itemsize}" in _OF_DTYPE:
        return _OF_DTYPE[f"{value.dtype.kind}{value.dtype.itemsize}"], None
    if isinstance(value, int):
        return ValueType.INT32, None
    if isinstance(value, float):
        return ValueType.FLOAT32, None
    if isinstance(value, (str, bytes, bytearray)):
        return ValueType.STRING, None
    if isinstance(value, (Sequence, np.ndarray)):
        return ValueType.ARRAY, infer_item(key, value)
    raise KQuantsError(f"metadata key {key!r}: no metadata type holds a {type(value).__name__}")


def infer_item(key: str, value: Any, inside: bool = False) -> ValueType:
    """Item type of an array, which may be ``inside`` another; raises KQuantsError when there is no one such type."""
    if isinstance(value, np.ndarray):
        name = f"{value.dtype.kind}{value.dtype.itemsize}"
        if value.ndim > 1:
            return ValueType.ARRAY
        if name in _OF_DTYPE:
            return _OF_DTYPE[name]
        if value.dtype.kind == "U":
            return ValueType.STRING
        raise KQuantsError(f"metadata key {key!r}: no metadata type holds an array of {value.dtype}")
    if isinstance(value, Strings):
        return ValueType.STRING
    if isinstance(value, (bytes, bytearray)):
        return ValueType.UINT8
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise KQuantsError(f"metadata key {key!r}: an array is expected, found {_shown(value)}")
    if not value:
        if inside:  # an empty list in a list: only an array of arrays decodes to one
            return ValueType.ARRAY
        raise KQuantsError(f"metadata key {key!r}: an empty array needs its item type")
    kinds = {infer(key, v)[0] for v in value}
    if len(kinds) > 1:
        names = ", ".join(sorted(k.name for k in kinds))
        raise KQuantsError(f"metadata key {key!r}: an array holds one type, found {names}")
    return kinds.pop()
