"""Telling the second signal of a user from an echo of the first."""

from __future__ import annotations

import time
from collections.abc import Callable

ECHO_S = 1.0
"""Signals that follow the first one within this time, in seconds, belong to it.

`timeout` signals the process and its group, torchrun passes on what its group has received.
"""


class SignalCounter:
    """Counts requests to stop.

    Args:
        clock: monotonic, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first_at: float | None = None

    def is_repeated(self) -> bool:
        """Counts a signal; returns whether it is a second request, and not an echo of the first."""
        now = self._clock()
        if self._first_at is None:
            self._first_at = now
            return False
        return now - self._first_at >= ECHO_S
