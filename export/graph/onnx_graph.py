"""The ONNX model of a generator.

It is written node by node, so that its bytes hold no exporter's version, path or date.
There are two forms of the same function (measured in `benchmarks/bench_export.py`): plain
(`plain_graph`), which is faster on CUDA, and subpixel (`subpixel_graph`), which is faster on the
CPU, where ONNX Runtime has no fast transposed convolution.

Both take `z` [batch, d], and `label` [batch] if the network has classes, and return `images` uint8
[batch, H, W, C]. On the CPU a label beyond the last class is an error of Gather. The float images
are not an output, which would copy them for every caller; `expose_float_images` adds them.

Operator set 18 is the newest for which recent ONNX Runtime releases have kernels of each operator
here on every provider (ConvTranspose 22 came to CUDA only in 2026: microsoft/onnxruntime#27710);
nothing newer is needed.
"""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from dcgan.export.graph.builder import GraphBuilder
from dcgan.export.graph.fold import FoldedGenerator
from dcgan.export.graph.plain_graph import FLOAT_IMAGES, add_plain_graph
from dcgan.export.graph.quantization import Int8Plan
from dcgan.export.graph.subpixel_graph import TANH, add_subpixel_graph, crop, interleave

OPSET = 18
IR_VERSION = 8
"""Version of the file format: the one released with operator set 18."""

PLAIN = "plain"
SUBPIXEL = "subpixel"

METADATA_KEY = "dcgan"
"""Key of the metadata property that holds the manifest."""


def build_onnx(
    network: FoldedGenerator,
    *,
    metadata: str = "{}",
    form: str = SUBPIXEL,
    plan: Int8Plan | None = None,
    float16_weights: bool = False,
    float16_compute: bool = False,
) -> onnx.ModelProto:
    """Builds the ONNX model of a folded network.

    Args:
        network: the network, whose weights the model gets.
        metadata: JSON document to embed.
        form: PLAIN or SUBPIXEL.
        plan: which convolutions of a subpixel graph run in int8; None for float32.
        float16_weights: store float weights as float16. Exact if they were rounded by
            `round_to_float16`.
        float16_compute: compute a plain graph in float16, from z to the last convolution.
    """
    graph = GraphBuilder(float16_weights=float16_weights, float16_compute=float16_compute)
    if form == PLAIN:
        add_plain_graph(graph, network, float16=float16_compute)
    else:
        add_subpixel_graph(graph, network, plan)
    return make_model(graph, network, metadata)


def make_model(graph: GraphBuilder, network: FoldedGenerator, metadata: str) -> onnx.ModelProto:
    """Makes a model of a graph that takes the inputs of a network and returns `images`."""
    size = network.image_size
    inputs = [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["batch", network.latent_size])]
    if network.classes:
        inputs.append(helper.make_tensor_value_info("label", TensorProto.INT64, ["batch"]))
    image_shape: list[str | int] = ["batch", size, size, network.channels]
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, image_shape)

    initializers = list(graph.initializers.values())
    proto = helper.make_graph(graph.nodes, "generator", inputs, [images], initializers)
    model = helper.make_model(
        proto,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="dcgan-zoo",
    )
    helper.set_model_props(model, {METADATA_KEY: metadata})
    return model


def expose_float_images(model: onnx.ModelProto, channels: int, image_size: int) -> onnx.ModelProto:
    """Returns a copy of a model with the float images [batch, C, H, W] as a second output."""
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)

    has_float_images = any(FLOAT_IMAGES in node.output for node in model.graph.node)
    if not has_float_images:
        _add_float_images(exposed.graph, channels, image_size)

    shape: list[str | int] = ["batch", channels, image_size, image_size]
    exposed.graph.output.append(
        helper.make_tensor_value_info(FLOAT_IMAGES, TensorProto.FLOAT, shape)
    )
    return exposed


def _add_float_images(proto: onnx.GraphProto, channels: int, image_size: int) -> None:
    """Adds float images, channels first, to a subpixel graph."""
    graph = GraphBuilder(float16_weights=False)
    bordered = interleave(graph, TANH, channels, image_size // 2 + 1, "float")
    images = crop(graph, bordered, "float.cropped")
    graph.transpose(images, [0, 3, 1, 2], FLOAT_IMAGES)

    known = {tensor.name for tensor in proto.initializer}
    added = [tensor for name, tensor in graph.initializers.items() if name not in known]
    proto.node.extend(graph.nodes)
    proto.initializer.extend(added)
