"""Distance between a file and the reference: float error, grey levels, dependence on the batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcgan.export.errors import FailedRunError
from dcgan.export.verify.backends import Backend
from dcgan.export.verify.inputs import ModelOutputs
from dcgan.export.verify.probes import batch_pairs
from dcgan.export.verify.quality import Quality
from dcgan.export.verify.tolerances import Tolerances


@dataclass(frozen=True, kw_only=True)
class Distance:
    """How far one file on one provider is from the reference, over all probes.

    The fields are keys in parity.json.

    Attributes:
        file: its name.
        precision: of its arithmetic.
        provider: what ran it.
        max_abs_error: of a float pixel in [-1, 1].
        mean_abs_error: the same, on average.
        p999_abs_error: the same, 99.9th percentile.
        max_levels: largest difference of a channel of a pixel, in grey levels.
        pixels_changed: share of pixels that differ at all.
        pixels_by_levels: number of pixels for each difference in levels.
        batch_invariant: whether every image had the same bytes in every batch.
        batch_error: largest difference of a float pixel of one image in two batches.
        limits: the tolerances that apply; None if the distance is reported only.
        quality: over many images, for a file with a tolerance on it.
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
    limits: Tolerances | None = None
    quality: Quality | None = None


def measure(
    backend: Backend,
    outputs: Sequence[ModelOutputs],
    reference: Sequence[ModelOutputs],
    tolerances: Tolerances | None = None,
) -> Distance:
    """Measures the outputs of a backend on all probes against those of the reference.

    Raises:
        FailedRunError: if a batch has images of another shape.
    """
    pairs = list(zip(outputs, reference, strict=True))
    for output, expected in pairs:
        _check_shapes(backend.file, output, expected)

    errors = np.concatenate([np.abs(a.floats - b.floats).ravel() for a, b in pairs])
    levels = np.concatenate([_levels(a, b) for a, b in pairs])
    counts = np.bincount(levels)

    return Distance(
        file=backend.file,
        precision=backend.precision,
        provider=backend.provider,
        max_abs_error=float(errors.max()),
        mean_abs_error=float(errors.mean(dtype=np.float64)),
        p999_abs_error=float(np.percentile(errors, 99.9)),
        max_levels=int(levels.max()),
        pixels_changed=float((levels > 0).mean()),
        pixels_by_levels={str(level): int(count) for level, count in enumerate(counts) if count},
        batch_invariant=_is_batch_invariant(outputs),
        batch_error=_batch_error(outputs),
        limits=tolerances,
    )


def _check_shapes(file: str, output: ModelOutputs, expected: ModelOutputs) -> None:
    for found, wanted in zip(output, expected, strict=True):
        if found.shape != wanted.shape:
            raise FailedRunError(f"{file} gives images {found.shape}, not {wanted.shape}")


def _levels(output: ModelOutputs, reference: ModelOutputs) -> NDArray[np.int16]:
    """Returns the difference of each pixel in grey levels, the largest of its channels, flat."""
    difference = output.images.astype(np.int16) - reference.images.astype(np.int16)
    levels: NDArray[np.int16] = np.abs(difference).max(axis=-1)
    return levels.ravel()


def _is_batch_invariant(outputs: Sequence[ModelOutputs]) -> bool:
    """Returns whether each image of a seed has the same bytes in the batch of every size."""
    return all(
        smaller.images.tobytes() == largest.images.tobytes()
        and smaller.floats.tobytes() == largest.floats.tobytes()
        for smaller, largest in batch_pairs(outputs)
    )


def _batch_error(outputs: Sequence[ModelOutputs]) -> float:
    """Returns the largest difference of a float pixel between a batch and the largest one."""
    return max(
        float(np.abs(smaller.floats - largest.floats).max())
        for smaller, largest in batch_pairs(outputs)
    )
