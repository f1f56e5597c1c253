"""The subpixel form of the graph, in float32 or with convolutions in int8.

    z -> Gemm, Relu -> four phases of Conv, Relu -> interleave (repeated) -> one Conv for all phases -> Tanh

In int8, activations are 8 bits wherever a convolution in int8 makes or takes them, so that what moves between layers
is a quarter of the bytes. ONNX Runtime turns DequantizeLinear -> Conv -> QuantizeLinear into one QLinearConv; which
convolutions are such is for the plan to say. With classes, a convolution's output is 8 bits before its scale and shift.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from dcgan.export.graph.builder import Array, GraphBuilder
from dcgan.export.graph.fold import ClassAffine, Folded
from dcgan.export.graph.subpixel import join_phases, split_phases
from dcgan.export.int8.plan import HEAD, Int8Plan

TANH = "head.tanh"
"""Name of the float images before they are interleaved and cropped, [batch, H/2 + 1, W/2 + 1, 4 C]."""


def add_subpixel(graph: GraphBuilder, network: Folded, plan: Int8Plan | None) -> str:
    """Adds the network in ordinary convolutions, up to and including the tanh; see TANH."""
    x = add_first(graph, network, plan)
    for i in range(1, len(network.hidden)):
        x = add_hidden(graph, network, i, x, plan)
    return _add_head(graph, network, x, plan)


def interleave(graph: GraphBuilder, x: str, channels: int, size: int, name: str) -> str:
    """Adds depth to space with the channels last: [batch, size, size, 4 C] -> [batch, 2 size, 2 size, C].

    ONNX Runtime's DepthToSpace moves single values; here whole pixels move, in a fifth of the time, and transpositions
    before and after vanish into the layouts of the convolutions around.
    """
    x = graph.reshape(
        x, [-1, size, size, 2, 2 * channels], f"{name}.split"
    )  # [batch, H, W, a, (b, C)]
    x = graph.transpose(x, [0, 1, 3, 2, 4], f"{name}.woven")  # [batch, H, a, W, (b, C)]
    return graph.reshape(x, [-1, 2 * size, 2 * size, channels], f"{name}.joined")


def add_first(graph: GraphBuilder, network: Folded, plan: Int8Plan | None) -> str:
    """Adds the first layer as one matrix product for the whole batch: [batch, d] -> [batch, C, 4, 4]."""
    layer = network.layers[0]
    d, channels = layer.in_channels, layer.out_channels
    weight = (
        layer.weight.numpy().transpose(0, 2, 3, 1).reshape(d, 16 * channels)
    )  # columns: row, column, channel
    inputs = ["z", graph.weight("hidden.0.weight", weight)]
    if layer.bias is not None:
        inputs.append(graph.weight("hidden.0.bias", np.tile(layer.bias.numpy(), 16)))
    x = graph.node("Gemm", inputs, "hidden.0.gemm")
    x = x if network.classes else graph.node("Relu", [x], "hidden.0.relu")
    x = graph.reshape(x, [-1, 4, 4, channels], "hidden.0.grid")
    x = _add_affine(graph, network, 0, x) if network.classes else x
    return graph.transpose(_round(graph, x, plan, 0), [0, 3, 1, 2], "hidden.0.out")


def add_hidden(graph: GraphBuilder, network: Folded, i: int, x: str, plan: Int8Plan | None) -> str:
    """Adds hidden layer i as four phases: [batch, C, H, W] -> [batch, C', 2H, 2W]."""
    layer, name = network.layers[i], f"hidden.{i}"
    int8 = plan if plan is not None and plan.is_int8(name) else None
    x = _unround(graph, x, plan, i - 1, f"{name}.in")
    bias = None if layer.bias is None else layer.bias.numpy()
    shared = [] if bias is None or int8 else [graph.weight(f"{name}.bias", bias)]
    phases = []
    for phase in split_phases(layer.weight.numpy()):
        label = f"{name}.phase{phase.name}"
        if int8:
            inputs = [
                x,
                *_quantized(graph, label, phase.kernel, bias, int8.activations[i - 1].size),
            ]
        else:
            inputs = [x, graph.weight(f"{label}.weight", phase.kernel), *shared]
        y = graph.node("Conv", inputs, f"{label}.conv", kernel_shape=[2, 2], pads=phase.pads)
        y = y if network.classes else graph.node("Relu", [y], f"{label}.relu")
        phases.append(graph.quantize(y, int8.outputs[i], f"{label}.steps") if int8 else y)
    x = graph.node("Concat", phases, f"{name}.phases", axis=1)  # [batch, 4 C', H, W]
    x = interleave(
        graph, graph.transpose(x, [0, 2, 3, 1], f"{name}.last"), layer.out_channels, 2 << i, name
    )
    if network.classes:
        x = graph.dequantize(x, int8.outputs[i], f"{name}.unrounded") if int8 else x
        x = _add_affine(graph, network, i, x)
    x = x if int8 and not network.classes else _round(graph, x, plan, i)
    return graph.transpose(x, [0, 3, 1, 2], f"{name}.out")


def _add_head(graph: GraphBuilder, network: Folded, x: str, plan: Int8Plan | None) -> str:
    """Adds the last layer as one convolution, and the tanh: [batch, C, H/2, W/2] -> [batch, H/2 + 1, W/2 + 1, 4 C']."""
    int8 = plan if plan is not None and plan.is_int8(HEAD) else None
    x = _unround(graph, x, plan, len(network.hidden) - 1, "head.in")
    name, kernel = "head.weight", join_phases(network.head.weight.numpy())
    weight = (
        graph.quantized_weight(name, kernel, _scales(kernel))
        if int8
        else graph.weight(name, kernel)
    )
    x = graph.node("Conv", [x, weight], "head.conv", kernel_shape=[2, 2], pads=[1, 1, 1, 1])
    if int8 is None:
        return graph.transpose(graph.node("Tanh", [x], "head.bent"), [0, 2, 3, 1], TANH)
    x = graph.transpose(graph.quantize(x, int8.head, "head.steps"), [0, 2, 3, 1], "head.last")
    return graph.node("Tanh", [graph.dequantize(x, int8.head, "head.out")], TANH)


def _add_affine(graph: GraphBuilder, network: Folded, i: int, x: str) -> str:
    """Adds the scale and shift of each image's class, and the ReLU: [batch, H, W, C] stays that."""
    affine, name = cast(ClassAffine, network.affines[i]), f"affines.{i}"
    gain, shift = (
        graph.node(
            "Gather",
            [graph.weight(f"{name}.{part}", table.numpy()[:, None, None]), "label"],
            f"{name}.{part}s",
        )
        for part, table in (("gain", affine.gain), ("shift", affine.shift))
    )
    x = graph.node("Add", [graph.node("Mul", [x, gain], f"{name}.scaled"), shift], f"{name}.out")
    return graph.node("Relu", [x], f"hidden.{i}.relu")


def _quantized(
    graph: GraphBuilder, label: str, kernel: Array, bias: Array | None, step: float
) -> list[str]:
    """Adds the kernel of one phase in int8, and a bias in int32, whose steps are those of the products."""
    scales = _scales(kernel)
    weights = [graph.quantized_weight(f"{label}.weight", kernel, scales)]
    if bias is not None:
        weights.append(graph.quantized_weight(f"{label}.bias", bias, scales * np.float32(step)))
    return weights


def _round(graph: GraphBuilder, x: str, plan: Int8Plan | None, i: int) -> str:
    """Rounds the activations after hidden layer i to 8 bits, if the next convolution is one in int8."""
    return (
        graph.quantize(x, plan.activations[i], f"hidden.{i}.steps")
        if plan and plan.rounds_after(i)
        else x
    )


def _unround(graph: GraphBuilder, x: str, plan: Int8Plan | None, i: int, output: str) -> str:
    """Brings back the activations after hidden layer i, if they are 8 bits."""
    return graph.dequantize(x, plan.activations[i], output) if plan and plan.rounded(i) else x


def _scales(kernel: Array) -> Array:
    """The step of 8 bits for each output channel of a kernel [out, in, 2, 2]."""
    steps: Array = np.maximum(np.abs(kernel).max(axis=(1, 2, 3)) / 127, 1e-12).astype(np.float32)
    return steps
