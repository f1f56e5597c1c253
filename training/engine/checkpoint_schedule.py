"""When checkpoints are written.

The schedule of the learning rates is `Recipe.learning_rate_factor`, in `dcgan.training.config`.
"""

from __future__ import annotations

import time


class CheckpointSchedule:
    """Asks for a checkpoint at a time interval and, optionally, every so many steps.

    Args:
        seconds: time between two checkpoints.
        steps: write a checkpoint after each multiple of this number of steps, too.
    """

    def __init__(self, seconds: float = 300.0, steps: int | None = None) -> None:
        self._seconds = seconds
        self._steps = steps
        self._last = time.monotonic()

    def due(self, step: int) -> bool:
        """Returns whether to write a checkpoint after this step; if so, restarts the interval."""
        now = time.monotonic()
        by_time = now - self._last >= self._seconds
        by_steps = self._steps is not None and step % self._steps == 0
        if by_time or by_steps:
            self._last = now
            return True
        return False
