"""Forms of the ONNX graph that are not exported, for comparison in bench_export.py."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from dcgan.export.graph.builder import GraphBuilder
from dcgan.export.graph.fold import FoldedGenerator
from dcgan.export.graph.onnx_graph import make_model
from dcgan.export.graph.quantization import HEAD, Int8Plan
from dcgan.export.graph.subpixel import join_phases
from dcgan.export.graph.subpixel_graph import add_first, add_hidden, interleave


def plain_with_gemm(network: FoldedGenerator) -> onnx.ModelProto:
    """Transposed convolutions, but for the first layer, which is one matrix product."""
    graph = GraphBuilder(float16_weights=False)
    x = add_first(graph, network, None)
    for i, layer in enumerate(network.layers[1:], start=1):
        last = i == len(network.hidden)
        inputs = [x, graph.weight(f"{i}.weight", layer.weight.numpy())]
        inputs += [] if layer.bias is None else [graph.weight(f"{i}.bias", layer.bias.numpy())]
        x = graph.node(
            "ConvTranspose",
            inputs,
            f"{i}.conv",
            kernel_shape=[4, 4],
            strides=[2, 2],
            pads=[1, 1, 1, 1],
        )
        x = graph.node("Tanh" if last else "Relu", [x], f"{i}.out")
    graph.transpose(graph.to_uint8(x), [0, 2, 3, 1], "images")
    return make_model(graph, network, "{}")


def joined(network: FoldedGenerator, *, depth_to_space: bool) -> onnx.ModelProto:
    """A 2x2 convolution for each layer, on a grid larger by one; then depth to space, and a crop.

    Depth to space is ONNX's own operator, or moves whole pixels as the exported form does.
    """
    graph = GraphBuilder(float16_weights=False)
    x, size = add_first(graph, network, None), 4
    for i, layer in enumerate(network.layers[1:], start=1):
        last = i == len(network.hidden)
        inputs = [x, graph.weight(f"{i}.weight", join_phases(layer.weight.numpy()))]
        inputs += (
            []
            if layer.bias is None
            else [graph.weight(f"{i}.bias", np.tile(layer.bias.numpy(), 4))]
        )
        x = graph.node("Conv", inputs, f"{i}.conv", kernel_shape=[2, 2], pads=[1, 1, 1, 1])
        x = graph.node("Tanh" if last else "Relu", [x], f"{i}.activation")
        if depth_to_space:
            x = _crop(
                graph,
                graph.node("DepthToSpace", [x], f"{i}.woven", blocksize=2),
                [2, 3],
                f"{i}.out",
            )
        else:
            x = graph.transpose(x, [0, 2, 3, 1], f"{i}.last")
            x = _crop(
                graph,
                interleave(graph, x, layer.out_channels, size + 1, f"{i}"),
                [1, 2],
                f"{i}.cropped",
            )
            x = graph.transpose(x, [0, 3, 1, 2], f"{i}.out")
        size *= 2
    graph.transpose(graph.to_uint8(x), [0, 2, 3, 1], "images")
    return make_model(graph, network, "{}")


def float_tail(network: FoldedGenerator, plan: Int8Plan | None) -> onnx.ModelProto:
    """Returns the form of release 0.1.0: last layer in float32, depth to space before rounding."""
    graph = GraphBuilder(float16_weights=False)
    x = add_first(graph, network, plan)
    for i in range(1, len(network.hidden)):
        x = add_hidden(graph, network, i, x, plan)
    if plan is not None:
        x = graph.dequantize(x, plan.activations[-1], "head.in")
    weight = graph.weight("head.weight", join_phases(network.head.weight.numpy()))
    x = graph.node("Conv", [x, weight], "head.conv", kernel_shape=[2, 2], pads=[1, 1, 1, 1])
    x = graph.node("DepthToSpace", [graph.node("Tanh", [x], "head.bent")], "bordered", blocksize=2)
    graph.transpose(graph.to_uint8(_crop(graph, x, [2, 3], "cropped")), [0, 2, 3, 1], "images")
    return make_model(graph, network, "{}")


def first_as_convolution(network: FoldedGenerator, model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns the exported graph with its first layer as a transposed convolution again."""
    other = onnx.ModelProto()
    other.CopyFrom(model)
    kept = [node for node in other.graph.node if not node.output[0].startswith("hidden.0.")]
    graph, layer = GraphBuilder(float16_weights=False), network.layers[0]
    assert layer.bias is not None  # folding gives every layer one
    grid = graph.node("Unsqueeze", ["z", graph.int64_constant([2, 3])], "first.grid")
    inputs = [
        grid,
        graph.weight("first.weight", layer.weight.numpy()),
        graph.weight("first.bias", layer.bias.numpy()),
    ]
    graph.node(
        "Relu",
        [graph.node("ConvTranspose", inputs, "first.conv", kernel_shape=[4, 4])],
        "hidden.0.out",
    )
    del other.graph.node[:]
    other.graph.node.extend([*graph.nodes, *kept])
    used = {name for node in other.graph.node for name in node.input}
    tensors = [*other.graph.initializer, *graph.initializers.values()]
    del other.graph.initializer[:]
    other.graph.initializer.extend(tensor for tensor in tensors if tensor.name in used)
    return helper.make_model(
        other.graph, opset_imports=other.opset_import, ir_version=other.ir_version
    )


def head_in_float(plan: Int8Plan) -> Int8Plan:
    """A plan whose last convolution stays in float32."""
    import dataclasses

    return dataclasses.replace(plan, floats=plan.floats | {HEAD})


def _crop(graph: GraphBuilder, x: str, axes: list[int], output: str) -> str:
    return graph.node(
        "Slice", [x, *(graph.int64_constant(values) for values in ([1, 1], [-1, -1], axes))], output
    )
