"""Shapes of the tensors in an ONNX graph, and the work of its nodes.

Source of the rules: ONNX's operator specification ("Operators.md"), operator set 18.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

from dcgan.zoo.onnx_model import ITEM_BYTES, AttributeValue, Graph, Node, UnsafeGraphError

Shape = tuple[int, ...]

_MAX_RANK = 8


@dataclass(frozen=True)
class Cost:
    """What it takes to run a graph once.

    Attributes:
        elements: values of all intermediate tensors.
        multiplications: of convolutions and matrix products.
    """

    elements: int
    multiplications: int


class ShapeInference:
    """Follows the shapes of tensors through a graph.

    Args:
        graph: the graph; its nodes must be in the order in which they run.
        inputs: shape of each input, with a number for the batch.
    """

    def __init__(self, graph: Graph, inputs: Mapping[str, Shape]) -> None:
        self._graph = graph
        self.shapes: dict[str, Shape] = dict(inputs)
        self.shapes |= {name: tensor.shape for name, tensor in graph.initializers.items()}
        self._multiplications = 0
        self._elements = 0

    def run(self, max_elements: int) -> Cost:
        """Infers every shape.

        Raises:
            UnsafeGraphError: if an operator is not one of `OPERATORS`, shapes do not fit, or there
                are more than `max_elements` intermediate values.
        """
        for node in self._graph.nodes:
            rule = OPERATORS.get(node.operator)
            if rule is None:
                raise UnsafeGraphError(f"it uses the operator {node.operator!r:.60}")
            try:
                shape = rule(self, node)
            except (IndexError, KeyError, ValueError, TypeError, ZeroDivisionError):
                raise UnsafeGraphError(
                    f"a node {node.operator} has inputs that do not fit"
                ) from None

            self._check(node, shape)
            self.shapes[node.outputs[0]] = shape
            self._elements += prod(shape)
            if self._elements > max_elements:
                raise UnsafeGraphError("its intermediate tensors are too large")
        return Cost(self._elements, self._multiplications)

    def input(self, node: Node, i: int) -> Shape:
        """Returns the shape of an input."""
        return self.shapes[node.inputs[i]]

    def integers(self, node: Node, i: int) -> tuple[int, ...]:
        """Returns the values of an input that must be a constant list of integers."""
        values = self._graph.initializers[node.inputs[i]].integers
        if values is None:
            raise ValueError("not a list of integers")
        return values

    def multiply(self, count: int) -> None:
        """Counts multiplications."""
        self._multiplications += count

    def _check(self, node: Node, shape: Shape) -> None:
        if len(node.outputs) != 1 or node.outputs[0] in self.shapes:
            raise UnsafeGraphError(f"a node {node.operator} has not exactly one new output")
        if len(shape) > _MAX_RANK or min(shape, default=1) < 1:
            raise UnsafeGraphError(f"a node {node.operator} makes the shape {shape}")


def _same(inference: ShapeInference, node: Node) -> Shape:
    return inference.input(node, 0)


def _cast(inference: ShapeInference, node: Node) -> Shape:
    if _integer(node, "to", 0) not in ITEM_BYTES:
        raise ValueError("another data type")
    return inference.input(node, 0)


def _broadcast(inference: ShapeInference, node: Node) -> Shape:
    a = inference.input(node, 0)
    b = inference.input(node, 1)
    rank = max(len(a), len(b))
    pairs = zip((1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b, strict=True)

    shape = []
    for left, right in pairs:
        if left != right and 1 not in (left, right):
            raise ValueError("shapes do not broadcast")
        shape.append(max(left, right))
    return tuple(shape)


def _reshape(inference: ShapeInference, node: Node) -> Shape:
    old = inference.input(node, 0)
    _expect_attributes(node)
    new = [old[i] if size == 0 else size for i, size in enumerate(inference.integers(node, 1))]
    if -1 in new:
        i = new.index(-1)
        new[i] = prod(old) // prod(new[:i] + new[i + 1 :])
    if prod(new) != prod(old):
        raise ValueError("another number of values")
    return tuple(new)


def _unsqueeze(inference: ShapeInference, node: Node) -> Shape:
    shape = list(inference.input(node, 0))
    axes = inference.integers(node, 1)
    rank = len(shape) + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        shape.insert(axis, 1)
    return tuple(shape)


def _transpose(inference: ShapeInference, node: Node) -> Shape:
    shape = inference.input(node, 0)
    axes = _list(node, "perm", tuple(reversed(range(len(shape)))))
    if sorted(axes) != list(range(len(shape))):
        raise ValueError("not a permutation")
    return tuple(shape[axis] for axis in axes)


def _concat(inference: ShapeInference, node: Node) -> Shape:
    shapes = [inference.input(node, i) for i in range(len(node.inputs))]
    axis = _integer(node, "axis", 0) % len(shapes[0])
    others = {shape[:axis] + shape[axis + 1 :] for shape in shapes}
    if len(others) != 1:
        raise ValueError("other axes differ")
    size = sum(shape[axis] for shape in shapes)
    return (*shapes[0][:axis], size, *shapes[0][axis + 1 :])


def _slice(inference: ShapeInference, node: Node) -> Shape:
    shape = list(inference.input(node, 0))
    starts = inference.integers(node, 1)
    ends = inference.integers(node, 2)
    axes = inference.integers(node, 3)
    steps = inference.integers(node, 4) if len(node.inputs) > 4 else (1,) * len(axes)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        shape[axis] = len(range(*slice(start, end, step).indices(shape[axis])))
    return tuple(shape)


def _gather(inference: ShapeInference, node: Node) -> Shape:
    table = inference.input(node, 0)
    axis = _integer(node, "axis", 0) % len(table)
    return table[:axis] + inference.input(node, 1) + table[axis + 1 :]


def _gemm(inference: ShapeInference, node: Node) -> Shape:
    rows, inner = inference.input(node, 0)
    other_inner, columns = inference.input(node, 1)
    _expect_attributes(node)
    if inner != other_inner:
        raise ValueError("matrices do not fit")
    inference.multiply(rows * inner * columns)
    return rows, columns


def _conv(inference: ShapeInference, node: Node) -> Shape:
    _expect_attributes(node, "kernel_shape", "pads", "strides")
    n, channels, *sizes = inference.input(node, 0)
    out, channels_in, *kernel = inference.input(node, 1)
    strides, pads = _strides_and_pads(node, channels == channels_in, tuple(kernel))

    result = []
    for i in range(2):
        padded = sizes[i] + pads[i] + pads[i + 2]
        result.append((padded - kernel[i]) // strides[i] + 1)
    inference.multiply(n * out * prod(result) * channels * prod(kernel))
    return n, out, *result


def _conv_transpose(inference: ShapeInference, node: Node) -> Shape:
    _expect_attributes(node, "kernel_shape", "pads", "strides")
    n, channels, *sizes = inference.input(node, 0)
    channels_in, out, *kernel = inference.input(node, 1)
    strides, pads = _strides_and_pads(node, channels == channels_in, tuple(kernel))

    result = []
    for i in range(2):
        full = strides[i] * (sizes[i] - 1) + kernel[i]
        result.append(full - pads[i] - pads[i + 2])
    inference.multiply(n * channels * prod(sizes) * out * prod(kernel))
    return n, out, *result


def _depth_to_space(inference: ShapeInference, node: Node) -> Shape:
    _expect_attributes(node, "blocksize")
    n, channels, height, width = inference.input(node, 0)
    block = _integer(node, "blocksize", 0)
    if channels % block**2:
        raise ValueError("channels do not divide")
    return n, channels // block**2, height * block, width * block


def _strides_and_pads(
    node: Node, channels_fit: bool, kernel: Shape
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns the strides and pads of a 2-D convolution, all of them small."""
    strides = _list(node, "strides", (1, 1))
    pads = _list(node, "pads", (0, 0, 0, 0))
    fits = (len(kernel), len(strides), len(pads)) == (2, 2, 4) and channels_fit
    small = all(1 <= value <= 16 for value in (*kernel, *strides))
    if not fits or not small or not all(0 <= pad <= 16 for pad in pads):
        raise ValueError("an unusual convolution")
    if _list(node, "kernel_shape", kernel) != kernel:
        raise ValueError("another kernel")
    return strides, pads


def _expect_attributes(node: Node, *names: str) -> None:
    if not set(node.attributes) <= set(names):
        raise ValueError("unknown attributes")


def _integer(node: Node, name: str, default: int) -> int:
    value: AttributeValue = node.attributes.get(name, default)
    if not isinstance(value, int):
        raise ValueError("not an integer")
    return value


def _list(node: Node, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
    value: AttributeValue = node.attributes.get(name, default)
    if not isinstance(value, tuple):
        raise ValueError("not a list")
    return value


OPERATORS: dict[str, Callable[[ShapeInference, Node], Shape]] = {
    "Add": _broadcast,
    "Cast": _cast,
    "Concat": _concat,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "DepthToSpace": _depth_to_space,  # written by release 0.1.0
    "DequantizeLinear": _same,
    "Gather": _gather,
    "Gemm": _gemm,
    "Mul": _broadcast,
    "QuantizeLinear": _same,
    "Relu": _same,
    "Reshape": _reshape,
    "Round": _same,
    "Slice": _slice,
    "Tanh": _same,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
"""The operators that released graphs need, with the shape that each makes."""
