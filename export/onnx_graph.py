"""The ONNX graph, written node by node: nothing in it depends on an exporter's version, a path or the day.

There are two forms of the same function (measured in `benchmarks/bench_export.py`), and int8 steps for the second.

plain, as the network is trained:
    z [batch, d] -> ConvTranspose, Relu (repeated) -> ConvTranspose -> Tanh = float_images [batch, C, H, W]

subpixel, faster on the CPU, where ONNX Runtime has no fast transposed convolution:
    z -> Gemm, Relu -> four phases of Conv, Relu -> interleave (repeated) -> Conv -> Tanh -> depth to space, crop

Both end in Add 1 -> Mul 127.5 -> Round (half to even) -> Cast to uint8 -> Transpose = images [batch, H, W, C].
Tanh stays within one rounding of [-1, 1], so that Round already ends at 0 and 255 and there is nothing to clamp.
`float_images` is no output, which would cost every caller its bytes, but keeps its name, so that `expose` can reach it.

Operator set 18 is the newest for which every ONNX Runtime of the last years has kernels of each operator here on every
provider (ConvTranspose 22 came to CUDA only in 2026: microsoft/onnxruntime#27710); nothing newer is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from torch import nn

from dcgan.export.fold import Folded
from dcgan.export.graph_builder import Array, GraphBuilder
from dcgan.export.subpixel import join_phases, split_phases

OPSET = 18
IR_VERSION = 8
"""Of the file format: the one that came with operator set 18."""

PLAIN, SUBPIXEL = "plain", "subpixel"

FLOAT_IMAGES = "float_images"
FACTS = "dcgan"
"""Key of the metadata property that says what the model is."""


def build_graph(
    network: Folded, *, facts: str, half_weights: bool, form: str = SUBPIXEL, scales: Sequence[float] | None = None
) -> onnx.ModelProto:
    """Writes the graph of a folded network.

    Args:
        network: the network; its weights are the graph's.
        facts: JSON document to embed.
        half_weights: store float weights as float16. Exact if they were rounded by `round_to_half`.
        form: PLAIN or SUBPIXEL.
        scales: of the activations after each hidden layer, for a subpixel graph whose hidden convolutions run in int8;
            None for one that runs in float32.
    """
    graph = GraphBuilder(half_weights=half_weights)
    x = _plain(graph, network) if form == PLAIN else _subpixel(graph, network, scales)
    _finish(graph, x, form)
    size, channels = network.image_size, network.channels
    z = helper.make_tensor_value_info("z", TensorProto.FLOAT, ["batch", network.latent_size])
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", size, size, channels])
    proto = helper.make_graph(graph.nodes, "generator", [z], [images], list(graph.initializers.values()))
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


def _plain(graph: GraphBuilder, network: Folded) -> str:
    """Adds the network as it is trained, up to the tanh: [batch, C, H, W]."""
    x = graph.node("Unsqueeze", ["z", graph.integers([2, 3])], "grid")  # [batch, d, 1, 1]
    for i, layer in enumerate(network.layers[:-1]):
        x = graph.node("Relu", [_up(graph, layer, x, f"hidden.{i}")], f"hidden.{i}.out")
    return _up(graph, network.head, x, "head")


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


def _subpixel(graph: GraphBuilder, network: Folded, scales: Sequence[float] | None) -> str:
    """Adds the network in ordinary convolutions, up to the tanh: four phases, [batch, 4 C, H/2 + 1, W/2 + 1]."""
    x, size = _project(graph, network.layers[0], scales), 4  # [batch, C, 4, 4]
    for i, layer in enumerate(network.layers[1:-1], start=1):
        x = _quadruple(graph, layer, x, f"hidden.{i}", scales[i - 1 : i + 1] if scales else None)
        x = _interleave(graph, x, layer.out_channels, size, f"hidden.{i}")
        size *= 2
    if scales:
        x = graph.dequantize(x, scales[-1], "head.in")
    weight = graph.weight("head.weight", join_phases(network.head.weight.numpy()))
    return graph.node("Conv", [x, weight], "head.conv", kernel_shape=[2, 2], pads=[1, 1, 1, 1])


def _project(graph: GraphBuilder, layer: nn.ConvTranspose2d, scales: Sequence[float] | None) -> str:
    """Adds the first layer as one matrix product for the whole batch: [batch, d] -> [batch, C, 4, 4]."""
    d, channels = layer.in_channels, layer.out_channels
    weight = layer.weight.numpy().transpose(0, 2, 3, 1).reshape(d, 16 * channels)  # columns: row, column, channel
    bias = np.tile(_bias(layer), 16)
    inputs = ["z", graph.weight("hidden.0.weight", weight), graph.weight("hidden.0.bias", bias)]
    x = graph.node("Relu", [graph.node("Gemm", inputs, "hidden.0.gemm")], "hidden.0.relu")
    if scales:
        x = graph.quantize(x, scales[0], "hidden.0.steps")
    x = graph.reshape(x, [-1, 4, 4, channels], "hidden.0.grid")
    return graph.node("Transpose", [x], "hidden.0.out", perm=[0, 3, 1, 2])


def _quadruple(
    graph: GraphBuilder, layer: nn.ConvTranspose2d, x: str, name: str, scales: Sequence[float] | None
) -> str:
    """Adds the four phases of one layer: [batch, C, H, W] -> [batch, 4 C', H, W]."""
    bias, outputs = _bias(layer), []
    x = graph.dequantize(x, scales[0], f"{name}.in") if scales else x
    shared = "" if scales else graph.weight(f"{name}.bias", bias)
    for phase in split_phases(layer.weight.numpy()):
        label = f"{name}.phase{phase.name}"
        if scales:
            steps = np.maximum(np.abs(phase.kernel).max(axis=(1, 2, 3)) / 127, 1e-12).astype(np.float32)
            kernel = graph.quantized_weight(f"{label}.weight", phase.kernel, steps)
            inputs = [x, kernel, graph.quantized_weight(f"{label}.bias", bias, steps * np.float32(scales[0]))]
        else:
            inputs = [x, graph.weight(f"{label}.weight", phase.kernel), shared]
        y = graph.node("Conv", inputs, f"{label}.conv", kernel_shape=[2, 2], pads=phase.pads)
        y = graph.node("Relu", [y], f"{label}.relu")
        outputs.append(graph.quantize(y, scales[1], f"{label}.steps") if scales else y)
    return graph.node("Concat", outputs, f"{name}.phases", axis=1)


def _interleave(graph: GraphBuilder, x: str, channels: int, size: int, name: str) -> str:
    """Adds depth to space, [batch, 4 C, H, W] -> [batch, C, 2H, 2W], with the channels last on the way.

    ONNX Runtime's DepthToSpace moves single values; here whole pixels move, in a fifth of the time, and the outer
    transpositions vanish into the layouts of the convolutions around.
    """
    x = graph.node("Transpose", [x], f"{name}.last", perm=[0, 2, 3, 1])
    x = graph.reshape(x, [-1, size, size, 2, 2 * channels], f"{name}.split")  # [batch, H, W, a, (b, C)]
    x = graph.node("Transpose", [x], f"{name}.woven", perm=[0, 1, 3, 2, 4])  # [batch, H, a, W, (b, C)]
    x = graph.reshape(x, [-1, 2 * size, 2 * size, channels], f"{name}.joined")
    return graph.node("Transpose", [x], f"{name}.out", perm=[0, 3, 1, 2])


def _finish(graph: GraphBuilder, x: str, form: str) -> None:
    """Adds the tanh and what makes pixels of it: uint8 [batch, H, W, C]."""
    if form == PLAIN:
        x = graph.node("Tanh", [x], FLOAT_IMAGES)
    else:
        x = graph.node("Tanh", [x], "head.tanh")
        x = graph.node("DepthToSpace", [x], "bordered", blocksize=2)
        cut = [graph.integers(values) for values in ([1, 1], [-1, -1], [2, 3])]
        x = graph.node("Slice", [x, *cut], FLOAT_IMAGES)
    x = graph.node("Add", [x, graph.number(1.0)], "shifted")
    x = graph.node("Mul", [x, graph.number(127.5)], "scaled")
    x = graph.node("Cast", [graph.node("Round", [x], "levels")], "pixels", to=TensorProto.UINT8)
    graph.node("Transpose", [x], "images", perm=[0, 2, 3, 1])


def _bias(layer: nn.ConvTranspose2d) -> Array:
    if layer.bias is None:
        return np.zeros(layer.out_channels, dtype=np.float32)
    bias: Array = layer.bias.numpy()
    return bias
