"""Loads a release: verifies the file, opens the engines, and tests the golden images."""

from __future__ import annotations

import numpy as np

from dcgan.core.hardware import processor_family
from dcgan.core.images import Pixels
from dcgan.core.text import first_line
from dcgan.serving.encoding.png_queue import PngQueue
from dcgan.serving.encoding.provenance import provenance_message
from dcgan.serving.encoding.replies import ReplyEncoder
from dcgan.serving.engine.base import Engine, EngineError
from dcgan.serving.engine.config import EngineConfig
from dcgan.serving.engine.factory import open_engines
from dcgan.serving.errors import ServingError
from dcgan.serving.models.config import ModelConfig
from dcgan.serving.models.served_model import ServedModel
from dcgan.serving.observability.metrics import Metrics
from dcgan.serving.scheduling.batcher import Batcher
from dcgan.serving.scheduling.dispatcher import Dispatcher
from dcgan.serving.scheduling.image_job import ImageJob
from dcgan.serving.threads import run_in_daemon_thread
from dcgan.zoo import golden
from dcgan.zoo.golden import Agreement
from dcgan.zoo.manifest import Manifest, ModelFile
from dcgan.zoo.repository import Release


async def load_model(
    release: Release, engine: EngineConfig, config: ModelConfig, metrics: Metrics
) -> ServedModel:
    """Loads a release and makes it ready to serve.

    Raises:
        DcganError: if a file is damaged, does not load, or does not reproduce its golden images.
    """
    manifest = release.manifest
    file = manifest.file("onnx", config.precision)
    if file is None:
        cure = "choose another --precision, or export the model again with --onnx"
        raise ServingError(f"{release.folder} has no ONNX file in {config.precision}; {cure}")

    # A device may hang while it is opened.
    engines, agreement = await run_in_daemon_thread(_open_engines, release, file, engine)
    provider = engines[0].provider

    batcher = Batcher[ImageJob](
        max_batch=engines[0].max_batch,
        quantum=config.quantum,
        queue_limit=config.queue_images,
        engines=len(engines),
    )
    dispatcher = Dispatcher(engines, batcher, metrics.of_model(manifest.name))
    provenance = provenance_message(manifest, file.sha256, provider, agreement)
    model = ServedModel(
        manifest=manifest,
        file=file,
        provider=provider,
        agreement=agreement,
        dispatcher=dispatcher,
        png_queue=PngQueue(config.queue_images),
        replies=ReplyEncoder(manifest, provenance, config.reply_bytes),
    )
    _publish_metrics(model, metrics)
    return model


def _publish_metrics(model: ServedModel, metrics: Metrics) -> None:
    dispatcher = model.dispatcher
    series = metrics.of_model(model.name)
    series.queued.set_function(dispatcher.queued_images)
    series.queued_requests.set_function(lambda: dispatcher.counts().waiting)
    series.png.set_function(model.png_queue.waiting_images)
    metrics.work.add(model.name, lambda: dispatcher.counts().by_outcome())
    metrics.info.labels(
        model.name, model.version, model.file.sha256, model.provider, model.agreement.value
    ).set(1)


def _open_engines(
    release: Release, file: ModelFile, config: EngineConfig
) -> tuple[list[Engine], Agreement]:
    release.verify_file(file)
    engines = open_engines(release.path(file), release.manifest, config)
    provider = engines[0].provider

    # Compare the golden images of each engine with the published ones.
    published = golden.read_golden(release)
    digest = golden.published_digest(
        release.manifest, file.path, provider, processor_family(provider)
    )
    found = [
        golden.compare(_golden_images(engine, release.manifest), published, digest)
        for engine in set(engines)
    ]

    if Agreement.DIFFERENT in found:
        raise ServingError(
            f"{release.path(file)} does not reproduce its golden images on {provider}: "
            f"they differ by more than {golden.MAX_LEVELS} grey level; "
            "check the installation of ONNX Runtime, or export the model again"
        )
    return engines, Agreement.CLOSE if Agreement.CLOSE in found else Agreement.EXACT


def _golden_images(engine: Engine, manifest: Manifest) -> Pixels:
    z = golden.golden_latents(manifest.golden, manifest.latent_size)
    label = golden.golden_labels(manifest.golden) if manifest.classes else None
    batches = []
    for start in range(0, len(z), engine.max_batch):
        rows = slice(start, start + engine.max_batch)
        batches.append((z[rows], None if label is None else label[rows]))

    try:
        return np.concatenate([engine.run(*batch) for batch in batches])
    except EngineError as error:
        raise ServingError(
            f"model {manifest.name} cannot make its golden images: {first_line(error)}; "
            "check the installation of ONNX Runtime, or export the model again"
        ) from error
