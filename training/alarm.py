"""Tells when a discriminator has won: from then on the generator has nothing to learn from."""

from __future__ import annotations

from collections import deque

_STEPS = 500
_LOSS = 0.005


class Alarm:
    """Watches D's loss. Trained well it stays far from 0; for hundreds of steps at 0 it means a collapse."""

    def __init__(self) -> None:
        self._losses: deque[float] = deque(maxlen=_STEPS)
        self._raised = False

    def hear(self, losses: list[float]) -> str | None:
        """Takes D's losses of some steps; returns what is wrong, in a sentence, the first time that it is."""
        self._losses.extend(losses)
        if self._raised or len(self._losses) < _STEPS or sum(self._losses) / _STEPS >= _LOSS:
            return None
        self._raised = True
        return (
            f"the discriminator has won: its loss was below {_LOSS} for {_STEPS} steps, so the generator learns "
            "nothing more; try a lower discriminator_adam.rate, a smaller discriminator.width, or augment"
        )
