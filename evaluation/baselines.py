"""Baselines of an evaluation: real images that are blurred, noisy or compressed."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageFilter

from dcgan.core import noise
from dcgan.core.images import Pixels, to_pillow

BLUR_SIGMA = 1.0
"""Standard deviation of the Gaussian blur, in pixels."""

NOISE_LEVELS = 25.0
"""Standard deviation of the noise, in grey levels."""

JPEG_QUALITY = 75
"""Quality of the compressed images, of Pillow's scale; chroma is halved (4:2:0)."""

_NOISE_SEED = 1
_BATCH = 100


def blur(images: Pixels, sigma: float = BLUR_SIGMA) -> Pixels:
    """Blurs images with Pillow's Gaussian filter."""
    return np.stack([_blur(to_pillow(image), sigma).reshape(image.shape) for image in images])


def add_noise(images: Pixels, levels: float = NOISE_LEVELS) -> Pixels:
    """Adds Gaussian noise to images: to image i the normals of seed 1, index i."""
    noisy = np.empty_like(images)
    values = int(np.prod(images.shape[1:]))
    for start in range(0, len(images), _BATCH):
        batch = images[start : start + _BATCH]
        normals = noise.latents(_NOISE_SEED, start, len(batch), values).reshape(batch.shape)
        noisy[start : start + _BATCH] = np.clip(np.rint(batch + levels * normals), 0, 255)
    return noisy


def compress(images: Pixels, quality: int = JPEG_QUALITY) -> Pixels:
    """Encodes images as JPEG and decodes them again."""
    return np.stack([_compress(to_pillow(image), quality).reshape(image.shape) for image in images])


def _compress(image: Image.Image, quality: int) -> Pixels:
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=quality, subsampling="4:2:0")
    with Image.open(buffer, formats=["JPEG"]) as decoded:
        return np.asarray(decoded)


def _blur(image: Image.Image, sigma: float) -> Pixels:
    return np.asarray(image.filter(ImageFilter.GaussianBlur(sigma)))
