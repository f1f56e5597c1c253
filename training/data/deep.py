"""Images with more than 8 bits per channel: reading their levels and scaling them to 8 bits."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dcgan.training.data.strips import row_strips

_MAX_LEVEL = 2**16 - 1

# Pillow's name of a pixel format with 16 bits per channel ends with its byte order.
_BYTE_ORDER = re.compile(r"(?<=;16)[BLN]$")
_GREY_WITH_ALPHA = "LA;16B"
_NATIVE_ORDER = "L" if sys.byteorder == "little" else "B"

Levels = NDArray[np.integer]
"""[H, W] if grey, [H, W, C] otherwise; 0 to 65535."""


def read_levels(image: Image.Image, reopen: Callable[[], Image.Image]) -> Levels | None:
    """Reads an image if it has more than 8 bits per channel, or integers that may have more.

    Args:
        image: not loaded yet; it is loaded in any case.
        reopen: opens the same file once more.

    Returns:
        The levels, or None for an image of 8 bits.
    """
    has_deep_color = is_deep_color(image)
    image.load()
    if image.mode.startswith("I"):
        # Pillow's mode "I" may hold 8 bits only, which the other images of the source tell.
        return np.asarray(image).clip(0, _MAX_LEVEL)
    if not has_deep_color:
        return None

    # Pillow keeps only the high byte of each channel.
    bands = len(image.getbands())
    shape = (image.height, image.width, bands)
    levels = np.empty(shape if bands > 1 else shape[:2], np.uint16)
    for rows, strip in row_strips(image):
        levels[rows] = np.asarray(strip)
        levels[rows] <<= 8
    _add_low_bytes(levels, reopen)
    return levels


def is_deep_color(image: Image.Image) -> bool:
    """Returns whether an image that is not loaded yet has colors of 16 bits."""
    return any(_BYTE_ORDER.search(raw_mode) for raw_mode in _raw_modes(image))


def scale_levels(levels: Levels, bits: int) -> Image.Image:
    """Scales levels to 8 bits.

    Args:
        levels: of an image.
        bits: depth of the data, 8 to 16.

    Returns:
        An image of mode L, RGB or RGBA.
    """
    # Data of 12 bits can have an alpha channel of 16.
    has_alpha = levels.ndim == 3 and levels.shape[2] == 4
    alpha_bits = 16 if has_alpha and levels[..., 3].max(initial=0) >> bits else bits

    scaled = np.empty(levels.shape, np.uint8)
    for row, result in zip(levels, scaled, strict=True):
        result[...] = (row >> (bits - 8)).clip(0, 255)
        if alpha_bits != bits:
            result[..., 3] = row[..., 3] >> (alpha_bits - 8)
    return Image.fromarray(scaled)


def max_level(levels: Levels | None) -> int:
    """Returns the largest level of the colors of an image, and 0 for images of 8 bits."""
    if levels is None:
        return 0
    return int((levels if levels.ndim == 2 else levels[..., :3]).max(initial=0))


def _add_low_bytes(levels: NDArray[np.uint16], reopen: Callable[[], Image.Image]) -> None:
    """Adds the low bytes of each channel, unless Pillow cannot read them.

    Read in the other byte order, the low bytes are the high ones.
    """
    with reopen() as image:
        is_grey = _raw_modes(image) == [_GREY_WITH_ALPHA]
        tiles = image.tile  # type: ignore[attr-defined]
        swapped = [tile._replace(args=_swap(tile.args)) for tile in tiles]
        image.tile = swapped  # type: ignore[attr-defined]
        try:
            image.load()
        except ValueError:
            return
        for rows, strip in row_strips(image):
            values = np.asarray(strip)
            levels[rows] |= values[..., [1, 1, 1, 3]] if is_grey else values


def _raw_modes(image: Image.Image) -> list[str]:
    """Returns Pillow's names of the pixel formats in a file that is not loaded yet."""
    arguments = [tile.args for tile in getattr(image, "tile", [])]
    first = [args if isinstance(args, str) or not args else args[0] for args in arguments]
    return [raw_mode for raw_mode in first if isinstance(raw_mode, str)]


def _swap(args: object) -> object:
    if isinstance(args, tuple):
        return (_swap(args[0]), *args[1:])
    if args == _GREY_WITH_ALPHA:
        return "RGBA"  # the four bytes of each pixel
    return _BYTE_ORDER.sub(_other_order, args) if isinstance(args, str) else args


def _other_order(order: re.Match[str]) -> str:
    actual = _NATIVE_ORDER if order[0] == "N" else order[0]
    return "B" if actual == "L" else "L"
