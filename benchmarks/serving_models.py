"""Models for the serving benchmarks: the seed network with random weights, and an empty one."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import NodeProto, TensorProto, helper, numpy_helper

from dcgan.core import noise
from dcgan.core.hardware import processor_family
from dcgan.core.onnx_session import CPU
from dcgan.core.schema import dump_json
from dcgan.zoo import golden
from dcgan.zoo.manifest import (
    FILE_NAME,
    SCHEMA_VERSION,
    Golden,
    GoldenDigest,
    GoldenImage,
    Manifest,
    Tensor,
    Training,
)
from dcgan.zoo.publishing import publish
from dcgan.zoo.release import describe_file

LATENT_SIZE = 100
IMAGE_SIZE = 64
OPSET = 17


def publish_models(repository: Path) -> None:
    """Publishes `dcgan64` (3,576,704 parameters, no BatchNorm left to run) and `null`."""
    for name, model in (("dcgan64", build_dcgan(width=64)), ("null", build_null())):
        with publish(repository, name, 1) as folder:
            onnx.save(model, folder / "generator.onnx")
            _describe(folder, name)


def build_dcgan(width: int) -> onnx.ModelProto:
    """Returns the generator of the seed recipe, folded: five transposed convolutions."""
    random, node = np.random.default_rng(0), helper.make_node
    channels = [LATENT_SIZE, width * 8, width * 4, width * 2, width, 3]
    nodes = [node("Reshape", ["z", "square"], ["x0"])]
    constants = {"square": np.array([0, 0, 1, 1])}
    for i, (before, after) in enumerate(pairwise(channels)):
        constants[f"w{i}"] = random.normal(
            0, 1.4 / np.sqrt(before * 4), (before, after, 4, 4)
        ).astype(np.float32)
        constants[f"b{i}"] = np.zeros(after, np.float32)
        stride: dict[str, Any] = {} if i == 0 else {"strides": [2, 2], "pads": [1, 1, 1, 1]}
        nodes.append(node("ConvTranspose", [f"x{i}", f"w{i}", f"b{i}"], [f"c{i}"], **stride))
        nodes.append(node("Relu" if i < 4 else "Tanh", [f"c{i}"], [f"x{i + 1}"]))
    constants["half"] = np.array(127.5, np.float32)
    nodes += [node("Mul", ["x5", "half"], ["scaled"]), node("Add", ["scaled", "half"], ["shifted"])]
    nodes += [
        node("Round", ["shifted"], ["levels"]),
        node("Cast", ["levels"], ["bytes"], to=TensorProto.UINT8),
    ]
    nodes += [node("Transpose", ["bytes"], ["images"], perm=[0, 2, 3, 1])]
    return _build(nodes, constants)


def build_null() -> onnx.ModelProto:
    """A graph that returns black images at once, so that only the service costs time."""
    node = helper.make_node
    nodes = [
        node("Gather", ["z", "first"], ["column"], axis=1),
        node("Mul", ["column", "zero"], ["zeros"]),
        node("Cast", ["zeros"], ["indices"], to=TensorProto.INT64),
        node("Gather", ["black", "indices"], ["images"]),
    ]
    constants = {
        "first": np.array(0),
        "zero": np.array(0, np.float32),
        "black": np.zeros((1, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8),
    }
    return _build(nodes, constants)


def _build(nodes: list[NodeProto], constants: dict[str, np.ndarray]) -> onnx.ModelProto:
    z = helper.make_tensor_value_info("z", TensorProto.FLOAT, ["batch", LATENT_SIZE])
    images = helper.make_tensor_value_info(
        "images", TensorProto.UINT8, ["batch", IMAGE_SIZE, IMAGE_SIZE, 3]
    )
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "generator", [z], [images], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = 8
    return model


def _describe(folder: Path, name: str) -> None:
    path = folder / "generator.onnx"
    session = ort.InferenceSession(str(path), providers=[CPU])
    pixels = session.run(None, {"z": noise.latents(0, 0, 1, LATENT_SIZE)})[0]
    (folder / "golden.png").write_bytes(golden.encode_golden(pixels))
    digest = golden.golden_digest(pixels)
    digests = (
        GoldenDigest(path=path.name, provider=CPU, processor=processor_family(CPU), sha256=digest),
    )
    shape = ("batch", IMAGE_SIZE, IMAGE_SIZE, 3)
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        name=name,
        version=1,
        description="For benchmarks.",
        license="Apache-2.0",
        image_size=IMAGE_SIZE,
        channels=3,
        latent_size=LATENT_SIZE,
        classes=0,
        class_names=(),
        noise_scheme=noise.SCHEME,
        opset=OPSET,
        inputs=(Tensor(name="z", dtype="float32", shape=("batch", LATENT_SIZE)),),
        outputs=(Tensor(name="images", dtype="uint8", shape=shape),),
        files=(describe_file(path, "onnx", "fp32"), describe_file(folder / "golden.png", "golden")),
        golden=Golden(images=(GoldenImage(seed=0, index=0),), digests=digests),
        parity=(),
        producers={},
        training=Training(
            recipe="none", data="none", data_sha256="", images_seen=0, seed=0, hardware="none"
        ),
    )
    (folder / FILE_NAME).write_text(dump_json(manifest))
