"""Pictures as files: resizing, PNG, lossless WebP, animated WebP and GIF."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from PIL import Image

from dcgan.core.images import Pixels, encode_png, to_pillow

NO_TEXT: Mapping[str, str] = MappingProxyType({})

MAX_SIDES = {"png": 2**31 - 1, "webp": 16383, "gif": 65535}
"""Largest width and height in pixels of a picture in each format."""

GIF_REVISION = 2
"""Number that rises with each change of the bytes of GIF files."""

_SAMPLE_SIZE = 64  # height and width of what the palette of a GIF is made from
_IMAGE_DESCRIPTION = 0x010E  # tag of EXIF


def enlarge(images: Pixels, factor: int) -> Pixels:
    """Repeats each pixel in both directions; images are uint8 [n, H, W, C]."""
    return images if factor == 1 else images.repeat(factor, axis=1).repeat(factor, axis=2)


def resize(images: Pixels, size: int | None) -> Pixels:
    """Resizes images.

    A whole multiple of the original size repeats pixels (nearest neighbour), so that no value
    changes. Any other size uses Pillow's Lanczos filter.

    Args:
        images: uint8 [n, H, W, C].
        size: new height and width; None to leave the images as they are.

    Returns:
        uint8 [n, size, size, C].
    """
    height = images.shape[1]
    if size is None or size == height:
        return images
    if size % height == 0:
        return enlarge(images, size // height)

    resized = [
        np.asarray(to_pillow(image).resize((size, size), Image.Resampling.LANCZOS))
        for image in images
    ]
    return np.stack(resized).reshape(len(images), size, size, images.shape[3])


def write_picture(image: Pixels, extension: str, text: Mapping[str, str] = NO_TEXT) -> bytes:
    """Writes one picture [H, W, C] as a PNG file or a lossless WebP file.

    Args:
        image: uint8 [H, W, C].
        extension: "png" or "webp".
        text: what to store beside the pixels: text fields in PNG, JSON in the EXIF field
            ImageDescription in WebP.

    Raises:
        ValueError: if there is no such format of pictures.
    """
    if extension == "png":
        return encode_png(image, text)
    if extension != "webp":
        raise ValueError(f"a picture is a png or webp, not {extension!r}")
    buffer = io.BytesIO()
    to_pillow(image).save(
        buffer, format="WEBP", lossless=True, quality=20, method=2, **_exif_option(text)
    )
    return buffer.getvalue()


def write_animation(
    images: Pixels,
    extension: str,
    frame_ms: int,
    *,
    bounce: bool,
    text: Mapping[str, str] = NO_TEXT,
) -> bytes:
    """Writes images as an endless animation.

    Args:
        images: uint8 [n, H, W, C], n 2 or more.
        extension: "webp" for lossless WebP, "gif" for GIF with an adaptive palette of 256 colors.
        frame_ms: duration of a frame in milliseconds.
        bounce: whether the animation runs back to its beginning.
        text: what to store beside the pixels as JSON: in the EXIF field ImageDescription in WebP,
            as a comment in GIF.

    Raises:
        ValueError: if there is no such format of animations.
    """
    if extension not in ("webp", "gif"):
        raise ValueError(f"an animation is a webp or gif, not {extension!r}")
    frames = [to_pillow(image) for image in images]
    if extension == "gif":
        frames = [_quantize(frame) if frame.mode == "RGB" else frame for frame in frames]
    if bounce:
        frames += frames[-2:0:-1]

    buffer = io.BytesIO()
    if extension == "gif":
        comment = {"comment": json.dumps(dict(text))} if text else {}
        _save_frames(frames, buffer, "GIF", frame_ms, optimize=False, disposal=1, **comment)
    else:
        exif = _exif_option(text)
        _save_frames(frames, buffer, "WEBP", frame_ms, lossless=True, quality=20, method=0, **exif)
    return buffer.getvalue()


def _quantize(frame: Image.Image) -> Image.Image:
    """Reduces the colors of a frame to an adaptive palette of 256.

    The palette of a large frame is that of a sample of its pixels: with a third of a second for a
    picture of the size 1448, and half a minute for noise, Pillow would stop all threads meanwhile.
    """
    if max(frame.size) <= _SAMPLE_SIZE:
        return frame.quantize(256)
    sample = frame.resize((_SAMPLE_SIZE, _SAMPLE_SIZE), Image.Resampling.NEAREST)
    return frame.quantize(palette=sample.quantize(256), dither=Image.Dither.NONE)


def _exif_option(text: Mapping[str, str]) -> dict[str, bytes]:
    if not text:
        return {}
    exif = Image.Exif()
    exif[_IMAGE_DESCRIPTION] = json.dumps(dict(text))
    return {"exif": exif.tobytes()}


def _save_frames(
    frames: list[Image.Image],
    buffer: io.BytesIO,
    file_format: str,
    frame_ms: int,
    **options: object,
) -> None:
    first, *others = frames
    first.save(
        buffer,
        format=file_format,
        save_all=True,
        append_images=others,
        duration=frame_ms,
        loop=0,
        **options,
    )
