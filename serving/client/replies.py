"""Reading images out of replies."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TypeAlias, TypeVar

import grpc
import numpy as np
from PIL import Image

from dcgan.core.images import Pixels, to_pillow
from dcgan.serving.client.errors import FaultError, RefusedError
from dcgan.serving.client.images import Images
from dcgan.v1 import generator_pb2 as pb

Response: TypeAlias = pb.GenerateResponse | pb.GenerateStreamResponse | pb.InterpolateResponse
T = TypeVar("T")

_MAX_SIDE = 2**12  # of an image of a model


class ImageCollector:
    """Joins the chunks of a stream to one array.

    Args:
        n: number of images that must arrive.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._received = 0
        self._images: Pixels | None = None

    def add(self, chunk: Pixels) -> None:
        """Adds the next chunk, uint8 [k, H, W, C].

        Raises:
            RefusedError: if n images do not fit in memory.
        """
        if self._images is None:
            self._images = self._allocate(chunk)

        end = self._received + len(chunk)
        if end <= self._n:
            self._images[self._received : end] = chunk
        self._received = end

    def images(self) -> Pixels:
        """Returns all images, uint8 [n, H, W, C].

        Raises:
            FaultError: if more or fewer than n have arrived.
        """
        if self._images is None or self._received != self._n:
            raise wrong_number(self._received, self._n)
        return self._images

    def _allocate(self, chunk: Pixels) -> Pixels:
        try:
            return np.empty((self._n, *chunk.shape[1:]), dtype=np.uint8).view(Images)
        except MemoryError:
            cure = "ask for fewer, with --offset for the others, or use a stream"
            raise RefusedError(
                f"{self._n} images do not fit in memory; {cure}",
                grpc.StatusCode.INVALID_ARGUMENT,
            ) from None


def collect_images(chunks: Iterable[Pixels], n: int) -> Pixels:
    """Joins the chunks of n images to one array, uint8 [n, H, W, C].

    Raises:
        ClientError: if they are not n, or do not fit in memory.
    """
    collector = ImageCollector(n)
    for chunk in chunks:
        collector.add(chunk)
    return collector.images()


def check_parsed(response: T | None) -> T:
    """Returns a response of grpc.aio, which is None if it cannot be parsed.

    Raises:
        FaultError: if it cannot be parsed.
    """
    if response is None:
        raise fault("the server sent a response that cannot be parsed")
    return response


def check_shape(chunk: Pixels, model: pb.Model) -> None:
    """Checks that images [n, H, W, C] have the size that a model states.

    Raises:
        FaultError: if they have another one.
    """
    stated = (model.height, model.width, model.channels)
    if chunk.shape[1:] != stated:
        raise fault(
            f"the server sent images of the shape {chunk.shape[1:]}, and its model states {stated}"
        )


def read_exactly(response: Response, n: int) -> Pixels:
    """Returns the n images of a response; see `read_pixels`.

    Raises:
        FaultError: if they are not n.
    """
    images = read_pixels(response)
    if len(images) != n:
        raise wrong_number(len(images), n)
    return images


def read_pixels(response: Response) -> Pixels:
    """Returns the images of a response, uint8 [n, H, W, C], read-only and without a copy.

    Raises:
        FaultError: if the number of bytes does not match the shape, or images have no such shape.
    """
    shape = (response.n, response.height, response.width, response.channels)
    is_image = response.n == 0 or (min(shape) > 0 and response.channels in (1, 3))
    if not is_image or max(shape[1:]) > _MAX_SIDE or math.prod(shape) != len(response.pixels):
        raise fault(f"the server sent {len(response.pixels)} bytes as images of the shape {shape}")

    return np.frombuffer(response.pixels, dtype=np.uint8).reshape(shape).view(Images)


def to_pillow_images(images: Pixels) -> list[Image.Image]:
    """Converts images [n, H, W, C] to Pillow images."""
    return [to_pillow(image) for image in images]


def wrong_number(found: int, wanted: int) -> FaultError:
    """Returns the error for another number of images than was asked for."""
    return fault(f"the server sent {found} images, not {wanted}")


def fault(message: str) -> FaultError:
    """Returns the error for a reply that is not the one to its request."""
    return FaultError(message, grpc.StatusCode.INTERNAL)
