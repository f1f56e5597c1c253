"""Parts of a large image, so that no step takes the memory of a copy of the whole."""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image

_STRIP_PIXELS = 2**20


def row_strips(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    """Yields the rows of an image in parts: their numbers, and a copy of them."""
    count = max(1, _STRIP_PIXELS // max(1, image.width))
    for top in range(0, image.height, count):
        bottom = min(top + count, image.height)
        yield slice(top, bottom), image.crop((0, top, image.width, bottom))
