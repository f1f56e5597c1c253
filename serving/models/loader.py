"""Loads a release: verifies and checks the file, opens the engines, tests the golden images."""

from __future__ import annotations

import math

from dcgan.core.onnx_session import CPU
from dcgan.serving.encoding.png_queue import PngQueue
from dcgan.serving.encoding.provenance import provenance_message
from dcgan.serving.encoding.replies import ReplyEncoder
from dcgan.serving.engine.base import Engine
from dcgan.serving.engine.config import EngineConfig
from dcgan.serving.engine.factory import open_engines
from dcgan.serving.engine.speed import measure_throughput
from dcgan.serving.models.config import DEFAULT_QUEUE_IMAGES, ModelConfig
from dcgan.serving.models.releases import served_file
from dcgan.serving.models.self_test import run_self_test
from dcgan.serving.models.served_model import ServedModel
from dcgan.serving.observability.metrics import Metrics
from dcgan.serving.scheduling.batcher import Batcher
from dcgan.serving.scheduling.dispatcher import Dispatcher
from dcgan.serving.scheduling.image_job import ImageJob
from dcgan.serving.threads import run_in_daemon_thread
from dcgan.zoo.golden import Agreement
from dcgan.zoo.manifest import Manifest, ModelFile
from dcgan.zoo.onnx_check import check_onnx_file
from dcgan.zoo.release import Release


async def load_model(
    release: Release, engine: EngineConfig, config: ModelConfig, metrics: Metrics
) -> ServedModel:
    """Loads a release and makes it ready to serve.

    Raises:
        DcganError: if a file is damaged, unsafe or not listed, does not load, or does not reproduce
            its golden images.
    """
    manifest = release.manifest
    file = served_file(release, config.precision)

    # A device may hang while it is opened.
    engines, agreement = await run_in_daemon_thread(_open_engines, release, file, engine)
    provider = engines[0].provider
    queue_images = config.queue_images
    if queue_images is None:
        queue_images = await run_in_daemon_thread(default_queue_images, engines, manifest)

    batcher = Batcher[ImageJob](
        max_batch=engines[0].max_batch,
        quantum=config.quantum,
        queue_limit=queue_images,
        engines=len(engines),
    )
    dispatcher = Dispatcher(engines, batcher, metrics.of_model(manifest.name))
    provenance = provenance_message(
        manifest, file.sha256, provider, agreement, engines[0].batch_size
    )
    model = ServedModel(
        manifest=manifest,
        file=file,
        provider=provider,
        agreement=agreement,
        dispatcher=dispatcher,
        png_queue=PngQueue(config.png_queue_images),
        replies=ReplyEncoder(manifest, provenance, config.reply_bytes),
        batch_size=engines[0].batch_size,
    )
    _publish_metrics(model, metrics)
    return model


def default_queue_images(engines: list[Engine], manifest: Manifest) -> int:
    """Returns the capacity of the queue of a model where the configuration has none.

    A GPU works off the queue of a CPU in a few milliseconds, so that a burst of clients would be
    refused for nothing. Its queue holds what its engines make in a second.
    """
    if engines[0].provider == CPU:
        return DEFAULT_QUEUE_IMAGES
    return max(DEFAULT_QUEUE_IMAGES, math.ceil(measure_throughput(engines, manifest)))


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
    path = release.path(file)
    release.verify_listing()
    content = release.read_file(file)
    check_onnx_file(path, release.manifest, content)

    engines = open_engines(
        path, release.manifest, config, file.precision or "fp32", content=content
    )
    return engines, run_self_test(engines, release, file)
