"""`golden.png`: a few images with which a server tests itself, and digests of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dcgan.core.hardware import processor_family
from dcgan.export.verify.backends import Backend, EagerBackend, OnnxBackend
from dcgan.export.verify.inputs import golden_inputs
from dcgan.zoo.golden import encode_golden, golden_digest
from dcgan.zoo.manifest import GoldenDigest, GoldenImage, Manifest, ModelFile
from dcgan.zoo.release import describe_file

FILE_NAME = "golden.png"

_SEEDS_AND_INDEXES = (
    (0, 0),
    (0, 1),
    (1, 0),
    (7, 0),
    (7, 63),
    (42, 1000),
    (2**32, 2**32),
    (123456789, 987654321),
)


def choose_golden_images(classes: int) -> tuple[GoldenImage, ...]:
    """Returns the golden images of a model; with classes, they take turns."""
    return tuple(
        GoldenImage(seed=seed, index=index, label=i % classes if classes else None)
        for i, (seed, index) in enumerate(_SEEDS_AND_INDEXES)
    )


def write_golden_images(reference: EagerBackend, draft: Manifest, folder: Path) -> ModelFile:
    """Writes the golden images of the released network in PyTorch, in float64."""
    path = folder / FILE_NAME
    path.write_bytes(encode_golden(reference(golden_inputs(draft)).images))
    return describe_file(path, "golden")


def golden_digests(backends: Sequence[Backend], draft: Manifest) -> list[GoldenDigest]:
    """Returns the digest of the golden images of each ONNX file on each provider."""
    inputs = golden_inputs(draft)
    return [
        GoldenDigest(
            path=backend.file,
            provider=backend.provider,
            processor=processor_family(backend.provider),
            sha256=golden_digest(backend.images(inputs)),
            batch_size=backend.batch_size,
        )
        for backend in backends
        if isinstance(backend, OnnxBackend)
    ]
