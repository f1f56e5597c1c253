"""Captions: a line of text under each image of a grid."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dcgan.core.images import Pixels

_CHARACTER_WIDTH = 6  # of Pillow's bitmap font
_LINE_HEIGHT = 11
_PADDING = 2
_PIXELS_PER_FACTOR = 128  # width of an image from which its caption is twice as large, and so on


def add_captions(images: Pixels, captions: Sequence[str]) -> Pixels:
    """Adds a strip with a caption under each image, white on black.

    A caption that is wider than its image is broken into several lines; all strips have the same
    height.

    Args:
        images: uint8 [n, H, W, C].
        captions: n texts in ASCII; other characters are shown as question marks.

    Returns:
        uint8 [n, H + height of the strip, W, C].
    """
    n, _, width, channels = images.shape
    factor = _factor(width)
    columns = _columns(width)
    lines = [_break_lines(caption, columns) for caption in captions]
    height = caption_height(captions, width) // factor

    strips = np.stack([_draw_strip(each, width // factor, height) for each in lines])
    strips = strips.repeat(factor, axis=1).repeat(factor, axis=2)

    captioned = np.zeros((n, images.shape[1] + strips.shape[1], width, channels), np.uint8)
    captioned[:, : images.shape[1]] = images
    captioned[:, images.shape[1] :, : strips.shape[2]] = strips[..., None]
    return captioned


def caption_height(captions: Sequence[str], width: int) -> int:
    """Returns the height in pixels of the strips that `add_captions` adds to images of a width."""
    longest = max(map(len, captions))
    lines = max(1, math.ceil(longest / _columns(width)))
    return _factor(width) * (_LINE_HEIGHT * lines + 2 * _PADDING)


def _factor(width: int) -> int:
    return max(1, width // _PIXELS_PER_FACTOR)


def _columns(width: int) -> int:
    """Returns how many characters fit in a line."""
    return max(1, width // (_CHARACTER_WIDTH * _factor(width)))


def _break_lines(text: str, columns: int) -> list[str]:
    text = text.encode("ascii", "replace").decode()
    return [text[first : first + columns] for first in range(0, len(text), columns)] or [""]


def _draw_strip(lines: Sequence[str], width: int, height: int) -> Pixels:
    """Returns a grey strip, uint8 [height, width], with centred lines."""
    strip = Image.new("L", (width, height))
    draw = ImageDraw.Draw(strip)
    font = ImageFont.load_default_imagefont()
    for number, line in enumerate(lines):
        left = max(0, (width - _CHARACTER_WIDTH * len(line)) // 2)
        draw.text((left, _PADDING + _LINE_HEIGHT * number), line, fill=255, font=font)
    return np.asarray(strip)
