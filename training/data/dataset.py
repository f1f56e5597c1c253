"""Decoded images: one array of bytes and what is known of it."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from dcgan.core.images import Pixels
from dcgan.training.data.sources import UNREADABLE, Source, clean
from dcgan.training.errors import TrainingError, UnusableError

T = TypeVar("T")

Progress = Callable[[Iterable[int]], Iterable[int]]
"""Passes numbers on and shows how far they have come."""

_MOST_PIXELS = 2**27  # of one image

_ORIENTATION = 0x0112  # the tag of EXIF
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Images, decoded.

    Attributes:
        name: for people, without a path.
        images: uint8 [N, size, size, channels]; size is that of the recipe or, for small square images, their own.
        labels: int64 [N], or None without classes.
        class_names: one for each class, or none.
        sha256: digest of images and labels.
        corrupt: sentences about the images that were left out because they cannot be used.
    """

    name: str
    images: Pixels
    labels: NDArray[np.int64] | None
    class_names: tuple[str, ...]
    sha256: str
    corrupt: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """How images are to be decoded.

    Attributes:
        image_size: height and width that the recipe wants.
        channels: 3 or 1.
        skip_corrupt: leave out images that cannot be used.
        exact: enlarge small images, too.
    """

    image_size: int
    channels: int
    skip_corrupt: bool = False
    exact: bool = False


def decode(source: Source, wanted: Wanted, progress: Progress) -> Dataset:
    """Decodes all images of a source into memory; see `write_pixels`.

    Raises:
        TrainingError: names the first image that cannot be used, or says that none can.
    """
    pixels = bytearray()
    written = write_pixels(source, wanted, progress, pixels.extend)
    images = np.frombuffer(pixels, dtype=np.uint8).reshape(written.shape)
    return describe(source, images, written.labels, written.corrupt)


@dataclass(frozen=True, kw_only=True)
class Written:
    """What `write_pixels` wrote: an array of this shape, the labels of its images, and sentences about the others."""

    shape: tuple[int, int, int, int]
    labels: NDArray[np.int64] | None
    corrupt: tuple[str, ...]


def write_pixels(
    source: Source, wanted: Wanted, progress: Progress, write: Callable[[bytes], object]
) -> Written:
    """Decodes images one after another and passes their pixels on.

    Images that are all square and of one size below the wanted one keep their size, unless `wanted.exact`: the feed
    enlarges them on the device. Others are cropped to the square in their middle and resized (Lanczos). Transparent
    places become white.

    Args:
        source: of the images.
        wanted: how they are to be decoded.
        progress: shows how far it is.
        write: is given the pixels of each image, in order.

    Raises:
        TrainingError: names the first image that cannot be used, or says that none can.
    """
    kept, corrupt = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about oddities that Pillow can live with
        warnings.simplefilter(
            "ignore", Image.DecompressionBombWarning
        )  # our own bound is _MOST_PIXELS
        size = (
            wanted.image_size
            if wanted.exact
            else _stored_size(source, wanted.image_size, wanted.skip_corrupt)
        )
        for i in progress(range(len(source.items))):
            try:
                pixels = _guard(source, i, lambda image: _pixels(image, size, wanted.channels))
            except UnusableError as error:
                if not wanted.skip_corrupt:
                    raise
                corrupt.append(error.problem)
                continue
            write(pixels.tobytes())
            kept.append(i)
    if not kept:
        raise TrainingError(
            f"none of the {len(corrupt)} images in {source.name} can be used: {corrupt[0]}"
        )
    labels = (
        None
        if source.labels is None
        else np.array([source.labels[i] for i in kept], dtype=np.int64)
    )
    return Written(
        shape=(len(kept), size, size, wanted.channels), labels=labels, corrupt=tuple(corrupt)
    )


def describe(
    source: Source, images: Pixels, labels: NDArray[np.int64] | None, corrupt: tuple[str, ...]
) -> Dataset:
    """Makes a data set of the decoded images of a source."""
    return Dataset(
        name=source.name,
        images=images,
        labels=labels,
        class_names=source.class_names,
        sha256=_digest(images, labels),
        corrupt=corrupt,
    )


def _stored_size(source: Source, image_size: int, skip_corrupt: bool) -> int:
    sizes = _sizes(source, skip_corrupt)
    first = next(sizes, (image_size, image_size))
    if first[0] != first[1] or first[0] >= image_size:
        return image_size
    return first[0] if all(size == first for size in sizes) else image_size


def _sizes(source: Source, skip_corrupt: bool) -> Iterator[tuple[int, int]]:
    for i in range(len(source.items)):
        try:
            yield _guard(source, i, lambda image: image.size)
        except UnusableError:
            if not skip_corrupt:
                raise


def _guard(source: Source, i: int, use: Callable[[Image.Image], T]) -> T:
    """Opens one image and uses it; whatever is wrong with it becomes an error that names it."""
    item = clean(f"the image {source.items[i]} in {source.name}")
    try:
        with source.open(i) as image:
            width, height = image.size
            if width * height > _MOST_PIXELS:
                raise UnusableError(
                    f"{item} is {width} x {height} pixels", "shrink it or take it out"
                )
            return use(image)
    except Image.DecompressionBombError:
        raise UnusableError(f"{item} has far too many pixels", "shrink it or take it out") from None
    except UNREADABLE as error:
        cure = "mend it, take it out or use --skip-corrupt"
        raise UnusableError(f"{item} cannot be decoded ({error!s:.100})", cure) from None


def _pixels(image: Image.Image, size: int, channels: int) -> Pixels:
    image.draft(
        None, (2 * size, 2 * size)
    )  # a large JPEG is decoded at a fraction of its size, at least twice ours
    image.load()
    flat = _flatten(_turn_upright(image)).convert("RGB" if channels == 3 else "L")
    if flat.size != (size, size):
        flat = ImageOps.fit(flat, (size, size), Image.Resampling.LANCZOS)
    return np.asarray(flat).reshape(size, size, channels)


def _turn_upright(image: Image.Image) -> Image.Image:
    """Undoes what the camera was turned by, if the image's EXIF can be read that far."""
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except UNREADABLE:
        return image
    return image if turn is None else image.transpose(turn)


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
