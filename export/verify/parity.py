"""The parity gate: is a written file the function that was trained?

Each file is loaded again from disk and run beside the reference, in batches of several sizes, on the noise that users
will send, on zeros, and far out. It is measured in float error and in what a user sees: grey levels. Source of the
idea to sweep batches: nothing that exports models does, and a dynamic batch is what breaks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcgan.core import noise
from dcgan.core.images import Pixels
from dcgan.export.errors import (
    BatchDependenceError,
    FailedRunError,
    FloatMismatchError,
    LevelMismatchError,
    ParityError,
    QualityError,
)
from dcgan.export.verify.backends import Batch, EagerRunner, OnnxRunner, Output, Runner
from dcgan.export.verify.tolerances import QUALITY_IMAGES, Limits

MOST_CLASSES = 1024  # that are run; beyond, only their weights are compared
BATCHES = (1, 2, 3, 7, 32, 64)
SEEDS = (0, 1, 2)
WIDEST = (4.0, 8.0)
"""Bounds of the stretched latent values; one normal in 16,000 lies beyond 4, and none that anyone will see beyond 8."""


@dataclass(frozen=True, kw_only=True)
class Quality:
    """How alike the images of two models are, over many images.

    Attributes:
        images: how many; numbers 0, 1, ... of seed 0.
        psnr: peak signal-to-noise ratio, 20 log10(255 / root mean square error), in decibels; at most 100.
        max_levels: largest difference of a channel of a pixel, in grey levels.
    """

    images: int
    psnr: float
    max_levels: int


@dataclass(frozen=True, kw_only=True)
class Distance:
    """How far one file on one provider is from the reference, over all probes.

    Attributes:
        file: its name.
        precision: of its arithmetic.
        provider: what ran it.
        max_abs_error: of a float pixel in [-1, 1].
        mean_abs_error: the same, on average.
        p999_abs_error: the same, exceeded by one float in a thousand.
        max_levels: largest difference of a channel of a pixel, in grey levels.
        pixels_changed: share of pixels that differ at all.
        pixels_by_levels: number of pixels for each difference in levels.
        batch_invariant: whether every image had the same bytes in every batch.
        batch_error: largest difference of a float pixel of one image in two batches.
        limits: what was allowed; None where the distance is reported only.
        quality: over many images, for a file with a limit on it.
    """

    file: str
    precision: str
    provider: str
    max_abs_error: float
    mean_abs_error: float
    p999_abs_error: float
    max_levels: int
    pixels_changed: float
    pixels_by_levels: dict[str, int]
    batch_invariant: bool
    batch_error: float
    limits: Limits | None = None
    quality: Quality | None = None


def probes(latent_size: int, classes: int = 0) -> list[Batch]:
    """The batches that a file is measured on.

    For each seed the batches are heads of one another, so that the same image is seen in batches of every size. Classes
    take turns, and go on from seed to seed; the strange ones are of the last classes. Each of the first MOST_CLASSES
    occurs.
    """
    heads = [
        (noise.latents(seed, 0, n, latent_size), i * max(BATCHES))
        for i, seed in enumerate(SEEDS)
        for n in BATCHES
    ]
    strange = noise.latents(SEEDS[-1] + 1, 0, 7, latent_size)
    wide = [np.clip(bound * strange, -bound, bound) for bound in WIDEST]
    others = [np.zeros((2, latent_size), dtype=np.float32), *wide]
    seen = len(SEEDS) * max(BATCHES)
    rest = range(seen, min(classes, MOST_CLASSES), max(BATCHES))
    more = [(noise.latents(SEEDS[0], first, max(BATCHES), latent_size), first) for first in rest]
    every = [*heads, *((z, max(classes - len(z), 0)) for z in others), *more]
    return [
        Batch(z, noise.labels(first, len(z), classes) if classes else None) for z, first in every
    ]


def run_probes(runner: Runner, latent_size: int, classes: int = 0) -> list[Output]:
    """Runs a model on every probe."""
    return [runner(batch) for batch in probes(latent_size, classes)]


def measure(
    runner: Runner,
    outputs: Sequence[Output],
    reference: Sequence[Output],
    limits: Limits | None = None,
) -> Distance:
    """Measures the outputs of a runner on all probes against those of the reference.

    Raises:
        FailedRunError: if a batch gives images of another shape.
    """
    for output, expected in zip(outputs, reference, strict=True):
        for found, wanted in ((output.images, expected.images), (output.floats, expected.floats)):
            if found.shape != wanted.shape:
                raise FailedRunError(
                    f"{runner.file} gives images {found.shape}, not {wanted.shape}"
                )
    errors = np.concatenate(
        [np.abs(a.floats - b.floats).ravel() for a, b in zip(outputs, reference, strict=True)]
    )
    levels = np.concatenate([_levels(a, b) for a, b in zip(outputs, reference, strict=True)])
    counts = np.bincount(levels)
    return Distance(
        file=runner.file,
        precision=runner.precision,
        provider=runner.provider,
        max_abs_error=float(errors.max()),
        mean_abs_error=float(errors.mean(dtype=np.float64)),
        p999_abs_error=float(np.percentile(errors, 99.9)),
        max_levels=int(levels.max()),
        pixels_changed=float((levels > 0).mean()),
        pixels_by_levels={str(level): int(count) for level, count in enumerate(counts) if count},
        batch_invariant=_batch_invariant(outputs),
        batch_error=_batch_error(outputs),
        limits=limits,
    )


def measure_quality(
    runner: OnnxRunner, reference: EagerRunner, latent_size: int, classes: int = 0
) -> Quality:
    """Measures QUALITY_IMAGES images of a runner against those of the reference."""
    squares, worst, values = 0, 0, 0
    n = max(BATCHES)
    for offset in range(0, QUALITY_IMAGES, n):
        labels = noise.labels(offset, n, classes) if classes else None
        batch = Batch(noise.latents(0, offset, n, latent_size), labels)
        difference = runner.images(batch).astype(np.int32) - reference(batch).images.astype(
            np.int32
        )
        squares += int((difference**2).sum())
        worst = max(worst, int(np.abs(difference).max()))
        values += difference.size
    return Quality(images=QUALITY_IMAGES, psnr=_decibels(squares / values), max_levels=worst)


def compare_quality(images: Pixels, reference: Pixels) -> Quality:
    """Measures images [n, H, W, C] against others."""
    difference = images.astype(np.int32) - reference
    worst = int(np.abs(difference).max())
    return Quality(
        images=len(images), psnr=_decibels(float((difference**2).mean())), max_levels=worst
    )


def judge(distance: Distance) -> list[ParityError]:
    """Everything in which a distance is beyond its limits, what explains most first; empty where it passes."""
    limits, who = distance.limits, f"{distance.file} on {distance.provider}"
    if limits is None:
        return []
    errors: list[ParityError] = []
    if limits.batch_invariant and not distance.batch_invariant:
        errors.append(BatchDependenceError(f"{who} gives an image other bytes in another batch"))
    elif distance.batch_error > limits.max_abs_error:
        errors.append(
            BatchDependenceError(
                f"{who} moves an image by {distance.batch_error:.2g} in another batch"
            )
        )
    if distance.max_levels > limits.max_levels:
        errors.append(
            LevelMismatchError(
                f"{who} is off by up to {distance.max_levels} grey levels, allowed is {limits.max_levels}"
            )
        )
    # Written so that NaN, which compares false with everything, fails.
    if not distance.max_abs_error <= limits.max_abs_error:
        errors.append(
            FloatMismatchError(
                f"{who} is off by up to {distance.max_abs_error:.2g}, allowed is {limits.max_abs_error:.2g}"
            )
        )
    if distance.pixels_changed > limits.pixels_changed:
        share, allowed = distance.pixels_changed, limits.pixels_changed
        errors.append(
            LevelMismatchError(f"{who} changes {share:.2%} of the pixels, allowed is {allowed:.2%}")
        )
    quality = distance.quality
    if limits.min_psnr is not None and not (quality and quality.psnr >= limits.min_psnr):
        found = f"{quality.psnr:.1f} dB" if quality else "no measured quality"
        errors.append(
            QualityError(f"{who} has {found}, at least {limits.min_psnr:.1f} dB is needed")
        )
    if quality and quality.max_levels > (limits.quality_levels or limits.max_levels):
        errors.append(
            LevelMismatchError(
                f"{who} is off by up to {quality.max_levels} grey levels in some image"
            )
        )
    return errors


def _decibels(mean_square: float) -> float:
    return min(float(10 * np.log10(255**2 / mean_square)), 100.0) if mean_square else 100.0


def _levels(output: Output, reference: Output) -> NDArray[np.int16]:
    """Difference of each pixel in grey levels, the worst of its channels, flat."""
    a, b = output.images.astype(np.int16), reference.images.astype(np.int16)
    worst: NDArray[np.int16] = np.abs(a - b).max(axis=-1)
    return worst.ravel()


def _batch_invariant(outputs: Sequence[Output]) -> bool:
    """Whether each image of a seed is the same, bit for bit, in the batch of every size."""
    return all(
        smaller.images.tobytes() == largest.images[: len(smaller.images)].tobytes()
        and smaller.floats.tobytes() == largest.floats[: len(smaller.floats)].tobytes()
        for smaller, largest in _heads(outputs)
    )


def _batch_error(outputs: Sequence[Output]) -> float:
    """How far an image of a seed in one batch is from itself in the largest."""
    pairs = _heads(outputs)
    return max(
        float(np.abs(smaller.floats - largest.floats[: len(smaller.floats)]).max())
        for smaller, largest in pairs
    )


def _heads(outputs: Sequence[Output]) -> Iterator[tuple[Output, Output]]:
    """For each seed, the output of each smaller batch with that of the largest, whose head it is."""
    for first in range(0, len(SEEDS) * len(BATCHES), len(BATCHES)):
        *smaller, largest = outputs[first : first + len(BATCHES)]
        yield from ((output, largest) for output in smaller)
