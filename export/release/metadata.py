"""What is said of a released model: the manifest, the golden images, the samples, the card."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch

from dcgan.core import noise
from dcgan.core.hardware import processor_family
from dcgan.core.images import Pixels, encode_png, tile
from dcgan.core.schema import dump_json
from dcgan.core.versions import library_versions
from dcgan.export.graph.fold import Folded
from dcgan.export.graph.onnx_graph import OPSET
from dcgan.export.release import model_card
from dcgan.export.verify import report
from dcgan.export.verify.backends import Batch, EagerRunner, OnnxRunner, Runner, golden_batch
from dcgan.export.verify.report import Report
from dcgan.training.run_folder import Run
from dcgan.zoo.golden import encode_golden, golden_digest
from dcgan.zoo.manifest import (
    SCHEMA_VERSION,
    Golden,
    GoldenDigest,
    GoldenImage,
    Manifest,
    ModelFile,
    Tensor,
)
from dcgan.zoo.repository import describe_file

_PRODUCERS = ("dcgan-zoo", "numpy", "onnx", "onnxruntime", "safetensors", "torch")
_GOLDEN = (
    (0, 0),
    (0, 1),
    (1, 0),
    (7, 0),
    (7, 63),
    (42, 1000),
    (2**32, 2**32),
    (123456789, 987654321),
)


def draft_manifest(
    run: Run, *, name: str, version: int, license: str, description: str
) -> Manifest:
    """The manifest as far as it is known before anything is written. It is embedded in each file of the model.

    Raises:
        ManifestError: if the run and the options do not make a valid manifest.
    """
    config = run.generator.config
    pixels = ("batch", config.image_size, config.image_size, config.channels)
    z = Tensor(name="z", dtype="float32", shape=("batch", config.latent_size))
    label = Tensor(name="label", dtype="int64", shape=("batch",))
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name=name,
        version=version,
        description=description or run.description,
        license=license,
        image_size=config.image_size,
        channels=config.channels,
        latent_size=config.latent_size,
        classes=config.classes,
        class_names=run.class_names,
        noise_scheme=noise.SCHEME,
        opset=OPSET,
        inputs=(z, label) if config.classes else (z,),
        outputs=(Tensor(name="images", dtype="uint8", shape=pixels),),
        files=(),
        golden=Golden(images=_golden_images(config.classes), digests=()),
        parity=(),
        producers=producer_versions(),
        training=run.training,
    )


def describe(
    draft: Manifest,
    *,
    files: Sequence[ModelFile],
    released: Folded,
    runners: Sequence[Runner],
    proof: Report,
    folder: Path,
) -> Manifest:
    """Writes golden images, samples, parity report and card into a folder, and completes the manifest.

    The golden pixels are those of the released network in PyTorch, in double precision; each ONNX file adds the digest
    of its own.
    """
    eager = EagerRunner(released, "released network", double=True)
    golden = golden_batch(draft)
    (folder / "golden.png").write_bytes(encode_golden(eager(golden).images))
    (folder / "samples.png").write_bytes(encode_png(_samples(eager, draft)))
    (folder / report.FILE_NAME).write_text(dump_json(proof), encoding="utf-8")
    digests = [_digest(runner, golden) for runner in runners if isinstance(runner, OnnxRunner)]
    manifest = dataclasses.replace(
        draft,
        files=tuple(files),
        golden=dataclasses.replace(draft.golden, digests=tuple(digests)),
        parity=proof.verdicts({file.path for file in files}),
    )
    (folder / model_card.FILE_NAME).write_text(
        model_card.model_card(manifest, proof), encoding="utf-8"
    )
    others = {
        "golden": "golden.png",
        "samples": "samples.png",
        "parity": report.FILE_NAME,
        "card": model_card.FILE_NAME,
    }
    described = [describe_file(folder / name, role) for role, name in others.items()]
    return dataclasses.replace(manifest, files=(*files, *described))


def producer_versions() -> dict[str, str]:
    """Returns the versions of the libraries that write and check the files."""
    # PyTorch's own version also names its build, such as 2.11.0+cpu.
    return library_versions(*_PRODUCERS) | {"torch": torch.__version__}


def _golden_images(classes: int) -> tuple[GoldenImage, ...]:
    """The golden images, of as many classes as they can be."""
    return tuple(
        GoldenImage(seed=seed, index=index, label=i % classes if classes else None)
        for i, (seed, index) in enumerate(_GOLDEN)
    )


def _samples(eager: EagerRunner, draft: Manifest) -> Pixels:
    """Images 0, 1, ... of seed 0 in a grid, as the service makes them: with classes, each column is one of them."""
    columns = model_card.sample_columns(draft.classes)
    n = columns * model_card.SAMPLE_ROWS
    labels = noise.labels(0, n, draft.classes) if draft.classes else None
    return tile(
        eager(Batch(noise.latents(model_card.SAMPLE_SEED, 0, n, draft.latent_size), labels)).images,
        columns,
    )


def _digest(runner: OnnxRunner, golden: Batch) -> GoldenDigest:
    return GoldenDigest(
        path=runner.file,
        provider=runner.provider,
        processor=processor_family(runner.provider),
        sha256=golden_digest(runner.images(golden)),
    )
