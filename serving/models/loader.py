"""Loads a release: verifies the file, opens the engines, and tests the golden images."""

from __future__ import annotations

from dcgan.serving.encoding.png_queue import PngQueue
from dcgan.serving.encoding.provenance import provenance_message
from dcgan.serving.encoding.replies import ReplyEncoder
from dcgan.serving.engine.base import Engine
from dcgan.serving.engine.config import EngineConfig
from dcgan.serving.engine.factory import open_engines
from dcgan.serving.errors import ServingError
from dcgan.serving.models.config import ModelConfig
from dcgan.serving.models.self_test import run_self_test
from dcgan.serving.models.served_model import ServedModel
from dcgan.serving.observability.metrics import Metrics
from dcgan.serving.scheduling.batcher import Batcher
from dcgan.serving.scheduling.dispatcher import Dispatcher
from dcgan.serving.scheduling.image_job import ImageJob
from dcgan.serving.threads import run_in_daemon_thread
from dcgan.zoo.golden import Agreement
from dcgan.zoo.manifest import ModelFile
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
    engines = open_engines(release.path(file), release.manifest, config, file.precision or "fp32")
    return engines, run_self_test(engines, release, file)
