"""Conversion of images of 8 bits to sRGB: orientation, transparency, color profiles."""

from __future__ import annotations

import io
import re
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

from dcgan.training.data.source import DECODE_ERRORS, read_tags
from dcgan.training.data.strips import row_strips
from dcgan.training.errors import TrainingError

WHITE = "white"
"""The background of transparent images where none is chosen."""

_ORIENTATION = 0x0112  # the EXIF tag
_EXIF_PREFIX = b"Exif\0\0"
_RAW_EXIF = "Raw profile type exif"
_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Larger profiles than those of any printer are not parsed.
_MAX_PROFILE_BYTES = 2**23

_PROFILE_MODES = ("RGB", "L", "CMYK")

_NAMED_BACKGROUNDS = {"#ffffff": WHITE, "#000000": "black"}
_HEX_COLOR = re.compile(r"#[0-9a-f]{6}")


def parse_background(text: str) -> str:
    """Returns a background in its one spelling: white, black, or #rrggbb in lower case.

    Raises:
        TrainingError: if it is no such color.
    """
    color = text.lower()
    if color in _NAMED_BACKGROUNDS.values():
        return color
    if not _HEX_COLOR.fullmatch(color):
        raise TrainingError(f"--background takes white, black or #rrggbb, not {text!r:.60}")
    return _NAMED_BACKGROUNDS.get(color, color)


def read_orientation(image: Image.Image) -> Image.Transpose | None:
    """Returns how to turn an image upright by its EXIF data; None if there is nothing to do."""
    try:
        # Pillow would make a number of each of millions of values, and then find no orientation.
        exif = io.BytesIO(_exif(image))
        if any(tag == _ORIENTATION and count != 1 for tag, _, count in read_tags(exif)):
            return None
        return _TRANSPOSES.get(image.getexif().get(_ORIENTATION, 1))
    except DECODE_ERRORS:
        return None


def turn_upright(image: Image.Image, orientation: Image.Transpose | None) -> Image.Image:
    """Turns an image as `read_orientation` says."""
    return image if orientation is None else image.transpose(orientation)


def is_transparent(image: Image.Image) -> bool:
    """Returns whether an image has pixels that are not opaque."""
    if not image.has_transparency_data:
        return False
    return any(_lowest_alpha(strip) < 255 for _, strip in row_strips(image))


def flatten(image: Image.Image, background: str = WHITE) -> Image.Image:
    """Lays a transparent image on a background, in strips: a whole one would take gigabytes.

    Args:
        image: of any mode.
        background: a color; see `parse_background`.

    Raises:
        ValueError: if its pixels are floating-point numbers.
    """
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers, whose range is unknown")
    if not image.has_transparency_data:
        return image
    flat = Image.new("RGB", image.size)
    for rows, strip in row_strips(image):
        layer = strip.convert("RGBA")
        base = Image.new("RGBA", layer.size, background)
        flat.paste(Image.alpha_composite(base, layer).convert("RGB"), (0, rows.start))
    return flat


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Converts an image from its color profile to sRGB.

    Args:
        image: 8 bits, without transparency.
        profile: ICC profile that the file embeds.

    Returns:
        The image in RGB, or unchanged if its profile is sRGB or cannot be used.
    """
    transform = _srgb_transform(profile, image.mode)
    if transform is None:
        return image
    converted = ImageCms.applyTransform(image, transform)
    return image if converted is None else converted


def profile_of(image: Image.Image) -> bytes | None:
    """Returns the ICC profile of an image if it has one that is not sRGB."""
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or not 0 < len(profile) <= _MAX_PROFILE_BYTES:
        return None
    return profile if _differs_from_srgb(profile) else None


def to_profile_mode(image: Image.Image) -> Image.Image:
    """Converts an image to a mode for which there are color profiles."""
    return image if image.mode in _PROFILE_MODES else image.convert("RGB")


def _lowest_alpha(image: Image.Image) -> int:
    return int(np.asarray(image.convert("RGBA"))[..., 3].min(initial=255))


def _exif(image: Image.Image) -> bytes:
    """Returns the EXIF data of an image that is not a TIFF, as Pillow finds them."""
    data = image.info.get("exif")
    if data is None:
        # PNG files of ImageMagick have them as text: three lines, and then hexadecimal digits.
        lines = str(image.info.get(_RAW_EXIF, "")).split("\n")
        data = bytes.fromhex("".join(lines[3:]))
    return (
        data.removeprefix(_EXIF_PREFIX).removeprefix(_EXIF_PREFIX)
        if isinstance(data, bytes)
        else b""
    )


@lru_cache(maxsize=64)
def _differs_from_srgb(profile: bytes) -> bool:
    try:
        name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    except (ImageCms.PyCMSError, *DECODE_ERRORS):
        return False
    return "srgb" not in name.lower()


@lru_cache(maxsize=64)
def _srgb_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, *DECODE_ERRORS):
        return None  # a profile of another color space, or a damaged one
