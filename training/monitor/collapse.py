"""Tells when a run has collapsed: from then on the generator learns nothing more."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

_STEPS = 500
_RECENT = 50
_LOSS = 0.005
_DIVERSITY = 0.1


class Alarm:
    """Watches D's loss, which stays far from 0 in a run that goes well, and how much generated images differ.

    Over hundreds of steps, a mean loss next to 0 means that the discriminator has won, and a diversity next to 0 (see
    `dcgan.training.engine.step.MEASURES`) that all images have become one.
    """

    def __init__(self) -> None:
        self._losses: deque[float] = deque(maxlen=_STEPS)
        self._diversities: deque[float] = deque(maxlen=_STEPS)
        self._raised = False

    def recall(self, lines: Iterable[Mapping[str, float]]) -> None:
        """Takes the measures of steps from before a run was resumed."""
        for line in lines:
            self._losses.append(line["loss_D"])
            self._diversities.append(line["diversity"])

    def hear(self, lines: Iterable[Mapping[str, float]]) -> str | None:
        """Takes the measures of some steps; returns what is wrong, in a sentence, the first time that it is."""
        self.recall(lines)
        if self._raised or len(self._losses) < _STEPS:
            return None
        fault = self._fault()
        self._raised = fault is not None
        return fault

    @property
    def calm(self) -> bool:
        """Whether nothing of the last steps looks like the beginning of a collapse; so a checkpoint is a good one.

        The images of a generator that has just begun are all alike, so the first steps prove nothing.
        """
        losses, diversities = list(self._losses)[-_RECENT:], list(self._diversities)[-_RECENT:]
        return len(losses) < _RECENT or (
            sum(losses) / _RECENT >= _LOSS and max(diversities) >= _DIVERSITY
        )

    def _fault(self) -> str | None:
        if sum(self._losses) / _STEPS < _LOSS:
            return (
                f"the discriminator has won: its loss was below {_LOSS} on average over {_STEPS} steps, so "
                "the generator learns nothing more; try a lower discriminator_adam.rate, a smaller "
                "discriminator.width, or augment"
            )
        if max(self._diversities) < _DIVERSITY:
            return (
                f"all images look alike: for {_STEPS} steps they differed by less than {_DIVERSITY:.0%} of what real "
                "ones do; try other rates, or another seed"
            )
        return None
