"""The ONNX graph, written node by node: nothing in it depends on an exporter's version, a path or the day.

There are two forms of the same function (measured in `benchmarks/bench_export.py`), and int8 steps for the second.

plain, as the network is trained:
    z [batch, d] -> ConvTranspose, Relu (repeated) -> ConvTranspose -> Tanh = float_images [batch, C, H, W]

subpixel, faster on the CPU, where ONNX Runtime has no fast transposed convolution: see `subpixel_graph`

Both end in Add 1 -> Mul 127.5 -> Round (half to even) -> Cast to uint8, and put their channels last before or after:
images [batch, H, W, C]. Tanh stays within one rounding of [-1, 1], so that Round already ends at 0 and 255 and
there is nothing to clamp. A network with classes takes `label` [batch] too, and gathers the scales and shifts of each
image's class; on the CPU a label beyond the last is an error of Gather. The float images are no output, which would
cost every caller its bytes; `expose` brings them back.

Operator set 18 is the newest for which every ONNX Runtime of the last years has kernels of each operator here on every
provider (ConvTranspose 22 came to CUDA only in 2026: microsoft/onnxruntime#27710); nothing newer is needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import onnx
from onnx import TensorProto, helper
from torch import nn

from dcgan.export.graph.builder import GraphBuilder
from dcgan.export.graph.fold import ClassAffine, Folded
from dcgan.export.graph.subpixel_graph import TANH, add_subpixel, interleave
from dcgan.export.int8.plan import Int8Plan

OPSET = 18
IR_VERSION = 8
"""Of the file format: the one that came with operator set 18."""

PLAIN, SUBPIXEL = "plain", "subpixel"

FLOAT_IMAGES = "float_images"
FACTS = "dcgan"
"""Key of the metadata property that says what the model is."""


def build_graph(
    network: Folded,
    *,
    facts: str,
    half_weights: bool,
    form: str = SUBPIXEL,
    plan: Int8Plan | None = None,
    half_arithmetic: bool = False,
) -> onnx.ModelProto:
    """Writes the graph of a folded network.

    Args:
        network: the network; its weights are the graph's.
        facts: JSON document to embed.
        half_weights: store float weights as float16. Exact if they were rounded by `round_to_half`.
        form: PLAIN or SUBPIXEL.
        plan: which convolutions of a subpixel graph run in int8, in which steps; None for one that runs in float32.
        half_arithmetic: compute a plain graph in float16, from z to the last convolution; the tanh and what follows
            stay in float32.
    """
    graph = GraphBuilder(half_weights=half_weights, half_arithmetic=half_arithmetic)
    if form == PLAIN:
        _add_pixels_of_plain(graph, _add_plain(graph, network, half=half_arithmetic))
    else:
        _add_pixels_of_subpixel(graph, add_subpixel(graph, network, plan), network)
    return wrap(graph, network, facts)


def wrap(graph: GraphBuilder, network: Folded, facts: str) -> onnx.ModelProto:
    """Makes a model of the nodes of a graph that takes the inputs of a network and gives `images`."""
    size, channels = network.image_size, network.channels
    inputs = [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["batch", network.latent_size])]
    if network.classes:
        inputs.append(helper.make_tensor_value_info("label", TensorProto.INT64, ["batch"]))
    images = helper.make_tensor_value_info(
        "images", TensorProto.UINT8, ["batch", size, size, channels]
    )
    proto = helper.make_graph(
        graph.nodes, "generator", inputs, [images], list(graph.initializers.values())
    )
    model = helper.make_model(
        proto,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="dcgan-zoo",
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
    if not any(FLOAT_IMAGES in node.output for node in model.graph.node):
        extra = GraphBuilder(half_weights=False)
        whole = _crop(
            extra, interleave(extra, TANH, channels, image_size // 2 + 1, "float"), "float.cropped"
        )
        extra.transpose(whole, [0, 3, 1, 2], FLOAT_IMAGES)
        known = {tensor.name for tensor in model.graph.initializer}
        exposed.graph.node.extend(extra.nodes)
        exposed.graph.initializer.extend(
            tensor for name, tensor in extra.initializers.items() if name not in known
        )
    shape: list[str | int] = ["batch", channels, image_size, image_size]
    exposed.graph.output.append(
        helper.make_tensor_value_info(FLOAT_IMAGES, TensorProto.FLOAT, shape)
    )
    return exposed


def _add_plain(graph: GraphBuilder, network: Folded, *, half: bool) -> str:
    """Adds the network as it is trained, up to the tanh: [batch, C, H, W]."""
    z = graph.node("Cast", ["z"], "z.half", to=TensorProto.FLOAT16) if half else "z"
    x = graph.node("Unsqueeze", [z, graph.integers([2, 3])], "grid")  # [batch, d, 1, 1]
    for i, layer in enumerate(network.layers[:-1]):
        x = _add_up(graph, layer, x, f"hidden.{i}")
        if network.classes:
            x = _add_affine(graph, cast(ClassAffine, network.affines[i]), x, f"affines.{i}")
        x = graph.node("Relu", [x], f"hidden.{i}.out")
    x = _add_up(graph, network.head, x, "head")
    return graph.node("Cast", [x], "head.float", to=TensorProto.FLOAT) if half else x


def _add_up(graph: GraphBuilder, layer: nn.ConvTranspose2d, x: str, name: str) -> str:
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


def _add_affine(graph: GraphBuilder, affine: ClassAffine, x: str, name: str) -> str:
    """Adds the scale and shift of each image's class, channels first."""
    gain, shift = (
        graph.node(
            "Gather",
            [graph.weight(f"{name}.{part}", table.numpy()[:, :, None, None]), "label"],
            f"{name}.{part}s",
        )
        for part, table in (("gain", affine.gain), ("shift", affine.shift))
    )
    return graph.node("Add", [graph.node("Mul", [x, gain], f"{name}.scaled"), shift], f"{name}.out")


def add_levels(graph: GraphBuilder, x: str) -> str:
    """Adds the way from [-1, 1] to uint8."""
    x = graph.node(
        "Mul", [graph.node("Add", [x, graph.number(1.0)], "shifted"), graph.number(127.5)], "scaled"
    )
    return graph.node("Cast", [graph.node("Round", [x], "levels")], "pixels", to=TensorProto.UINT8)


def _add_pixels_of_plain(graph: GraphBuilder, x: str) -> None:
    graph.transpose(
        add_levels(graph, graph.node("Tanh", [x], FLOAT_IMAGES)), [0, 2, 3, 1], "images"
    )


def _add_pixels_of_subpixel(graph: GraphBuilder, x: str, network: Folded) -> None:
    """Four phases [batch, H/2 + 1, W/2 + 1, 4 C] become pixels first, so that single bytes move, and then the image."""
    x = interleave(
        graph, add_levels(graph, x), network.channels, network.image_size // 2 + 1, "bordered"
    )
    _crop(graph, x, "images")


def _crop(graph: GraphBuilder, x: str, output: str) -> str:
    """Cuts off the border of one pixel that `join_phases` leaves: [batch, H + 2, W + 2, C] -> [batch, H, W, C]."""
    cut = [graph.integers(values) for values in ([1, 1], [-1, -1], [1, 2])]
    return graph.node("Slice", [x, *cut], output)
