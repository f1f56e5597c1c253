"""The parity gate: is a written file the function that was trained?

Each file is loaded again from disk and run beside the reference, in batches of several sizes, on the noise that users
will send, on zeros, and far out. It is measured in float error and in what a user sees: grey levels. Source of the
idea to sweep batches: nothing that exports models does, and a dynamic batch is what breaks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcgan.export.errors import (
    BatchDependenceError,
    FailedRunError,
    FloatMismatchError,
    LevelMismatchError,
    ParityError,
    QualityError,
)
from dcgan.export.runners import CPU, CUDA, EAGER, PT2, TORCHSCRIPT, Batch, EagerRunner, OnnxRunner, Output, Runner
from dcgan.zoo import noise
from dcgan.zoo.picture import Pixels

BATCHES = (1, 2, 3, 7, 32, 64)
SEEDS = (0, 1, 2)
QUALITY_IMAGES = 4096
WIDEST = (4.0, 8.0)
"""Bounds of the stretched latent values; one normal in 16,000 lies beyond 4, and none that anyone will see beyond 8."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How far a file may be from the reference.

    Attributes:
        max_abs_error: of a float pixel in [-1, 1]; one grey level is 7.8e-3.
        max_levels: of a channel of a pixel.
        pixels_changed: share of pixels that may differ at all.
        batch_invariant: whether an image must have the same bytes in every batch.
        reason: why so.
        min_psnr: least signal-to-noise ratio over QUALITY_IMAGES images, in decibels; None to measure none.
    """

    max_abs_error: float
    max_levels: int
    pixels_changed: float
    batch_invariant: bool
    reason: str
    min_psnr: float | None = None


_SAME_ARITHMETIC = "float32 sums in another order; a pixel changes only where its value lay on the edge of two levels"
LIMITS = {
    ("fp32", EAGER): Limits(
        max_abs_error=1e-5, max_levels=1, pixels_changed=1e-3, batch_invariant=False, reason=_SAME_ARITHMETIC
    ),
    ("fp32", TORCHSCRIPT): Limits(
        max_abs_error=1e-5, max_levels=1, pixels_changed=1e-3, batch_invariant=False, reason=_SAME_ARITHMETIC
    ),
    ("fp32", PT2): Limits(
        max_abs_error=1e-5, max_levels=1, pixels_changed=1e-3, batch_invariant=False, reason=_SAME_ARITHMETIC
    ),
    ("fp32", CPU): Limits(
        max_abs_error=1e-5, max_levels=1, pixels_changed=1e-3, batch_invariant=True, reason=_SAME_ARITHMETIC
    ),
    ("fp32", CUDA): Limits(
        max_abs_error=5e-3,
        max_levels=1,
        pixels_changed=0.25,
        batch_invariant=False,
        reason="room for TF32, which a convolution may use though it is told not to (microsoft/onnxruntime#21752)",
    ),
    ("fp16", CPU): Limits(
        max_abs_error=2e-2,
        max_levels=3,
        pixels_changed=0.5,
        batch_invariant=True,
        min_psnr=50.0,
        reason="weights with 11 significant bits; the CPU has no float16 kernels and computes with them in float32",
    ),
    ("fp16", CUDA): Limits(
        max_abs_error=4e-2,
        max_levels=4,
        pixels_changed=0.75,
        batch_invariant=False,
        min_psnr=45.0,
        reason="weights and activations with 11 significant bits; not measured yet, for want of a GPU",
    ),
    ("int8", CPU): Limits(
        max_abs_error=2.0,
        max_levels=128,
        pixels_changed=1.0,
        batch_invariant=True,
        min_psnr=38.0,
        reason="8 bits of activation and weight: another function by design, held to how alike the images look",
    ),
}


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
    limits: Limits | None = None
    quality: Quality | None = None


def probes(latent_size: int, classes: int = 0) -> list[Batch]:
    """The batches that a file is measured on.

    For each seed the batches are heads of one another, so that the same image is seen in batches of every size. Classes
    take turns, and go on from seed to seed; the strange ones are of the last classes.
    """
    heads = [
        (noise.latents(seed, 0, n, latent_size), i * max(BATCHES)) for i, seed in enumerate(SEEDS) for n in BATCHES
    ]
    strange = noise.latents(SEEDS[-1] + 1, 0, 7, latent_size)
    wide = [np.clip(bound * strange, -bound, bound) for bound in WIDEST]
    others = [np.zeros((2, latent_size), dtype=np.float32), *wide]
    every = [*heads, *((z, max(classes - len(z), 0)) for z in others)]
    return [Batch(z, noise.labels(first, len(z), classes) if classes else None) for z, first in every]


def run_probes(runner: Runner, latent_size: int, classes: int = 0) -> list[Output]:
    """Runs a model on every probe."""
    return [runner(batch) for batch in probes(latent_size, classes)]


def measure(
    runner: Runner, outputs: Sequence[Output], reference: Sequence[Output], limits: Limits | None = None
) -> Distance:
    """Measures the outputs of a runner on all probes against those of the reference.

    Raises:
        FailedRunError: if a batch gives images of another shape.
    """
    for output, expected in zip(outputs, reference, strict=True):
        for found, wanted in ((output.images, expected.images), (output.floats, expected.floats)):
            if found.shape != wanted.shape:
                raise FailedRunError(f"{runner.file} gives images {found.shape}, not {wanted.shape}")
    errors = np.concatenate([np.abs(a.floats - b.floats).ravel() for a, b in zip(outputs, reference, strict=True)])
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
        limits=limits,
    )


def measure_quality(runner: OnnxRunner, reference: EagerRunner, latent_size: int, classes: int = 0) -> Quality:
    """Measures QUALITY_IMAGES images of a runner against those of the reference."""
    squares, worst, values = 0, 0, 0
    n = max(BATCHES)
    for offset in range(0, QUALITY_IMAGES, n):
        labels = noise.labels(offset, n, classes) if classes else None
        batch = Batch(noise.latents(0, offset, n, latent_size), labels)
        difference = runner.images(batch).astype(np.int32) - reference(batch).images.astype(np.int32)
        squares += int((difference**2).sum())
        worst = max(worst, int(np.abs(difference).max()))
        values += difference.size
    return Quality(images=QUALITY_IMAGES, psnr=_decibels(squares / values), max_levels=worst)


def psnr(images: Pixels, reference: Pixels) -> float:
    """Peak signal-to-noise ratio of images; see Quality."""
    return _decibels(float(((images.astype(np.int32) - reference) ** 2).mean()))


def judge(distance: Distance) -> list[ParityError]:
    """Everything in which a distance is beyond its limits; empty where it passes."""
    limits, who = distance.limits, f"{distance.file} on {distance.provider}"
    if limits is None:
        return []
    errors: list[ParityError] = []
    # Written so that NaN, which compares false with everything, fails.
    if not distance.max_abs_error <= limits.max_abs_error:
        errors.append(
            FloatMismatchError(
                f"{who} is off by up to {distance.max_abs_error:.2g}, allowed is {limits.max_abs_error:.2g}"
            )
        )
    if distance.max_levels > limits.max_levels:
        errors.append(
            LevelMismatchError(
                f"{who} is off by up to {distance.max_levels} grey levels, allowed is {limits.max_levels}"
            )
        )
    if distance.pixels_changed > limits.pixels_changed:
        share, allowed = distance.pixels_changed, limits.pixels_changed
        errors.append(LevelMismatchError(f"{who} changes {share:.2%} of the pixels, allowed is {allowed:.2%}"))
    quality = distance.quality
    if limits.min_psnr is not None and not (quality and quality.psnr >= limits.min_psnr):
        found = f"{quality.psnr:.1f} dB" if quality else "no measured quality"
        errors.append(QualityError(f"{who} has {found}, at least {limits.min_psnr:.1f} dB is needed"))
    if quality and quality.max_levels > limits.max_levels:
        errors.append(LevelMismatchError(f"{who} is off by up to {quality.max_levels} grey levels in some image"))
    if limits.batch_invariant and not distance.batch_invariant:
        errors.append(BatchDependenceError(f"{who} gives an image other bytes in another batch"))
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
    for first in range(0, len(SEEDS) * len(BATCHES), len(BATCHES)):
        *smaller, largest = outputs[first : first + len(BATCHES)]
        for output in smaller:
            n = len(output.images)
            if output.images.tobytes() != largest.images[:n].tobytes():
                return False
            if output.floats.tobytes() != largest.floats[:n].tobytes():
                return False
    return True
