"""The self-test of a loaded model: its engines must reproduce the golden images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dcgan.core import noise
from dcgan.core.hardware import processor_family
from dcgan.core.images import Pixels
from dcgan.core.text import first_line
from dcgan.serving.engine.base import Engine, EngineError
from dcgan.serving.errors import ServingError
from dcgan.zoo import golden
from dcgan.zoo.golden import Agreement
from dcgan.zoo.manifest import Manifest, ModelFile
from dcgan.zoo.release import Release

_FILLER_SEED = 2**63 + 1  # of the other images in a batch; any seed would do


def run_self_test(engines: list[Engine], release: Release, file: ModelFile) -> Agreement:
    """Compares the golden images of each engine with the published ones.

    Each engine makes them twice: alone, and among other images in another order. The bytes must be
    the same, because an image may not depend on the batch it shares.

    Args:
        engines: of the model.
        release: the model.
        file: which the engines run.

    Returns:
        EXACT if every engine reproduces the digest that was published for its provider, processor
        family and batch size; CLOSE if an engine is within one grey level.

    Raises:
        ServingError: if an engine fails, makes other images, or lets the batch change an image.
    """
    agreements = [_test_engine(engine, release, file) for engine in dict.fromkeys(engines)]
    return Agreement.CLOSE if Agreement.CLOSE in agreements else Agreement.EXACT


def _test_engine(engine: Engine, release: Release, file: ModelFile) -> Agreement:
    manifest = release.manifest
    provider = engine.provider
    path = release.path(file)
    z = golden.golden_latents(manifest.golden, manifest.latent_size)
    label = golden.golden_labels(manifest.golden) if manifest.classes else None

    try:
        alone = _run(engine, z, label)
        mixed = _run_among_others(engine, manifest, z, label)
    except EngineError as error:
        raise ServingError(
            f"model {manifest.name} cannot make its golden images: {first_line(error)}; "
            "check the installation of ONNX Runtime, or export the model again"
        ) from error

    if not np.array_equal(alone, mixed):
        raise ServingError(
            f"{path} makes other pixels on {provider} when an image shares its batch with others; "
            "check the driver and the installation of ONNX Runtime, or choose --device cpu"
        )

    digest = golden.published_digest(
        manifest, file.path, provider, processor_family(provider), engine.batch_size
    )
    agreement = golden.compare(alone, golden.read_golden(release), digest)
    if agreement is Agreement.DIFFERENT:
        raise ServingError(
            f"{path} does not reproduce its golden images on {provider}: "
            f"they differ by more than {golden.MAX_LEVELS} grey level; "
            "check the installation of ONNX Runtime, or export the model again"
        )
    return agreement


def _run_among_others(
    engine: Engine, manifest: Manifest, z: NDArray[np.float32], label: NDArray[np.int64] | None
) -> Pixels:
    """Makes the golden images in reverse order, behind other images that fill the first batch."""
    fillers = max(1, engine.max_batch - len(z))
    others = noise.latents(_FILLER_SEED, 0, fillers, manifest.latent_size)
    mixed_z = np.concatenate([others, z[::-1]])
    mixed_label = None
    if label is not None:
        mixed_label = np.concatenate([noise.labels(0, fillers, manifest.classes), label[::-1]])

    images = _run(engine, mixed_z, mixed_label)
    return images[fillers:][::-1]


def _run(engine: Engine, z: NDArray[np.float32], label: NDArray[np.int64] | None) -> Pixels:
    batches = []
    for start in range(0, len(z), engine.max_batch):
        rows = slice(start, start + engine.max_batch)
        batches.append(engine.run(z[rows], None if label is None else label[rows]))
    return np.concatenate(batches)
