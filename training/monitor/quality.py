"""Quality of the generator during training (`--evaluate-every`): what an evaluator is.

The evaluator is part of `dcgan.evaluation`, which imports `dcgan.training`; an entry point lets
training use it without importing it back.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import cast

from dcgan.training.data.dataset import Dataset
from dcgan.training.errors import TrainingError
from dcgan.training.models.networks import Generator

QUALITY = "kd_lite0_x1000"
"""Key of the distance from the training images in the rows of evaluated steps."""

QUALITY_ERROR = "kd_lite0_x1000_error"
"""Key of its standard error."""

_GROUP = "dcgan.training.evaluators"
_DIGITS = 4


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Distance of generated images from the training images.

    Attributes:
        distance: KD-Lite0, times 1000; the smaller the better.
        error: its standard error.
    """

    distance: float
    error: float

    @property
    def is_finite(self) -> bool:
        """Whether both values are numbers."""
        return math.isfinite(self.distance) and math.isfinite(self.error)

    def values(self) -> dict[str, float]:
        """Returns both values, rounded, by the keys of metrics.jsonl."""
        return {
            QUALITY: round(self.distance, _DIGITS),
            QUALITY_ERROR: round(self.error, _DIGITS),
        }


Evaluator = Callable[[Generator], Quality]
"""Evaluates a generator in eval mode. It changes no state and uses no global random numbers."""


@dataclass(frozen=True, kw_only=True)
class EvaluationPlan:
    """When to evaluate, and how.

    Attributes:
        every: number of steps.
        evaluate: the evaluator.
    """

    every: int
    evaluate: Evaluator

    def due(self, step: int) -> bool:
        """Returns whether to evaluate after a step."""
        return step % self.every == 0


def load_evaluator(dataset: Dataset, device: str) -> Evaluator:
    """Returns the evaluator, prepared for the images of a run on a device, "cpu" or "cuda".

    Raises:
        TrainingError: if `dcgan.evaluation` is not installed.
        ModuleNotFoundError: if the extra `evaluate` is missing.
        DcganError: if the images are too few.
    """
    for point in entry_points(group=_GROUP, name="kd-lite0"):
        opener = cast(Callable[[Dataset, str], Evaluator], point.load())
        return opener(dataset, device)
    raise TrainingError(
        "--evaluate-every needs dcgan.evaluation, which this installation lacks; install "
        "'dcgan-zoo[evaluate]' again"
    )
