"""Reading protocol buffers' wire format, compared with protobuf's own."""

import pytest
from google.protobuf import descriptor_pb2

from dcgan.core.protobuf_wire import (
    BYTES,
    VARINT,
    WireError,
    read_fields,
    read_varints,
    to_signed,
)


def test_fields_come_back_in_order():
    message = descriptor_pb2.FieldDescriptorProto(name="a" * 300, number=2**31 - 1)
    name, number = read_fields(memoryview(message.SerializeToString()))
    assert (name.number, name.wire_type, bytes(name.data)) == (1, BYTES, b"a" * 300)
    assert (number.number, number.wire_type, number.integer) == (3, VARINT, 2**31 - 1)


def test_negative_integers_are_signed_again():
    message = descriptor_pb2.UninterpretedOption(negative_int_value=-5)
    (field,) = read_fields(memoryview(message.SerializeToString()))
    assert to_signed(field.integer) == -5


def test_packed_integers_come_back():
    assert list(read_varints(memoryview(b"\x01\xac\x02\x7f"))) == [1, 300, 127]


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a",  # no length
        b"\x0a\x05ab",  # shorter than its length
        b"\x08",  # no value
        b"\x08" + b"\xff" * 11,  # a varint without end
        b"\x0b",  # a group, which proto3 does not have
        b"\x0d\x01",  # 32 bits cut off
        b"\x00\x01",  # the field number 0
    ],
)
def test_what_is_no_message_is_an_error(data):
    with pytest.raises(WireError):
        list(read_fields(memoryview(data)))
