"""`manifest.json`: the draft that is embedded in each file, and what verification adds to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from dcgan.core import noise
from dcgan.export.graph.onnx_graph import OPSET
from dcgan.export.options import ExportOptions
from dcgan.export.release.golden_images import choose_golden_images
from dcgan.export.verify.gate import Verification
from dcgan.export.verify.producers import producer_versions
from dcgan.training.run_folder import Run
from dcgan.zoo.manifest import (
    SCHEMA_VERSION,
    Golden,
    GoldenDigest,
    Manifest,
    ModelFile,
    Tensor,
)


def draft_manifest(run: Run, options: ExportOptions) -> Manifest:
    """Returns the manifest as far as it is known before anything is written.

    Raises:
        ManifestError: if the run and the options do not make a valid manifest.
    """
    config = run.generator.config
    image_shape = ("batch", config.image_size, config.image_size, config.channels)
    z = Tensor(name="z", dtype="float32", shape=("batch", config.latent_size))
    label = Tensor(name="label", dtype="int64", shape=("batch",))

    return Manifest(
        schema_version=SCHEMA_VERSION,
        name=options.name,
        version=options.version,
        description=options.description or run.description,
        license=options.license,
        image_size=config.image_size,
        channels=config.channels,
        latent_size=config.latent_size,
        classes=config.classes,
        class_names=run.class_names,
        noise_scheme=noise.SCHEME,
        opset=OPSET,
        inputs=(z, label) if config.classes else (z,),
        outputs=(Tensor(name="images", dtype="uint8", shape=image_shape),),
        files=(),
        golden=Golden(images=choose_golden_images(config.classes), digests=()),
        parity=(),
        producers=producer_versions(),
        training=run.training,
    )


def complete_manifest(
    draft: Manifest,
    files: Sequence[ModelFile],
    digests: Sequence[GoldenDigest],
    verification: Verification,
) -> Manifest:
    """Adds files, digests of golden images and parity verdicts to a draft."""
    return dataclasses.replace(
        draft,
        files=tuple(files),
        golden=dataclasses.replace(draft.golden, digests=tuple(digests)),
        parity=verification.report.verdicts({file.path for file in files}),
    )
