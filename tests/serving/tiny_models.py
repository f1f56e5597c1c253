"""Tiny generators with random weights, in real model folders."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from dcgan.core import noise
from dcgan.core.hardware import processor_family
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

LATENT_SIZE = 8
IMAGE_SIZE = 8
POISON = 1.5
GOLDEN = (
    GoldenImage(seed=0, index=0),
    GoldenImage(seed=7, index=0),
    GoldenImage(seed=7, index=2**40),
)


@dataclass(frozen=True, kw_only=True)
class Network:
    """A generator with random weights.

    Attributes:
        classes: 0 for one without labels.
        channels: 3 or 1.
        seed: of the weights.
        layers: convolutions that do nothing but take time, about 50 us an image each.
        poisoned: whether ONNX Runtime fails on a latent vector whose first number is above POISON.
        endless: whether ONNX Runtime hangs on such a one; servers refuse this graph.
        tiles: how often an image repeats itself in each direction, so that it is larger.
    """

    classes: int = 0
    channels: int = 3
    seed: int = 0
    layers: int = 0
    poisoned: bool = False
    endless: bool = False
    tiles: int = 1


def publish_model(repository: Path, name: str, version: int, network: Network) -> Path:
    """Publishes a model folder as dcgan-export does; the golden digest is this machine's."""
    with publish(repository, name, version) as folder:
        onnx.save(build_generator(network), folder / "generator.onnx")
        pixels = golden_pixels(folder / "generator.onnx", network)
        (folder / "golden.png").write_bytes(golden.encode_golden(pixels))
        manifest = describe_model(folder, name, version, network, golden.golden_digest(pixels))
        (folder / FILE_NAME).write_text(dump_json(manifest))
    return repository / name / str(version)


def describe_model(
    folder: Path, name: str, version: int, network: Network, digest: str
) -> Manifest:
    provider = "CPUExecutionProvider"
    family = processor_family(provider)
    images = tuple(replace(image, label=0) for image in GOLDEN) if network.classes else GOLDEN
    digests = (
        GoldenDigest(path="generator.onnx", provider=provider, processor=family, sha256=digest),
    )
    label = (Tensor(name="label", dtype="int64", shape=("batch",)),) if network.classes else ()
    size = IMAGE_SIZE * network.tiles
    shape = ("batch", size, size, network.channels)
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name=name,
        version=version,
        description="A random function, for tests.",
        license="Apache-2.0",
        image_size=size,
        channels=network.channels,
        latent_size=LATENT_SIZE,
        classes=network.classes,
        class_names=(),
        noise_scheme=noise.SCHEME,
        opset=17,
        inputs=(Tensor(name="z", dtype="float32", shape=("batch", LATENT_SIZE)), *label),
        outputs=(Tensor(name="images", dtype="uint8", shape=shape),),
        files=(
            describe_file(folder / "generator.onnx", "onnx", "fp32"),
            describe_file(folder / "golden.png", "golden"),
        ),
        golden=Golden(images=images, digests=digests),
        parity=(),
        producers={},
        training=Training(
            recipe="none", data="none", data_sha256="", images_seen=0, seed=0, hardware="none"
        ),
    )


def golden_pixels(path: Path, network: Network) -> np.ndarray:
    z = np.concatenate([noise.latents(image.seed, image.index, 1, LATENT_SIZE) for image in GOLDEN])
    return run_model(path, z, [0] * len(z) if network.classes else None)


def run_model(path: Path, z: np.ndarray, labels: list[int] | None = None) -> np.ndarray:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"z": z} if labels is None else {"z": z, "label": np.array(labels)})[0]


def build_generator(network: Network) -> onnx.ModelProto:
    """Two transposed convolutions with random weights: z and label in, grey levels out."""
    nodes = [*build_first_stage(network), *build_last_stage(network)]
    if network.tiles > 1:
        nodes += build_tiles(network.tiles)

    used = {name for each in nodes for name in each.input}
    constants = [constant for constant in build_constants(network) if constant.name in used]
    return build_model(network, nodes, constants)


def build_constants(network: Network) -> list[onnx.TensorProto]:
    """The weights and sizes that the nodes may use."""
    random = np.random.default_rng(network.seed)
    weights = {
        "w0": random.normal(0, 0.5, (LATENT_SIZE, 16, 4, 4)),
        "wk": random.normal(0, 0.1, (16, 16, 3, 3)),
        "w1": random.normal(0, 0.5, (16, network.channels, 4, 4)),
        "rows": random.normal(0, 1, (network.classes or 1, 16)),
        "half": 127.5,
        "scale": 1 / POISON,
    }
    sizes = {
        "latent": [0, 0, 1, 1],
        "row": [-1, 16, 1, 1],
        "first": [0],
        "ages": 10**15,
    }

    arrays = {name: np.asarray(value, np.float32) for name, value in weights.items()}
    arrays |= {name: np.asarray(value) for name, value in sizes.items()}
    return [numpy_helper.from_array(array, name) for name, array in arrays.items()]


def build_first_stage(network: Network) -> list[onnx.NodeProto]:
    """From z to stage0: a transposed convolution, and what is special about the network."""
    node = helper.make_node
    nodes = [
        node("Reshape", ["z", "latent"], ["z4"]),
        node("ConvTranspose", ["z4", "w0"], ["dense"]),
    ]

    if network.poisoned or network.endless:
        nodes += [
            node("Gather", ["z", "first"], ["z0"], axis=1),
            node("Relu", ["z0"], ["positive"]),
            node("Mul", ["positive", "scale"], ["ratio"]),
        ]
        nodes += [node("Cast", ["ratio"], ["label"], to=TensorProto.INT64)]  # 0 up to POISON

    if network.poisoned or network.classes:  # a poisoned image is of class 1, which has no row
        nodes += [
            node("Gather", ["rows", "label"], ["chosen"]),
            node("Reshape", ["chosen", "row"], ["shift"]),
        ]
        nodes += [node("Add", ["dense", "shift"], ["stage0"])]
    elif network.endless:
        nodes += [
            node("ReduceMax", ["label"], ["any"], keepdims=0),
            node("Mul", ["any", "ages"], ["times"]),
        ]
        nodes += [node("Loop", ["times", "", "dense"], ["stage0"], body=build_idle_loop())]
    else:
        nodes += [node("Relu", ["dense"], ["stage0"])]
    return nodes


def build_last_stage(network: Network) -> list[onnx.NodeProto]:
    """From stage0 to grey levels: convolutions that cost time, a transposed one, and rounding."""
    node = helper.make_node
    nodes = []
    for i in range(network.layers):
        nodes += [node("Conv", [f"stage{i}", "wk"], [f"conv{i}"], pads=[1, 1, 1, 1])]
        nodes += [node("Tanh", [f"conv{i}"], [f"stage{i + 1}"])]

    last = f"stage{network.layers}"
    image = "image" if network.tiles > 1 else "images"
    nodes += [
        node("ConvTranspose", [last, "w1"], ["large"], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Tanh", ["large"], ["unit"]),
        node("Mul", ["unit", "half"], ["scaled"]),
        node("Add", ["scaled", "half"], ["shifted"]),
        node("Round", ["shifted"], ["levels"]),
        node("Cast", ["levels"], ["bytes"], to=TensorProto.UINT8),
        node("Transpose", ["bytes"], [image], perm=[0, 2, 3, 1]),
    ]
    return nodes


def build_tiles(tiles: int) -> list[onnx.NodeProto]:
    """Repeats the image in each direction, as a Tile would."""
    node = helper.make_node
    group = 8 if tiles % 8 == 0 else tiles  # the check of graphs allows 16 inputs of a node
    return [
        node("Concat", ["image"] * group, ["tall"], axis=1),
        node("Concat", ["tall"] * (tiles // group), ["taller"], axis=1),
        node("Concat", ["taller"] * group, ["wide"], axis=2),
        node("Concat", ["wide"] * (tiles // group), ["images"], axis=2),
    ]


def build_idle_loop() -> onnx.GraphProto:
    info, node = helper.make_tensor_value_info, helper.make_node
    nodes = [node("Identity", ["go"], ["go_on"]), node("Identity", ["x"], ["y"])]
    inputs = [
        info("i", TensorProto.INT64, []),
        info("go", TensorProto.BOOL, []),
        info("x", TensorProto.FLOAT, None),
    ]
    outputs = [info("go_on", TensorProto.BOOL, []), info("y", TensorProto.FLOAT, None)]
    return helper.make_graph(nodes, "idle", inputs, outputs)


def build_model(network: Network, nodes, constants) -> onnx.ModelProto:
    inputs = [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["batch", LATENT_SIZE])]
    if network.classes:
        inputs.append(helper.make_tensor_value_info("label", TensorProto.INT64, ["batch"]))

    size = IMAGE_SIZE * network.tiles
    shape = ["batch", size, size, network.channels]
    outputs = [helper.make_tensor_value_info("images", TensorProto.UINT8, shape)]
    model = helper.make_model(
        helper.make_graph(nodes, "generator", inputs, outputs, constants),
        opset_imports=[helper.make_opsetid("", 17)],
    )
    model.ir_version = 8
    return model
