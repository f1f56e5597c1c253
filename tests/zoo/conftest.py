"""A manifest and a model folder to bend in tests. The files hold bytes, not networks: the zoo never runs them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dcgan.core.images import Pixels
from dcgan.core.noise import SCHEME
from dcgan.core.schema import dump_json
from dcgan.zoo.golden import encode_golden, golden_digest
from dcgan.zoo.manifest import (
    FILE_NAME,
    Golden,
    GoldenDigest,
    GoldenImage,
    Manifest,
    ModelFile,
    Tensor,
    Training,
)
from dcgan.zoo.repository import describe_file, publish

GOLDEN_PIXELS: Pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 1), dtype=np.uint8)
PROVIDER, PROCESSOR = "CPUExecutionProvider", "x86-64-v3"


def make_manifest(files: tuple[ModelFile, ...], *, name: str = "toy", version: int = 1) -> Manifest:
    return Manifest(
        schema_version=1,
        name=name,
        version=version,
        description="A toy.",
        license="Apache-2.0",
        image_size=32,
        channels=1,
        latent_size=16,
        classes=0,
        class_names=(),
        noise_scheme=SCHEME,
        opset=18,
        inputs=(Tensor(name="z", dtype="float32", shape=("batch", 16)),),
        outputs=(Tensor(name="images", dtype="uint8", shape=("batch", 32, 32, 1)),),
        files=files,
        golden=Golden(
            images=(GoldenImage(seed=0, index=0), GoldenImage(seed=0, index=1)),
            digests=(
                GoldenDigest(
                    path="generator.onnx",
                    provider=PROVIDER,
                    processor=PROCESSOR,
                    sha256=golden_digest(GOLDEN_PIXELS),
                ),
            ),
        ),
        parity=(),
        producers={"numpy": "2"},
        training=Training(
            recipe="toy", data="toys", data_sha256="0" * 64, images_seen=1, seed=0, hardware="none"
        ),
    )


def publish_toy(repository: Path, name: str = "toy", version: int = 1) -> Path:
    with publish(repository, name, version) as folder:
        (folder / "generator.onnx").write_bytes(b"not really a network")
        (folder / "golden.png").write_bytes(encode_golden(GOLDEN_PIXELS))
        files = (
            describe_file(folder / "generator.onnx", "onnx", "fp32"),
            describe_file(folder / "golden.png", "golden"),
        )
        (folder / FILE_NAME).write_text(dump_json(make_manifest(files, name=name, version=version)))
    return repository / name / str(version)


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A published model folder."""
    return publish_toy(tmp_path / "models")
