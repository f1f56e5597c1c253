"""The verdict on a file: every tolerance that its distance from the reference exceeds."""

from __future__ import annotations

from dcgan.export.errors import (
    BatchDependenceError,
    FloatMismatchError,
    LevelMismatchError,
    ParityError,
    QualityError,
)
from dcgan.export.verify.distance import Distance
from dcgan.export.verify.tolerances import Tolerances


def judge(distance: Distance) -> list[ParityError]:
    """Returns one error for each tolerance that is exceeded, the most explanatory first.

    A distance without tolerances is reported only and always passes.
    """
    if distance.limits is None:
        return []
    name = f"{distance.file} on {distance.provider}"
    return [
        *_judge_batches(name, distance, distance.limits),
        *_judge_probes(name, distance, distance.limits),
        *_judge_quality(name, distance, distance.limits),
    ]


def _judge_batches(name: str, distance: Distance, limits: Tolerances) -> list[ParityError]:
    if limits.batch_invariant and not distance.batch_invariant:
        return [BatchDependenceError(f"{name} gives an image other bytes in another batch")]
    if distance.batch_error > limits.max_abs_error:
        return [
            BatchDependenceError(
                f"{name} changes an image by {distance.batch_error:.2g} in another batch"
            )
        ]
    return []


def _judge_probes(name: str, distance: Distance, limits: Tolerances) -> list[ParityError]:
    errors: list[ParityError] = []

    if distance.max_levels > limits.max_levels:
        found = f"is off by up to {distance.max_levels} grey levels"
        errors.append(LevelMismatchError(f"{name} {found}, allowed is {limits.max_levels}"))

    # Written so that NaN, which compares false with everything, fails.
    if not distance.max_abs_error <= limits.max_abs_error:
        found = f"is off by up to {distance.max_abs_error:.2g}"
        errors.append(FloatMismatchError(f"{name} {found}, allowed is {limits.max_abs_error:.2g}"))

    if distance.pixels_changed > limits.pixels_changed:
        found = f"changes {distance.pixels_changed:.2%} of the pixels"
        errors.append(LevelMismatchError(f"{name} {found}, allowed is {limits.pixels_changed:.2%}"))

    return errors


def _judge_quality(name: str, distance: Distance, limits: Tolerances) -> list[ParityError]:
    errors: list[ParityError] = []
    quality = distance.quality

    if limits.min_psnr is not None and not (quality and quality.psnr >= limits.min_psnr):
        found = f"{quality.psnr:.1f} dB" if quality else "no measured quality"
        errors.append(
            QualityError(f"{name} has {found}, at least {limits.min_psnr:.1f} dB is needed")
        )

    max_levels = limits.quality_levels or limits.max_levels
    if quality and quality.max_levels > max_levels:
        found = f"is off by up to {quality.max_levels} grey levels in some image"
        errors.append(LevelMismatchError(f"{name} {found}, allowed is {max_levels}"))

    return errors
