"""One image as a square of bytes: orientation, transparency, depth, size and color profile."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import numpy as np
from PIL import Image, ImageOps

from dcgan.core.images import Pixels
from dcgan.training.data.color import (
    flatten,
    is_transparent,
    profile_of,
    read_orientation,
    to_profile_mode,
    to_srgb,
    turn_upright,
)
from dcgan.training.data.deep import is_deep_color, max_level, read_levels, scale_levels
from dcgan.training.data.source import ImageSource, with_image
from dcgan.training.errors import UnusableImageError


class Depth:
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


class Background:
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


def decode_square(
    image: Image.Image,
    *,
    reopen: Callable[[], Image.Image],
    size: int,
    channels: int,
    depth: Depth,
    background: Background,
) -> Pixels:
    """Decodes an image to uint8 [size, size, channels]."""
    # A large JPEG is decoded at a fraction of its size, at least twice ours.
    image.draft(None, (2 * size, 2 * size))
    if is_deep_color(image):
        depth.bits()  # reads other images, before the levels of this one take memory
    levels = read_levels(image, reopen)
    orientation = read_orientation(image)
    profile = profile_of(image)
    mode = "RGB" if channels == 3 else "L"

    if levels is not None:
        image = scale_levels(levels, depth.bits())
    flat = background.flatten(turn_upright(image, orientation))
    if profile is not None:
        flat = to_profile_mode(flat)
    elif flat.mode != mode:
        flat = flat.convert(mode)  # which copies an image of this mode, too

    if flat.size != (size, size):
        flat = ImageOps.fit(flat, (size, size), Image.Resampling.LANCZOS)
    if profile is not None:
        flat = to_srgb(flat, profile).convert(mode)  # of the small image, which is much faster
    return np.asarray(flat).reshape(size, size, channels)
