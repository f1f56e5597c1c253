"""How many pixels an image may have, by the memory that decoding it takes.

Peak memory in bytes a pixel, measured at 17 million pixels: JPEG 0.1 (decoded smaller), RGB 4,
grey 5, CMYK and Lab 8; transparent 9 to 13; AVIF 13, WebP 17, JPEG 2000 24; grey of 16 bits 9, of
32 bits 20; colors of 16 bits 17 to 21.
"""

from __future__ import annotations

from PIL import Image

from dcgan.training.data.deep import is_deep_color
from dcgan.training.errors import UnusableImageError

_MAX_PIXELS = 2**27  # 1.1 GB
_MAX_COSTLY_PIXELS = 2**26  # 1.7 GB
_MAX_SIDE = 2**16 - 1  # that of JPEG

_COSTLY_FORMATS = ("AVIF", "JPEG2000", "WEBP")


def check_pixels(image: Image.Image, item: str) -> None:
    """Checks the size of an image that is not decoded yet.

    Args:
        image: just opened.
        item: what to call it in the error.

    Raises:
        UnusableImageError: if it has too many pixels, or too long a side.
    """
    width, height = image.size
    problem = f"{item} is {width} x {height} pixels"
    if width * height > _MAX_PIXELS or max(width, height) > _MAX_SIDE:
        raise UnusableImageError(problem, "shrink or remove it")
    if width * height > _MAX_COSTLY_PIXELS and _is_costly(image):
        reason = (
            f"more than {_MAX_COSTLY_PIXELS:,} for an image that is transparent, has over 8 bits "
            "per channel, or is AVIF, JPEG 2000 or WebP"
        )
        raise UnusableImageError(f"{problem}, {reason}", "shrink or remove it")


def _is_costly(image: Image.Image) -> bool:
    return (
        image.format in _COSTLY_FORMATS
        or image.mode.startswith(("I", "F"))
        or image.has_transparency_data
        or is_deep_color(image)
    )
