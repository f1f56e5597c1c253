"""A reader of ONNX files for checks; every field that it does not know is an error.

Serving must not depend on the package `onnx`, and ONNX Runtime would run every operator of a file.
Source of the field numbers: onnx.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from dcgan.core.errors import DcganError
from dcgan.core.protobuf_wire import (
    BYTES,
    VARINT,
    Field,
    WireError,
    read_fields,
    read_varints,
    to_signed,
)
from dcgan.core.text import printable

_OPSETS = range(13, 25)  # in which the operators of released graphs mean the same
_MAX_NODES = 2048
_MAX_INITIALIZERS = 8192
_MAX_ATTRIBUTES = 16
_MAX_LIST = 16  # of an attribute's integers, of a shape, of a node's inputs and outputs
_MAX_NAME_BYTES = 256
_MAX_GRAPH_FIELDS = 2**14  # of a graph and of the model around it
_MAX_FIELDS = 64  # of any other message
_MAX_INTEGERS = 64  # of an int64 initializer whose values are read

FLOAT = 1
UINT8 = 2
INT8 = 3
INT32 = 6
INT64 = 7
FLOAT16 = 10
ITEM_BYTES = {FLOAT: 4, UINT8: 1, INT8: 1, INT32: 4, INT64: 8, FLOAT16: 2}
"""Bytes of a value of each data type that a released graph may have, by ONNX's number of it."""

AttributeValue = int | float | tuple[int, ...]


class UnsafeGraphError(DcganError):
    """An ONNX file that is not loaded: it holds something that no released graph needs."""


@dataclass(frozen=True)
class Initializer:
    """A constant tensor.

    Attributes:
        dtype: ONNX's number of its data type.
        shape: its sizes.
        integers: its values, if it is int64 and small; sizes and axes are such.
    """

    dtype: int
    shape: tuple[int, ...]
    integers: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Node:
    """One operator of the default domain."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, AttributeValue]


@dataclass
class Graph:
    """A graph without control flow.

    Attributes:
        nodes: in the order in which they run.
        initializers: by name.
        inputs: names.
        outputs: names.
    """

    nodes: list[Node] = field(default_factory=list)
    initializers: dict[str, Initializer] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)


def read_graph(data: memoryview) -> Graph:
    """Reads the graph of an ONNX file.

    Raises:
        UnsafeGraphError: if it is not a valid file, or has functions, nested graphs, operators of
            other domains, external data or anything else beyond a plain graph.
    """
    try:
        return _read_model(data)
    except (WireError, UnicodeDecodeError) as error:
        raise UnsafeGraphError(f"it is not a valid ONNX file: {error}") from None


def _read_model(data: memoryview) -> Graph:
    graph: Graph | None = None
    opsets = 0
    for item in _fields(data, _MAX_GRAPH_FIELDS):
        if item.number == 7:
            _require(graph is None, "it has two graphs")
            graph = _read_graph(_message(item))
        elif item.number == 8:
            opsets += 1
            _check_opset(_message(item))
        else:
            # ir_version, producer_name, producer_version, domain, model_version, doc_string,
            # metadata_props. Training information and functions are not among them.
            _require(item.number in (1, 2, 3, 4, 5, 6, 14), f"it has the model field {item.number}")

    if graph is None:
        raise UnsafeGraphError("it has no graph")
    _require(opsets == 1, f"it has {opsets} operator sets instead of one")
    return graph


def _check_opset(data: memoryview) -> None:
    for item in _fields(data):
        if item.number == 1:
            _require(not item.data, f"it needs the operator set {_show(item.data)}")
        elif item.number == 2:
            version = item.integer
            _require(version in _OPSETS, f"it has version {version} of the operator set")


def _read_graph(data: memoryview) -> Graph:
    graph = Graph()
    for item in _fields(data, _MAX_GRAPH_FIELDS):
        if item.number == 1:
            _require(len(graph.nodes) < _MAX_NODES, f"it has over {_MAX_NODES} nodes")
            graph.nodes.append(_read_node(_message(item)))
        elif item.number == 5:
            count = len(graph.initializers)
            _require(count < _MAX_INITIALIZERS, f"it has over {_MAX_INITIALIZERS} initializers")
            name, initializer = _read_initializer(_message(item))
            _require(name not in graph.initializers, f"it has two initializers {printable(name)}")
            graph.initializers[name] = initializer
        elif item.number == 11:
            graph.inputs.append(_read_value_name(_message(item)))
        elif item.number == 12:
            graph.outputs.append(_read_value_name(_message(item)))
        else:
            # name, doc_string, value_info, metadata_props. Sparse initializers are not among them.
            _require(item.number in (2, 10, 13, 16), f"its graph has the field {item.number}")
    return graph


def _read_node(data: memoryview) -> Node:
    operator = ""
    inputs: list[str] = []
    outputs: list[str] = []
    attributes: dict[str, AttributeValue] = {}

    for item in _fields(data):
        if item.number == 1:
            inputs.append(_text(item))
        elif item.number == 2:
            outputs.append(_text(item))
        elif item.number == 4:
            operator = _text(item)
        elif item.number == 5:
            name, value = _read_attribute(_message(item))
            attributes[name] = value
        elif item.number == 7:
            _require(not item.data, f"it has an operator of the domain {_show(item.data)}")
        else:
            # name, doc_string, metadata_props. An overload, which calls a function, is not.
            _require(item.number in (3, 6, 9), f"a node has the field {item.number}")

    fits = len(inputs) <= _MAX_LIST and len(outputs) <= _MAX_LIST
    _require(
        fits and len(attributes) <= _MAX_ATTRIBUTES, f"a node {printable(operator)} is too large"
    )
    return Node(operator, tuple(inputs), tuple(outputs), attributes)


def _read_attribute(data: memoryview) -> tuple[str, AttributeValue]:
    name = ""
    value: AttributeValue | None = None
    integers: list[int] = []

    for item in _fields(data):
        if item.number == 1:
            name = _text(item)
        elif item.number == 2:
            _require(len(item.data) == 4, "an attribute has a float of another size")
            (value,) = struct.unpack("<f", item.data)
        elif item.number == 3:
            value = to_signed(item.integer)
        elif item.number == 8:
            integers += _read_integers(item, _MAX_LIST)
        else:
            # doc_string, type. Tensors, graphs, functions and text are not among them.
            _require(item.number in (13, 20), f"an attribute has the field {item.number}")

    _require(len(integers) <= _MAX_LIST, f"the attribute {printable(name)} is too long")
    return name, tuple(integers) if value is None else value


def _read_initializer(data: memoryview) -> tuple[str, Initializer]:
    name = ""
    dtype = 0
    shape: list[int] = []
    content = data[:0]

    for item in _fields(data):
        if item.number == 1:
            shape += _read_integers(item, _MAX_LIST)
        elif item.number == 2:
            dtype = item.integer
        elif item.number == 8:
            name = _text(item)
        elif item.number == 9:
            content = _message(item)
        elif item.number == 14:
            _require(item.integer == 0, "an initializer is stored in another file")
        else:
            # doc_string, metadata_props. External data and other encodings are not among them.
            _require(item.number in (12, 16), f"an initializer has the field {item.number}")

    _require(dtype in ITEM_BYTES, f"an initializer has the data type {dtype}")
    _require(
        len(shape) <= _MAX_LIST and min(shape, default=0) >= 0, "an initializer's shape is wrong"
    )
    count = 1
    for size in shape:
        count *= size
    fits = count * ITEM_BYTES[dtype] == len(content)
    _require(fits, f"the initializer {printable(name)} has another size than its shape says")

    integers = None
    if dtype == INT64 and count <= _MAX_INTEGERS:
        integers = struct.unpack(f"<{count}q", content)
    return name, Initializer(dtype, tuple(shape), integers)


def _read_value_name(data: memoryview) -> str:
    names = [_text(item) for item in _fields(data) if item.number == 1]
    _require(len(names) == 1, "an input or output has no name")
    return names[0]


def _read_integers(item: Field, limit: int) -> list[int]:
    """Reads one or more integers of a repeated field, packed or not."""
    if item.wire_type == VARINT:
        return [to_signed(item.integer)]
    _require(len(_message(item)) <= 10 * limit, "a list of integers is too long")
    return [to_signed(integer) for integer in read_varints(item.data)]


def _fields(message: memoryview, limit: int = _MAX_FIELDS) -> Iterator[Field]:
    """Yields the fields of a message, which would take minutes if there were millions."""
    for number, item in enumerate(read_fields(message)):
        _require(number < limit, f"a message in it has over {limit} fields")
        yield item


def _message(item: Field) -> memoryview:
    _require(item.wire_type == BYTES, f"field {item.number} has another type than it should")
    return item.data


def _text(item: Field) -> str:
    data = _message(item)
    _require(len(data) <= _MAX_NAME_BYTES, "a name is too long")
    return bytes(data).decode("utf-8")


def _show(data: memoryview) -> str:
    return printable(bytes(data[:_MAX_NAME_BYTES]).decode("utf-8", errors="replace"))


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise UnsafeGraphError(otherwise)
