"""Just enough of protocol buffers to read other tools' logs without their packages.

Source: https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
Value = int | bytes
_DOUBLE = struct.Struct("<d")
_FLOAT = struct.Struct("<f")


def varint(data: bytes, place: int) -> tuple[int, int]:
    """A variable-length number and where it ends.

    Raises:
        ValueError: it has more than 64 bits.
        IndexError: the data ends in it.
    """
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


def fields(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int, Value]]:
    """The fields of a message: number, wire type, and the number or the bytes.

    Raises:
        ValueError, IndexError: it is damaged.
    """
    end = len(data) if end is None else end
    while start < end:
        key, start = varint(data, start)
        kind = key & 7
        value: Value
        if kind == VARINT:
            value, start = varint(data, start)
        elif kind == BYTES:
            length, start = varint(data, start)
            value = data[start : start + length]
            start += length
        elif kind in (FIXED64, FIXED32):
            length = 8 if kind == FIXED64 else 4
            value = data[start : start + length]
            start += length
        else:
            raise ValueError(f"wire type {kind}")
        if start > end:
            raise ValueError("a field that goes on past the end")
        yield key >> 3, kind, value


def double(value: Value) -> float:
    """A field of eight bytes as a number.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, bytes) or len(value) != 8:
        raise ValueError("no double")
    return float(_DOUBLE.unpack(value)[0])


def single(value: Value) -> float:
    """A field of four bytes as a number, exactly.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, bytes) or len(value) != 4:
        raise ValueError("no float")
    return float(_FLOAT.unpack(value)[0])


def text(value: Value) -> str:
    """A field as text; what is no UTF-8 becomes a replacement mark."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def signed(value: Value) -> int:
    """A variable-length field as an int64."""
    number = value if isinstance(value, int) else 0
    return number - 2**64 if number >= 2**63 else number
