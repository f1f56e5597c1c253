"""Pictures as files: resizing, PNG, lossless WebP, animated WebP and GIF.

All functions are pure and may take milliseconds, so they belong on the threads of the PNG queue.
"""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image

from dcgan.core.images import Pixels, encode_png, to_pillow

MEDIA_TYPES = {
    "png": "image/png",
    "webp": "image/webp",
    "gif": "image/gif",
    "json": "application/json",
}

# Time to write a pixel, relative to PNG.
_COSTS = {"png": 1, "webp": 2, "gif": 8, "json": 1}


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
        factor = size // height
        return images.repeat(factor, axis=1).repeat(factor, axis=2)

    resized = [
        np.asarray(to_pillow(image).resize((size, size), Image.Resampling.LANCZOS))
        for image in images
    ]
    return np.stack(resized).reshape(len(images), size, size, images.shape[3])


def write_picture(image: Pixels, extension: str) -> bytes:
    """Writes one picture [H, W, C] as a PNG file or a lossless WebP file."""
    if extension == "png":
        return encode_png(image)
    buffer = io.BytesIO()
    to_pillow(image).save(buffer, format="WEBP", lossless=True, quality=20, method=2)
    return buffer.getvalue()


def write_animation(images: Pixels, extension: str, frame_ms: int, *, bounce: bool) -> bytes:
    """Writes images as an endless animation.

    Args:
        images: uint8 [n, H, W, C], n 2 or more.
        extension: "webp" for lossless WebP, "gif" for GIF with an adaptive palette of 256 colours.
        frame_ms: duration of a frame in milliseconds.
        bounce: whether the animation runs back to its beginning.
    """
    frames = [to_pillow(image) for image in images]
    if extension == "gif":
        frames = [frame.quantize(256) if frame.mode == "RGB" else frame for frame in frames]
    if bounce:
        frames += frames[-2:0:-1]

    buffer = io.BytesIO()
    if extension == "gif":
        _save_frames(frames, buffer, "GIF", frame_ms, optimize=False, disposal=1)
    else:
        _save_frames(frames, buffer, "WEBP", frame_ms, lossless=True, quality=20, method=0)
    return buffer.getvalue()


def encoding_cost(images: int, size: int | None, image_size: int, extension: str) -> int:
    """Returns how many PNG images of the original size take as long to write as a file.

    Args:
        images: number of images in the file.
        size: height and width of each; None for the original size.
        image_size: original height and width.
        extension: of the file.
    """
    scale = 1.0 if size is None else (size / image_size) ** 2
    return max(1, math.ceil(images * scale * _COSTS[extension]))


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
