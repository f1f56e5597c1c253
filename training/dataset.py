"""Decoded images: one array of bytes and what is known of it."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from dcgan.training.errors import TrainingError
from dcgan.training.sources import UNREADABLE, Source, clean
from dcgan.zoo.picture import Pixels

T = TypeVar("T")

Progress = Callable[[Iterable[int]], Iterable[int]]
"""Passes numbers on and shows how far they have come."""

_MOST_PIXELS = 2**27  # of one image


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Images, decoded.

    Attributes:
        name: for people, without a path.
        images: uint8 [N, size, size, channels]; size is that of the recipe or, for small square images, their own.
        labels: int64 [N], or None without classes.
        class_names: one for each class, or none.
        sha256: digest of images and labels.
    """

    name: str
    images: Pixels
    labels: NDArray[np.int64] | None
    class_names: tuple[str, ...]
    sha256: str


def decode(source: Source, image_size: int, channels: int, progress: Progress) -> Dataset:
    """Decodes all images of a source.

    Images that are all square and of one size below `image_size` keep their size: the feed enlarges them on the
    device. Others are cropped to the square in their middle and resized (Lanczos). Transparent places become white.

    Raises:
        TrainingError: names the first image that cannot be used.
    """
    numbers = range(len(source.items))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about oddities that Pillow can live with
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        size = _stored_size(source, image_size)
        images = np.empty((len(numbers), size, size, channels), dtype=np.uint8)
        for i in progress(numbers):
            images[i] = _guard(source, i, lambda image: _pixels(image, size, channels))
    labels = None if source.labels is None else np.array(source.labels, dtype=np.int64)
    return Dataset(
        name=source.name,
        images=images,
        labels=labels,
        class_names=source.class_names,
        sha256=_digest(images, labels),
    )


def _stored_size(source: Source, image_size: int) -> int:
    first = _guard(source, 0, lambda image: image.size)
    if first[0] != first[1] or first[0] >= image_size:
        return image_size
    same = all(_guard(source, i, lambda image: image.size) == first for i in range(1, len(source.items)))
    return first[0] if same else image_size


def _guard(source: Source, i: int, use: Callable[[Image.Image], T]) -> T:
    """Opens one image and uses it; whatever is wrong with it becomes an error that names it."""
    item = clean(f"the image {source.items[i]} in {source.name}")
    try:
        with source.open(i) as image:
            width, height = image.size
            if width * height > _MOST_PIXELS:
                raise TrainingError(f"{item} is {width} x {height} pixels; shrink it or take it out")
            return use(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise TrainingError(f"{item} has far too many pixels; shrink it or take it out") from None
    except UNREADABLE as error:
        raise TrainingError(f"{item} cannot be decoded ({error!s:.100}); mend it or take it out") from None


def _pixels(image: Image.Image, size: int, channels: int) -> Pixels:
    image.draft(None, (2 * size, 2 * size))  # a large JPEG is decoded at a fraction of its size, at least twice ours
    upright = ImageOps.exif_transpose(image)
    flat = _flatten(upright).convert("RGB" if channels == 3 else "L")
    if flat.size != (size, size):
        flat = ImageOps.fit(flat, (size, size), Image.Resampling.LANCZOS)
    return np.asarray(flat).reshape(size, size, channels)


def _flatten(image: Image.Image) -> Image.Image:
    """Lays a transparent image on white, and brings 16-bit grey to 8 bits."""
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers, whose range nobody can tell")
    if image.mode.startswith("I"):
        levels = np.asarray(image).clip(0, 2**16 - 1)
        deep = image.mode != "I" or levels.max() > 255  # plain I also holds images of 8 bits
        return Image.fromarray((levels >> 8 if deep else levels).astype(np.uint8))
    if not image.has_transparency_data:
        return image
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)


def _digest(images: Pixels, labels: NDArray[np.int64] | None) -> str:
    digest = hashlib.sha256(repr(images.shape).encode())
    for start in range(0, len(images), 4096):
        digest.update(images[start : start + 4096].tobytes())
    if labels is not None:
        digest.update(labels.astype("<i8").tobytes())
    return digest.hexdigest()
