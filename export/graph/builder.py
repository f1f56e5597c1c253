"""Writes the nodes and weights of one ONNX graph; what a node means is the business of `onnx_graph`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Steps:
    """How values become 8 bits.

    Attributes:
        size: of one step.
        zero: the step, 0 to 255, that stands for 0.
    """

    size: float
    zero: int = 0


class GraphBuilder:
    """Collects the nodes and weights of one graph. Every method returns the name of the tensor that it adds.

    Args:
        half_weights: store float weights as float16.
        half_arithmetic: compute with them in float16, too.
    """

    def __init__(self, *, half_weights: bool, half_arithmetic: bool = False) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, TensorProto] = {}
        self._half_weights = half_weights
        self._half_arithmetic = half_arithmetic

    def node(
        self, operator: str, inputs: list[str], output: str, **attributes: int | list[int]
    ) -> str:
        """Adds a node with one output."""
        node = helper.make_node(operator, inputs, [output], name=f"{output}/{operator}")
        node.attribute.extend(
            helper.make_attribute(key, value) for key, value in sorted(attributes.items())
        )
        self.nodes.append(node)
        return output

    def constant(self, name: str, array: NDArray[np.generic]) -> str:
        """Adds a constant as it is."""
        self.initializers[name] = numpy_helper.from_array(
            np.ascontiguousarray(array).reshape(array.shape), name
        )
        return name

    def integers(self, values: Sequence[int]) -> str:
        """Adds a list of sizes, axes or positions; equal lists share one constant."""
        return self.constant("ints_" + "_".join(map(str, values)), np.array(values, dtype=np.int64))

    def number(self, value: float) -> str:
        """Adds one float32 number; equal numbers share one constant."""
        return self.constant(f"float_{value!r}", np.array(value, dtype=np.float32))

    def weight(self, name: str, array: Array) -> str:
        """Adds a float32 weight; one that is stored as float16 is cast back (ONNX Runtime does so once, at load)."""
        if self._half_arithmetic:
            return self.constant(name, array.astype(np.float16))
        if not self._half_weights:
            return self.constant(name, array)
        half = self.constant(f"{name}.half", array.astype(np.float16))
        return self.node("Cast", [half], name, to=TensorProto.FLOAT)

    def reshape(self, x: str, shape: Sequence[int], output: str) -> str:
        """Adds a Reshape; -1 stands for the batch."""
        return self.node("Reshape", [x, self.integers(shape)], output)

    def transpose(self, x: str, axes: Sequence[int], output: str) -> str:
        """Adds a Transpose."""
        return self.node("Transpose", [x], output, perm=list(axes))

    def quantize(self, x: str, steps: Steps, output: str) -> str:
        """Adds the rounding of values to 0 to 255 steps."""
        return self.node(
            "QuantizeLinear", [x, self.number(steps.size), self._zero(steps.zero)], output
        )

    def dequantize(self, x: str, steps: Steps, output: str) -> str:
        """Adds the inverse of `quantize`."""
        return self.node(
            "DequantizeLinear", [x, self.number(steps.size), self._zero(steps.zero)], output
        )

    def quantized_weight(self, name: str, array: Array, scales: Array) -> str:
        """Adds a weight [out, ...] as whole steps of one scale for each output channel: int8, or int32 for a bias."""
        steps = np.rint(array / scales.reshape(-1, *[1] * (array.ndim - 1)))
        kind, most = (np.int8, 127) if array.ndim > 1 else (np.int32, 2**31 - 1)
        stored = self.constant(f"{name}.steps", np.clip(steps, -most, most).astype(kind))
        zeros = self.constant(f"{name}.zeros", np.zeros(len(scales), dtype=kind))
        return self.node(
            "DequantizeLinear",
            [stored, self.constant(f"{name}.scales", scales), zeros],
            name,
            axis=0,
        )

    def _zero(self, step: int) -> str:
        return self.constant(f"zero_{step}", np.array(step, dtype=np.uint8))
