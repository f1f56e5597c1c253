"""Configuration of the models."""

from __future__ import annotations

from dataclasses import dataclass

from dcgan.serving.encoding.replies import MESSAGE_LIMIT


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """How each model is served.

    Attributes:
        precision: precision of the ONNX file that runs.
        queue_images: maximum number of images that wait for an engine, and that wait to be encoded
            as PNG.
        quantum: images that a request gets in one turn of the round robin.
        reply_bytes: maximum size of a reply, which limits the images of one request.
    """

    precision: str = "fp32"
    queue_images: int = 4096
    quantum: int = 16
    reply_bytes: int = MESSAGE_LIMIT
