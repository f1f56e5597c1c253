"""Decoding image files to squares of bytes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from dcgan.core.images import Pixels
from dcgan.training.data.color import (
    WHITE,
    flatten,
    is_transparent,
    profile_of,
    read_orientation,
    to_profile_mode,
    to_srgb,
    turn_upright,
)
from dcgan.training.data.dataset import Dataset, dataset_digest
from dcgan.training.data.deep import max_level, read_levels, scale_levels
from dcgan.training.data.source import DECODE_ERRORS, ImageSource, to_utf8_text
from dcgan.training.errors import TrainingError, UnusableImageError

T = TypeVar("T")

Progress = Callable[[Iterable[int]], Iterable[int]]
"""Passes numbers on and shows how many have come."""

# Bounds of one image: its pixels, and each side, which is that of JPEG.
_MAX_PIXELS = 2**27
_MAX_SIDE = 2**16 - 1


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
        depth = _Depth(source)
        background = _Background(config.background)
        for i in progress(range(len(source.items))):
            try:
                use = partial(
                    _square,
                    reopen=partial(source.open, i),
                    size=size,
                    channels=config.channels,
                    depth=depth,
                    background=background,
                )
                pixels = with_image(source, i, use)
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


def with_image(source: ImageSource, i: int, use: Callable[[Image.Image], T]) -> T:
    """Opens an image and returns `use(image)`.

    Raises:
        UnusableImageError: names the image and what is wrong with it.
    """
    item = to_utf8_text(f"the image {source.items[i]} in {source.name}")
    cure = "fix it, remove it or use --skip-corrupt"
    try:
        with source.open(i) as image:
            width, height = image.size
            if width * height > _MAX_PIXELS or max(width, height) > _MAX_SIDE:
                raise UnusableImageError(
                    f"{item} is {width} x {height} pixels", "shrink or remove it"
                )
            return use(image)
    except Image.DecompressionBombError:
        raise UnusableImageError(f"{item} has far too many pixels", "shrink or remove it") from None
    except UnidentifiedImageError:
        problem = f"{item} cannot be decoded (it is in no known image format)"
        raise UnusableImageError(problem, cure) from None
    except DECODE_ERRORS as error:
        problem = f"{item} cannot be decoded ({error!s:.100})"
        raise UnusableImageError(problem, cure) from None


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


class _Depth:
    """The depth of images with more than 8 bits per channel.

    Cameras and microscopes store 10, 12 or 14 bits in files of 16 bits. The largest level of all
    images of a source decides, which are read only if one of them is deep.
    """

    def __init__(self, source: ImageSource) -> None:
        self._source = source
        self._bits: int | None = None

    def bits(self) -> int:
        """Returns the depth of the data: 8, 10, 12, 14 or 16."""
        if self._bits is None:
            largest = 0
            for i in range(len(self._source.items)):
                with suppress(UnusableImageError):
                    use = partial(read_levels, reopen=partial(self._source.open, i))
                    levels = with_image(self._source, i, use)
                    largest = max(largest, max_level(levels))
                if largest >= 2**14:
                    break
            self._bits = max(8, 2 * ((largest.bit_length() + 1) // 2))
        return self._bits

    def notes(self) -> tuple[str, ...]:
        """Returns a sentence if images were scaled by less than 16 bits."""
        if self._bits is None or self._bits == 16:
            return ()
        return (
            f"the 16-bit images in {self._source.name} use {self._bits} bits only; they are scaled "
            "by those",
        )


class _Background:
    """Lays transparent images on a color, and counts them."""

    def __init__(self, color: str) -> None:
        self._color = color
        self._count = 0

    def flatten(self, image: Image.Image) -> Image.Image:
        """Lays an image on the color where it is transparent."""
        self._count += is_transparent(image)
        return flatten(image, self._color)

    def notes(self, name: str) -> tuple[str, ...]:
        """Returns a sentence if there were transparent images.

        Args:
            name: of the source.
        """
        if not self._count:
            return ()
        return (
            f"transparent images in {name}, laid on {self._color}: {self._count} "
            "(--background chooses another color)",
        )


def _square(
    image: Image.Image,
    *,
    reopen: Callable[[], Image.Image],
    size: int,
    channels: int,
    depth: _Depth,
    background: _Background,
) -> Pixels:
    """Decodes an image to uint8 [size, size, channels]."""
    # A large JPEG is decoded at a fraction of its size, at least twice ours.
    image.draft(None, (2 * size, 2 * size))
    levels = read_levels(image, reopen)
    orientation = read_orientation(image)
    profile = profile_of(image)
    mode = "RGB" if channels == 3 else "L"

    if levels is not None:
        image = scale_levels(levels, depth.bits())
    elif image.mode == "I":
        image = image.convert("L")  # 8 bits in 32, as read_levels has found
    flat = background.flatten(turn_upright(image, orientation))
    flat = flat.convert(mode) if profile is None else to_profile_mode(flat)

    if flat.size != (size, size):
        flat = ImageOps.fit(flat, (size, size), Image.Resampling.LANCZOS)
    if profile is not None:
        flat = to_srgb(flat, profile).convert(mode)  # of the small image, which is much faster
    return np.asarray(flat).reshape(size, size, channels)
