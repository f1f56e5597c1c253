"""A reader of protocol buffers' wire format, for messages whose classes are not loaded.

Source: the encoding guide of protocol buffers ("Encoding", protobuf.dev).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

VARINT = 0
FIXED64 = 1
BYTES = 2
FIXED32 = 5

_FIXED_SIZES = {FIXED64: 8, FIXED32: 4}
_MAX_VARINT_BYTES = 10


class WireError(ValueError):
    """Bytes that are not a message."""


class Field(NamedTuple):
    """One field of a message.

    Attributes:
        number: of the field.
        wire_type: VARINT, FIXED64, BYTES or FIXED32.
        integer: value of a VARINT, unsigned; 0 for the others.
        data: content of the other types; empty for a VARINT.
    """

    number: int
    wire_type: int
    integer: int
    data: memoryview


def read_fields(message: memoryview) -> Iterator[Field]:
    """Yields the fields of a message in order, without copying their content.

    Raises:
        WireError: if the message is truncated, or has a wire type other than the four above.
    """
    position = 0
    while position < len(message):
        key, position = _read_varint(message, position)
        number = key >> 3
        wire_type = key & 7
        if number == 0:
            raise WireError("a field has the number 0")

        if wire_type == VARINT:
            integer, position = _read_varint(message, position)
            yield Field(number, wire_type, integer, message[:0])
            continue

        if wire_type == BYTES:
            size, position = _read_varint(message, position)
        elif wire_type in _FIXED_SIZES:
            size = _FIXED_SIZES[wire_type]
        else:
            raise WireError(f"field {number} has the wire type {wire_type}")

        end = position + size
        if end > len(message):
            raise WireError(f"field {number} is longer than its message")
        yield Field(number, wire_type, 0, message[position:end])
        position = end


def read_varints(packed: memoryview) -> Iterator[int]:
    """Yields the integers of a packed repeated field, unsigned.

    Raises:
        WireError: if the last one is truncated.
    """
    position = 0
    while position < len(packed):
        integer, position = _read_varint(packed, position)
        yield integer


def to_signed(integer: int) -> int:
    """Converts the unsigned value of a varint to the int64 that it encodes."""
    return integer - 2**64 if integer >= 2**63 else integer


def _read_varint(data: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for i in range(_MAX_VARINT_BYTES):
        if position + i >= len(data):
            raise WireError("a varint is truncated")
        byte = data[position + i]
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value & (2**64 - 1), position + i + 1
    raise WireError("a varint is longer than 10 bytes")
