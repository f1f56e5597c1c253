"""Configuration of the models."""

from __future__ import annotations

from dataclasses import dataclass

from dcgan.serving.encoding.replies import MESSAGE_LIMIT

DEFAULT_QUEUE_IMAGES = 4096
"""Capacity of a queue: some seconds of work for a CPU."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """How each model is served.

    Attributes:
        precision: precision of the ONNX file that runs.
        queue_images: maximum number of images of one client that wait for an engine; None for
            DEFAULT_QUEUE_IMAGES, or on CUDA for what the engines make in a second, if that is more.
        png_queue_images: maximum number of images of one client that wait to be encoded as PNG.
        quantum: images that a request gets in one turn of the round robin.
        reply_bytes: maximum size of a reply, which limits the images of one request.
    """

    precision: str = "fp32"
    queue_images: int | None = None
    png_queue_images: int = DEFAULT_QUEUE_IMAGES
    quantum: int = 16
    reply_bytes: int = MESSAGE_LIMIT
