"""Image quality of a reduced-precision file: PSNR and largest error over many images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dcgan.core.images import Pixels
from dcgan.export.verify.backends import EagerBackend, OnnxBackend
from dcgan.export.verify.inputs import ModelInputs, seed_inputs
from dcgan.export.verify.threads import run_in_threads
from dcgan.export.verify.tolerances import QUALITY_IMAGES

_BATCH = 64
_ROUND = 1024
"""Images that are held in memory at a time: enough batches to occupy 16 threads."""


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
    backends: Sequence[OnnxBackend], reference: EagerBackend, latent_size: int, classes: int = 0
) -> list[Quality]:
    """Compares QUALITY_IMAGES images of each of several files with those of one reference."""
    errors = [_Errors() for _ in backends]

    # The images of the reference are most of the work, and are computed once for all files.
    for offset in range(0, QUALITY_IMAGES, _ROUND):
        inputs = seed_inputs(0, offset, _ROUND, latent_size=latent_size, classes=classes)
        expected = _images(reference, inputs)
        for backend, error in zip(backends, errors, strict=True):
            error.add(_images(backend, inputs), expected)

    return [error.quality() for error in errors]


class _Errors:
    """Differences of one file from the reference, summed over the images so far."""

    def __init__(self) -> None:
        self._squares = 0
        self._values = 0
        self._max_levels = 0

    def add(self, images: Pixels, expected: Pixels) -> None:
        """Adds images [n, H, W, C] and those of the reference."""
        for start in range(0, len(images), _BATCH):
            rows = slice(start, start + _BATCH)
            difference = images[rows].astype(np.int32) - expected[rows]
            self._squares += int((difference**2).sum())
            self._values += difference.size
            self._max_levels = max(self._max_levels, int(np.abs(difference).max()))

    def quality(self) -> Quality:
        """Returns what the sums say."""
        psnr = _psnr(self._squares / self._values)
        return Quality(images=QUALITY_IMAGES, psnr=psnr, max_levels=self._max_levels)


def _images(backend: OnnxBackend | EagerBackend, inputs: ModelInputs) -> Pixels:
    """Returns the images of one round; a backend with a fixed batch size gets all of it at once."""
    if not backend.is_thread_safe:
        return backend.images(inputs)
    batches = [inputs.rows(start, start + _BATCH) for start in range(0, len(inputs.z), _BATCH)]
    return np.concatenate(run_in_threads(backend.images, batches))


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
