"""The subpixel form of the graph: ordinary convolutions and interleaving, in float32 or int8.

    z -> Gemm, Relu -> four phases of Conv, Relu -> interleave (repeated) -> one Conv for all phases
    -> Tanh

In int8, activations are 8 bits wherever an int8 convolution produces or consumes them, so that only
a quarter of the bytes moves between layers. ONNX Runtime fuses DequantizeLinear -> Conv ->
QuantizeLinear into one QLinearConv; the plan says which convolutions those are. With classes, a
convolution's output is 8 bits before its scale and shift.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from dcgan.export.graph.builder import Array, GraphBuilder
from dcgan.export.graph.fold import ClassAffine, FoldedGenerator
from dcgan.export.graph.quantization import HEAD, Int8Plan
from dcgan.export.graph.subpixel import join_phases, split_phases

TANH = "head.tanh"
"""Name of the float images before interleaving and cropping, [batch, H/2 + 1, W/2 + 1, 4 C]."""


def add_subpixel_graph(
    graph: GraphBuilder, network: FoldedGenerator, plan: Int8Plan | None
) -> None:
    """Adds the network in ordinary convolutions, from `z` to `images`.

    Args:
        graph: where to add it.
        network: the network.
        plan: which convolutions run in int8; None for float32 throughout.
    """
    x = add_first(graph, network, plan)
    for i in range(1, len(network.hidden)):
        x = add_hidden(graph, network, i, x, plan)
    x = _add_head(graph, network, x, plan)

    # Convert to pixels before interleaving, so that single bytes move.
    grid_size = network.image_size // 2 + 1
    pixels = interleave(graph, graph.to_uint8(x), network.channels, grid_size, "bordered")
    crop(graph, pixels, "images")


def interleave(graph: GraphBuilder, x: str, channels: int, size: int, name: str) -> str:
    """Adds depth to space with channels last: [batch, S, S, 4 C] -> [batch, 2 S, 2 S, C].

    ONNX Runtime's DepthToSpace moves single values. This moves whole pixels, in a fifth of the
    time, and the transpositions before and after it merge into the layouts of the neighbouring
    convolutions.
    """
    # [batch, H, W, a, (b, C)] -> [batch, H, a, W, (b, C)]
    x = graph.reshape(x, [-1, size, size, 2, 2 * channels], f"{name}.split")
    x = graph.transpose(x, [0, 1, 3, 2, 4], f"{name}.woven")
    return graph.reshape(x, [-1, 2 * size, 2 * size, channels], f"{name}.joined")


def crop(graph: GraphBuilder, x: str, output: str) -> str:
    """Crops the border of `join_phases`: [batch, H + 2, W + 2, C] -> [batch, H, W, C]."""
    bounds = [graph.int64_constant(values) for values in ([1, 1], [-1, -1], [1, 2])]
    return graph.node("Slice", [x, *bounds], output)


def add_first(graph: GraphBuilder, network: FoldedGenerator, plan: Int8Plan | None) -> str:
    """Adds the first layer as one matrix product: [batch, d] -> [batch, C, 4, 4]."""
    layer = network.layers[0]
    latent_size = layer.in_channels
    channels = layer.out_channels

    # Columns in the order row, column, channel.
    weight = layer.weight.numpy().transpose(0, 2, 3, 1).reshape(latent_size, 16 * channels)
    inputs = ["z", graph.weight("hidden.0.weight", weight)]
    if layer.bias is not None:
        inputs.append(graph.weight("hidden.0.bias", np.tile(layer.bias.numpy(), 16)))
    x = graph.node("Gemm", inputs, "hidden.0.gemm")

    if network.classes:
        x = graph.reshape(x, [-1, 4, 4, channels], "hidden.0.grid")
        x = _add_affine(graph, network, 0, x)
    else:
        x = graph.node("Relu", [x], "hidden.0.relu")
        x = graph.reshape(x, [-1, 4, 4, channels], "hidden.0.grid")

    x = _quantize_activations(graph, x, plan, 0)
    return graph.transpose(x, [0, 3, 1, 2], "hidden.0.out")


def add_hidden(
    graph: GraphBuilder, network: FoldedGenerator, i: int, x: str, plan: Int8Plan | None
) -> str:
    """Adds hidden layer i as four phases: [batch, C, H, W] -> [batch, C', 2H, 2W]."""
    name = f"hidden.{i}"
    channels = network.layers[i].out_channels
    int8 = plan if plan is not None and plan.is_int8(name) else None

    # Convolve once for each phase, and stack the results.
    x = _dequantize_activations(graph, x, plan, i - 1, f"{name}.in")
    phases = _add_phases(graph, network, i, x, int8)
    x = graph.node("Concat", phases, f"{name}.phases", axis=1)  # [batch, 4 C', H, W]

    # Weave them into one image, channels last.
    x = graph.transpose(x, [0, 2, 3, 1], f"{name}.last")
    x = interleave(graph, x, channels, 2 << i, name)

    if network.classes:
        if int8 is not None:
            x = graph.dequantize(x, int8.outputs[i], f"{name}.unrounded")
        x = _add_affine(graph, network, i, x)
    if int8 is None or network.classes:
        x = _quantize_activations(graph, x, plan, i)
    return graph.transpose(x, [0, 3, 1, 2], f"{name}.out")


def _add_phases(
    graph: GraphBuilder, network: FoldedGenerator, i: int, x: str, int8: Int8Plan | None
) -> list[str]:
    """Adds the four convolutions of hidden layer i, and the ReLU of a network without classes."""
    layer = network.layers[i]
    bias = None if layer.bias is None else layer.bias.numpy()
    shared = []
    if bias is not None and int8 is None:
        shared = [graph.weight(f"hidden.{i}.bias", bias)]

    outputs = []
    for phase in split_phases(layer.weight.numpy()):
        name = f"hidden.{i}.phase{phase.name}"
        if int8 is not None:
            scale = int8.activations[i - 1].scale
            inputs = [x, *_quantized_weights(graph, name, phase.kernel, bias, scale)]
        else:
            inputs = [x, graph.weight(f"{name}.weight", phase.kernel), *shared]

        y = graph.node("Conv", inputs, f"{name}.conv", kernel_shape=[2, 2], pads=phase.pads)
        if not network.classes:
            y = graph.node("Relu", [y], f"{name}.relu")
        if int8 is not None:
            y = graph.quantize(y, int8.outputs[i], f"{name}.steps")
        outputs.append(y)
    return outputs


def _add_head(graph: GraphBuilder, network: FoldedGenerator, x: str, plan: Int8Plan | None) -> str:
    """Adds the last layer as one convolution, and tanh.

    [batch, C, H/2, W/2] -> [batch, H/2 + 1, W/2 + 1, 4 C'].
    """
    int8 = plan if plan is not None and plan.is_int8(HEAD) else None
    x = _dequantize_activations(graph, x, plan, len(network.hidden) - 1, "head.in")

    kernel = join_phases(network.head.weight.numpy())
    if int8 is not None:
        weight = graph.quantized_weight("head.weight", kernel, _weight_scales(kernel))
    else:
        weight = graph.weight("head.weight", kernel)
    x = graph.node("Conv", [x, weight], "head.conv", kernel_shape=[2, 2], pads=[1, 1, 1, 1])

    if int8 is None:
        x = graph.node("Tanh", [x], "head.bent")
        return graph.transpose(x, [0, 2, 3, 1], TANH)

    x = graph.quantize(x, int8.head, "head.steps")
    x = graph.transpose(x, [0, 2, 3, 1], "head.last")
    x = graph.dequantize(x, int8.head, "head.out")
    return graph.node("Tanh", [x], TANH)


def _add_affine(graph: GraphBuilder, network: FoldedGenerator, i: int, x: str) -> str:
    """Adds the scale and shift of each image's class, and ReLU: [batch, H, W, C] stays that."""
    affine = cast(ClassAffine, network.affines[i])
    name = f"affines.{i}"
    gain_table = graph.weight(f"{name}.gain", affine.gain.numpy()[:, None, None])
    gain = graph.node("Gather", [gain_table, "label"], f"{name}.gains")
    shift_table = graph.weight(f"{name}.shift", affine.shift.numpy()[:, None, None])
    shift = graph.node("Gather", [shift_table, "label"], f"{name}.shifts")

    scaled = graph.node("Mul", [x, gain], f"{name}.scaled")
    shifted = graph.node("Add", [scaled, shift], f"{name}.out")
    return graph.node("Relu", [shifted], f"hidden.{i}.relu")


def _quantized_weights(
    graph: GraphBuilder, name: str, kernel: Array, bias: Array | None, input_scale: float
) -> list[str]:
    """Adds the kernel of one phase in int8, and its bias in int32."""
    scales = _weight_scales(kernel)
    weights = [graph.quantized_weight(f"{name}.weight", kernel, scales)]
    if bias is not None:
        bias_scales = scales * np.float32(input_scale)
        weights.append(graph.quantized_weight(f"{name}.bias", bias, bias_scales))
    return weights


def _quantize_activations(graph: GraphBuilder, x: str, plan: Int8Plan | None, i: int) -> str:
    """Quantizes the activations after hidden layer i, if the next convolution runs in int8."""
    if plan is None or not plan.feeds_int8(i):
        return x
    return graph.quantize(x, plan.activations[i], f"hidden.{i}.steps")


def _dequantize_activations(
    graph: GraphBuilder, x: str, plan: Int8Plan | None, i: int, output: str
) -> str:
    """Dequantizes the activations after hidden layer i, if they are 8 bits."""
    if plan is None or not plan.is_quantized(i):
        return x
    return graph.dequantize(x, plan.activations[i], output)


def _weight_scales(kernel: Array) -> Array:
    """Returns the int8 scale for each output channel of a kernel [out, in, 2, 2]."""
    largest = np.abs(kernel).max(axis=(1, 2, 3))
    scales: Array = np.maximum(largest / 127, 1e-12).astype(np.float32)
    return scales
