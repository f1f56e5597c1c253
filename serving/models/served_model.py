"""A model that is ready to serve."""

from __future__ import annotations

from dataclasses import dataclass

from dcgan.serving.encoding.png_queue import PngQueue
from dcgan.serving.encoding.replies import ReplyEncoder
from dcgan.serving.scheduling.dispatcher import Dispatcher
from dcgan.zoo.golden import Agreement
from dcgan.zoo.manifest import Manifest, ModelFile


@dataclass(frozen=True)
class ServedModel:
    """A model with its engines and queues.

    Attributes:
        manifest: description of the model.
        file: the file that runs.
        provider: execution provider that runs it.
        agreement: result of the self-test.
        dispatcher: makes images.
        png_queue: encodes images as PNG.
        replies: serializes replies.
        batch_size: images in every batch, where the pixels depend on it; None where they do not.
    """

    manifest: Manifest
    file: ModelFile
    provider: str
    agreement: Agreement
    dispatcher: Dispatcher
    png_queue: PngQueue
    replies: ReplyEncoder
    batch_size: int | None = None

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.manifest.name

    @property
    def version(self) -> int:
        """Version of the model."""
        return self.manifest.version
