"""Image quality of a reduced-precision file: PSNR and largest error over many images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dcgan.core.images import Pixels
from dcgan.export.verify.backends import EagerBackend, OnnxBackend
from dcgan.export.verify.inputs import seed_inputs
from dcgan.export.verify.tolerances import QUALITY_IMAGES

_BATCH = 64


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Similarity of the images of two models.

    Attributes:
        images: how many were compared; images 0, 1, ... of seed 0.
        psnr: peak signal-to-noise ratio, 20 log10(255 / root mean square error), in decibels; at
            most 100.
        max_levels: largest difference of a channel of a pixel, in grey levels.
    """

    images: int
    psnr: float
    max_levels: int


def measure_quality(
    backend: OnnxBackend, reference: EagerBackend, latent_size: int, classes: int = 0
) -> Quality:
    """Compares QUALITY_IMAGES images of a file with those of the reference."""
    squared_error = 0
    values = 0
    max_levels = 0

    for offset in range(0, QUALITY_IMAGES, _BATCH):
        inputs = seed_inputs(0, offset, _BATCH, latent_size=latent_size, classes=classes)
        expected = reference(inputs).images.astype(np.int32)
        difference = backend.images(inputs).astype(np.int32) - expected
        squared_error += int((difference**2).sum())
        values += difference.size
        max_levels = max(max_levels, int(np.abs(difference).max()))

    return Quality(images=QUALITY_IMAGES, psnr=_psnr(squared_error / values), max_levels=max_levels)


def compare_quality(images: Pixels, reference: Pixels) -> Quality:
    """Compares images [n, H, W, C] with others."""
    difference = images.astype(np.int32) - reference
    mean_square = float((difference**2).mean())
    max_levels = int(np.abs(difference).max())
    return Quality(images=len(images), psnr=_psnr(mean_square), max_levels=max_levels)


def _psnr(mean_square: float) -> float:
    if mean_square == 0:
        return 100.0
    return min(float(10 * np.log10(255**2 / mean_square)), 100.0)
