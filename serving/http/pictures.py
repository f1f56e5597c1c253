"""The files that HTTP sends: their media types, and how long they take to write."""

from __future__ import annotations

import math

MEDIA_TYPES = {
    "png": "image/png",
    "webp": "image/webp",
    "gif": "image/gif",
    "json": "application/json",
}

# Time to write a pixel, relative to PNG.
_COSTS = {"png": 1, "webp": 2, "gif": 8, "json": 1}

# Time to write an image whatever its size, as pixels that take as long.
_OVERHEAD_PIXELS = 1024


def encoding_cost(images: int, size: int | None, image_size: int, extension: str) -> int:
    """Returns how many PNG images of the original size take as long to write as a file.

    Args:
        images: number of images in the file.
        size: height and width of each; None for the original size.
        image_size: original height and width.
        extension: of the file.
    """
    ratio = _pixel_ratio(size, image_size, overhead=_OVERHEAD_PIXELS)
    return max(1, math.ceil(images * _COSTS[extension] * ratio))


def scaled_images(images: int, size: int | None, image_size: int) -> int:
    """Returns how many images of the original size have as many pixels as scaled ones.

    Args:
        images: number of scaled images.
        size: height and width of each; None for the original size.
        image_size: original height and width.
    """
    return max(1, math.ceil(images * _pixel_ratio(size, image_size)))


def _pixel_ratio(size: int | None, image_size: int, overhead: int = 0) -> float:
    """Returns the pixels of a scaled image by those of the original, both with an overhead."""
    if size is None:
        return 1.0
    return (size**2 + overhead) / (image_size**2 + overhead)
