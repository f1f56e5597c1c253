"""Detection of collapsed runs, in which the generator has stopped learning."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from dcgan.training.monitor.step_metrics import is_finite

# Steps over which a collapse has to last.
WINDOW = 500

# The discriminator has won if the mean of its loss is smaller.
MIN_LOSS = 0.005

# Steps that decide whether a checkpoint counts as good.
_RECENT = 50

_MIN_DIVERSITY = 0.1

_RESTART = (
    "the last checkpoint is good: start a new run with lower learning rates or --precision fp32"
)


@dataclass(frozen=True, kw_only=True)
class Collapse:
    """The verdict that a run has collapsed.

    Attributes:
        reason: what is wrong and what to try, in a sentence.
        fatal: whether a loss or a weight is NaN or infinite, so that training cannot continue.
    """

    reason: str
    fatal: bool = False


class CollapseDetector:
    """Watches D's loss and the diversity of the generated images, and reports each collapse once.

    In a healthy run D's loss stays far from 0. A mean close to 0 over hundreds of steps means that
    the discriminator has won. A diversity close to 0 means that all generated images have become
    the same (see `dcgan.training.monitor.step_metrics`).
    """

    def __init__(self) -> None:
        self._losses: deque[float] = deque(maxlen=WINDOW)
        self._diversities: deque[float] = deque(maxlen=WINDOW)
        self._reported = False
        self._steps_without = 0  # since the condition of the last collapse held

    def reset(self, rows: Iterable[Mapping[str, float]]) -> None:
        """Starts over from the rows that lie before a resumed or rolled-back run."""
        self._losses.clear()
        self._diversities.clear()
        self._reported = False
        self._steps_without = 0
        self._add(rows)

    def update(self, rows: Iterable[Mapping[str, float]]) -> Collapse | None:
        """Takes the rows of further steps.

        Returns:
            A collapse if there is one. One that is not fatal is returned once, until the run has
            recovered for WINDOW steps.
        """
        for row in rows:
            if not is_finite(row):
                return Collapse(
                    reason=f"a loss is NaN or infinite at step {row['step']:.0f}; {_RESTART}",
                    fatal=True,
                )
            self._add([row])
            self._steps_without += 1

        if len(self._losses) < WINDOW:
            return None
        reason = self._reason()
        if reason is None:
            self._reported = self._reported and self._steps_without < WINDOW
            return None
        self._steps_without = 0
        if self._reported:
            return None
        self._reported = True
        return Collapse(reason=reason)

    @property
    def healthy(self) -> bool:
        """Whether no recent step looks like the start of a collapse, so a checkpoint is good.

        The first steps count as healthy: the images of a new generator are all alike.
        """
        losses = list(self._losses)[-_RECENT:]
        diversities = list(self._diversities)[-_RECENT:]
        if len(losses) < _RECENT:
            return True
        return sum(losses) / _RECENT >= MIN_LOSS and max(diversities) >= _MIN_DIVERSITY

    def _add(self, rows: Iterable[Mapping[str, float]]) -> None:
        for row in rows:
            self._losses.append(row["loss_D"])
            self._diversities.append(row["diversity"])

    def _reason(self) -> str | None:
        if sum(self._losses) / WINDOW < MIN_LOSS:
            return (
                f"the discriminator has won: its mean loss over {WINDOW} steps is below "
                f"{MIN_LOSS}, so the generator learns nothing more; try a lower "
                "discriminator_adam.rate, a smaller discriminator.width, or augment"
            )
        if max(self._diversities) < _MIN_DIVERSITY:
            return (
                f"all generated images look alike: for {WINDOW} steps they differed by less than "
                f"{_MIN_DIVERSITY:.0%} of what real ones do; try other learning rates or another "
                "seed"
            )
        return None


def check_weights(weights: Iterable[tuple[str, Tensor]]) -> Collapse | None:
    """Returns a fatal collapse if a weight is NaN or infinite.

    Args:
        weights: name and tensor of each weight.
    """
    named = list(weights)
    finite = torch.stack([torch.isfinite(weight).all() for _, weight in named])
    for (name, _), is_finite_weight in zip(named, finite.tolist(), strict=True):  # one wait
        if not is_finite_weight:
            reason = f"the weights {name} contain NaN or Inf; {_RESTART}"
            return Collapse(reason=reason, fatal=True)
    return None
