"""The ONNX graph, written node by node: nothing in it depends on an exporter's version, a path or the day.

    z [batch, d] -> Unsqueeze -> ConvTranspose, Relu (repeated) -> ConvTranspose -> Tanh = float_images [batch, C, H, W]
      -> Add 1 -> Mul 127.5 -> Round (half to even) -> Cast to uint8 -> Transpose = images [batch, H, W, C]

Tanh stays within one rounding of [-1, 1], so that Round already ends at 0 and 255 and there is nothing to clamp.
`float_images` is no output, which would cost every caller its bytes, but keeps its name, so that `expose` can reach it.

Operator set 18 is the newest for which every ONNX Runtime of the last years has kernels of each operator here on every
provider (ConvTranspose 22 came to CUDA only in 2026: microsoft/onnxruntime#27710); nothing newer is needed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from dcgan.export.fold import Folded

OPSET = 18
IR_VERSION = 8
"""Of the file format: the one that came with operator set 18."""

FLOAT_IMAGES = "float_images"
FACTS = "dcgan"
"""Key of the metadata property that says what the model is."""


class GraphBuilder:
    """Collects the nodes and weights of one graph."""

    def __init__(self, *, half_weights: bool) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[TensorProto] = []
        self._half_weights = half_weights

    def node(self, operator: str, inputs: list[str], output: str, **attributes: int | list[int]) -> str:
        """Adds a node and returns the name of its output."""
        node = helper.make_node(operator, inputs, [output], name=f"{output}/{operator}")
        node.attribute.extend(helper.make_attribute(key, value) for key, value in sorted(attributes.items()))
        self.nodes.append(node)
        return output

    def constant(self, name: str, array: NDArray[np.generic]) -> str:
        """Adds a constant as it is and returns its name."""
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def weight(self, name: str, array: NDArray[np.float32]) -> str:
        """Adds a float32 weight; one that is stored as float16 is cast back (ONNX Runtime does so once, at load)."""
        if not self._half_weights:
            return self.constant(name, array)
        half = self.constant(f"{name}.half", array.astype(np.float16))
        return self.node("Cast", [half], name, to=TensorProto.FLOAT)


def build_graph(network: Folded, *, facts: str, half_weights: bool) -> onnx.ModelProto:
    """Writes the graph of a folded network.

    Args:
        network: the network; its weights are the graph's.
        facts: JSON document to embed.
        half_weights: store weights as float16. Exact if they were rounded by `round_to_half`.
    """
    graph = GraphBuilder(half_weights=half_weights)
    x = graph.node("Unsqueeze", ["z", graph.constant("last_axes", np.array([2, 3]))], "grid")  # [batch, d, 1, 1]
    for i, layer in enumerate(network.layers[:-1]):
        x = graph.node("Relu", [_up(graph, layer, x, f"hidden.{i}")], f"hidden.{i}.out")
    x = graph.node("Tanh", [_up(graph, network.head, x, "head")], FLOAT_IMAGES)
    _pixels(graph, x)
    size, channels = network.image_size, network.channels
    z = helper.make_tensor_value_info("z", TensorProto.FLOAT, ["batch", network.latent_size])
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", size, size, channels])
    proto = helper.make_graph(graph.nodes, "generator", [z], [images], graph.initializers)
    model = helper.make_model(
        proto, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="dcgan-zoo"
    )
    helper.set_model_props(model, {FACTS: facts})
    return model


def write_graph(model: onnx.ModelProto, path: Path) -> None:
    """Writes the graph as one file, weights included."""
    path.write_bytes(model.SerializeToString(deterministic=True))


def expose(model: onnx.ModelProto, channels: int, image_size: int) -> onnx.ModelProto:
    """A copy of the graph with the float images [batch, C, H, W] as a second output, for comparison."""
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    shape: list[str | int] = ["batch", channels, image_size, image_size]
    exposed.graph.output.append(helper.make_tensor_value_info(FLOAT_IMAGES, TensorProto.FLOAT, shape))
    return exposed


def _up(graph: GraphBuilder, layer: nn.ConvTranspose2d, x: str, name: str) -> str:
    """Adds one transposed convolution: [batch, C, H, W] -> [batch, C', 2H, 2W] (or 4x4 from 1x1)."""
    inputs = [x, graph.weight(f"{name}.weight", layer.weight.numpy())]
    if layer.bias is not None:
        inputs.append(graph.weight(f"{name}.bias", layer.bias.numpy()))
    return graph.node(
        "ConvTranspose",
        inputs,
        f"{name}.conv",
        kernel_shape=list(layer.kernel_size),
        strides=list(layer.stride),
        pads=[int(padding) for padding in layer.padding] * 2,
    )


def _pixels(graph: GraphBuilder, x: str) -> None:
    """Adds the post-processing: [batch, C, H, W] in [-1, 1] -> uint8 [batch, H, W, C]."""
    x = graph.node("Add", [x, graph.constant("one", np.array(1.0, np.float32))], "shifted")
    x = graph.node("Mul", [x, graph.constant("half_range", np.array(127.5, np.float32))], "scaled")
    x = graph.node("Cast", [graph.node("Round", [x], "levels")], "pixels", to=TensorProto.UINT8)
    graph.node("Transpose", [x], "images", perm=[0, 2, 3, 1])
