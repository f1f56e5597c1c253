"""The models of one server: found, verified, loaded, warmed up, and tested against their golden images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dcgan.core.hardware import processor_family
from dcgan.core.images import Pixels
from dcgan.core.text import first_line
from dcgan.serving.api import errors
from dcgan.serving.api.errors import ServingError
from dcgan.serving.encoding.codec import MESSAGE_LIMIT, Codec
from dcgan.serving.encoding.png_queue import Encoder
from dcgan.serving.engine.cpu import Engine, EngineConfig, EngineError
from dcgan.serving.engine.factory import open_engines
from dcgan.serving.observability.metrics import Metrics
from dcgan.serving.scheduling.batcher import Batcher
from dcgan.serving.scheduling.dispatcher import Dispatcher
from dcgan.serving.scheduling.job import Job
from dcgan.serving.threads import call_aside
from dcgan.v1 import generator_pb2 as pb
from dcgan.zoo import golden
from dcgan.zoo.golden import Agreement
from dcgan.zoo.manifest import FILE_NAME, Manifest, ModelFile
from dcgan.zoo.repository import DEFAULT_MODEL, SHIPPED, Release, find_release, list_releases

_AGREEMENTS = {Agreement.EXACT: pb.AGREEMENT_EXACT, Agreement.CLOSE: pb.AGREEMENT_CLOSE}


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """How each model is served.

    Attributes:
        precision: which of the model's ONNX files runs.
        queue_images: most images that may wait for an engine, and as many to be written as PNG.
        quantum: images that a request gets in one turn.
        reply_bytes: size of the largest reply, which says how many images a request may ask for.
    """

    precision: str = "fp32"
    queue_images: int = 4096
    quantum: int = 16
    reply_bytes: int = MESSAGE_LIMIT


@dataclass(frozen=True)
class ServedModel:
    """A model that can be asked for images.

    Attributes:
        manifest: what it says of itself.
        file: the file that runs.
        provider: what runs it.
        agreement: result of the self-test.
        dispatcher: takes work.
        codec: writes replies.
        encoder: writes those with PNG files.
    """

    manifest: Manifest
    file: ModelFile
    provider: str
    agreement: Agreement
    dispatcher: Dispatcher
    codec: Codec
    encoder: Encoder

    def describe(self, *, default: bool) -> pb.Model:
        """The model as the service describes it."""
        manifest = self.manifest
        return pb.Model(
            name=manifest.name,
            version=manifest.version,
            digest=self.file.sha256,
            description=manifest.description,
            license=manifest.license,
            height=manifest.image_size,
            width=manifest.image_size,
            channels=manifest.channels,
            latent_size=manifest.latent_size,
            classes=manifest.classes,
            class_names=manifest.class_names,
            noise_scheme=manifest.noise_scheme,
            precision=self.file.precision,
            provider=self.provider,
            agreement=_AGREEMENTS[self.agreement],
            max_images_per_request=self.codec.most_images(pb.IMAGE_FORMAT_RGB8),
            is_default=default,
        )


class Catalogue:
    """The models that are served, the default first.

    Args:
        models: at least one.
    """

    def __init__(self, models: Sequence[ServedModel]) -> None:
        self.models = tuple(models)

    @property
    def default(self) -> ServedModel:
        """The model of a request that names none."""
        return self.models[0]

    def find(self, name: str, version: int | None) -> ServedModel:
        """The model that a request means.

        Raises:
            Refusal: if there is none.
        """
        for model in self.models:
            if name in ("", model.manifest.name) and version in (None, model.manifest.version):
                return model
            if name == "":
                break  # a version alone is one of the default model
        known = [f"{model.manifest.name} version {model.manifest.version}" for model in self.models]
        raise errors.model_not_found(name or self.default.manifest.name, version, known)

    def describe(self) -> list[pb.Model]:
        """Every model, as the service describes it."""
        return [model.describe(default=model is self.default) for model in self.models]

    def check(self, longest_batch_s: float) -> bool:
        """Looks after the engines of every model; whether all was well."""
        states = [model.dispatcher.check(longest_batch_s) for model in self.models]
        return all(states)


def find_releases(
    repository: Path | None, name: str | None, index: str | None = None
) -> list[Release]:
    """Finds what is to be served, the default first.

    Args:
        repository: a model repository, of which the newest version of every model is served; None to serve one model
            that was fetched or ships with the package.
        name: of the default model.
        index: of models, to fetch this one from if it is not here; without it nothing is fetched.

    Raises:
        DcganError: if there is no such model, it is damaged, or it cannot be fetched.
    """
    if index is not None and (repository is not None or name is None):
        raise ServingError(
            "--fetch-from fetches the one model that --model names; leave --model-repository out"
        )
    if repository is None and name is None:
        return [find_release(SHIPPED, DEFAULT_MODEL)]
    if repository is None and name is not None:
        from dcgan.zoo.catalog import get_model, get_or_fetch  # noqa: PLC0415 - only this needs what downloads

        return [(get_model(name) if index is None else get_or_fetch(name, index)).release]
    assert repository is not None
    newest: dict[str, Release] = {}
    for release in list_releases(repository):  # the newest version of a name comes first
        newest.setdefault(release.manifest.name, release)
    if not newest:
        inside = any(repository.glob(f"*/{FILE_NAME}")) or (repository / FILE_NAME).exists()
        cure = (
            "name the folder that models lie in"
            if inside
            else "export one into it, or leave --model-repository out"
        )
        raise ServingError(
            f"{repository} {'is the folder of one model' if inside else 'holds no model'}; {cure}"
        )
    default = next(iter(newest)) if name is None else find_release(repository, name).manifest.name
    return [newest.pop(default), *newest.values()]


async def load_model(
    release: Release, engine: EngineConfig, config: ModelConfig, metrics: Metrics
) -> ServedModel:
    """Makes a release ready to serve.

    Raises:
        DcganError: if a file is damaged, does not load, or does not make its golden images.
    """
    manifest = release.manifest
    file = manifest.file("onnx", config.precision)
    if file is None:
        cure = "choose another --precision, or export the model again with --onnx"
        raise ServingError(f"{release.folder} has no ONNX file in {config.precision}; {cure}")
    engines, agreement = await call_aside(_open_engines, release, file, engine)  # a device may hang
    provider = engines[0].provider
    provenance = pb.Provenance(
        model=manifest.name,
        version=manifest.version,
        digest=file.sha256,
        noise_scheme=manifest.noise_scheme,
        provider=provider,
        agreement=_AGREEMENTS[agreement],
    )
    model_metrics = metrics.of_model(manifest.name)
    batcher = Batcher[Job](
        max_batch=engines[0].max_batch,
        quantum=config.quantum,
        queue_limit=config.queue_images,
        engines=len(engines),
    )
    dispatcher = Dispatcher(engines, batcher, model_metrics)
    model_metrics.queued.set_function(dispatcher.queued_images)
    metrics.work.add(manifest.name, dispatcher.counts)
    model_metrics.queued_requests.set_function(lambda: dispatcher.counts().waiting)
    metrics.info.labels(
        manifest.name, manifest.version, file.sha256, provider, agreement.value
    ).set(1)
    codec = Codec(manifest, provenance, config.reply_bytes)
    encoder = Encoder(codec, config.queue_images)
    model_metrics.png.set_function(encoder.waiting_images)
    return ServedModel(manifest, file, provider, agreement, dispatcher, codec, encoder)


def _open_engines(
    release: Release, file: ModelFile, config: EngineConfig
) -> tuple[list[Engine], Agreement]:
    release.verify_file(file)
    engines = open_engines(release.path(file), release.manifest, config)
    published = golden.read_golden(release)
    provider = engines[0].provider
    digest = golden.published_digest(
        release.manifest, file.path, provider, processor_family(provider)
    )
    found = [
        golden.compare(_golden_images(engine, release.manifest), published, digest)
        for engine in set(engines)
    ]
    if Agreement.DIFFERENT in found:
        raise ServingError(
            f"{release.path(file)} does not make its golden images on {provider}: they differ by more than "
            f"{golden.MAX_LEVELS} grey level; check the installation of ONNX Runtime, or export the model again"
        )
    return engines, Agreement.CLOSE if Agreement.CLOSE in found else Agreement.EXACT


def _golden_images(engine: Engine, manifest: Manifest) -> Pixels:
    z = golden.golden_latents(manifest.golden, manifest.latent_size)
    label = golden.golden_labels(manifest.golden) if manifest.classes else None
    starts = range(0, len(z), engine.max_batch)
    stops = [start + engine.max_batch for start in starts]
    batches = [
        (z[i:k], None if label is None else label[i:k]) for i, k in zip(starts, stops, strict=True)
    ]
    try:
        return np.concatenate([engine.run(*batch) for batch in batches])
    except EngineError as error:
        cure = "check the installation of ONNX Runtime, or export the model again"
        problem = f"model {manifest.name} cannot make its golden images: {first_line(error)}"
        raise ServingError(f"{problem}; {cure}") from error
