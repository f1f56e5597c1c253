"""Validation: turns request messages into image requests whose values are in range."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from dcgan.core import noise
from dcgan.serving.api.errors import InvalidFieldError
from dcgan.serving.encoding.formats import ImageFormat
from dcgan.serving.models.entity_tag import image_tag
from dcgan.serving.models.served_model import ServedModel
from dcgan.serving.scheduling.image_job import Latents
from dcgan.v1 import generator_pb2 as pb
from dcgan.zoo.manifest import Manifest

SeedMessage: TypeAlias = pb.GenerateRequest | pb.GenerateStreamRequest
ImageMessage: TypeAlias = SeedMessage | pb.InterpolateRequest

MAX_STREAMED_IMAGES = 2**32 - 1
"""Maximum number of images of one stream."""

_FORMATS: dict[int, ImageFormat] = {
    pb.IMAGE_FORMAT_UNSPECIFIED: ImageFormat.RGB8,
    pb.IMAGE_FORMAT_RGB8: ImageFormat.RGB8,
    pb.IMAGE_FORMAT_PNG: ImageFormat.PNG,
    pb.IMAGE_FORMAT_PNG_GRID: ImageFormat.PNG_GRID,
}


@dataclass(frozen=True)
class ImageRequest:
    """A validated request for images.

    Attributes:
        model: that makes them.
        images: number of images.
        offset: index of the first image.
        image_format: how they are encoded.
        echo: fields of the request that every reply repeats, such as the seed.
        draw: draws the latent vectors of the images at positions `start` to `start + count - 1` of
            the request.
        image_tag: returns the entity tag, as a PNG file, of the image at a position of the request;
            None if there is no such tag.
    """

    model: ServedModel
    images: int
    offset: int
    image_format: ImageFormat
    echo: Mapping[str, int]
    draw: Callable[[int, int], Latents]
    image_tag: Callable[[int], str] | None = None


def read_unary_request(message: pb.GenerateRequest, model: ServedModel) -> ImageRequest:
    """Validates a request for images in a single reply.

    Args:
        message: the request.
        model: the requested one.

    Raises:
        InvalidFieldError: names the first field that is outside its range.
    """
    # An unknown format is reported after n and offset, so any will do until then.
    image_format = _FORMATS.get(message.format, ImageFormat.PNG)
    return _read_seed_request(message, model, model.replies.max_images(image_format))


def read_stream_request(message: pb.GenerateStreamRequest, model: ServedModel) -> ImageRequest:
    """Validates a request for a stream of images.

    Args:
        message: the request.
        model: the requested one.

    Raises:
        InvalidFieldError: names the first field that is outside its range.
    """
    return _read_seed_request(message, model, MAX_STREAMED_IMAGES)


def read_interpolation(message: pb.InterpolateRequest, model: ServedModel) -> ImageRequest:
    """Validates a request for an interpolation between two seeds.

    Args:
        message: the request.
        model: the requested one.

    Raises:
        InvalidFieldError: names the first field that is outside its range.
    """
    steps = message.steps
    if steps < 2:
        raise InvalidFieldError("steps", f"must be 2 to 2^32 - 1, not {steps}")

    manifest = model.manifest
    label, psi, image_format = _read_common_fields(message, manifest)
    start_z = noise.latents(message.seed_a, message.offset_a, 1, manifest.latent_size)[0]
    end_z = noise.latents(message.seed_b, message.offset_b, 1, manifest.latent_size)[0]

    def draw(start: int, count: int) -> Latents:
        positions = np.arange(start, start + count) / (steps - 1)
        z = _truncate(noise.interpolate(start_z, end_z, positions), psi)
        return Latents(z, np.full(count, label or 0) if manifest.classes else None)

    echo = {
        "seed_a": message.seed_a,
        "seed_b": message.seed_b,
        "offset_a": message.offset_a,
        "offset_b": message.offset_b,
    }
    return ImageRequest(model, steps, 0, image_format, echo, draw)


def _read_seed_request(message: SeedMessage, model: ServedModel, max_images: int) -> ImageRequest:
    n = message.n if message.HasField("n") else 1
    if not 0 < n <= max_images:
        cure = "; use GenerateStream for more" if n > max_images else ""
        raise InvalidFieldError(
            "n", f"must be 1 to {max_images} for this model and format, not {n}{cure}"
        )
    if message.offset > noise.INDEX_LIMIT - n:
        raise InvalidFieldError("offset", f"must be at most 2^64 - n, not {message.offset}")

    manifest = model.manifest
    label, psi, image_format = _read_common_fields(message, manifest)

    def draw(start: int, count: int) -> Latents:
        first = message.offset + start
        z = _truncate(noise.latents(message.seed, first, count, manifest.latent_size), psi)
        if not manifest.classes:
            return Latents(z)
        if label is None:
            return Latents(z, noise.labels(first, count, manifest.classes))
        return Latents(z, np.full(count, label))

    def tag(position: int) -> str:
        index = message.offset + position
        return image_tag(model, message.seed, index, label=label, truncation=psi)

    echo = {"seed": message.seed}
    return ImageRequest(model, n, message.offset, image_format, echo, draw, tag)


def _read_common_fields(
    message: ImageMessage, manifest: Manifest
) -> tuple[int | None, float, ImageFormat]:
    """Returns label, truncation and format."""
    label = message.label if message.HasField("label") else None
    if label is not None and not manifest.classes:
        raise InvalidFieldError("label", f"must be unset: model {manifest.name} has no classes")
    if label is not None and label >= manifest.classes:
        raise InvalidFieldError("label", f"must be 0 to {manifest.classes - 1}, not {label}")

    psi = message.truncation if message.HasField("truncation") else 1.0
    if not (math.isfinite(psi) and 0 < psi <= 1):
        raise InvalidFieldError("truncation", f"must be above 0 and at most 1, not {psi:.6g}")

    image_format = _FORMATS.get(message.format)
    if image_format is None:
        known = ", ".join(pb.ImageFormat.keys())
        raise InvalidFieldError("format", f"must be one of {known}, not number {message.format}")
    return label, psi, image_format


def _truncate(z: NDArray[np.float32], psi: float) -> NDArray[np.float32]:
    return z if psi == 1.0 else z * np.float32(psi)
