"""Conversion of images to 8 bits in sRGB: orientation, transparency, depth, color profiles."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

from dcgan.training.data.source import DECODE_ERRORS

_ORIENTATION = 0x0112  # the EXIF tag
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


def turn_upright(image: Image.Image) -> Image.Image:
    """Turns an image by its EXIF orientation, if its EXIF can be read."""
    try:
        transpose = _TRANSPOSES.get(image.getexif().get(_ORIENTATION, 1))
    except DECODE_ERRORS:
        return image
    return image if transpose is None else image.transpose(transpose)


def flatten(image: Image.Image) -> Image.Image:
    """Lays a transparent image on white.

    Raises:
        ValueError: if its pixels are floating-point numbers.
    """
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers, whose range is unknown")
    if not image.has_transparency_data:
        return image
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)


def is_deep(image: Image.Image) -> bool:
    """Returns whether an image is grey with more than 8 bits."""
    return image.mode.startswith("I")


def max_level(image: Image.Image) -> int:
    """Returns the largest level of a deep image, at most 65535, and 0 for other images."""
    if not is_deep(image):
        return 0
    return int(np.asarray(image).clip(0, 2**16 - 1).max(initial=0))


def scale_deep(image: Image.Image, bits: int) -> Image.Image:
    """Scales a deep image to 8 bits.

    Args:
        image: grey, with more than 8 bits.
        bits: depth of the data, 8 to 16.
    """
    levels = np.asarray(image).clip(0, 2**16 - 1)
    # Pillow's mode "I" also holds images of 8 bits.
    is_8_bit = image.mode == "I" and levels.max(initial=0) < 2**8
    scaled = levels if is_8_bit else levels >> (bits - 8)
    return Image.fromarray(scaled.clip(0, 255).astype(np.uint8))


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
