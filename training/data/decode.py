"""Decoding image files to squares of bytes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dcgan.core.images import Pixels
from dcgan.training.data.color import WHITE
from dcgan.training.data.dataset import Dataset, dataset_digest
from dcgan.training.data.source import ImageSource, with_image
from dcgan.training.data.square import Background, Depth, decode_square
from dcgan.training.errors import TrainingError, UnusableImageError

Progress = Callable[[Iterable[int]], Iterable[int]]
"""Passes numbers on and shows how many have come."""


@dataclass(frozen=True, kw_only=True)
class DecodeConfig:
    """How images are decoded.

    Attributes:
        image_size: height and width that the recipe needs.
        channels: 3 (RGB) or 1 (grey).
        skip_corrupt: leave out images that cannot be used.
        exact: enlarge small images too, instead of leaving that to the data loader.
        background: color on which transparent images are laid; see `parse_background`.
    """

    image_size: int
    channels: int
    skip_corrupt: bool = False
    exact: bool = False
    background: str = WHITE


@dataclass(frozen=True, kw_only=True)
class DecodeResult:
    """What `decode_images` decoded.

    Attributes:
        shape: of the array of all pixels, [N, size, size, channels].
        labels: int64 [N], or None without classes.
        corrupt: sentences about the images that were left out.
        notes: sentences about how the images were decoded.
    """

    shape: tuple[int, int, int, int]
    labels: NDArray[np.int64] | None
    corrupt: tuple[str, ...]
    notes: tuple[str, ...] = ()


def decode_to_memory(source: ImageSource, config: DecodeConfig, progress: Progress) -> Dataset:
    """Decodes all images of a source into memory; see `decode_images`.

    Raises:
        TrainingError: names the first image that cannot be used, or says that none can be.
    """
    pixels = bytearray()
    result = decode_images(source, config, progress, pixels.extend)
    images = np.frombuffer(pixels, dtype=np.uint8).reshape(result.shape)
    return make_dataset(source, images, result)


def make_dataset(source: ImageSource, images: Pixels, result: DecodeResult) -> Dataset:
    """Combines the decoded images with what the source knows about them."""
    return Dataset(
        name=source.name,
        images=images,
        labels=result.labels,
        class_names=source.class_names,
        sha256=dataset_digest(images, result.labels),
        corrupt=result.corrupt,
        labels_problem=source.labels_problem,
        notes=result.notes,
    )


def decode_images(
    source: ImageSource,
    config: DecodeConfig,
    progress: Progress,
    write: Callable[[bytes], object],
) -> DecodeResult:
    """Decodes images one after another and passes their pixels on.

    Images are turned upright by their EXIF orientation, laid on a background where they are
    transparent, cropped to the square in their middle, resized (Lanczos) and converted from their
    color profile to sRGB. If all images are squares of one size below the recipe's, they keep it,
    unless `config.exact`: the data loader enlarges them on the device.

    Args:
        source: of the images.
        config: size, channels and background.
        progress: shows how many are decoded.
        write: called with the pixels of each image, in order.

    Raises:
        TrainingError: names the first image that cannot be used, or says that none can be.
    """
    kept: list[int] = []
    corrupt: list[str] = []
    with _pillow_warnings_ignored():
        size = config.image_size if config.exact else _stored_size(source, config)
        depth = Depth(source)
        background = Background(config.background)
        decode = partial(
            decode_square,
            size=size,
            channels=config.channels,
            depth=depth,
            background=background,
        )
        for i in progress(range(len(source.items))):
            try:
                reopen = partial(source.open, i)
                pixels = with_image(source, i, partial(decode, reopen=reopen))
            except UnusableImageError as error:
                if not config.skip_corrupt:
                    raise
                corrupt.append(error.problem)
                continue
            write(pixels.tobytes())
            kept.append(i)

    if not kept:
        raise TrainingError(
            f"none of the {len(corrupt)} images in {source.name} can be used: {corrupt[0]}"
        )
    return DecodeResult(
        shape=(len(kept), size, size, config.channels),
        labels=_labels_of(source, kept),
        corrupt=tuple(corrupt),
        notes=(*depth.notes(), *background.notes(source.name)),
    )


@contextmanager
def _pillow_warnings_ignored() -> Iterator[None]:
    """Ignores oddities that Pillow can decode, and its limit on pixels, which is below ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


def _labels_of(source: ImageSource, indices: list[int]) -> NDArray[np.int64] | None:
    if source.labels is None:
        return None
    return np.array([source.labels[i] for i in indices], dtype=np.int64)


def _stored_size(source: ImageSource, config: DecodeConfig) -> int:
    """Returns the size of all images if they are small squares of one size, or the recipe's."""
    sizes = _sizes(source, config.skip_corrupt)
    width, height = next(sizes, (config.image_size, config.image_size))
    if width != height or width >= config.image_size:
        return config.image_size
    return width if all(size == (width, height) for size in sizes) else config.image_size


def _sizes(source: ImageSource, skip_corrupt: bool) -> Iterator[tuple[int, int]]:
    for i in range(len(source.items)):
        try:
            yield with_image(source, i, lambda image: image.size)
        except UnusableImageError:
            if not skip_corrupt:
                raise
