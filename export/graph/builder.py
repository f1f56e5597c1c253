"""A builder for the nodes and initializers of one ONNX graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from dcgan.export.graph.quantization import QuantizationParams

Array = NDArray[np.float32]


class GraphBuilder:
    """Collects nodes and initializers. Every method returns the name of the tensor that it adds.

    Args:
        float16_weights: store float weights as float16.
        float16_compute: also compute in float16.
    """

    def __init__(self, *, float16_weights: bool, float16_compute: bool = False) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, TensorProto] = {}
        self._float16_weights = float16_weights
        self._float16_compute = float16_compute

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
        """Adds an initializer with the dtype and shape of an array."""
        contiguous = np.ascontiguousarray(array).reshape(array.shape)
        self.initializers[name] = numpy_helper.from_array(contiguous, name)
        return name

    def int64_constant(self, values: Sequence[int]) -> str:
        """Adds a list of sizes, axes or positions; equal lists share one initializer."""
        return self.constant("ints_" + "_".join(map(str, values)), np.array(values, dtype=np.int64))

    def float_constant(self, value: float) -> str:
        """Adds a float32 scalar; equal scalars share one initializer."""
        return self.constant(f"float_{value!r}", np.array(value, dtype=np.float32))

    def weight(self, name: str, array: Array) -> str:
        """Adds a float32 weight, stored as float16 and cast back where the builder says so.

        ONNX Runtime folds the cast into the weight once, when the session is created.
        """
        if self._float16_compute:
            return self.constant(name, array.astype(np.float16))
        if not self._float16_weights:
            return self.constant(name, array)

        stored = self.constant(f"{name}.half", array.astype(np.float16))
        return self.node("Cast", [stored], name, to=TensorProto.FLOAT)

    def reshape(self, x: str, shape: Sequence[int], output: str) -> str:
        """Adds a Reshape; -1 stands for the batch."""
        return self.node("Reshape", [x, self.int64_constant(shape)], output)

    def transpose(self, x: str, axes: Sequence[int], output: str) -> str:
        """Adds a Transpose."""
        return self.node("Transpose", [x], output, perm=list(axes))

    def quantize(self, x: str, params: QuantizationParams, output: str) -> str:
        """Adds a QuantizeLinear to uint8."""
        return self.node("QuantizeLinear", [x, *self._params(params)], output)

    def dequantize(self, x: str, params: QuantizationParams, output: str) -> str:
        """Adds a DequantizeLinear from uint8."""
        return self.node("DequantizeLinear", [x, *self._params(params)], output)

    def quantized_weight(self, name: str, array: Array, scales: Array) -> str:
        """Adds a weight quantized symmetrically with one scale for each output channel.

        Args:
            name: of the dequantized weight.
            array: [out, ...]; stored as int8, or as int32 if it is a bias [out].
            scales: float32 [out].
        """
        per_channel = scales.reshape(-1, *[1] * (array.ndim - 1))
        quantized = np.rint(array / per_channel)
        dtype, limit = (np.int8, 127) if array.ndim > 1 else (np.int32, 2**31 - 1)

        stored = self.constant(f"{name}.steps", np.clip(quantized, -limit, limit).astype(dtype))
        zeros = self.constant(f"{name}.zeros", np.zeros(len(scales), dtype=dtype))
        stored_scales = self.constant(f"{name}.scales", scales)
        return self.node("DequantizeLinear", [stored, stored_scales, zeros], name, axis=0)

    def to_uint8(self, x: str) -> str:
        """Adds the conversion of float images in [-1, 1] to pixels: (x + 1) * 127.5, rounded.

        Tanh stays within one rounding error of [-1, 1], so Round ends at 0 and 255 and there is
        nothing to clamp.
        """
        shifted = self.node("Add", [x, self.float_constant(1.0)], "shifted")
        scaled = self.node("Mul", [shifted, self.float_constant(127.5)], "scaled")
        levels = self.node("Round", [scaled], "levels")
        return self.node("Cast", [levels], "pixels", to=TensorProto.UINT8)

    def _params(self, params: QuantizationParams) -> list[str]:
        zero_point = np.array(params.zero_point, dtype=np.uint8)
        return [
            self.float_constant(params.scale),
            self.constant(f"zero_{params.zero_point}", zero_point),
        ]
