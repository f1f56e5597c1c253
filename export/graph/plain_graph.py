"""The plain form of the graph: transposed convolutions, as the network is trained."""

from __future__ import annotations

from typing import cast

from onnx import TensorProto
from torch import nn

from dcgan.export.graph.builder import GraphBuilder
from dcgan.export.graph.fold import ClassAffine, FoldedGenerator

FLOAT_IMAGES = "float_images"
"""Name of the float images [batch, C, H, W] in [-1, 1]."""


def add_plain_graph(graph: GraphBuilder, network: FoldedGenerator, *, float16: bool) -> None:
    """Adds the network in transposed convolutions, from `z` to `images`.

    Args:
        graph: where to add it.
        network: the network.
        float16: compute in float16 from z to the last convolution; tanh and pixel conversion stay
            in float32.
    """
    z = graph.node("Cast", ["z"], "z.half", to=TensorProto.FLOAT16) if float16 else "z"
    x = graph.node("Unsqueeze", [z, graph.int64_constant([2, 3])], "grid")  # [batch, d, 1, 1]

    for i, layer in enumerate(network.layers[:-1]):
        x = _add_transposed_convolution(graph, layer, x, f"hidden.{i}")
        if network.classes:
            x = _add_affine(graph, cast(ClassAffine, network.affines[i]), x, f"affines.{i}")
        x = graph.node("Relu", [x], f"hidden.{i}.out")

    x = _add_transposed_convolution(graph, network.head, x, "head")
    if float16:
        x = graph.node("Cast", [x], "head.float", to=TensorProto.FLOAT)
    x = graph.node("Tanh", [x], FLOAT_IMAGES)
    graph.transpose(graph.to_uint8(x), [0, 2, 3, 1], "images")


def _add_transposed_convolution(
    graph: GraphBuilder, layer: nn.ConvTranspose2d, x: str, name: str
) -> str:
    """Adds one layer: [batch, C, H, W] -> [batch, C', 2H, 2W] (or 4x4 from 1x1)."""
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


def _add_affine(graph: GraphBuilder, affine: ClassAffine, x: str, name: str) -> str:
    """Adds the scale and shift of each image's class: [batch, C, H, W] stays that."""
    gain_table = graph.weight(f"{name}.gain", affine.gain.numpy()[:, :, None, None])
    gain = graph.node("Gather", [gain_table, "label"], f"{name}.gains")
    shift_table = graph.weight(f"{name}.shift", affine.shift.numpy()[:, :, None, None])
    shift = graph.node("Gather", [shift_table, "label"], f"{name}.shifts")

    scaled = graph.node("Mul", [x, gain], f"{name}.scaled")
    return graph.node("Add", [scaled, shift], f"{name}.out")
