"""The metrics of a training step: losses, scores and diversity."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from dcgan.training.distributed import DistributedContext

STEP_METRICS = ("loss_D", "loss_G", "score_D", "score_G1", "score_G2", "diversity")
"""Names of the metrics, in the order in which a step returns them.

loss_D, loss_G: the losses of both networks.
score_D: mean probability that D gives real images.
score_G1, score_G2: mean probability that D gives generated images, before and after D's update.
diversity: see `diversity`.
"""

# Added to both standard deviations, in units of [-1, 1], so that identical images have a ratio.
_MIN_DEVIATION = 0.01

# Diversity is computed from every fourth row and column, because it is computed at each step.
_STRIDE = 4


def is_finite(row: Mapping[str, float]) -> bool:
    """Returns whether no value of a row is NaN or infinite."""
    return all(math.isfinite(value) for value in row.values())


def score(logits: Tensor) -> Tensor:
    """Returns the mean probability of being real: logits [B] -> a scalar."""
    return torch.sigmoid(logits.detach()).mean()


def diversity(real: Tensor, fake: Tensor, context: DistributedContext) -> Tensor:
    """Measures how much generated images differ from each other, relative to real ones.

    Args:
        real: real images of the batch, [B, C, H, W].
        fake: generated images of the batch, [B, C, H, W].
        context: the processes that share the batch.

    Returns:
        The mean standard deviation of a pixel over the generated images, divided by that over the
        real ones. Close to 0, all generated images are the same.
    """
    stacked = torch.stack(
        [images.detach()[:, :, ::_STRIDE, ::_STRIDE].float() for images in (fake, real)], dim=1
    )
    deviations = _standard_deviation(stacked, context).mean(dim=(1, 2, 3)) + _MIN_DEVIATION
    return deviations[0] / deviations[1]


def _standard_deviation(values: Tensor, context: DistributedContext) -> Tensor:
    """Returns the standard deviation over the batch of all processes, [B, 2, ...] -> [2, ...]."""
    if context.world_size == 1:
        return values.std(dim=0, correction=0)

    exact = values.double()  # the difference of two means below needs the digits
    ones = torch.ones_like(exact[:, :1])
    sums = context.all_reduce_sum(torch.cat([ones, exact, exact.square()], dim=1).sum(dim=0))
    count = sums[:1]
    mean = sums[1:3] / count
    mean_of_squares = sums[3:] / count
    return (mean_of_squares - mean.square()).clamp(min=0).sqrt().float()
